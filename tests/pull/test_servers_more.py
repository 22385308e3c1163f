# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that other tests stand on do what they say: writing, authorization, encryption."""

import json
import re

from berthtest import (CA, CurlTestCase, FaultProxy, ForwardProxy, Image, Layer, MemoryRegistry,
                       Registry, RegistryError, TokenServer, UrlServer, faults, skopeo, skopeo_pull,
                       skopeo_push)


class Writing(CurlTestCase):
    def setUp(self):
        super().setUp()
        self.registry = self.serve(Registry())
        self.proxy = self.serve(FaultProxy(self.registry))
        self.layer = Layer(300000, 1)
        with open(self.path('layer'), 'wb') as file:
            file.write(self.layer.data)

    def begin(self, repository='team/app', query=''):
        """Returns: status, the URL of a new upload session."""
        found = self.curl(f'{self.proxy.url}/v2/{repository}/blobs/uploads/{query}',
                          '--request', 'POST')
        return found.status, re.search(r'Location: (\S+)', found.headers).group(1)

    def patch(self, place, *options):
        return self.curl(place, '--request', 'PATCH', '--data-binary', f'@{self.path("layer")}',
                         '--header', 'Content-Type: application/octet-stream', *options)

    def test_whole(self):
        _, place = self.begin()
        found = self.curl(f'{place}&digest={self.layer.digest}', '--upload-file', self.path('layer'))
        self.assertEqual(found.status, 201, found.body)
        self.assertEqual(self.proxy.received(method='PUT'), 300000)
        self.assertTrue(self.registry.has_blob(self.layer.digest))
        self.assertEqual(self.registry.repository_blobs('team/app'), [self.layer.digest])

    def test_cut(self):
        _, place = self.begin()
        self.proxy.fault(faults.CutUpload(100000))
        self.assertIn(self.patch(place).code, (52, 55, 56))
        self.proxy.wait_idle()
        self.assertGreaterEqual(self.proxy.received(method='PATCH'), 100000)

        session, = self.registry.uploads('team/app')
        self.eventually(lambda: self.registry.uploaded('team/app', session) == 100000)

    def test_fail(self):
        _, place = self.begin()
        self.proxy.fault(faults.FailUpload(100000, 503))
        self.assertEqual(self.patch(place).status, 503)
        _, place = self.begin()
        self.proxy.fault(faults.LoseAnswer(500), method='PUT')
        put = f'{place}&digest={self.layer.digest}', '--upload-file', self.path('layer')
        self.assertEqual(self.curl(*put).status, 500)
        self.assertTrue(self.registry.has_blob(self.layer.digest))

    def test_lost_session(self):
        _, place = self.begin()
        self.proxy.fault(faults.LostSession(), path='/uploads/')
        found = self.patch(place)
        self.assertEqual(found.status, 404)
        self.assertEqual(json.loads(found.body)['errors'][0]['code'], 'BLOB_UPLOAD_UNKNOWN')

    def test_mount(self):
        self.registry.client().put_blob('one/app', self.layer)
        query = f'?mount={self.layer.digest}&from=one/app'
        self.assertEqual(self.begin(query=query)[0], 201)
        self.proxy.fault(faults.NoMount())
        self.assertEqual(self.begin('two/app', query)[0], 202)
        self.assertEqual(self.begin('two/app', query)[0], 201)

    def test_chunks(self):
        self.proxy.fault(faults.MinimumChunk(65536))
        found = self.curl(f'{self.proxy.url}/v2/a/b/blobs/uploads/', '--request', 'POST')
        self.assertIn('OCI-Chunk-Min-Length: 65536\r\n', found.headers)
        _, place = self.begin()
        place = re.search(r'Location: (\S+)', self.patch(place).headers).group(1)
        self.proxy.fault(faults.OutOfOrder())
        found = self.patch(place)
        self.assertEqual(found.status, 416)
        self.assertRegex(found.headers, r'Range: 0-299999\r\n')
        self.proxy.fault(faults.OutOfOrder(1000))
        self.assertRegex(self.patch(place).headers, r'Range: 0-999\r\n')


