# SPDX-License-Identifier: LGPL-2.1-or-later
"""What settings of registries do to pulls: where they go, whom they trust, who they say they are.

The names that are pulled from lead where use_hosts() says.
"""

import base64
import json
import os
import shutil
import unittest

from berthtest import (ALICE, CA, ForwardProxy, IF_IMAGES, IF_TRANSFER, Image, InstanceTestCase, Layer,
                       ROOT_PATH, Registry, use_hosts, vardict)

HOSTS = '''127.0.0.1 localhost here.example
127.0.0.1 half.example
192.0.2.1 half.example
'''

OVER = ('done', 'failed', 'cancelled')
SECRET = 'hunter2'


def setUpModule():
    use_hosts(HOSTS)


class TransferTestCase(InstanceTestCase):
    """self.registry with team/app, which is self.image; everybody may pull."""

    def make_registry(self):
        return Registry()

    def setUp(self):
        super().setUp()
        self.authority = self.polkit(pull='yes')
        self.image = Image([Layer(5000, 1)])
        with Registry() as source:
            self.image.push(source, 'team/app', 'latest')
            self.registry = self.make_registry()
            self.addCleanup(self.registry.close)
            shutil.copytree(source.storage, self.registry.storage, dirs_exist_ok=True)
        self.port = self.registry.host.rsplit(':', 1)[1]

    def settle(self, text):
        """These are the settings from here on."""
        self.instance.write_settings('registries.d/test.conf', text)
        self.instance.manager('Reload')

    def begin(self, reference, who=None, **options):
        return str((who or self.instance).call(ROOT_PATH, IF_IMAGES, 'Pull', 'sa{sv}', reference,
                                               vardict(options)))

    def end(self, path):
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'State') in OVER)
        return self.instance.call(path, IF_TRANSFER, 'Describe', '')

    def pull(self, reference, who=None):
        """Returns: where the layer came from."""
        description = self.end(self.begin(reference, who))
        self.assertEqual((description['State'], description['ErrorMessage']), ('done', ''),
                         self.instance.logs())
        self.assertEqual(description['Digest'], self.image.digest)
        return str(description['Layers'][0]['Source'])

    def fails(self, name, reference, who=None):
        """Returns: the message of the error that the pull ends with."""
        description = self.end(self.begin(reference, who))
        self.assertEqual(description['ErrorName'], f'org.berthd.Berth1.Error.{name}',
                         f'{description["ErrorMessage"]}\n{self.instance.logs()}')
        self.assertNotIn(SECRET, description['ErrorMessage'])
        return str(description['ErrorMessage'])

    def write(self, name, text):
        path = self.instance.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path


class Places(TransferTestCase):
    def test_location(self):
        self.settle(f'[registry far.example/group]\nLocation={self.registry.host}/team\n')
        self.assertEqual(self.pull('far.example/group/app'), 'registry')

    def test_mirrors(self):
        self.settle(f'[registry far.example]\n'
                    f'Mirrors=nowhere.example:5000 {self.registry.host}/team\nRetries=0\n'
                    '[defaults]\nRetries=0\n')
        self.assertEqual(self.pull('far.example/app'), 'mirror')

    def test_a_blocked_mirror_is_left_out(self):
        self.settle(f'[registry far.example]\nMirrors={self.registry.host}\nRetries=0\n'
                    f'[registry {self.registry.host}]\nBlocked=yes\n')
        self.fails('RegistryUnreachable', 'far.example/team/app')

    def test_blocked(self):
        self.settle(f'[registry {self.registry.host}/team]\nBlocked=yes\n')
        with self.assertError('RegistryBlocked', 'test.conf:2'):
            self.begin(f'{self.registry.host}/team/app')
        self.settle(f'[registry {self.registry.host}/team2]\nBlocked=yes\n')
        self.assertEqual(self.pull(f'{self.registry.host}/team/app'), 'registry')

    def test_a_reload_does_not_disturb(self):
        path = self.begin(f'{self.registry.host}/team/app')
        self.settle('[defaults]\nBlocked=yes\n')
        self.assertEqual(self.end(path)['State'], 'done')


