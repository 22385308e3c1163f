# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers that registries need not have: where they are looked for, in what order, and where never."""

import unittest

from berthtest import (Blob, CA, ForwardProxy, Image, Layer, MemoryRegistry, NONDISTRIBUTABLE,
                       PullTestCase, UrlServer, faults)
from berthtest.images import OCI_CONFIG
from berthtest.pulling import auth_entry, credentials, host_pattern

SIZE = 20000
HERE = 'ForeignUrlHosts=127.0.0.0/8\n'  # the tests' own servers, which nobody else may name


class ForeignTestCase(PullTestCase):
    """self.web: a server of URLs; self.front: counts what the registry is asked."""

    server_options = {}
    account = None

    def setUp(self):
        super().setUp()
        self.server = self.registry(**self.server_options)
        self.front = self.proxy(self.server)
        self.web = self.serve(UrlServer())
        self.set()

    def set(self, text='', allow=HERE):
        self.configure(f'[registry {self.front.host}]\nRetries=0\n{allow}{text}')

    def layer(self, seed=1, media_type=NONDISTRIBUTABLE[1], **page):
        """Returns: a foreign layer with one URL, which gives its bytes or what page says."""
        layer = Layer(SIZE, seed, media_type)
        layer.urls = [self.web.add(f'/layer-{seed}', **{'data': layer.data, **page})]
        return layer

    def push(self, *layers, has=False, form='oci', tag='latest'):
        """has: whether the registry has the foreign layers too. Returns: the reference."""
        self.image = Image([Layer(5000, 'base'), *layers], form=form)
        self.image.push(self.server, 'team/app', tag, foreign=True, account=self.account)
        for layer in [] if has else layers:
            self.server.drop_blob(layer.digest)
        return f'{self.front.host}/team/app:{tag}'

    def get(self, *layers, **kwargs):
        """Pushes an image with these layers and pulls it. Returns: what Describe says."""
        reference = self.push(*layers, **kwargs)
        return self.pull_image(self.image, reference)

    def source(self, description, layer):
        return dict(self.sources(description))[layer.digest]

    def asked(self, layer):
        """Returns: how often registry and web server were asked for it."""
        return (len(self.front.requests(path=layer.digest)),
                len(self.web.requests(path='layer-')))