class Authorization(CurlTestCase):
    image = Image([Layer(5000, 1)])

    def fill(self, registry):
        self.image.push(registry, 'secret/app', 'latest', account='alice')
        self.image.push(registry, 'public/app', 'latest', account='alice')

    def inspect(self, registry, repository, *options):
        return skopeo('inspect', '--tls-verify=false', *(options or ['--no-creds']),
                      f'docker://{registry.host}/{repository}:latest', check=False).returncode == 0

    def test_htpasswd(self):
        registry = self.serve(Registry(htpasswd={'alice': 'right'}))
        self.fill(registry)
        self.assertTrue(self.inspect(registry, 'secret/app', '--creds=alice:right'))
        self.assertFalse(self.inspect(registry, 'secret/app', '--creds=alice:wrong'))
        self.assertFalse(self.inspect(registry, 'secret/app'))

    def test_tokens(self):
        for algorithm, header in (('ES256', 'x5c'), ('RS256', 'kid')):
            with self.subTest(algorithm), \
                    TokenServer({'alice': 'right', 'bob': 'too'}, {'public/*': ['pull']},
                                {'bob': {'other/*': ['pull']}}, algorithm=algorithm,
                                header=header) as tokens, Registry(auth=tokens) as registry:
                self.fill(registry)
                self.assertTrue(self.inspect(registry, 'public/app'))
                self.assertEqual(tokens.grants[-1].account, '')
                self.assertFalse(self.inspect(registry, 'secret/app'))
                self.assertTrue(self.inspect(registry, 'secret/app', '--creds=alice:right'))
                self.assertEqual(tokens.grants[-1].scopes, ['repository:secret/app:pull'])
                self.assertFalse(self.inspect(registry, 'secret/app', '--creds=bob:too'))
                self.assertFalse(self.inspect(registry, 'secret/app', '--creds=alice:wrong'))
                tokens.field = 'access_token'
                self.assertTrue(self.inspect(registry, 'public/app'))
                tokens.refuse = 503
                self.assertFalse(self.inspect(registry, 'public/app'))

    def test_token_requests(self):
        tokens = self.serve(TokenServer({'alice': 'right'}))

        def post(**fields):
            words = [word for name, value in fields.items()
                     for word in ('--data-urlencode', f'{name}={value}')]
            found = self.curl(tokens.realm, *words)
            return found.status, json.loads(found.body)

        scope = 'repository:a:pull repository:b:pull,push'
        tokens.give_refresh_token = True
        status, answer = post(grant_type='password', username='alice', password='right',
                              service='registry.test', scope=scope, client_id='me')
        self.assertEqual((status, answer['expires_in']), (200, 300))
        self.assertEqual(tokens.grants[-1].actions,
                         {'repository:a': ['pull'], 'repository:b': ['pull', 'push']})
        self.assertEqual(tokens.grants[-1].client_id, 'me')
        status, _ = post(grant_type='refresh_token', refresh_token=answer['refresh_token'],
                         scope=scope)
        self.assertEqual((status, tokens.grants[-1].account), (200, 'alice'))
        self.assertEqual(post(grant_type='refresh_token', refresh_token='no')[0], 401)
        self.assertEqual(post(grant_type='password', username='alice', password='no')[0], 401)
        tokens.refuse_post = 405
        self.assertEqual(post(grant_type='password', username='alice', password='right')[0], 405)
        self.assertEqual(tokens.kinds(), ['password', 'refresh_token', 'refresh_token', 'password'])

    def test_a_token_expires(self):
        tokens = self.serve(TokenServer({'alice': 'right'}))
        registry = self.serve(Registry(auth=tokens))
        self.fill(registry)
        for lifetime, status in ((60, 200), (-1, 401)):
            token = tokens.token('alice', {('repository', 'secret/app'): ['pull']}, lifetime)
            found = self.curl(f'{registry.url}/v2/secret/app/tags/list', '--header',
                              f'Authorization: Bearer {token}')
            self.assertEqual(found.status, status, found.headers)