class Networks(TransferTestCase):
    def test_connections_go_where_was_looked(self):
        self.settle('[registry 127.0.0.0/8]\nInsecure=yes\n')
        self.assertEqual(self.pull(f'here.example:{self.port}/team/app'), 'registry')

    def test_one_address_outside_is_enough(self):
        self.settle('[registry 127.0.0.0/8]\nInsecure=yes\n'
                    '[defaults]\nRetries=0\nConnectTimeout=1s\n')
        # plain HTTP is not spoken there: what answers does not speak TLS
        self.fails('RegistryUnreachable', f'half.example:{self.port}/team/app')

    def test_blocked(self):
        self.settle('[registry 192.0.2.0/24]\nBlocked=yes\n[registry 127.0.0.0/8]\nInsecure=yes\n')
        with self.assertError('RegistryBlocked'):
            self.begin(f'half.example:{self.port}/team/app')
        with self.assertError('RegistryBlocked', 'cannot be resolved'):
            self.begin(f'nowhere.example:{self.port}/team/app')
        self.assertEqual(self.pull(f'here.example:{self.port}/team/app'), 'registry')


class Trust(TransferTestCase):
    def make_registry(self):
        self.ca = CA()
        self.addCleanup(self.ca.close)
        return Registry(tls=self.ca)

    def test_authorities(self):
        reference = f'{self.registry.host}/team/app'
        strict = f'[registry {self.registry.host}]\nInsecure=no\nRetries=0\n'
        self.settle(strict)
        self.fails('RegistryUnreachable', reference)
        self.settle(strict + f'CAFile={self.ca.certificate}\n')
        self.assertEqual(self.pull(reference), 'registry')

    def test_certs_directories(self):
        reference = f'{self.registry.host}/team/app'
        self.settle(f'[registry {self.registry.host}]\nInsecure=no\nRetries=0\n')
        with open(self.ca.certificate, encoding='ascii') as file:
            text = file.read()
        self.write('certs.d/127.0.0.1/ca.crt', text)  # of another port
        self.fails('RegistryUnreachable', reference)
        self.write(f'certs.d/{self.registry.host}/ca.crt', text)
        self.assertEqual(self.pull(reference), 'registry')

    def test_files_that_cannot_be_used(self):
        reference = f'{self.registry.host}/team/app'
        for path, part in (('/nowhere/ca.pem', 'No such file'), ('/', 'regular file')):
            self.settle(f'[registry {self.registry.host}]\nCAFile={path}\n')
            message = self.fails('SettingsInvalid', reference)
            for expected in ('CAFile=', 'test.conf:2', path, part):
                self.assertIn(expected, message)


class ClientCertificates(TransferTestCase):
    def make_registry(self):
        self.ca = CA()
        self.addCleanup(self.ca.close)
        return Registry(tls=self.ca, client_ca=self.ca)

    def check(self):
        """The machine's certificate is root's, and of whom polkit allows."""
        reference = f'{self.registry.host}/team/app'
        alice = self.user(ALICE)
        self.assertEqual(self.pull(reference), 'registry')
        self.assertIn(self.end(self.begin(reference, alice))['ErrorName'].rsplit('.', 1)[1],
                      ('RegistryUnreachable', 'AuthenticationRequired', 'RegistryError'))
        self.authority.answer(pull='yes', use_machine_credentials='yes')
        self.pull(reference, alice)

    def test_settings(self):
        certificate, key = self.ca.client('machine')
        self.settle(f'[registry {self.registry.host}]\nInsecure=no\nRetries=0\n'
                    f'CAFile={self.ca.certificate}\nClientCertificate={certificate}\n'
                    f'ClientKey={key}\n')
        self.check()

    def test_certs_directories(self):
        directory = f'certs.d/{self.registry.host}'
        for source, name in zip((self.ca.certificate, *self.ca.client('machine')),
                                ('ca.crt', 'me.cert', 'me.key')):
            with open(source, encoding='ascii') as file:
                self.write(f'{directory}/{name}', file.read())
        self.settle('[defaults]\nRetries=0\n')
        self.check()


