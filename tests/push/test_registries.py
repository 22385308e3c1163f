# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pushes to registries that differ: in how they are reached, in what they answer, in what they take."""

import base64
import json
import unittest

from berthtest import (CA, FaultProxy, ForwardProxy, Image, Index, Layer, MemoryRegistry, Registry,
                       faults, images, memfd, vardict)

from pushing import PushTestCase


class OtherStatus(faults.Fault):
    """Success is told with another number of success."""

    method = 'POST|PATCH|PUT'

    def __init__(self, status):
        self._status = status

    def change(self, exchange, response):
        if response.status in (201, 202):
            exchange.strike()
            response.status = self._status
            response.body = b''
            response.headers.remove('Content-Length')
        return response


class Answers(PushTestCase):
    def test_numbers_of_success(self):
        """200, 201, 202 and 204 are all the same, in one piece or in chunks."""
        for number, (chunk, status) in enumerate(((0, 200), (0, 201), (0, 202), (0, 204),
                                                  (1000, 200), (1000, 201), (1000, 204))):
            with self.subTest(chunk=chunk, status=status):
                registry = self.serve(MemoryRegistry(minimum_chunk=chunk))
                proxy = self.serve(FaultProxy(registry))
                image = self.load(Image([Layer(3000, number)]), tag=f'v{number}')
                rule = proxy.fault(OtherStatus(status), path='/blobs/uploads/', times=None)
                self.push(image, self.to(server=proxy))
                self.assertGreater(rule.hits, 3)
                self.assertThere(image, registry=registry)

    def test_open_to_read(self):
        """Only who writes is asked who he is."""
        word = base64.b64encode(b'alice:secret').decode()
        self.proxy.fault(faults.Challenge('Basic realm="test"'), method='POST|PUT|PATCH', times=None,
                         where=lambda request: request.headers.get('Authorization') != f'Basic {word}')
        image = self.load(Image([Layer(3000, 1)]))
        self.failure(self.begin('Push', self.names[image.digest], self.to()),
                     'AuthenticationRequired', self.proxy.host)
        self.push(image, self.to(), Credentials=memfd(
            json.dumps({'auths': {self.proxy.host: {'auth': word}}}).encode()))
        self.assertThere(image)

    def test_mounts_that_are_refused(self):
        """Whatever it says to that, the bytes are sent instead."""
        for number, status in enumerate((400, 401, 403, 404, 405)):
            with self.subTest(status=status):
                image = self.load(Image([Layer(3000, number)]), tag=f'v{number}')
                self.push(image, self.to('base/app', f'v{number}'))
                rule = self.proxy.fault(faults.Status(status), method='POST', path='mount=',
                                        times=None)
                self.push(image, self.to(tag=f'v{number}'))
                self.assertEqual(rule.hits, 2)
                self.assertThere(image, reference=f'v{number}')
                rule.remove()

    def test_a_digest_that_is_not_taken_back(self):
        """What the registry says of digests counts for nothing."""
        image = self.load(Image([Layer(3000, 1)]))
        self.proxy.fault(faults.Header('Docker-Content-Digest', f'sha256:{"0" * 64}'),
                         method='HEAD|POST|PUT', times=None)
        self.push(image, self.to())
        self.assertThere(image)


class Names(PushTestCase):
    def new_registry(self):
        return MemoryRegistry()

    def test_sha512(self):
        layer = images.Blob(Layer(3000, 1).data, images.LAYER_TAR, algorithm='sha512')
        image = Image([layer, Layer(2000, 2)], algorithm='sha512')
        index = Index([image], algorithm='sha512')
        self.assertTrue(layer.digest.startswith('sha512:'))
        name = index.push(self.home, 'home/app')
        self.done(self.end(str(self.images('Pull', 'sa{sv}', name, vardict({'AllPlatforms': True})))),
                  index)
        self.done(self.end(self.begin('Push', name, f'{self.proxy.host}/team/app@{index.digest}')),
                  index)
        self.assertThere(index, reference=index.digest)
        self.assertIn(layer.digest, self.registry.repository_blobs('team/app'))
        self.done(self.end(self.begin('Copy', name, f'{self.proxy.host}/other/app@{index.digest}',
                                      AllPlatforms=True)), index)
        self.assertThere(index, 'other/app', index.digest)

    def test_long_tags(self):
        image = self.load(Image([Layer(3000, 1)]))
        self.push(image, self.to(tag='t' * 128))
        self.assertThere(image, reference='t' * 128)

    def test_deep_repositories(self):
        image = self.load(Image([Layer(3000, 1)]))
        self.push(image, self.to('a/b/c__d/e-f.g/h'))
        self.push(image, self.to('a/b'))
        self.assertThere(image, 'a/b/c__d/e-f.g/h')
        self.assertThere(image, 'a/b')


class Ways(PushTestCase):
    """TLS and proxies."""

    def configure(self, text):
        self.instance.write_settings('registries.d/way.conf', text)
        self.instance.manager('Reload')

    def test_tls(self):
        ca = self.serve(CA())
        for number, http2 in enumerate((True, False)):
            with self.subTest(http2=http2):
                server = self.serve(Registry(tls=ca, http2=http2))
                self.configure(f'[registry {server.host}]\nInsecure=no\nCAFile={ca.certificate}\n')
                image = self.load(Image([Layer(2000000, number), *(Layer(400, n) for n in range(20))]),
                                  tag=f'v{number}')
                self.push(image, self.to(server=server))
                self.assertThere(image, registry=server)
                self.copy(self.to(server=server), self.to('copied/app', server=server))
                self.assertThere(image, 'copied/app', registry=server)
                self.assertWhole(server)

    def test_tls_that_is_not_trusted(self):
        """Nothing is sent to who cannot show who he is."""
        ca = self.serve(CA())
        proxy = self.serve(FaultProxy(self.registry, tls=ca))
        self.configure(f'[registry {proxy.host}]\nInsecure=no\nRetries=0\n')
        image = self.load(Image([Layer(2000, 1)]))
        self.failure(self.begin('Push', self.names[image.digest], self.to(server=proxy)),
                     'RegistryUnreachable', 'CAFile=|Insecure=')
        self.assertEqual(proxy.requests(), [])
        self.assertNothing()

    def test_a_proxy(self):
        """All that is written goes through Proxy=."""
        forward = self.serve(ForwardProxy(users={'us': 'secret'},
                                          names={'registry.test:5000': self.registry.host}))
        self.configure('[registry registry.test:5000]\nInsecure=yes\n'
                       f'Proxy=http://us:secret@{forward.host}\n')
        image = self.load(Image([Layer(2000000, 1), Layer(300, 2)]))
        self.push(image, 'registry.test:5000/team/app:1')
        self.assertThere(image)
        self.assertEqual(set(forward.targets), {'registry.test:5000'})


if __name__ == '__main__':
    unittest.main()