class Encryption(CurlTestCase):
    def test_https(self):
        ca = self.serve(CA())
        registry = self.serve(Registry(tls=ca))
        proxy = self.serve(FaultProxy(registry, tls=ca))
        image = Image([Layer(70000, 1)])
        image.push(proxy, 'team/app', 'latest')
        for server in (registry, proxy):
            url = f'{server.url}/v2/team/app/blobs/{image.layers[0].digest}'
            self.assertEqual(self.curl(url, '--cacert', ca.certificate).body, image.layers[0].data)
            self.assertEqual(self.curl(url).code, 60)
        self.assertIn('HTTP/2 200', self.curl(registry.url + '/v2/', '--http2', '--cacert',
                                              ca.certificate).headers)
        proxy.fault(faults.Cut(100, reset=True), path='/blobs/')
        found = self.curl(url, '--cacert', ca.certificate)
        self.assertEqual((found.code, len(found.body)), (56, 100))

    def test_client_certificates(self):
        ca = self.serve(CA())
        registry = self.serve(Registry(tls=ca, client_ca=ca))
        certificate, key = ca.client('alice')
        own = ('--cacert', ca.certificate)
        self.assertNotEqual(self.curl(registry.url + '/v2/', *own).code, 0)
        self.assertEqual(self.curl(registry.url + '/v2/', *own, '--cert', certificate,
                                   '--key', key).status, 200)

    def test_certificates_that_do_not_fit(self):
        ca = self.serve(CA())
        for words, why in (({'expired': True}, 'expired'), ({'names': ['other.test']}, 'name')):
            context = ca.server_context(*words.pop('names', ()), **words)
            web = self.serve(UrlServer(tls=context))
            found = self.curl(web.url, '--cacert', ca.certificate)
            self.assertEqual(found.code, 60)
            self.assertIn(why, found.problem)

    def test_a_proxy_that_clients_are_told_of(self):
        ca = self.serve(CA())
        plain, secure = self.serve(Registry()), self.serve(UrlServer(tls=ca.server_context('x.test')))
        secure.add('/page', b'a page')
        proxy = self.serve(ForwardProxy(users={'alice': 'right'}, names={
            'x.test:80': plain.host, 'x.test:443': secure.host}))
        self.assertEqual(self.curl('http://x.test/v2/', '--proxy', proxy.url).status, 407)
        options = ('--proxy', f'http://alice:right@{proxy.host}', '--cacert', ca.certificate)
        self.assertEqual(self.curl('http://x.test/v2/', *options).status, 200)
        self.assertEqual(self.curl('https://x.test/page', *options).body, b'a page')
        self.assertEqual(proxy.targets, ['x.test:80', 'x.test:443'])