class Places(ForeignTestCase):
    def test_all_media_types(self):
        for form, types in (('oci', NONDISTRIBUTABLE[:3]), ('docker', NONDISTRIBUTABLE[3:])):
            layers = [self.layer(f'{form}{n}', media_type) for n, media_type in enumerate(types)]
            reference = self.push(*layers, form=form, tag=form)
            description = self.pull_image(self.image, reference)
            for layer in layers:
                self.assertIn(layer.media_type, types)
                self.assertEqual(self.source(description, layer), 'url')

    def test_registry_first(self):
        """What the registry has comes from there, and the URL is not touched."""
        layer = self.layer()
        description = self.get(layer, has=True)
        self.assertEqual(self.source(description, layer), 'registry')
        self.assertEqual(self.asked(layer), (1, 0))

    def test_whatever_the_registry_says(self):
        """404, 401, 403, 5xx, a connection that is cut, wrong bytes, another length: on to the URL."""
        layer = self.layer()
        reference = self.push(layer, has=True)
        for fault in (faults.Status(404), faults.Status(401), faults.Status(403), faults.Status(405),
                      faults.Status(500), faults.Status(503), faults.Drop(), faults.Drop(reset=True),
                      faults.Cut(10000), faults.Corrupt(77), faults.ContentLength('-1'),
                      faults.Garbage(), faults.Gzip(), faults.Endless(),
                      faults.Challenge('Bearer realm="http://127.0.0.1:1/token"'),
                      faults.Redirect('http://127.0.0.1:1/x', exact=True)):
            with self.subTest(fault=type(fault).__name__):
                self.front.clear()
                self.front.fault(fault, path=layer.digest, times=None)
                description = self.pull_image(self.image, reference)
                self.assertEqual(self.source(description, layer), 'url')
                self.forget()

    def test_a_refused_connection(self):
        """The registry goes away between the manifest and the layer."""
        other = self.proxy(self.server)
        layer = self.layer()
        reference = self.push(layer, has=True)
        self.front.fault(faults.Redirect(other), path=layer.digest)
        other.close()
        description = self.pull_image(self.image, reference)
        self.assertEqual(self.source(description, layer), 'url')

    def test_registry_only(self):
        layer = self.layer()
        self.set('ForeignLayers=registry-only\n')
        self.fails('ForeignLayerUnavailable', f'{layer.digest}.*404', self.push(layer))
        self.assertEqual(self.asked(layer), (1, 0))
        description = self.get(layer, has=True, tag='whole')
        self.assertEqual(self.source(description, layer), 'registry')

    def test_url_only(self):
        layer = self.layer()
        self.set('ForeignLayers=url-only\n')
        description = self.get(layer, has=True)
        self.assertEqual(self.source(description, layer), 'url')
        self.assertEqual(self.asked(layer), (0, 1))
        self.web.remove('/layer-1')
        self.forget()
        self.fails('ForeignLayerUnavailable', '404', f'{self.front.host}/team/app:latest')

    def test_skip(self):
        layer = self.layer()
        self.set('ForeignLayers=skip\n')
        description = self.pull(self.push(layer))
        row = description['Layers'][1]
        self.assertEqual((row['Digest'], row['State'], row['Source']),
                         (layer.digest, 'skipped', 'skipped'))
        self.assertEqual(self.asked(layer), (0, 0))
        self.assertEqual(description['BytesDone'], description['BytesTotal'])
        inspected = self.images('Inspect', 'sa{sv}', f'{self.front.host}/team/app:latest', {})
        self.assertEqual([bool(row['Present']) for row in inspected['Layers']], [True, False])
        self.assertEqual(list(inspected['Layers'][1]['Urls']), layer.urls)
        # what was left out comes when it is wanted
        self.set()
        self.assertEqual(self.source(self.get(layer), layer), 'url')

    def test_callers_narrow(self):
        layer = self.layer()
        reference = self.push(layer, has=True)
        for option, source in (('registry-only', 'registry'), ('url-only', 'url'), ('skip', 'skipped')):
            description = self.pull(reference, ForeignLayers=option)
            self.assertEqual(self.source(description, layer), source)
            self.forget()
        for setting, options in (('registry-only', ('registry-first', 'url-only')),
                                 ('url-only', ('registry-first', 'registry-only')),
                                 ('skip', ('registry-first', 'registry-only', 'url-only'))):
            self.set(f'ForeignLayers={setting}\n')
            for option in options:
                with self.assertError('InvalidOption', 'narrow'):
                    self.begin(reference, ForeignLayers=option)

    def test_urls_of_what_is_distributable(self):
        """They add places, and the media type still decides what the layer is."""
        layer = self.layer(media_type='application/vnd.oci.image.layer.v1.tar+gzip')
        image = Image([layer])
        image.push(self.server, 'team/app', 'latest')
        reference = f'{self.front.host}/team/app:latest'
        self.assertEqual(self.source(self.pull_image(image, reference), layer), 'registry')
        self.forget()
        self.server.drop_blob(layer.digest)
        self.assertEqual(self.source(self.pull_image(image, reference), layer), 'url')
        self.forget()
        self.set('ForeignLayers=skip\n')
        self.fails('RegistryError', '404', reference)

    def test_without_urls(self):
        """docker-registry insists on having those."""
        layer = Layer(SIZE, 3, NONDISTRIBUTABLE[0])
        reference = self.push(layer, has=True)
        self.assertEqual(self.source(self.pull_image(self.image, reference), layer), 'registry')
        self.forget()
        self.fails('ForeignLayerUnavailable', 'ForeignLayers=', reference, ForeignLayers='url-only')

    def test_others_end_at_the_same_moment(self):
        """What comes in after a layer has failed does not make an image of the rest."""
        lost = Layer(SIZE, 4, NONDISTRIBUTABLE[0])
        config = Blob(b'{"os": "linux", "architecture": "amd64"}', OCI_CONFIG, embed=True)
        server = self.serve(MemoryRegistry())
        reference = Image([lost, Layer(400, 5, embed=True)], config=config).push(
            server, 'team/app', 'latest', foreign=True)
        self.fails('ForeignLayerUnavailable', 'leaves no place', reference, ForeignLayers='url-only')

    def test_a_mirror_has_it(self):
        layer = self.layer()
        reference = self.push(layer, has=True)
        mirror = self.proxy(self.server)
        self.set(f'Mirrors={mirror.host}\n')
        self.assertEqual(self.source(self.pull_image(self.image, reference), layer), 'mirror')
        self.assertEqual(self.asked(layer), (0, 0))

    def test_the_store_has_it(self):
        layer = self.layer()
        reference = self.push(layer)
        self.pull(reference)
        self.assertEqual(self.source(self.pull(reference), layer), 'store')
        self.assertEqual(self.asked(layer), (1, 1))


