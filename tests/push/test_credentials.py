# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whose credentials a push goes with."""

import base64
import json
import os
import unittest

from berthtest import ALICE, Image, Layer, Registry, TokenServer, memfd

from pushing import PushTestCase

SECRET = 'a5ecret-of-the-test'
MACHINE = 'secret-of-the-machine'


def auth_json(host, name, password):
    word = base64.b64encode(f'{name}:{password}'.encode()).decode()
    return json.dumps({'auths': {host: {'auth': word}}})


class CredentialsTestCase(PushTestCase):
    def setUp(self):
        super().setUp()
        self.layer = Layer(800000, 1)
        self.image = self.load(Image([self.layer]))
        self.addCleanup(self.assertNoSecret)

    def given(self, name='alice', password=SECRET):
        return memfd(auth_json(self.proxy.host, name, password).encode())

    def assertNoSecret(self):
        """In no log; tests/faults looks everywhere else."""
        for word in (SECRET, MACHINE, base64.b64encode(f'alice:{SECRET}'.encode()).decode(),
                     base64.b64encode(f'machine:{MACHINE}'.encode()).decode()):
            self.assertNotIn(word, self.instance.logs())

    def fails(self, **options):
        found = self.failure(self.begin('Push', self.names[self.image.digest], self.to(), **options),
                             'AuthenticationRequired', self.proxy.host)
        self.assertNotIn(SECRET, str(found))
        self.assertEqual(self.registry.blobs(), [])
        return found


class Basic(CredentialsTestCase):
    registry_options = {'htpasswd': {'alice': SECRET, 'machine': MACHINE}}

    def test_the_callers(self):
        self.fails()
        self.fails(Credentials=self.given(password='wrong'))
        self.fails(Credentials=memfd(auth_json('elsewhere.example', 'alice', SECRET).encode()))
        self.push(self.image, self.to(), Credentials=self.given())
        self.assertThere(self.image, account='alice')

    def test_the_machines(self):
        path = self.instance.write_settings('auth.json',
                                            auth_json(self.proxy.host, 'machine', MACHINE))
        os.chmod(path, 0o600)
        self.instance.write_settings('registries.d/a.conf',
                                     f'[registry {self.proxy.host}]\nCredentialsFile={path}\n')
        self.instance.manager('Reload')
        self.push(self.image, self.to())
        authority = self.polkit(pull='yes', push='yes')
        alice = self.user(ALICE)
        mine = self.load(Image([Layer(1000, 7)]), tag='mine', who=alice)
        self.failure(self.begin('Push', self.names[mine.digest], self.to('alices/app'), who=alice),
                     'AuthenticationRequired')
        authority.answer(use_machine_credentials='yes')
        self.push(mine, self.to('alices/app'), who=alice)
        self.assertThere(mine, 'alices/app', account='alice')

    def test_nonsense(self):
        for text in ('', 'no json', '[]', '{"auths": 1}', '{"auths": {"x": {"auth": "%"}}}'):
            with self.subTest(text=text):
                description = self.end(self.begin('Push', self.names[self.image.digest], self.to(),
                                                  Credentials=memfd(text.encode())))
                self.assertEqual(description['State'], 'failed')


class Tokens(CredentialsTestCase):
    def new_registry(self):
        self.tokens = self.serve(TokenServer(users={'alice': SECRET},
                                             anonymous={'home/*': ['pull']}))
        return Registry(auth=self.tokens)

    def test_scopes(self):
        """What is asked for is what is needed: to pull and push there, and to pull where is mounted."""
        self.fails()
        self.tokens.grants.clear()
        self.push(self.image, self.to(), Credentials=self.given())
        self.assertThere(self.image, account='alice')
        self.tokens.grants.clear()
        self.push(self.image, self.to('other/app'), Credentials=self.given())
        self.assertEqual(self.uploads_to('other/app'), [])
        self.assertThere(self.image, 'other/app', account='alice')

    def uploads_to(self, repository):
        return [record for record in self.uploads() if repository in record.target]

    def test_identity_tokens(self):
        token = self.tokens.add_refresh_token('alice')
        text = json.dumps({'auths': {self.proxy.host: {'identitytoken': token}}})
        self.push(self.image, self.to(), Credentials=memfd(text.encode()))
        self.assertIn('refresh_token', self.tokens.kinds())
        self.assertThere(self.image, account='alice')
        self.assertNotIn(token, self.instance.logs())

    def test_not_allowed(self):
        """An account that may only pull."""
        self.tokens.access['alice'] = {'*': ['pull']}
        self.fails(Credentials=self.given())


class Command(CredentialsTestCase):
    """berthctl push and copy, with the calling user's credentials."""

    registry_options = {'htpasswd': {'alice': SECRET}}

    def setUp(self):
        super().setUp()
        home = self.instance.path('home')
        self.instance.extra_environment.update(
            {name: home for name in ('HOME', 'XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME')})
        os.makedirs(os.path.join(home, '.docker'))

    def test_push_and_copy(self):
        name = self.names[self.image.digest]
        done = self.instance.run('berthctl', 'push', '-q', name, self.to(), check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('wants credentials', done.stderr)
        path = self.instance.path('home', '.docker', 'config.json')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(auth_json(self.proxy.host, 'alice', SECRET))
        done = self.instance.run('berthctl', 'push', '-q', name, self.to())
        self.assertEqual((done.stdout, done.stderr), (self.image.digest + '\n', ''))
        self.assertThere(self.image, account='alice')
        done = self.instance.run('berthctl', 'copy', '-q', self.to(), self.to('copied/app'))
        self.assertEqual(done.stdout, self.image.digest + '\n')
        self.assertThere(self.image, 'copied/app', account='alice')
        done = self.instance.run('berthctl', 'copy', '-q', name, self.to('third/app'))
        self.assertThere(self.image, 'third/app', account='alice')


if __name__ == '__main__':
    unittest.main()