class InMemory(CurlTestCase):
    """The registry that does what docker-registry does not."""

    def setUp(self):
        super().setUp()
        self.layer = Layer(300000, 1)
        with open(self.path('layer'), 'wb') as file:
            file.write(self.layer.data)

    def start(self, **kwargs):
        self.registry = self.serve(MemoryRegistry(**kwargs))
        self.proxy = self.serve(FaultProxy(self.registry))

    def begin(self):
        found = self.curl(f'{self.proxy.url}/v2/team/app/blobs/uploads/', '--request', 'POST')
        return re.search(r'Location: (\S+)', found.headers).group(1)

    def send(self, method, place, data, *options):
        with open(self.path('part'), 'wb') as file:
            file.write(data)
        return self.curl(place, '--request', method, '--data-binary', f'@{self.path("part")}',
                         '--header', 'Content-Type: application/octet-stream', *options)

    def test_images(self):
        self.start()
        image = Image([self.layer, Layer(5000, 2, algorithm='sha512')], algorithm='sha512')
        image.push(self.proxy, 'team/app')
        image.push(self.proxy, 'team/app', 'latest')
        raw = skopeo('inspect', '--raw', '--tls-verify=false',
                     f'docker://{self.registry.host}/team/app:latest').stdout
        self.assertEqual(raw.encode(), image.document)
        self.assertEqual(self.proxy.client().get_manifest('team/app', image.digest)[0],
                         image.document)
        skopeo_push(Image([Layer(5000, 3)]), self.proxy, 'team/app', 'two', self.path('layout'))
        skopeo_pull(self.proxy, 'team/app:two', self.path('pulled'))
        self.assertEqual(self.registry.client().tags('team/app'), ['latest', 'two'])
        found = self.curl(f'{self.registry.url}/v2/team/app/tags/list?n=1')
        self.assertIn('Link: </v2/team/app/tags/list?n=1&last=latest>; rel="next"', found.headers)

    def test_nothing_incomplete(self):
        self.start()
        image = Image([self.layer])
        with self.assertRaisesRegex(RegistryError, 'MANIFEST_BLOB_UNKNOWN'):
            self.registry.client().put_manifest('a', 'b', image.document, image.media_type)
        self.assertEqual(self.registry.blobs(), [])
        self.registry.room = 1000
        with self.assertRaisesRegex(RegistryError, '507'):
            image.push(self.registry, 'a', 'b')

    def test_an_upload_that_breaks_off_goes_on(self):
        self.start()
        place = self.begin()
        self.proxy.fault(faults.CutUpload(100000))
        self.assertNotEqual(self.send('PATCH', place, self.layer.data).code, 0)
        self.eventually(lambda: 'Range: 0-99999\r\n' in self.curl(place).headers)
        data = self.layer.data[100000:]
        found = self.send('PATCH', place, data, '--header', 'Content-Range: 99-300098')
        self.assertEqual(found.status, 416)
        self.assertIn('Range: 0-99999\r\n', found.headers)
        found = self.send('PATCH', place, data, '--header', 'Content-Range: 100000-299999')
        self.assertEqual(found.status, 202)
        found = self.send('PUT', f'{place}&digest={self.layer.digest}', b'')
        self.assertEqual(found.status, 201)
        self.assertTrue(self.registry.has_blob(self.layer.digest))
        self.assertEqual(self.send('PATCH', place, b'more').status, 404)

    def test_chunks_of_a_least_size(self):
        self.start(minimum_chunk=65536, relative=True)
        place = self.begin()
        self.assertRegex(place, '^/v2/team/app/blobs/uploads/')
        place = self.proxy.url + place
        self.assertIn('OCI-Chunk-Min-Length: 65536\r\n', self.curl(place).headers)
        self.assertEqual(self.send('PATCH', place, self.layer.data[:65536]).status, 202)
        self.assertEqual(self.send('PATCH', place, self.layer.data[65536:65540]).status, 202)
        self.assertEqual(self.send('PATCH', place, self.layer.data[65540:]).status, 400)

    def test_mounts(self):
        self.start()
        client = self.registry.client()
        client.put_blob('one', self.layer)
        query = f'?mount={self.layer.digest}&from=one'
        self.assertEqual(client.request('POST', f'/v2/two/blobs/uploads/{query}')[0], 201)
        self.assertTrue(client.has_blob('two', self.layer.digest))
        self.registry.mounts = False
        self.assertEqual(client.request('POST', f'/v2/three/blobs/uploads/{query}')[0], 202)

    def test_referrers(self):
        self.start()
        image = Image([self.layer])
        signature = Image([Layer(500, 2)], subject=image, artifact_type='application/x.signature')
        for document in (image, signature):
            document.push(self.registry, 'team/app')
        url = f'{self.registry.url}/v2/team/app/referrers/{image.digest}'
        rows = json.loads(self.curl(url).body)['manifests']
        self.assertEqual([row['digest'] for row in rows], [signature.digest])
        found = self.curl(url + '?artifactType=other')
        self.assertEqual(json.loads(found.body)['manifests'], [])
        self.registry.referrers = False
        self.assertEqual(self.curl(url).status, 404)