class Urls(ForeignTestCase):
    def add(self, seed, *pages):
        """Returns: a layer with a URL for each of pages; None: one that gives the bytes."""
        layer = Layer(SIZE, seed, NONDISTRIBUTABLE[1])
        layer.urls = [self.web.add(f'/layer-{seed}-{n}', **({'data': layer.data, **(page or {})}))
                      for n, page in enumerate(pages)]
        return layer

    def test_the_first_that_is_right(self):
        layer = Layer(SIZE, 1)
        wrong = bytes([layer.data[0] ^ 1]) + layer.data[1:]
        layer = self.add(1, {'status': 404}, {'status': 500}, {'data': wrong},
                         {'data': layer.data[:-1]}, {'data': layer.data + b'x'},
                         {'data': layer.data[:99], 'length': SIZE},
                         {'data': b'', 'headers': {'Content-Encoding': 'gzip'}}, None, {'status': 503})
        description = self.get(layer)
        self.assertEqual(self.source(description, layer), 'url')
        self.assertEqual([record.path for record in self.web.requests(path='layer-1-8')], [])
        self.assertEqual(len({record.path for record in self.web.records}), 8)

    def test_all_fail(self):
        """One error that lists each place with its reason."""
        layer = self.add(2, {'status': 404}, {'status': 403}, {'data': b'x' * SIZE},
                         {'data': b'short'})
        description = self.fails(
            'ForeignLayerUnavailable', host_pattern(layer.digest, self.front.host, '404',
                                                    layer.urls[0], '404', layer.urls[1], '403',
                                                    layer.urls[2], layer.urls[3], 'the manifest says'),
            self.push(layer))
        self.assertEqual([row['State'] for row in description['Layers']
                          if row['Digest'] == layer.digest], ['failed'])
        self.assertFalse(self.has_blob(layer.digest))

    def test_resumed_at_another_url(self):
        """The beginning of one and the end of the other."""
        first, second = self.proxy(self.web), self.proxy(self.web)
        layer = Layer(SIZE, 3, NONDISTRIBUTABLE[1])
        self.web.add('/layer', layer.data)
        layer.urls = [f'{first.url}/layer', f'{second.url}/layer']
        first.fault(faults.Cut(12000), times=None)
        self.get(layer)
        self.assertEqual(second.records[0].headers.get('Range'), 'bytes=12000-')

    def test_the_wrong_beginning(self):
        """Of bytes of two places nobody knows whose are wrong: the last one gets a whole try."""
        first, second = self.proxy(self.web), self.proxy(self.web)
        layer = Layer(SIZE, 4, NONDISTRIBUTABLE[1])
        self.web.add('/layer', layer.data)
        layer.urls = [f'{first.url}/layer', f'{second.url}/layer']
        first.fault(faults.Corrupt(5), times=None)
        first.fault(faults.Cut(12000), times=None)
        self.get(layer)
        self.assertEqual([record.headers.get('Range') for record in second.records],
                         ['bytes=12000-', None])

    def test_redirects(self):
        target = self.web.add('/target', Layer(SIZE, 5).data)
        for place in (target, '/target', '//' + self.web.host + '/target'):
            with self.subTest(place=place):
                layer = self.add(5, {'redirect': place})
                description = self.get(layer)
                self.assertEqual(self.source(description, layer), 'url')
                self.forget()

    def test_redirect_from_http_to_https(self):
        ca = self.serve(CA())
        secure = self.serve(UrlServer(tls=ca))
        target = secure.add('/target', Layer(SIZE, 6).data)
        self.set(f'CAFile={ca.certificate}\n')
        layer = self.add(6, {'redirect': target})
        self.assertEqual(self.source(self.get(layer), layer), 'url')
        self.forget()
        # and never back
        plain = self.web.add('/plain', layer.data)
        layer.urls = [secure.add('/back', redirect=plain)]
        self.web.forget()
        self.fails('ForeignLayerUnavailable', 'from https to http', self.push(layer))
        self.assertEqual(self.web.records, [])

    def test_certificates_count(self):
        secure = self.serve(UrlServer(tls=self.serve(CA())))
        layer = Layer(SIZE, 7, NONDISTRIBUTABLE[1])
        layer.urls = [secure.add('/layer', layer.data)]
        self.set('Insecure=yes\n')
        self.fails('ForeignLayerUnavailable', 'certificate', self.push(layer))
        self.assertEqual(secure.records, [])

    def test_where_nothing_is_sent(self):
        """Other schemes, users in the URL, nonsense; also as the target of a redirect."""
        for n, url in enumerate(('ftp://127.0.0.1/x', 'file:///etc/passwd', 'http://a:hush@127.0.0.1/',
                                 'gopher://127.0.0.1', 'http://', 'layer', 'http://127.0.0.1:99999/')):
            with self.subTest(url=url):
                moved = self.add(f'r{n}', {'redirect': url})
                straight = Layer(SIZE, f's{n}', NONDISTRIBUTABLE[1], urls=[url])
                for layer in (moved, straight):
                    if layer is moved and '://' not in url:
                        continue  # a place of the server itself
                    # docker-registry would take none of these
                    image = Image([layer])
                    self.front.clear()
                    for blob, path in ((image, '/manifests/'), (image.config, image.config.digest)):
                        self.front.fault(faults.Answer(blob.data, blob.media_type), path=path,
                                         times=None)
                    description = self.fails('ForeignLayerUnavailable', layer.digest,
                                             f'{self.front.host}/team/app')
                    self.assertNotIn('hush', description['ErrorMessage'])
                    self.assertNotIn('hush', self.instance.logs())

    def test_never_to_the_inside(self):
        """Unless the settings say so; and nothing is sent before that is known."""
        target = self.web.add('/target', Layer(SIZE, 8).data)
        port = self.web.port
        outside = self.serve(UrlServer())
        for url in (target, f'http://localhost:{port}/target', f'http://[::ffff:127.0.0.1]:{port}/t',
                    f'http://2130706433:{port}/target', f'http://0x7f.1:{port}/target',
                    'http://10.1.2.3/x', 'http://192.168.0.1/x', 'http://169.254.169.254/meta',
                    'http://[::1]/x', 'http://[fd00::1]/x', 'http://0.0.0.0/x'):
            with self.subTest(url=url):
                layer = Layer(SIZE, 8, NONDISTRIBUTABLE[1], urls=[url])
                reference = self.push(layer)
                self.set(allow='')
                self.fails('ForeignLayerUnavailable', 'ForeignUrlHosts=', reference)
                # nor by a redirect of a server that is allowed
                moved = Layer(SIZE, 8, NONDISTRIBUTABLE[1], urls=[outside.add('/x', redirect=url)])
                self.set(allow=f'ForeignUrlHosts={outside.host}\n')
                self.fails('ForeignLayerUnavailable', 'ForeignUrlHosts=', self.push(moved))
        self.assertEqual(self.web.records, [])

    def test_allowed_hosts(self):
        """By name, by name and port, by network; the rest is not, and public ones neither."""
        layer = self.layer(9)
        port = self.web.port
        reference = self.push(layer)
        for allow in ('127.0.0.1', f'127.0.0.1:{port}', '127.0.0.0/8', '127.0.0.1/32',
                      f'example.com 127.0.0.1:{port}'):
            with self.subTest(allow=allow):
                self.set(allow=f'ForeignUrlHosts={allow}\n')
                self.assertEqual(self.source(self.pull_image(self.image, reference), layer), 'url')
                self.forget()
        for refuse in (f'127.0.0.1:{port ^ 1}', 'localhost', '127.0.0.2', '10.0.0.0/8', '*.test'):
            with self.subTest(refuse=refuse):
                self.set(allow=f'ForeignUrlHosts={refuse}\n')
                self.fails('ForeignLayerUnavailable', 'ForeignUrlHosts=', reference)
        named = Layer(SIZE, 10, NONDISTRIBUTABLE[1])
        named.urls = [self.web.add('/named', named.data).replace('127.0.0.1', 'localhost')]
        reference = self.push(named)
        self.set(allow=f'ForeignUrlHosts=localhost:{port}\n')
        self.assertEqual(self.source(self.pull_image(self.image, reference), named), 'url')


