# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a registry is reached and what it is shown: TLS, credentials, tokens, mirrors, proxies, pace."""

import base64
import json
import os
import shutil
import time
import unittest

from berthtest import (ALICE, CA, ForwardProxy, Image, Layer, PullTestCase, TokenServer,
                       faults, has)
from berthtest.pulling import auth_entry, credentials


class TransportTestCase(PullTestCase):
    def setUp(self):
        super().setUp()
        self.image = Image([Layer(50000, 1), Layer(1500, 2)])

    def write_file(self, name, text):
        path = self.instance.path(name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def write_auth(self, **entries):
        return self.write_file('auth.json', json.dumps({'auths': entries}))


class Tls(TransportTestCase):
    def setUp(self):
        super().setUp()
        self.ca = self.serve(CA())

    def start(self, **kwargs):
        """Returns: a reference at a registry that speaks https."""
        self.server = self.registry(tls=self.ca, **kwargs)
        return self.image.push(self.server, 'team/app', 'latest')

    def trust(self, host, text=''):
        self.configure(f'[registry {host}]\nInsecure=no\nRetries=0\n{text}')

    def test_an_authority_of_its_own(self):
        reference = self.start()
        self.trust(self.server.host)
        self.fails('RegistryUnreachable', 'certificate.*CAFile=', reference)
        other = self.serve(CA())
        self.trust(self.server.host, f'CAFile={other.certificate}\n')
        self.fails('RegistryUnreachable', 'certificate.*CAFile=', reference)
        self.trust(self.server.host, f'CAFile={self.ca.certificate}\n')
        self.pull_image(self.image, reference)

    def certs(self, host, **files):
        directory = self.instance.path('certs.d', host)
        os.makedirs(directory)
        for name, path in files.items():
            shutil.copy(path, os.path.join(directory, name.replace('_', '.')))

    def test_certs_d(self):
        reference = self.start()
        self.trust(self.server.host)
        self.certs(self.server.host, site_crt=self.ca.certificate)
        self.pull_image(self.image, reference)

    def test_plain_http_is_not_spoken_where_it_is_not_allowed(self):
        server = self.registry()
        reference = self.image.push(server, 'team/app', 'latest')
        front = self.proxy(server)
        self.trust(front.host)
        self.fails('RegistryUnreachable', 'Insecure=yes', reference.replace(server.host, front.host))
        self.assertEqual(front.records, [])

    def test_client_certificates(self):
        """From the settings and from certs.d."""
        certificate, key = self.ca.client('alice')
        server = self.registry(tls=self.ca)
        self.image.push(server, 'team/app', 'latest')
        front = self.proxy(server, tls=self.ca.server_context(client_ca=self.ca))
        front.ca = self.ca.certificate
        reference = f'{front.host}/team/app:latest'
        self.trust(front.host, f'CAFile={self.ca.certificate}\n')
        self.fails('RegistryUnreachable', front.host, reference)
        self.trust(front.host, f'CAFile={self.ca.certificate}\nClientCertificate={certificate}\n'
                               f'ClientKey={key}\n')
        self.pull_image(self.image, reference)
        self.forget()
        self.trust(front.host)
        self.certs(front.host, ca_crt=self.ca.certificate, alice_cert=certificate, alice_key=key)
        self.pull_image(self.image, reference)

    def test_http2(self):
        """Small layers together on few connections."""
        self.image = Image([Layer(2000, n) for n in range(40)])
        reference = self.start()
        front = self.serve(ForwardProxy())
        self.trust(self.server.host, f'CAFile={self.ca.certificate}\nProxy={front.url}\n')
        self.pull_image(self.image, reference)
        self.assertLess(len(front.targets), 3, front.targets)

    def test_http1_only(self):
        reference = self.start(http2=False)
        self.trust(self.server.host, f'CAFile={self.ca.certificate}\n')
        self.pull_image(self.image, reference)

    def test_insecure(self):
        """Whatever certificate it shows."""
        server = self.registry(tls=self.ca)
        self.image.push(server, 'team/app', 'latest')
        front = self.proxy(server, tls=self.ca.server_context('elsewhere.test', expired=True))
        self.trust(front.host)
        self.fails('RegistryUnreachable', 'CAFile=', f'{front.host}/team/app:latest')
        self.configure(f'[registry {front.host}]\nInsecure=yes\n')
        self.pull_image(self.image, f'{front.host}/team/app:latest')


class Basic(TransportTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.registry(htpasswd={'alice': 'secret'})
        self.reference = self.image.push(self.server, 'team/app', 'latest', account='alice')
        self.host = self.server.host

    def test_of_the_caller(self):
        self.fails('AuthenticationRequired', 'there are none for it', self.reference)
        for entries, message in (({self.host: auth_entry('alice', 'hush')}, 'does not take the cred'),
                                 ({'other.test': auth_entry('alice', 'secret')}, 'credentials')):
            description = self.fails('AuthenticationRequired', message, self.reference,
                                     Credentials=credentials(**entries))
            self.assertNotIn('hush', description['ErrorMessage'])
        self.pull(self.reference,
                  Credentials=credentials(**{self.host: auth_entry('alice', 'secret')}))
        self.assertHas(self.image)

    def test_of_the_machine(self):
        path = self.write_auth(**{self.host: auth_entry('alice', 'secret')})
        self.configure(f'[registry {self.host}/team]\nCredentialsFile={path}\n')
        self.pull_image(self.image, self.reference)
        self.forget()
        # a user needs leave for them, and goes on without
        self.polkit(pull='yes')
        alice = self.user(ALICE)
        self.fails('AuthenticationRequired', 'credentials', self.reference, who=alice)
        self.polkit(pull='yes', use_machine_credentials='yes')
        self.pull_image(self.image, self.reference, who=alice)

    def test_the_repository_decides(self):
        """The longest entry of an auth.json, and of the settings."""
        good, bad = auth_entry('alice', 'secret'), auth_entry('alice', 'hush')
        self.pull(self.reference, Credentials=credentials(**{
            self.host: bad, f'{self.host}/team': bad, f'{self.host}/team/app': good}))
        path = self.write_auth(**{self.host: bad})
        self.configure(f'[registry {self.host}]\nCredentialsFile={path}\n'
                       f'[registry {self.host}/other]\nCredentialsFile=\n')
        self.forget()
        self.fails('AuthenticationRequired', 'does not take', self.reference)


class Tokens(TransportTestCase):
    def start(self, **kwargs):
        self.tokens = self.serve(TokenServer(users={'alice': 'secret'}, **kwargs))
        self.server = self.registry(auth=self.tokens)
        self.server.ca = getattr(kwargs.get('tls'), 'certificate', None)  # for who pushes
        self.front = self.proxy(self.server)
        self.image.push(self.server, 'team/app', 'latest', account='alice')
        self.tokens.grants.clear()
        self.reference = f'{self.front.host}/team/app:latest'

    def own(self, name='alice', password='secret'):
        return credentials(**{self.front.host: auth_entry(name, password)})

    def test_anonymous(self):
        self.start(anonymous={'team/*': ['pull']})
        self.pull_image(self.image, self.reference)
        self.assertEqual([grant[:3] for grant in self.tokens.grants],
                         [('GET', '', ['repository:team/app:pull'])])

    def test_nothing_for_strangers(self):
        self.start()
        self.fails('AuthenticationRequired', 'there are none for it', self.reference)

    def test_password(self):
        self.start()
        self.pull_image(self.image, self.reference, Credentials=self.own())
        self.assertEqual([grant[:3] for grant in self.tokens.grants],
                         [('password', 'alice', ['repository:team/app:pull'])])
        self.assertFalse([record for record in self.front.records
                          if 'Basic' in record.headers.get('Authorization', '')])

    def test_wrong_password(self):
        self.start()
        description = self.fails('AuthenticationRequired', '401.*password', self.reference,
                                 Credentials=self.own(password='hush'))
        self.assertNotIn('hush', description['ErrorMessage'])

    def test_servers_that_know_no_post(self):
        self.start()
        for status in (404, 405):
            with self.subTest(status=status):
                self.tokens.refuse_post = status
                self.tokens.grants.clear()
                self.pull_image(self.image, self.reference, Credentials=self.own())
                self.assertEqual([grant[:2] for grant in self.tokens.grants], [('GET', 'alice')])
                self.forget()

    def test_it_runs_out_in_mid_transfer(self):
        """The layer is resumed with another token."""
        self.start(lifetime=2)
        layer = self.image.layers[0].digest
        self.configure(f'[registry {self.front.host}]\nStallTimeout=3s\n')
        self.front.fault(faults.Stall(20000), path=layer, where=has('Authorization'))
        self.pull_image(self.image, self.reference, Credentials=self.own())
        self.assertGreater(len(self.tokens.grants), 1)
        self.assertEqual(self.front.requests(path=layer)[-1].headers.get('Range'), 'bytes=20000-')

    def test_the_token_server_speaks_https(self):
        ca = self.serve(CA())
        self.start(tls=ca)
        self.configure(f'[registry {self.front.host}]\nCAFile={ca.certificate}\n')
        self.pull_image(self.image, self.reference, Credentials=self.own())

    def test_identity_token(self):
        self.start()
        token = self.tokens.add_refresh_token('alice')
        self.pull_image(self.image, self.reference, Credentials=credentials(
            **{self.front.host: {'identitytoken': token}}))
        self.assertEqual(self.tokens.kinds(), ['refresh_token'])


class Mirrors(TransportTestCase):
    """Two mirrors and the registry that they are of, each counting what it is asked."""

    def setUp(self):
        super().setUp()
        self.server = self.registry()
        self.image.push(self.server, 'team/app', 'latest')
        self.one, self.two, self.main = (self.proxy(self.server) for _ in range(3))
        self.reference = f'{self.main.host}/team/app:latest'

    def mirrors(self, text=''):
        self.configure(f'[defaults]\nRetries=0\n[registry {self.main.host}]\n'
                       f'Mirrors={self.one.host} {self.two.host}\n{text}')

    def asked(self):
        """Returns: which of them were asked for what, in order of the servers."""
        return [sorted({record.path.split('/')[-2] for record in place.records if 'v2/' in record.path
                        and record.path != '/v2/'}) for place in (self.one, self.two, self.main)]

    ALL = ['blobs', 'manifests']

    def test_the_first_gives_everything(self):
        self.mirrors()
        description = self.pull_image(self.image, self.reference)
        self.assertEqual(self.asked(), [self.ALL, [], []])
        self.assertEqual({source for _, source in self.sources(description)}, {'mirror'})
        self.assertTrue(all(record.query == {'ns': self.main.host} for record in self.one.records))

    def test_the_second_when_the_first_fails(self):
        self.mirrors()
        self.one.fault(faults.Status(500), times=None)
        description = self.pull_image(self.image, self.reference)
        self.assertEqual(self.asked(), [self.ALL, self.ALL, []])
        self.assertEqual({source for _, source in self.sources(description)}, {'mirror'})

    def test_the_registry_when_both_fail(self):
        self.mirrors()
        self.one.fault(faults.Status(404), times=None)
        self.two.close()
        description = self.pull_image(self.image, self.reference)
        self.assertEqual({source for _, source in self.sources(description)}, {'registry'})
        self.assertTrue(all('ns' not in record.query for record in self.main.records))

    def test_a_mirror_that_lacks_a_layer(self):
        self.mirrors()
        layer = self.image.layers[0]
        self.one.fault(faults.Status(404), path=layer.digest, times=None)
        self.two.fault(faults.Cut(1000), path=layer.digest, times=None)
        description = self.pull_image(self.image, self.reference)
        self.assertEqual(self.sources(description),
                         [(layer.digest, 'registry'), (self.image.layers[1].digest, 'mirror')])

    def test_lying_mirrors(self):
        """Another document for the digest, other bytes for a layer: it is had elsewhere."""
        self.mirrors()
        layer = self.image.layers[0]
        other = Image([Layer(100, 9)])
        self.one.fault(faults.Answer(other.document, other.media_type), path='/manifests/',
                       times=None)
        self.one.fault(faults.Corrupt(49999), path=layer.digest, times=None)
        description = self.pull(f'{self.main.host}/team/app@{self.image.digest}')
        self.assertEqual(description['Digest'], self.image.digest)
        self.assertHas(self.image)
        self.assertEqual(len(self.two.requests(path=layer.digest)), 1)

    def test_all_fail(self):
        self.mirrors()
        for place in (self.one, self.two, self.main):
            place.fault(faults.Status(404, code='MANIFEST_UNKNOWN'), path='/manifests/', times=None)
        description = self.fails('ManifestUnknown', 'team/app', self.reference)
        for place in (self.one, self.two, self.main):
            self.assertEqual(description['ErrorMessage'].count(f'latest of {place.host}/'), 1,
                             description['ErrorMessage'])

    def test_mirrors_for_tags(self):
        """Only the question what a tag means goes there."""
        self.mirrors('MirrorsFor=tags\n')
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.asked(), [['manifests'], [], ['blobs']])

    def test_mirrors_for_digests(self):
        self.mirrors('MirrorsFor=digests\n')
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.asked(), [['blobs'], [], ['manifests']])
        for place in (self.one, self.main):
            place.forget()
        self.forget()
        self.pull(f'{self.main.host}/team/app@{self.image.digest}')
        self.assertEqual(self.asked(), [self.ALL, [], []])

    def test_a_mirror_with_a_prefix(self):
        self.image.push(self.server, 'cache/team/app', 'latest')
        self.configure(f'[registry {self.main.host}]\nMirrors={self.one.host}/cache\n')
        self.pull_image(self.image, self.reference)
        self.assertTrue(all(record.path.startswith('/v2/cache/team/app/')
                            for record in self.one.records if record.path != '/v2/'))
        self.assertEqual(self.main.records, [])

    def test_a_blocked_mirror_is_left_out(self):
        self.mirrors(f'[registry {self.one.host}]\nBlocked=yes\n')
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.asked(), [[], self.ALL, []])

    def test_location(self):
        """The name says one registry, and another one serves it; images keep the name."""
        self.image.push(self.server, 'real/app', 'latest')
        self.configure(f'[registry virtual.test]\nLocation={self.main.host}/real\n')
        self.pull_image(self.image, 'virtual.test/app:latest')
        self.assertEqual(self.references(), ['virtual.test/app:latest'])
        self.assertTrue(self.main.requests(path='^/v2/real/app/'))

    def test_docker_io(self):
        """Names without a registry are Docker's, and can come from a mirror altogether."""
        self.image.push(self.server, 'library/busybox', 'latest')
        self.configure(f'[registry docker.io]\nMirrors={self.one.host}\nLocation={self.main.host}\n')
        self.pull_image(self.image, 'busybox')
        self.assertEqual(self.references(), ['docker.io/library/busybox:latest'])
        self.assertEqual({record.query.get('ns') for record in self.one.records}, {'docker.io'})

    def test_no_credentials_of_the_registry(self):
        """Neither the machine's nor the caller's; those for the mirror itself it gets."""
        path = self.write_auth(**{self.main.host: auth_entry('alice', 'hush')})
        own = credentials(**{self.main.host: auth_entry('alice', 'hush'),
                             self.two.host: auth_entry('bob', 'his')})
        self.mirrors(f'CredentialsFile={path}\n')
        for place in (self.one, self.two):
            place.fault(faults.Challenge('Basic realm="give"'), times=None,
                        where=lambda request: 'Authorization' not in request.headers)
        for options in ({}, {'Credentials': own}):
            self.pull_image(self.image, self.reference, **options)
            self.forget()
        self.assertEqual({record.headers.get('Authorization') for record in self.one.records}, {None})
        self.assertEqual({record.headers.get('Authorization') for record in self.two.records},
                         {None, 'Basic ' + base64.b64encode(b'bob:his').decode()})


