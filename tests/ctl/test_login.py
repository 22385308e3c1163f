# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl login and logout: what is kept where, and that no password is shown."""

import base64
import json
import os
import pty
import stat
import unittest

from berthtest import BerthTestCase

SECRET = 'hunter2'


def auth(user, password=SECRET):
    return {'auth': base64.b64encode(f'{user}:{password}'.encode()).decode()}


class LoginTestCase(BerthTestCase):
    def setUp(self):
        self.instance = self.new_instance(start=False)
        self.home = self.instance.path('home')
        self.programs = self.instance.path('programs')
        for path in (self.home, self.programs):
            os.mkdir(path)
        self.instance.extra_environment.update(
            HOME=self.home, XDG_RUNTIME_DIR='', XDG_CONFIG_HOME=self.home + '/.config',
            DOCKER_CONFIG='', REGISTRY_AUTH_FILE='',
            PATH=f'{self.programs}:{os.environ["PATH"]}')
        self.path = self.home + '/.config/containers/auth.json'

    def login(self, registry, user='me', password=SECRET, status=0, **environment):
        """Returns: standard error."""
        done = self.instance.run('berthctl', 'login', f'--username={user}', registry,
                                 input=password + '\n', check=False, **environment)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, '')
        self.assertNotIn(SECRET, done.stderr)
        return done.stderr

    def logout(self, registry, status=0, **environment):
        done = self.instance.run('berthctl', 'logout', registry, check=False, **environment)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr

    def read(self, path=None):
        with open(path or self.path, encoding='utf-8') as file:
            return json.load(file)

    def write(self, path, document):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(document, file)

    def helper(self, name, status=0):
        """A helper that notes what it is asked. Returns: the path of its notes."""
        notes = self.instance.path(f'notes-{name}')
        path = os.path.join(self.programs, f'docker-credential-{name}')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\n{{ echo "$@"; cat; echo; }} >>{notes}\necho {SECRET}\n'
                       f'exit {status}\n')
        os.chmod(path, 0o755)
        return notes