class Credentials(TransferTestCase):
    def make_registry(self):
        return Registry(htpasswd={'machine': SECRET})

    def auth_file(self, password=SECRET):
        auth = base64.b64encode(f'machine:{password}'.encode()).decode()
        return self.write('auth.json', json.dumps({'auths': {self.registry.host: {'auth': auth}}}))

    def test_the_machine_has_some(self):
        reference = f'{self.registry.host}/team/app'
        alice = self.user(ALICE)
        self.fails('AuthenticationRequired', reference)
        self.settle(f'[registry {self.registry.host}]\nCredentialsFile={self.auth_file()}\n')
        self.assertEqual(self.pull(reference), 'registry')
        self.fails('AuthenticationRequired', reference, alice)
        self.authority.answer(pull='yes', use_machine_credentials='yes')
        self.pull(reference, alice)
        self.auth_file('wrong')  # the next transfer reads it again
        self.fails('AuthenticationRequired', f'{self.registry.host}/team/app', alice)
        self.assertNotIn(SECRET, self.instance.text('berthd.log'))

    def test_they_are_of_the_host_that_serves(self):
        """An entry for the name of an image goes nowhere else, as with other tools."""
        auth = base64.b64encode(f'machine:{SECRET}'.encode()).decode()
        for key in ('far.example', 'far.example/group', self.registry.host,
                    f'{self.registry.host}/team'):
            path = self.write('auth.json', json.dumps({'auths': {key: {'auth': auth}}}))
            self.settle(f'[registry far.example/group]\nLocation={self.registry.host}/team\n'
                        f'CredentialsFile={path}\n')
            with self.subTest(key=key):
                if key.startswith('far.example'):
                    self.fails('AuthenticationRequired', 'far.example/group/app')
                else:
                    self.pull('far.example/group/app')
                    self.instance.call(ROOT_PATH, IF_IMAGES, 'Remove', 'sa{sv}',
                                       'far.example/group/app', vardict({}))

    def test_it_is_not_there(self):
        path = self.instance.path('none.json')
        self.settle(f'[registry {self.registry.host}]\nCredentialsFile={path}\n')
        message = self.fails('SettingsInvalid', f'{self.registry.host}/team/app')
        for part in ('CredentialsFile=', 'test.conf:2', path):
            self.assertIn(part, message)
        # to whom it would not be given, it does not matter
        self.fails('AuthenticationRequired', f'{self.registry.host}/team/app', self.user(ALICE))

    def test_it_is_no_such_file(self):
        path = self.write('auth.json', f'{{"auths": {{"{self.registry.host}": {{"auth": "{SECRET}"}}')
        self.settle(f'[registry {self.registry.host}]\nCredentialsFile={path}\n')
        self.fails('AuthenticationRequired', f'{self.registry.host}/team/app')


class Proxies(TransferTestCase):
    def setUp(self):
        super().setUp()
        self.proxy = ForwardProxy(users={'me': SECRET},
                                  names={'far.example:5000': self.registry.host})
        self.addCleanup(self.proxy.close)

    def test_of_settings(self):
        self.settle('[registry far.example:5000]\nInsecure=yes\nRetries=0\n'
                    f'Proxy=http://me:{SECRET}@{self.proxy.host}\n')
        self.assertEqual(self.pull('far.example:5000/team/app'), 'registry')
        self.assertIn('far.example:5000', self.proxy.targets)

    def test_of_the_environment(self):
        self.instance.extra_environment['http_proxy'] = f'http://me:{SECRET}@{self.proxy.host}'
        self.instance.extra_environment['https_proxy'] = f'http://me:{SECRET}@{self.proxy.host}'
        self.instance.restart()
        self.settle('[registry far.example:5000]\nInsecure=yes\nRetries=0\n'
                    f'[registry here.example:{self.port}]\nInsecure=yes\nProxy=none\n')
        self.assertEqual(self.pull('far.example:5000/team/app'), 'registry')
        before = len(self.proxy.targets)
        self.pull(f'here.example:{self.port}/team/app')
        self.assertEqual(len(self.proxy.targets), before)


if __name__ == '__main__':
    unittest.main()