class Proxies(TransportTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.registry()
        self.image.push(self.server, 'team/app', 'latest')
        self.names = {'registry.test:5000': self.server.host}

    def test_settings(self):
        proxy = self.serve(ForwardProxy(users={'alice': 'secret'}, names=self.names))
        settings = f'[registry registry.test:5000]\nInsecure=yes\nRetries=0\nProxy=http://alice:%s@' \
                   f'{proxy.host}\n'
        self.configure(settings % 'hush')
        description = self.fails('RegistryUnreachable', 'proxy', 'registry.test:5000/team/app')
        self.assertNotIn('hush', description['ErrorMessage'])
        self.configure(settings % 'secret')
        self.pull_image(self.image, 'registry.test:5000/team/app')

    def test_environment(self):
        proxy = self.serve(ForwardProxy(names=self.names))
        self.instance.terminate()
        self.instance.extra_environment.update(http_proxy=proxy.url, https_proxy=proxy.url)
        self.instance.start()
        self.configure('[registry registry.test:5000]\nInsecure=yes\n')
        self.pull_image(self.image, 'registry.test:5000/team/app')
        self.configure('[registry registry.test:5000]\nInsecure=yes\nRetries=0\nProxy=none\n')
        self.fails('RegistryUnreachable', 'resolve', 'registry.test:5000/team/app')

    def test_https_through_a_proxy(self):
        ca = self.serve(CA())
        front = self.proxy(self.server, tls=ca.server_context('registry.test'))
        proxy = self.serve(ForwardProxy(names={'registry.test:443': front.host}))
        self.configure(f'[registry registry.test]\nCAFile={ca.certificate}\nProxy={proxy.url}\n')
        self.pull_image(self.image, 'registry.test/team/app')
        self.assertEqual(set(proxy.targets), {'registry.test:443'})


class Pace(TransportTestCase):
    """Limits are on bytes: the least time is certain, the most is not."""

    def test_bandwidth(self):
        server = self.registry()
        image = Image([Layer(400000, n) for n in range(3)])
        reference = image.push(server, 'team/app', 'latest')
        for text, options in ((f'[registry {server.host}]\nMaxBandwidth=600k\n', {}),
                              ('', {'MaxBandwidth': 600000})):
            with self.subTest(text=text):
                self.configure(text)
                begin = time.monotonic()
                self.pull_image(image, reference, **options)
                self.assertGreater(time.monotonic() - begin, 1.2)
                self.forget()

    def limit(self, text):
        self.instance.write_settings('berth.conf', f'[Transfers]\nMaxBandwidth={text}\n')
        self.instance.manager('Reload')

    def test_bandwidth_is_shared(self):
        server = self.registry()
        references = [Image([Layer(300000, n) for n in range(2 * i, 2 * i + 2)]).push(
            server, f'team/app{i}', 'latest') for i in range(3)]
        self.limit('600k')
        begin = time.monotonic()
        for path in [self.begin(reference) for reference in references]:
            self.ended(path)
        # each for itself: 1; those that run are told a little later that others came
        self.assertGreater(time.monotonic() - begin, 1.5)

    def test_the_limit_goes_away(self):
        """Also for what waits because of it, which would be for minutes."""
        reference = Image([Layer(400000)]).push(self.registry(), 'team/app', 'latest')
        self.limit('1k')
        path = self.begin(reference)
        self.eventually(lambda: self.property(path, 'BytesDone') > 0)
        self.limit('0')
        self.ended(path)

    def test_connections(self):
        """No more at once than the settings allow."""
        front = self.proxy(self.registry())
        image = Image([Layer(100000, n) for n in range(8)])
        image.push(front, 'team/app', 'latest')
        front.forget()
        self.configure(f'[registry {front.host}]\nMaxConnections=2\n')
        stalls = [front.fault(faults.Stall(1000), path=layer.digest) for layer in image.layers]
        path = self.begin(f'{front.host}/team/app')
        front.wait_for(lambda: len([rule for rule in stalls if rule.hits]) == 2)
        self.assertEqual(len(front.requests(path='/blobs/')) - len(front.requests(
            path=image.config.digest)), 2)
        for rule in stalls:
            rule.release()
        self.ended(path)
        self.assertHas(image)


if __name__ == '__main__':
    unittest.main()
