# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that other tests stand on do what they say, as curl and skopeo see it: reading."""

import filecmp
import gzip
import json
import os
import re
import subprocess
import time

from berthtest import (CurlTestCase, FaultProxy, FileLayer, Image, Index, Layer, NONDISTRIBUTABLE,
                       Registry, RegistryError, UrlServer, faults, has, images, skopeo, skopeo_pull,
                       skopeo_push, write_layout)

MANIFEST = 'application/vnd.oci.image.manifest.v1+json'


class Reading(CurlTestCase):
    """Each fault in front of one blob."""

    def setUp(self):
        super().setUp()
        self.registry = self.serve(Registry())
        self.proxy = self.serve(FaultProxy(self.registry))
        self.layer = Layer(300000, 1)
        self.image = Image([self.layer])
        self.image.push(self.registry, 'team/app', 'latest')
        self.url = f'{self.proxy.url}/v2/team/app/blobs/{self.layer.digest}'

    def get(self, fault, *options, **kwargs):
        self.rule = self.proxy.fault(fault, path=self.layer.digest, **kwargs)
        found = self.curl(self.url, *options)
        self.proxy.wait_idle()
        self.assertEqual(self.rule.hits, 1)
        self.rule.remove()
        return found

    def test_nothing(self):
        found = self.curl(self.url)
        self.assertEqual((found.code, found.status, found.body), (0, 200, self.layer.data))
        self.proxy.wait_idle()
        self.assertEqual(self.proxy.sent(self.layer.digest), 300000)
        record = self.proxy.requests('GET', '/blobs/')[0]
        self.assertIn('curl', record.headers.get('user-agent'))

    def test_cut(self):
        found = self.get(faults.Cut(1000))
        self.assertEqual((found.code, found.body), (18, self.layer.data[:1000]))
        self.assertEqual(self.proxy.sent(self.layer.digest), 1000)
        self.assertEqual(self.get(faults.Cut(0)).code, 18)
        self.assertEqual(self.curl(self.url).body, self.layer.data)

    def test_reset(self):
        found = self.get(faults.Cut(1000, reset=True))
        self.assertEqual((found.code, found.body), (56, self.layer.data[:1000]))
        self.assertIn('reset by peer', found.problem)

    def test_every_time_and_after(self):
        self.proxy.fault(faults.Cut(10), path='/blobs/', times=None, after=1)
        self.assertEqual([self.curl(self.url).code for _ in range(4)], [0, 18, 18, 18])
        self.proxy.clear()
        self.assertEqual(self.curl(self.url).code, 0)

    def test_stall(self):
        rule = self.proxy.fault(faults.Stall(5000), path=self.layer.digest)
        process = subprocess.Popen(['curl', '--silent', self.url, '--output', self.path('body')])
        rule.wait()
        self.assertIsNone(process.poll())
        self.assertEqual(self.proxy.sent(self.layer.digest), 5000)
        rule.release()
        self.assertEqual(process.wait(60), 0)
        with open(self.path('body'), 'rb') as file:
            self.assertEqual(file.read(), self.layer.data)
        found = self.get(faults.Stall(100), '--max-time', '0.5')
        self.assertEqual((found.code, found.body), (28, self.layer.data[:100]))

    def test_a_stalled_connection_does_not_keep_the_proxy(self):
        proxy = FaultProxy(self.registry)
        rule = proxy.fault(faults.Stall(0), path='/v2/')
        process = subprocess.Popen(['curl', '--silent', proxy.url + '/v2/'],
                                   stdout=subprocess.DEVNULL)
        rule.wait()
        proxy.close()
        process.wait(60)

    def test_corrupt(self):
        found = self.get(faults.Corrupt(1234))
        self.assertEqual(found.code, 0)
        wrong = [i for i, byte in enumerate(self.layer.data) if found.body[i] != byte]
        self.assertEqual(wrong, [1234])

    def test_lengths(self):
        self.assertEqual(self.get(faults.ContentLength('+5')).code, 18)
        self.assertEqual(len(self.get(faults.ContentLength(7)).body), 7)
        found = self.get(faults.NoLength())
        self.assertNotRegex(found.headers, '(?i)content-length|transfer-encoding')
        self.assertEqual(found.body, self.layer.data)
        found = self.get(faults.Chunked())
        self.assertRegex(found.headers, '(?i)transfer-encoding: chunked')
        self.assertEqual(found.body, self.layer.data)
        found = self.get(faults.Endless(), '--limit-rate', '10M', '--max-time', '0.5')
        self.assertEqual(found.code, 28)
        self.assertGreater(len(found.body), 300000)

    def test_ranges(self):
        options = ('--range', '1000-')
        data = self.layer.data
        found = self.curl(self.url, *options)
        self.assertEqual((found.status, found.body), (206, data[1000:]))
        found = self.get(faults.IgnoreRange(), *options)
        self.assertEqual((found.status, found.body), (200, data))
        found = self.get(faults.ContentRange('bytes {first}-{last}/99'), *options)
        self.assertIn('Content-Range: bytes 1000-299999/99\r\n', found.headers)
        found = self.get(faults.ContentRange(None), *options)
        self.assertEqual((found.status, 'Content-Range' in found.headers), (206, False))
        found = self.get(faults.ShiftedRange(-10), *options)
        self.assertIn('Content-Range: bytes 990-299999/300000\r\n', found.headers)
        self.assertEqual(found.body, data[990:])
        found = self.get(faults.ShiftedRange(-10, lie=True), *options)
        self.assertIn('Content-Range: bytes 1000-299999/300000\r\n', found.headers)
        self.assertEqual(found.body, data[990:])
        self.proxy.fault(faults.Status(503), path='/blobs/', where=has('Range'))
        self.assertEqual(self.curl(self.url).status, 200)
        self.assertEqual(self.curl(self.url, *options).status, 503)

    def test_statuses(self):
        found = self.get(faults.Status(429, retry_after=7))
        self.assertEqual(found.status, 429)
        self.assertIn('Retry-After: 7\r\n', found.headers)
        self.assertEqual(json.loads(found.body)['errors'][0]['code'], 'TOOMANYREQUESTS')
        found = self.get(faults.Status(503, retry_after='date'))
        self.assertRegex(found.headers, r'Retry-After: \w{3}, \d\d \w{3} \d{4} [\d:]+ GMT\r\n')
        self.proxy.fault(faults.Status(500), path='/blobs/', times=2)
        self.assertEqual([self.curl(self.url).status for _ in range(3)], [500, 500, 200])
        self.proxy.fault(faults.Status(405), method='HEAD')
        self.assertEqual([self.curl(self.url, '--head').status for _ in range(2)], [405, 200])

    def test_redirect(self):
        other = self.serve(FaultProxy(self.registry))
        for status in (301, 302, 307, 308):
            found = self.get(faults.Redirect(other, status), '--location')
            self.assertEqual((found.status, found.body), (200, self.layer.data))
            self.assertIn(f' {status} ', found.headers)
        self.assertEqual(other.sent(self.layer.digest), 4 * 300000)
        web = self.serve(UrlServer())
        place = web.add('/elsewhere', b'else')
        found = self.get(faults.Redirect(place, exact=True), '--location')
        self.assertEqual(found.body, b'else')

    def test_headers_and_encodings(self):
        found = self.get(faults.Header('Docker-Content-Digest', 'sha256:0'))
        self.assertIn('Docker-Content-Digest: sha256:0\r\n', found.headers)
        found = self.get(faults.NoHeader('Docker-Content-Digest'))
        self.assertNotIn('Docker-Content-Digest', found.headers)
        found = self.get(faults.Gzip())
        self.assertIn('Content-Encoding: gzip\r\n', found.headers)
        self.assertEqual(gzip.decompress(found.body), self.layer.data)

    def test_no_http(self):
        self.assertEqual(self.get(faults.Garbage()).code, 1)
        self.assertEqual(self.get(faults.Drop()).code, 52)
        self.assertEqual(self.get(faults.Drop(reset=True)).code, 56)

    def test_answers_of_the_test(self):
        liar = self.serve(FaultProxy())
        self.assertEqual(self.curl(liar.url + '/v2/').status, 404)
        liar.fault(faults.Answer(b'{"x":1}', MANIFEST), path='/v2/a/manifests/', times=None)
        found = self.curl(liar.url + '/v2/a/manifests/b')
        self.assertEqual((found.status, found.body), (200, b'{"x":1}'))
        self.assertIn(f'Content-Type: {MANIFEST}\r\n', found.headers)
        found = self.get(faults.Challenge('Bearer realm="x"', 'Basic realm="y"'))
        self.assertEqual(found.status, 401)
        self.assertEqual(len(re.findall('WWW-Authenticate', found.headers)), 2)

    def test_slowness(self):
        begin = time.monotonic()
        self.assertEqual(self.get(faults.Rate(1000000)).body, self.layer.data)
        self.assertGreater(time.monotonic() - begin, 0.29)
        begin = time.monotonic()
        self.get(faults.Delay(0.2))
        self.assertGreater(time.monotonic() - begin, 0.19)
        self.proxy.delay = 0.05
        begin = time.monotonic()
        self.assertEqual(self.curl(self.url).code, 0)
        self.assertGreater(time.monotonic() - begin, 0.19)
        self.proxy.delay, self.proxy.rate = 0, 1000000
        begin = time.monotonic()
        self.assertEqual(self.curl(self.url).body, self.layer.data)
        self.assertGreater(time.monotonic() - begin, 0.29)

    def test_two_faults_at_once(self):
        self.proxy.fault(faults.Corrupt(5), path='/blobs/')
        found = self.get(faults.Cut(10))
        self.assertEqual(len(found.body), 10)
        self.assertNotEqual(found.body, self.layer.data[:10])

    def test_a_registry_that_is_gone_and_back(self):
        self.assertEqual(self.curl(self.url).status, 200)
        self.registry.stop()
        self.assertEqual(self.curl(self.url).status, 502)
        self.registry.start()
        self.assertEqual(self.curl(self.url).body, self.layer.data)

    def test_a_damaged_store(self):
        direct = f'{self.registry.url}/v2/team/app/blobs/{self.layer.digest}'
        self.registry.corrupt_blob(self.layer.digest, 7)
        found = self.curl(direct).body
        self.assertEqual((len(found), found[7]), (300000, self.layer.data[7] ^ 0xff))
        self.registry.truncate_blob(self.layer.digest, 100)
        self.assertEqual(len(self.curl(direct).body), 100)
        self.registry.drop_blob(self.layer.digest)
        self.assertEqual(self.curl(direct).status, 404)
        self.assertFalse(self.registry.has_blob(self.layer.digest))


