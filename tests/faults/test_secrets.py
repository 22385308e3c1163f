# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is secret is nowhere but where it must be: not in logs, properties, arguments, errors or files."""

import base64
import contextlib
import json
import os
import subprocess
import types
import unittest
import urllib.parse

from berthtest import (ALICE, CA, ForwardProxy, Image, Layer, MemoryRegistry, PullTestCase,
                       Registry, TokenServer, UrlServer, faults, has, images, vardict)
from berthtest.pulling import auth_entry, credentials

PASSWORD = 'pass+word/%41-of-alice'
PROXY_PASSWORD = 'password-of-the-proxy'
IDENTITY = 'identity-token-of-alice'
SIGNATURE = 'signature-of-a-url'

EMPTY = vardict({})


class SecretsTestCase(PullTestCase):
    def setUp(self):
        super().setUp()
        self.secrets = set()
        for secret in (PASSWORD, PROXY_PASSWORD, IDENTITY, SIGNATURE):
            self.keep_secret(secret)
        self.keep_secret(base64.b64encode(f'alice:{PASSWORD}'.encode()).decode())
        self.keep_secret(base64.b64encode(f'alice:{PROXY_PASSWORD}'.encode()).decode())
        self.verbose()

    def keep_secret(self, secret):
        self.secrets |= {secret, urllib.parse.quote(secret, safe=''), urllib.parse.quote(secret)}

    def verbose(self):
        self.instance.bus.call_blocking(
            'org.berthd.Berth1', '/org/freedesktop/LogControl1', 'org.freedesktop.DBus.Properties',
            'Set', 'ssv', ('org.freedesktop.LogControl1', 'LogLevel', 'debug'))

    def assertNoSecret(self, where, data):
        data = data if isinstance(data, bytes) else str(data).encode()
        for secret in self.secrets:
            self.assertNotIn(secret.encode(), data, f'{where} tells {secret}')

    def look(self, path=None):
        """Everywhere that anybody but root and the worker's user could read."""
        count = 0
        for pid in self.instance.processes():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                for name in ('cmdline', 'environ', 'comm', 'status'):
                    with open(f'/proc/{pid}/{name}', 'rb') as file:
                        self.assertNoSecret(f'/proc/{pid}/{name}', file.read())
                count += 1
        self.assertNoSecret('the log', self.instance.text('berthd.log'))
        self.assertNoSecret('the objects', self.instance.managed_objects())
        self.assertNoSecret('the list of transfers',
                            self.images('ListTransfers', 'a{sv}', EMPTY))
        if path:
            self.assertNoSecret('Describe', self.transfer(path, 'Describe'))
        for place in (self.instance.state, self.instance.runtime):
            for where, _, names in os.walk(place):
                for name in names:
                    self.look_into(os.path.join(where, name))
        return count

    def look_into(self, path):
        self.assertNoSecret('a name', path)
        try:
            with open(path, 'rb') as file:
                self.assertNoSecret(path, file.read())
            for name in os.listxattr(path):
                self.assertNoSecret(f'{name} of {path}', os.getxattr(path, name))
        except OSError:
            pass  # a socket, or removed meanwhile

    def watched(self, reference, stalled, name=None, **options):
        """Pulls, and looks while it stalls, and at the end. stalled: a Rule; name: of its error."""
        return self.watch(self.begin(reference, **options), stalled, name)

    def watch(self, path, stalled, name=None):
        stalled.wait()
        self.assertGreater(self.look(path), 2, 'no worker was looked at')
        stalled.remove()
        description = self.end(path)
        self.assertEqual(str(description['ErrorName']).rpartition('.')[2], name or '',
                         self.instance.logs())
        self.look(path)
        return description


class RegistryTestCase(SecretsTestCase):
    """A registry that wants a token from another server, both behind proxies."""

    def setUp(self):
        super().setUp()
        self.token_server = self.serve(TokenServer(users={'alice': PASSWORD}))
        self.token_server.give_refresh_token = True
        self.tokens = self.proxy(self.token_server)
        self.server = self.serve(Registry(auth=types.SimpleNamespace(
            realm=f'{self.tokens.url}/token', service=self.token_server.service,
            issuer=self.token_server.issuer, bundle=self.token_server.bundle,
            users=self.token_server.users)))
        self.front = self.proxy(self.server)
        self.image = Image([Layer(300000, 1)])
        self.image.push(self.server, 'team/app', 'latest', account='alice')
        self.layer = self.image.layers[0].digest
        self.reference = f'{self.front.host}/team/app:latest'

    def stall(self, **kwargs):
        return self.front.fault(faults.Stall(1000), path=self.layer, where=has('Authorization'),
                                **kwargs)

    def shown(self):
        """What the registry was shown is secret too."""
        for record in self.front.records:
            value = record.headers.get('Authorization', '')
            self.assertNotIn('Basic', value)
            if value:
                self.keep_secret(value.partition(' ')[2])
        self.assertTrue([record for record in self.front.records
                         if 'Authorization' in record.headers])