class Login(LoginTestCase):
    def test_a_new_file(self):
        self.assertIn(self.path, self.login('H.Example:05000'))
        self.assertEqual(self.read(), {'auths': {'h.example:5000': auth('me')}})
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(self.path)).st_mode), 0o700)

    def test_the_rest_of_the_file_is_kept(self):
        self.write(self.path, {'auths': {'a.example': auth('a'), 'https://h.example/v2/': auth('old'),
                                         'h.example/team': auth('team')}, 'other': [1]})
        os.chmod(self.path, 0o644)
        self.login('h.example', password='with:colon and ü')
        self.assertEqual(self.read(), {
            'auths': {'a.example': auth('a'), 'h.example': auth('me', 'with:colon and ü'),
                      'h.example/team': auth('team')}, 'other': [1]})
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_a_part_of_a_registry(self):
        self.login('h.example/team')
        self.assertEqual(self.read(), {'auths': {'h.example/team': auth('me')}})

    def test_places(self):
        runtime = self.instance.path('runtime')
        self.login('h.example', XDG_RUNTIME_DIR=runtime)
        self.assertIn('h.example', self.read(runtime + '/containers/auth.json')['auths'])
        named = self.instance.path('named.json')
        self.login('h.example', XDG_RUNTIME_DIR=runtime, REGISTRY_AUTH_FILE=named)
        self.assertIn('h.example', self.read(named)['auths'])
        self.login('i.example', REGISTRY_AUTH_FILE=named)
        self.assertEqual(set(self.read(named)['auths']), {'h.example', 'i.example'})
        self.assertFalse(os.path.exists(self.path))

    def test_a_link_is_followed(self):
        target = self.instance.path('target.json')
        self.write(target, {})
        os.makedirs(os.path.dirname(self.path))
        os.symlink(target, self.path)
        self.login('h.example')
        self.assertTrue(os.path.islink(self.path))
        self.assertIn('h.example', self.read(target)['auths'])

    def test_refused(self):
        for registry, user, password, part in (
                ('https://h.example', 'me', SECRET, '://'), ('h.example:x', 'me', SECRET, 'h.example:x'),
                ('h.example', 'a:b', SECRET, 'user name'), ('h.example', '', SECRET, 'user name'),
                ('h.example', 'me', '', 'no password'),
                ('h.example', 'me', SECRET * 400, 'password has more')):
            with self.subTest(registry=registry, user=user):
                self.assertIn(part, self.login(registry, user, password, status=1))
        self.assertFalse(os.path.exists(self.path))
        done = self.instance.run('berthctl', 'login', 'h.example', input='me\n', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('--username=', done.stderr)
        self.assertEqual(self.instance.run('berthctl', 'login', check=False).returncode, 2)

    def test_a_broken_file_is_kept(self):
        os.makedirs(os.path.dirname(self.path))
        with open(self.path, 'w', encoding='utf-8') as file:
            file.write(f'{{"auths": {SECRET}')
        self.assertIn(self.path, self.login('h.example', status=1))
        with open(self.path, encoding='utf-8') as file:
            self.assertEqual(file.read(), f'{{"auths": {SECRET}')

    def test_on_a_terminal(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.instance.tool('berthctl'), ['berthctl', 'login', 'h.example'],
                      self.instance.environment())
        self.addCleanup(os.close, terminal)
        shown = ''

        def expect(prompt):
            nonlocal shown
            while prompt not in shown:
                shown += os.read(terminal, 4096).decode()
        expect('User name: ')
        os.write(terminal, b'me\n')
        expect('Password: ')
        os.write(terminal, SECRET.encode() + b'\n')
        expect('kept in')
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertIn('me\r\n', shown)
        self.assertNotIn(SECRET, shown)
        self.assertEqual(self.read(), {'auths': {'h.example': auth('me')}})


class Helpers(LoginTestCase):
    def test_the_helper_keeps_it(self):
        self.write(self.path, {'credsStore': 'safe', 'credHelpers': {'h.example': 'own'}})
        safe, own = self.helper('safe'), self.helper('own')
        self.login('h.example')
        with open(own, encoding='utf-8') as file:
            verb, said = file.read().split('\n', 1)
        self.assertEqual(verb, 'store')
        self.assertEqual(json.loads(said), {'ServerURL': 'h.example', 'Username': 'me',
                                            'Secret': SECRET})
        self.login('docker.io')
        with open(safe, encoding='utf-8') as file:
            self.assertIn('"https://index.docker.io/v1/"', file.read())
        self.assertEqual(self.read()['auths'], {'h.example': {}, 'https://index.docker.io/v1/': {}})
        self.logout('docker.io')
        with open(safe, encoding='utf-8') as file:
            self.assertIn('erase\nhttps://index.docker.io/v1/\n', file.read())
        self.assertEqual(self.read()['auths'], {'h.example': {}})

    def test_a_helper_that_fails(self):
        self.write(self.path, {'credsStore': 'broken'})
        self.helper('broken', status=3)
        self.assertIn('status 3', self.login('h.example', status=1))
        self.write(self.path, {'credsStore': '../evil'})
        self.assertIn('../evil', self.login('h.example', status=1))
        self.assertEqual(self.read(), {'credsStore': '../evil'})


class Logout(LoginTestCase):
    def test_forgets(self):
        self.write(self.path, {'auths': {'h.example': auth('me'), 'https://h.example/v1/': auth('me'),
                                         'h.example/team': auth('x')}})
        self.assertEqual(self.logout('h.example'), '')
        self.assertEqual(self.read(), {'auths': {'h.example/team': auth('x')}})
        self.assertIn('h.example', self.logout('h.example', status=1))

    def test_every_place(self):
        runtime = self.instance.path('runtime')
        other = runtime + '/containers/auth.json'
        for path in (self.path, other):
            self.write(path, {'auths': {'docker.io': auth('me')}})
        docker = self.home + '/.docker/config.json'
        self.write(docker, {'auths': {'https://index.docker.io/v1/': auth('me')}})
        self.assertIn(docker, self.logout('docker.io', XDG_RUNTIME_DIR=runtime))
        for path in (self.path, other):
            self.assertEqual(self.read(path), {'auths': {}})
        self.assertIn('https://index.docker.io/v1/', self.read(docker)['auths'])


if __name__ == '__main__':
    unittest.main()