class Strangers(ForeignTestCase):
    """What a URL's host sees of the registry that named it: nothing."""

    server_options = {'htpasswd': {'alice': 'secret'}}
    account = 'alice'

    HEADERS = ['accept', 'accept-encoding', 'host', 'user-agent']

    def test_no_credentials(self):
        layer = self.layer()
        reference = self.push(layer)
        own = credentials(**{self.front.host: auth_entry('alice', 'secret'),
                             self.web.host: auth_entry('bob', 'his')})
        self.pull(reference, Credentials=own)
        self.assertHas(self.image)
        for record in self.web.records:
            self.assertEqual(sorted(name.lower() for name, _ in record.headers), self.HEADERS)
            self.assertEqual(record.query, {})
        self.assertTrue(self.web.records)

    def test_no_credentials_when_it_asks(self):
        """Not even when it is the registry's own host that is asked for the URL."""
        layer = self.layer()
        self.push(layer)
        other = self.proxy(self.web)
        other.fault(faults.Challenge('Basic realm="give"'), times=None)
        layer.urls = [other.url + '/layer-1', self.front.url + '/files/layer']
        self.front.fault(faults.Challenge('Basic realm="give"'), path='^/files/', times=None)
        reference = self.push(layer)
        self.fails('ForeignLayerUnavailable', '401.*401', reference,
                   Credentials=credentials(**{self.front.host: auth_entry('alice', 'secret')}))
        for record in other.records + self.front.requests(path='^/files/'):
            self.assertNotIn('Authorization', record.headers)
        self.assertTrue(self.front.requests(path='^/files/'))

    def test_no_client_certificate(self):
        ca = self.serve(CA())
        certificate, key = ca.client('alice')
        strict = self.proxy(self.web, tls=ca.server_context(client_ca=ca))
        layer = self.layer()
        layer.urls = [f'{strict.url}/layer-1']
        self.set(f'CAFile={ca.certificate}\nClientCertificate={certificate}\nClientKey={key}\n')
        own = credentials(**{self.front.host: auth_entry('alice', 'secret')})
        self.fails('ForeignLayerUnavailable', strict.host, self.push(layer), Credentials=own)
        self.assertEqual(strict.records, [])

    def test_by_the_registry_s_proxy(self):
        """A proxy would hide where the URL leads; so that is found out before it is asked."""
        proxy = self.serve(ForwardProxy())
        layer = self.layer()
        reference = self.push(layer)
        own = credentials(**{self.front.host: auth_entry('alice', 'secret')})
        self.set(f'Proxy={proxy.url}\n', allow='')
        self.fails('ForeignLayerUnavailable', 'ForeignUrlHosts=', reference, Credentials=own)
        self.assertEqual(self.web.records, [])
        self.set(f'Proxy={proxy.url}\n')
        own = credentials(**{self.front.host: auth_entry('alice', 'secret')})
        self.pull(reference, Credentials=own)
        self.assertHas(self.image)


if __name__ == '__main__':
    unittest.main()