class Reading(RegistryTestCase):
    def test_of_the_caller(self):
        self.watched(self.reference, self.stall(),
                     Credentials=credentials(**{self.front.host: auth_entry('alice', PASSWORD)}))
        self.shown()
        self.look()

    def test_of_the_machine(self):
        path = self.instance.path('auth.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'auths': {self.front.host: auth_entry('alice', PASSWORD)}}, file)
        self.configure(f'[registry {self.front.host}]\nCredentialsFile={path}\n')
        self.watched(self.reference, self.stall())
        self.shown()
        self.look()
        self.assertNoSecret('GetSettings', self.instance.registry(self.front.host))

    def test_identity_token(self):
        token = self.token_server.add_refresh_token('alice')
        self.keep_secret(token)
        self.watched(self.reference, self.stall(), Credentials=credentials(
            **{self.front.host: {'identitytoken': token}}))

    def test_failures(self):
        """Each error is told, with none of it."""
        for where, fault in ((self.tokens, faults.Status(401)), (self.tokens, faults.Status(500)),
                             (self.tokens, faults.Garbage()), (self.tokens, faults.Drop()),
                             (self.front, faults.Status(403)), (self.front, faults.Status(500)),
                             (self.front, faults.Redirect(f'http://127.0.0.1:1/x?sig={SIGNATURE}',
                                                          exact=True)),
                             (self.front, faults.Redirect(f'http://alice:{PROXY_PASSWORD}@127.0.0.1/',
                                                          exact=True)),
                             (self.front, faults.Redirect(f'ftp://127.0.0.1/x?sig={SIGNATURE}',
                                                          exact=True)),
                             (self.front, faults.Challenge('Bearer realm="http://127.0.0.1:1/'
                                                           f'?secret={SIGNATURE}"'))):
            with self.subTest(fault=type(fault).__name__, of=vars(fault)):
                rule = where.fault(fault, method='GET|POST', times=None,
                                   where=None if where is self.tokens else has('Authorization'))
                self.configure(f'[registry {self.front.host}]\nRetries=0\n')
                path = self.begin(self.reference, Credentials=credentials(
                    **{self.front.host: auth_entry('alice', PASSWORD)}))
                self.assertEqual(self.end(path)['State'], 'failed')
                self.look(path)
                self.assertGreater(rule.hits, 0)
            where.clear()

    def test_bad_credentials(self):
        """A file that cannot be read as what it should be is not told of in its own words."""
        for text in (f'{{"auths": "{PASSWORD}"}}', f'{PASSWORD}', f'{{"auths": {{"{self.front.host}": '
                     f'{{"auth": "{PASSWORD}"}}}}}}', f'{{"{PASSWORD}": 1'):
            with self.subTest(text=text):
                path = self.instance.path('auth.json')
                with open(path, 'w', encoding='utf-8') as file:
                    file.write(text)
                self.configure(f'[registry {self.front.host}]\nCredentialsFile={path}\nRetries=0\n')
                transfer = self.begin(self.reference)
                self.assertEqual(self.end(transfer)['State'], 'failed')
                self.look(transfer)


class Writing(RegistryTestCase):
    """Push and copy: the registry's answer to an upload is waited for while everything is looked at."""

    def setUp(self):
        super().setUp()
        self.pull(self.reference, Credentials=self.alices())
        self.to = f'{self.front.host}/other/app:1'

    def alices(self):
        return credentials(**{self.front.host: auth_entry('alice', PASSWORD)})

    def put(self, method, **options):
        return str(self.images(method, 'ssa{sv}', self.reference, self.to,
                               vardict({'Credentials': self.alices(), **options})))

    def hold(self):
        return self.front.fault(faults.Hold(), method='POST|PUT', path='/other/app/',
                                where=has('Authorization'))

    def test_push(self):
        self.watch(self.put('Push'), self.hold())
        self.shown()
        self.look()

    def test_copy(self):
        self.watch(self.put('Copy', SourceCredentials=self.alices()), self.hold())
        self.shown()
        self.look()

    def test_failures(self):
        """Each error is told, with none of it."""
        self.configure(f'[registry {self.front.host}]\nRetries=0\n')
        for fault in (faults.Status(401), faults.Status(403), faults.Status(500),
                      faults.Redirect(f'http://127.0.0.1:1/x?sig={SIGNATURE}', exact=True),
                      faults.Redirect(f'http://alice:{PROXY_PASSWORD}@127.0.0.1/', exact=True),
                      faults.Status(202, headers={'Location': f'ftp://127.0.0.1/?{SIGNATURE}'}),
                      faults.Status(202, headers={'Location': f'http://127.0.0.1:1/?{SIGNATURE}'})):
            for method in ('Push', 'Copy'):
                with self.subTest(fault=type(fault).__name__, of=vars(fault), method=method):
                    rule = self.front.fault(fault, method='POST', path='/other/app/', times=None,
                                            where=has('Authorization'))
                    path = self.put(method)
                    self.assertEqual(self.end(path)['State'], 'failed')
                    self.look(path)
                    self.assertGreater(rule.hits, 0)
                    rule.remove()


class Others(SecretsTestCase):
    def test_proxy(self):
        """Userinfo of Proxy= is root's to see, and nobody's besides."""
        server = self.registry()
        image = Image([Layer(300000, 1)])
        image.push(server, 'team/app', 'latest')
        proxy = self.serve(ForwardProxy(users={'alice': PROXY_PASSWORD},
                                        names={'registry.test:5000': server.host}))
        self.configure(f'[registry registry.test:5000]\nInsecure=yes\nRetries=0\n'
                       f'Proxy=http://alice:{PROXY_PASSWORD}@{proxy.host}\n')
        self.watched('registry.test:5000/team/app',
                     proxy.fault(faults.Stall(1000), path=image.layers[0].digest))
        alice = self.user(ALICE)
        self.assertNoSecret('GetSettings', alice.registry('registry.test:5000'))
        self.assertIn(PROXY_PASSWORD, str(self.instance.registry('registry.test:5000')))
        proxy.users = {'alice': 'another'}
        self.forget()
        self.look()
        description = self.end(self.begin('registry.test:5000/team/app'))
        self.assertEqual(description['State'], 'failed')
        self.assertNoSecret('the error', description['ErrorMessage'])
        self.look()

    def test_client_key(self):
        ca = self.serve(CA())
        certificate, key = ca.client('alice')
        with open(key, encoding='ascii') as file:
            for line in file.read().splitlines()[1:-1]:
                self.keep_secret(line)
        server = self.registry()
        image = Image([Layer(300000, 1)])
        image.push(server, 'team/app', 'latest')
        front = self.proxy(server, tls=ca.server_context(client_ca=ca))
        self.configure(f'[registry {front.host}]\nInsecure=no\nRetries=0\nCAFile={ca.certificate}\n'
                       f'ClientCertificate={certificate}\nClientKey={key}\n')
        self.watched(f'{front.host}/team/app',
                     front.fault(faults.Stall(1000), path=image.layers[0].digest))
        # a key that is none
        path = self.instance.path('broken.key')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(PASSWORD)
        self.configure(f'[registry {front.host}]\nInsecure=no\nCAFile={ca.certificate}\n'
                       f'ClientCertificate={certificate}\nClientKey={path}\n')
        description = self.end(self.begin(f'{front.host}/team/app'))
        self.assertEqual(description['State'], 'failed')
        self.assertNoSecret('the error', description['ErrorMessage'])
        self.look()

    def test_urls(self):
        """A foreign layer's URL may be signed: it is in the manifest, which is not secret to who has
        it, but what everybody may read says nothing.
        """
        server = self.serve(MemoryRegistry())
        web = self.serve(UrlServer())
        self.configure(f'[registry {server.host}]\nForeignUrlHosts=127.0.0.1\nRetries=0\n')
        layer = Layer(3000, 1, images.FOREIGN_OCI, urls=[f'{web.url}/x?{SIGNATURE}',
                                                         f'ftp://h/x?{SIGNATURE}',
                                                         f'{web.url}/y#{SIGNATURE}'])
        reference = Image([layer]).push(server, 'team/app', 'latest', foreign=True)
        server.drop_blob(layer.digest)
        description = self.end(self.begin(reference))
        self.assertEqual(description['State'], 'failed')
        self.assertNoSecret('the error', description['ErrorMessage'])
        self.assertNoSecret('the log', self.instance.text('berthd.log'))
        self.assertNoSecret('the objects', self.instance.managed_objects())
        self.assertTrue(web.requests(path=SIGNATURE))


class Memory(SecretsTestCase):
    """What a worker holds is out of reach of whoever has its user ID."""

    def runs_as(self, pid, uid):
        with open(f'/proc/{pid}/status', encoding='utf-8') as file:
            return f'\nUid:\t{uid}\t' in file.read()

    def test_another_process_of_its_user(self):
        server = self.registry(htpasswd={'alice': PASSWORD})
        front = self.proxy(server)
        image = Image([Layer(300000, 1)])
        image.push(server, 'team/app', 'latest', account='alice')
        stall = front.fault(faults.Stall(1000), path=image.layers[0].digest,
                            where=has('Authorization'))
        path = self.begin(f'{front.host}/team/app', Credentials=credentials(
            **{front.host: auth_entry('alice', PASSWORD)}))
        stall.wait()
        uid = os.stat(self.store).st_uid
        (worker,) = [pid for pid in self.instance.processes() if self.runs_as(pid, uid)]
        for name in ('mem', 'environ', 'maps', 'fd/0', 'fd/1'):
            done = subprocess.run(['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups',
                                   'head', '-c1', f'/proc/{worker}/{name}'], capture_output=True,
                                  text=True, check=False)
            self.assertNotEqual(done.returncode, 0, name)
            self.assertRegex(done.stderr, 'Permission denied', name)
        stall.remove()
        self.ended(path)


if __name__ == '__main__':
    unittest.main()