class Urls(CurlTestCase):
    def test_pages(self):
        web = self.serve(UrlServer())
        data = bytes(range(256)) * 10
        url = web.add('/a/layer', data)
        found = self.curl(url, '--header', 'X-What: is this')
        self.assertEqual(found.body, data)
        self.assertEqual(web.records[0].headers.get('x-what'), 'is this')
        self.assertEqual(self.curl(url, '--range', '5-9').body, data[5:10])
        self.assertEqual(self.curl(url, '--range', '9999-').status, 416)
        web.add('/a/layer', data, ranges=False)
        self.assertEqual(self.curl(url, '--range', '5-9').body, data)
        self.assertEqual(self.curl(web.add('/short', data, length=9999)).code, 18)
        self.assertEqual(self.curl(web.add('/gone', status=410)).status, 410)
        self.assertEqual(self.curl(web.add('/moved', redirect=url), '--location').body, data)
        web.remove('/a/layer')
        self.assertEqual(self.curl(url).status, 404)


class Images(CurlTestCase):
    def test_layers_are_what_they_say(self):
        for media_type, tool in ((images.LAYER_GZIP, 'gzip'), (images.LAYER_ZSTD, 'zstd'),
                                 (images.LAYER_TAR, 'cat')):
            for size in (512, 4096, 4608, 65536, 200192, 5 << 20):
                if size == 512 and tool != 'gzip':
                    continue
                with self.subTest(tool=tool, size=size):
                    layer = Layer(size, 'seed', media_type)
                    self.assertEqual((len(layer.data), layer.size), (size, size))
                    self.assertEqual(Layer(size, 'seed', media_type).digest, layer.digest)
                    self.assertNotEqual(Layer(size, 'other', media_type).digest, layer.digest)
                    command = [tool] if tool == 'cat' else [tool, '-dc']
                    tar = subprocess.run(command, input=layer.data, capture_output=True, check=True)
                    self.assertEqual(images.digest_of(tar.stdout), layer.diff_id)
                    listing = subprocess.run(['tar', '-t'], input=tar.stdout, capture_output=True,
                                             check=True)
                    self.assertEqual(listing.stdout, b'data-seed\n')

    def test_skopeo_carries_them_unchanged(self):
        registry = self.serve(Registry())
        image = Image([Layer(5000, 1), Layer(1000, 2), FileLayer({'etc/name': b'x\n'})])
        skopeo_push(image, registry, 'team/app', 'one', self.path('layout'))
        document, media_type = registry.client().get_manifest('team/app', 'one')
        self.assertEqual((document, media_type), (image.document, image.media_type))
        Index([image, Image([Layer(3000, 4)], 'linux/arm64/v8')]).push(registry, 'team/app', 'two')
        for tag in ('one', 'two'):
            layout = skopeo_pull(registry, f'team/app:{tag}', self.path(tag),
                                 options=['--override-arch=amd64'])
            for blob in image.blobs().values():
                with open(os.path.join(layout, blob.path), 'rb') as file:
                    self.assertEqual(file.read(), blob.data)
        docker = Image([Layer(5000, 5)], form='docker')
        docker.push(registry, 'team/docker', 'x')
        raw = skopeo('inspect', '--raw', '--tls-verify=false',
                     f'docker://{registry.host}/team/docker:x').stdout
        self.assertEqual(raw.encode(), docker.document)

    def test_foreign_layers(self):
        registry = self.serve(Registry())
        strict = self.serve(Registry(allow_urls=['^http://good/']))
        for media_type in NONDISTRIBUTABLE:
            layer = Layer(5120, media_type, media_type, urls=['http://good/layer'])
            form = 'docker' if 'docker' in media_type else 'oci'
            image = Image([layer], form=form)
            image.push(registry, 'team/app', 'without')
            self.assertFalse(registry.has_blob(layer.digest))
            image.push(registry, 'team/app', 'with', foreign=True)
            self.assertTrue(registry.has_blob(layer.digest))
        image.push(strict, 'team/app', 'good')
        layer.urls = ['http://bad/layer']
        with self.assertRaises(RegistryError):
            Image([layer], form='docker').push(strict, 'team/app', 'bad')

    def test_documents(self):
        image = Image([Layer(5000, 1, algorithm='sha512', embed=True)], subject=Image([]),
                      edit=lambda fields: fields.update(extra=1))
        fields = json.loads(image.document)
        self.assertRegex(fields['layers'][0]['digest'], '^sha512:[0-9a-f]{128}$')
        self.assertIn('data', fields['layers'][0])
        self.assertEqual(fields['subject']['digest'], Image([]).digest)
        self.assertEqual(fields['extra'], 1)
        artifact = Image([Layer(500, 2)], subject=image, artifact_type='application/x.thing')
        row = json.loads(images.referrers([artifact]).document)['manifests'][0]
        self.assertEqual((row['artifactType'], 'platform' in row), ('application/x.thing', False))
        nested = Index([Index([Image([Layer(5000, 3)], 'linux/arm/v7')]), image])
        self.assertEqual(len(nested.blobs()), 8)
        registry = self.serve(Registry())
        for thing in (image, artifact, nested):
            thing.push(registry, 'team/app')
            self.assertEqual(registry.client().get_manifest('team/app', thing.digest)[0],
                             thing.document)

    def test_layouts(self):
        image = Image([Layer(5000, 1), Layer(5000, 2, NONDISTRIBUTABLE[1], urls=['http://x/'])])
        for foreign in (False, True):
            layout = write_layout(self.path(f'layout-{foreign}'), {'a': image}, foreign)
            present = [os.path.exists(os.path.join(layout, layer.path)) for layer in image.layers]
            self.assertEqual(present, [True, foreign])
        raw = skopeo('inspect', '--raw', f'oci:{layout}:a').stdout
        self.assertEqual(raw.encode(), image.document)
        other = write_layout(self.path('again'), {'a': image}, True)
        self.assertFalse(filecmp.dircmp(layout, other).diff_files)
