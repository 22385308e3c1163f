# SPDX-License-Identifier: LGPL-2.1-or-later
"""The credentials that berthctl sends along: from which file, from which helper, for whom."""

import base64
import fcntl
import json
import os
import unittest

from berthtest import ALICE, FakeCtlTestCase, name_of_uid

A = 'sha256:' + 'a1' * 32
ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
IMAGE = 'registry.example:5000/team/app:1'
NAME = 'registry.example:5000/team/app'
HUB = 'docker.io/library/busybox'


def entry(user, password='secret'):
    return {'auth': base64.b64encode(f'{user}:{password}'.encode()).decode()}


class CredentialsTestCase(FakeCtlTestCase):

    def setUp(self):
        super().setUp()
        self.home = self.instance.path('home')
        self.programs = self.instance.path('programs')
        for name in ('home', 'programs', 'home/runtime'):
            os.mkdir(self.instance.path(name))
        self.instance.extra_environment.update(
            HOME=self.home, XDG_RUNTIME_DIR=self.home + '/runtime',
            XDG_CONFIG_HOME=self.home + '/.config',
            PATH=f'{self.programs}:{os.environ["PATH"]}')
        path = self.fake.transfer(1)
        self.fake.answers['Pull'] = 'o', path
        self.fake.finish(path, digest=A)

    def write(self, name, content):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def helper(self, name, script):
        path = os.path.join(self.programs, 'docker-credential-' + name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\n' + script)
        os.chmod(path, 0o755)

    def sent(self, image=IMAGE, *options, warning=''):
        """Returns: "auths" of what a pull hands over, or None."""
        done = self.instance.run('berthctl', 'pull', '-q', image, *options)
        self.assertRegex(done.stderr, rf'\A{warning}\Z')
        call = [call for call in self.fake.calls if call.member == 'Pull'][-1]
        if not call.files:
            self.assertEqual(call.args[1], {})
            return None
        self.assertEqual(call.args[1], {'Credentials': 'file 0'})
        self.assertEqual([seals & ALL_SEALS for seals in call.seals], [ALL_SEALS])
        document = json.loads(call.files[0])
        self.assertEqual(list(document), ['auths'])
        return document['auths']


class Files(CredentialsTestCase):

    def test_none(self):
        self.assertIsNone(self.sent())

    def test_order(self):
        """The first place that has an entry counts; a file without one is passed over."""
        def auths(user):
            return {'auths': {'registry.example:5000': entry(user), 'other': entry('other')}}
        self.write('.docker/config.json', auths('docker'))
        self.assertEqual(self.sent(), {NAME: entry('docker')})
        self.instance.extra_environment['DOCKER_CONFIG'] = self.home + '/elsewhere'
        self.write('elsewhere/config.json', auths('moved'))
        self.assertEqual(self.sent(), {NAME: entry('moved')})
        self.write('.config/containers/auth.json', auths('config'))
        self.assertEqual(self.sent(), {NAME: entry('config')})
        self.write('runtime/containers/auth.json', {'auths': {'other': entry('runtime')}})
        self.assertEqual(self.sent(), {NAME: entry('config')})
        self.write('runtime/containers/auth.json', auths('runtime'))
        self.assertEqual(self.sent(), {NAME: entry('runtime')})
        named = self.write('named.json', {'auths': {'other': entry('named')}})
        self.instance.extra_environment['REGISTRY_AUTH_FILE'] = named
        self.assertIsNone(self.sent())
        self.write('named.json', auths('named'))
        self.assertEqual(self.sent(), {NAME: entry('named')})

    def test_which_entry(self):
        entries = {key: entry(key.replace(':', '_')) for key in (
            'registry.example', 'REGISTRY.example:5000', 'registry.example:5000/team',
            'registry.example:5000/team/application', 'registry.example:5000/tea')}
        self.write('.docker/config.json', {'auths': entries})
        self.assertEqual(self.sent(), {NAME: entries['registry.example:5000/team']})
        for name in ('x', 'teapot', 'te'):
            self.assertEqual(self.sent(f'registry.example:5000/{name}'),
                             {f'registry.example:5000/{name}': entries['REGISTRY.example:5000']})
        self.assertIsNone(self.sent('registry.example:5001/x'))

    def test_docker_hub(self):
        for key in ('https://index.docker.io/v1/', 'index.docker.io', 'docker.io',
                    'docker.io/library'):
            with self.subTest(key):
                self.write('.docker/config.json', {'auths': {key: entry('hub')}})
                self.assertEqual(self.sent('busybox'), {HUB: entry('hub')})

    def test_named_file(self):
        """All of it goes along, except what is no secret: it was named for this call."""
        entries = {'registry.example:5000': entry('a'), 'mirror.example': entry('b')}
        path = self.write('creds.json', {'auths': {**entries, 'empty.example': {}},
                                         'credHelpers': {'gone.example': 'gone'}, 'x': 1})
        self.write('.docker/config.json', {'auths': {'registry.example:5000': entry('own')}})
        self.assertEqual(self.sent(IMAGE, '--creds=' + path), {**entries, NAME: entry('a')})
        self.assertFails('InvalidOption', 'pull', IMAGE, '--creds=/nonexistent')

    def test_no_json(self):
        """The text of a file never shows: the password may be anywhere in it."""
        path = self.write('.docker/config.json', 'hunter2 hunter2')
        self.assertIsNone(self.sent(warning=rf'berthctl: {path} is no auth.json: [^\n]*\n'))
        message = self.assertFails('InvalidOption', 'pull', IMAGE, '--creds=' + path)
        self.assertIn(path, message)
        self.assertNotIn('hunter2', message)

    def test_wrong_types(self):
        for content in ({}, {'auths': []}, {'auths': {'registry.example:5000': 'x'}},
                        {'auths': {'registry.example:5000': None}}, {'credHelpers': 1},
                        {'credHelpers': {'registry.example:5000': {}}}, {'credsStore': 7},
                        {'credsStore': ''}, {'auths': {'registry.example:5000': {}}}):
            with self.subTest(content):
                self.write('.docker/config.json', content)
                self.assertIsNone(self.sent())

    def test_too_much(self):
        entries = {f'r{number}.example': entry('x' * 1000) for number in range(60)}
        path = self.write('creds.json', {'auths': entries})
        self.assertFails('InvalidOption', 'pull', IMAGE, '--creds=' + path)
        self.write('.docker/config.json', {'auths': {**entries, 'registry.example:5000':
                                                     entry('mine')}})
        self.assertEqual(self.sent(), {NAME: entry('mine')})
        path = self.write('huge.json', ' ' * (2 << 20))
        self.assertFails('InvalidOption', 'pull', IMAGE, '--creds=' + path)

    def test_push_and_copy(self):
        """Of the registries that are written to and read from."""
        entries = {f'{word}.example': entry(word) for word in 'abc'}
        self.write('.docker/config.json', {'auths': entries})
        self.fake.answers['Push'] = self.fake.answers['Copy'] = self.fake.answers['Pull']
        for line, names in (('push a.example/x', ['a']), ('push a.example/x b.example/y', ['b']),
                            (f'push {A} b.example/y', ['b']), (f'push {A}', []),
                            ('copy a.example/x c.example/x', ['a', 'c'])):
            with self.subTest(line):
                self.ctl('-q', *line.split())
                call = [call for call in self.fake.calls if call.member in ('Push', 'Copy')][-1]
                auths = json.loads(call.files[0])['auths'] if call.files else {}
                self.assertEqual(list(auths.values()), [entry(name) for name in names])

    def test_digest_and_nonsense(self):
        self.write('.docker/config.json', {'auths': {'docker.io': entry('hub')}})
        self.assertIsNone(self.sent(A))
        self.assertIsNone(self.sent('NO REFERENCE'))  # that is for the service to say


class Helpers(CredentialsTestCase):

    ANSWER = '{"ServerURL": "x", "Username": "me", "Secret": "s3cret"}'
    FOUND = {'username': 'me', 'password': 's3cret'}

    def test_protocol(self):
        log = self.instance.path('log')
        self.helper('test', f'echo "$# $1 $(cat) $(id -u)" >{log}; echo \'{self.ANSWER}\'\n')
        for content, image, server in (
                ({'credHelpers': {'registry.example:5000': 'test'}}, IMAGE,
                 'registry.example:5000'),
                ({'credHelpers': {'registry.example:5000': 'test'}, 'credsStore': 'gone',
                  'auths': {'registry.example:5000': entry('inline')}}, IMAGE,
                 'registry.example:5000'),
                ({'credsStore': 'test'}, IMAGE, 'registry.example:5000'),
                ({'credsStore': 'test', 'auths': {'https://registry.example:5000/v1/': {}}}, IMAGE,
                 'https://registry.example:5000/v1/'),
                ({'credsStore': 'test'}, 'busybox', 'https://index.docker.io/v1/')):
            with self.subTest(content):
                self.write('.docker/config.json', content)
                self.assertEqual(self.sent(image), {HUB if image == 'busybox' else NAME: self.FOUND})
                self.assertEqual(self.instance.text('log'), f'1 get {server} 0\n')

    def test_named_file(self):
        """Its helpers are asked too, and never named to the service."""
        self.helper('test', f'echo \'{self.ANSWER}\'\n')
        path = self.write('creds.json', {'credHelpers': {'registry.example:5000': 'test'},
                                         'auths': {'other.example': entry('other')}})
        self.assertEqual(self.sent(IMAGE, '--creds=' + path),
                         {NAME: self.FOUND, 'other.example': entry('other')})

    def test_identity_token(self):
        self.helper('test', 'echo \'{"Username": "<token>", "Secret": "t0ken"}\'\n')
        self.write('.docker/config.json', {'credsStore': 'test'})
        self.assertEqual(self.sent(), {NAME: {'identitytoken': 't0ken'}})

    def test_unknown_there(self):
        """The next file may know."""
        self.helper('test', 'echo credentials not found in native keychain; exit 1\n')
        self.write('.config/containers/auth.json', {'credsStore': 'test'})
        self.assertIsNone(self.sent())
        self.write('.docker/config.json', {'auths': {'registry.example:5000': entry('docker')}})
        self.assertEqual(self.sent(), {NAME: entry('docker')})

    def test_failures(self):
        """The pull goes on; what the helper printed is not repeated."""
        self.helper('fails', 'echo hunter2; exit 3\n')
        self.helper('dies', 'kill -9 $$\n')
        self.helper('mumbles', 'echo hunter2\n')
        self.helper('half', 'echo \'{"Username": "hunter2"}\'\n')
        self.helper('endless', 'yes hunter2 | head -c 10000000\n')
        for name, words in (('fails', 'status 3'), ('dies', 'status 137'), ('gone', 'no program'),
                            ('mumbles', 'without'), ('half', 'without'), ('endless', 'without'),
                            ('../test', 'names no credential helper'),
                            ('te st', 'names no credential helper')):
            with self.subTest(name):
                self.write('.docker/config.json', {'credsStore': name})
                warning = rf'berthctl: going on without [^\n]*{words}[^\n]*\n'
                self.assertIsNone(self.sent(warning=f'(?!.*hunter2){warning}'))

    def test_as_the_caller(self):
        """With the caller's identity, environment and nothing of berthctl's descriptors."""
        os.chmod(self.home, 0o755)
        log = self.instance.path('log')
        with open(log, 'w', encoding='utf-8'):
            pass
        os.chmod(log, 0o666)
        self.helper('test', f'(id -un; echo $HOME; ls /proc/self/fd | wc -l) >{log}\n'
                            f'echo \'{self.ANSWER}\'\n')
        self.write('.docker/config.json', {'credsStore': 'test'})
        self.instance.run('setpriv', f'--reuid={ALICE}', '--clear-groups',
                          self.instance.tool('berthctl'), 'pull', '-q', IMAGE)
        name, home, count = self.instance.text('log').split()
        self.assertEqual((name, home), (name_of_uid(ALICE), self.home))
        self.assertLessEqual(int(count), 4)  # three, and what ls looks through

    def test_no_secret_in_sight(self):
        """While the helper and the call run: no argument, no environment, no output has it."""
        self.helper('test', f'echo \'{self.ANSWER}\'\n')
        self.write('.docker/config.json', {'credsStore': 'test'})
        seen = []

        def look(call):
            for pid in os.listdir('/proc'):
                if pid.isdigit():
                    try:
                        for name in ('cmdline', 'environ'):
                            with open(f'/proc/{pid}/{name}', 'rb') as file:
                                text = file.read()
                            if b'berthctl' in text:
                                seen.append(text)
                    except OSError:
                        pass
            return 'o', '/org/berthd/Berth1/transfer/1'
        self.fake.answers['Pull'] = look
        done = self.instance.run('berthctl', 'pull', IMAGE, BERTH_LOG_LEVEL='debug')
        self.assertTrue(seen)
        self.assertNotIn(b's3cret', b''.join(seen))
        self.assertNotIn('s3cret', done.stdout + done.stderr)


if __name__ == '__main__':
    unittest.main()
