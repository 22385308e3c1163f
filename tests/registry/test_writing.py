# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writing to registries, as the library does it, against real registries and broken ones."""

import hashlib
import json
import os
import unittest

from berthtest import CA, FaultProxy, Image, Layer, Registry, TokenServer, faults, has, images

from driving import PUT, RegistryTestCase

SIZE = 3000000


class WritingTestCase(RegistryTestCase):
    def setUp(self):
        super().setUp()
        self.data = os.urandom(SIZE)
        self.file = self.path('blob')
        with open(self.file, 'wb') as file:
            file.write(self.data)
        self.digest = f'sha256:{hashlib.sha256(self.data).hexdigest()}'

    def put(self, kind, host, *options, file=None, target=None, secure=False, repository='team/app'):
        return self.run_tool(PUT, kind, host, repository, file or self.file,
                             target or self.digest, *([] if secure else ['--insecure']), *options)

    def assertDone(self, got, note):
        self.assertEqual(got.lines, [f'ok {note}'], got.text)

    def assertThere(self, repository='team/app', account=None):
        got = self.registry.client(account).get_blob(repository, self.digest)
        self.assertTrue(got == self.data, 'other bytes')


class Faults(WritingTestCase):
    """One fault each in front of a plain registry."""

    def setUp(self):
        super().setUp()
        self.registry = self.serve(Registry())
        self.proxy = self.serve(FaultProxy(self.registry))

    def upload(self, *options, **kwargs):
        return self.put('blob', self.proxy.host, *options, **kwargs)

    def methods(self):
        return [record.method for record in self.proxy.requests(path='/v2/team')]

    def test_plain(self):
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()
        self.assertEqual(self.methods(), ['POST', 'PUT'])
        headers = self.proxy.requests('PUT')[0].headers
        self.assertEqual(headers.get('Content-Type'), 'application/octet-stream')
        self.assertEqual(headers.get('Content-Length'), str(SIZE))

    def test_nothing(self):
        empty = self.path('empty', '')
        digest = f'sha256:{hashlib.sha256().hexdigest()}'
        self.assertDone(self.upload(file=empty, target=digest), 'uploaded')
        self.assertTrue(self.registry.has_blob(digest))

    def test_source_that_waits(self):
        self.assertDone(self.upload('--pausing'), 'uploaded')
        self.assertThere()

    def test_source_that_ends_early(self):
        self.assertRefused(self.upload('--size', SIZE + 1), 'StoreCorrupt', f'after {SIZE} of')
        self.assertFalse(self.registry.has_blob(self.digest))

    def test_other_bytes(self):
        self.assertRefused(self.upload(target='sha256:' + '0' * 64), 'RegistryError',
                           'DIGEST_INVALID')
        self.assertEqual(self.methods(), ['POST', 'PUT'])

    def test_presence(self):
        self.assertDone(self.put('has', self.proxy.host), 'absent -1')
        self.upload()
        for status in (None, 403, 405):
            with self.subTest(status=status):
                self.proxy.clear()
                if status:
                    self.proxy.fault(faults.Status(status), method='HEAD', times=None)
                self.assertDone(self.put('has', self.proxy.host), f'present {SIZE}')

    def test_mount(self):
        self.upload(repository='team/base')
        self.proxy.forget()
        self.assertDone(self.upload('--from', 'team/base'), 'mounted')
        self.assertEqual(self.proxy.received(), 0)
        self.assertThere()
        self.assertDone(self.put('mount', self.proxy.host, '--from', 'team/base',
                                 repository='team/other'), 'present -1')
        self.assertRefused(self.put('mount', self.proxy.host, '--from', 'team/nothing',
                                    repository='team/third'), 'RegistryError', 'does not take it')

    def test_refused_mount(self):
        self.upload(repository='team/base')
        for fault in (faults.NoMount(), faults.Status(401), faults.Status(403), faults.Status(405)):
            with self.subTest(fault=vars(fault)):
                if self.registry.repository_blobs('team/app'):
                    self.registry.unlink_blob('team/app', self.digest)
                self.proxy.clear()
                self.proxy.forget()
                self.proxy.fault(fault, method='POST', path='mount=', times=None)
                self.assertDone(self.upload('--from', 'team/base'), 'uploaded')
                if isinstance(fault, faults.NoMount):
                    self.assertEqual(self.methods(), ['POST', 'PUT'], 'the session it began is used')

    def test_cut(self):
        for at in (0, 1, 1000000):
            self.proxy.fault(faults.CutUpload(at))
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()

    def test_reset(self):
        self.proxy.fault(faults.CutUpload(1000000, reset=True))
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()

    def test_cut_for_ever(self):
        self.proxy.fault(faults.CutUpload(1000), times=None)
        got = self.upload('--retries', '2')
        self.assertEqual(len(got.lines), 1)
        self.assertRefused(got, 'RegistryUnreachable', 'blob sha256:.* to 127.0.0.1')
        self.assertLess(len(self.proxy.records), 16)

    def test_failures_in_the_middle(self):
        for status in (500, 503):
            self.proxy.fault(faults.FailUpload(1000000, status))
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()

    def test_lost_answers(self):
        for status in (500, None):
            with self.subTest(status=status):
                self.proxy.clear()
                self.proxy.forget()
                self.proxy.fault(faults.LoseAnswer(status), method='PUT')
                self.assertDone(self.upload(repository=f'team/lost{status}'.lower()), 'uploaded')
                self.assertEqual(len(self.proxy.requests('PUT')), 1, 'it was there already')

    def test_lost_session(self):
        self.proxy.fault(faults.LostSession(), method='PUT')
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()
        self.proxy.clear()
        self.proxy.forget()
        self.proxy.fault(faults.LostSession(), method='PUT', times=None)
        self.assertRefused(self.upload(repository='team/two'), 'RegistryError',
                           'BLOB_UPLOAD_UNKNOWN')
        self.assertLess(len(self.proxy.records), 30)

    def test_begin_fails(self):
        for status in (408, 429, 500, 502):
            self.proxy.fault(faults.Status(status), method='POST')
        self.assertDone(self.upload(), 'uploaded')
        self.proxy.fault(faults.Status(404), method='POST', times=None)
        self.assertRefused(self.upload(), 'RegistryError', 'status 404')

    def test_chunks(self):
        self.proxy.fault(faults.MinimumChunk(1000000))
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()
        self.assertEqual(self.methods(), ['POST', 'PATCH', 'PUT'])

    def test_no_whole_uploads(self):
        for status in (405, 411, 413):
            with self.subTest(status=status):
                self.proxy.clear()
                self.proxy.forget()
                self.proxy.fault(faults.Status(status), method='PUT',
                                 where=lambda request: request.headers.number('Content-Length'),
                                 times=None)
                repository = f'team/status{status}'
                self.assertDone(self.upload(repository=repository), 'uploaded')
                self.assertThere(repository)
                self.assertIn('PATCH', self.methods())

    def test_chunk_out_of_order(self):
        self.proxy.fault(faults.MinimumChunk(1000000))
        self.proxy.fault(faults.OutOfOrder(), method='PATCH')
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()

    def test_chunk_cut(self):
        self.proxy.fault(faults.MinimumChunk(1000000), times=None)
        self.proxy.fault(faults.CutUpload(1500000), method='PATCH')
        self.assertDone(self.upload(), 'uploaded')
        self.assertThere()

    def test_redirect_with_a_body(self):
        other = self.serve(FaultProxy(self.registry))
        for method in ('POST', 'PUT'):
            for status in (307, 308):
                with self.subTest(method=method, status=status):
                    self.proxy.clear()
                    self.proxy.fault(faults.Redirect(other, status), method=method)
                    repository = f'team/{method.lower()}{status}'
                    self.assertDone(self.upload(repository=repository), 'uploaded')
                    self.assertThere(repository)

    def test_relative_place_with_a_query(self):
        place = {}

        def change(exchange, response):
            location = response.headers.get('Location')
            place['path'] = location[location.index('/v2/'):]
            response.headers.set('Location', place['path'])
            return response

        fault = faults.Fault()
        fault.change = change
        self.proxy.fault(fault, method='POST')
        self.assertDone(self.upload(), 'uploaded')
        self.assertIn('?', place['path'])
        self.assertThere()

    def test_a_place_that_is_too_long(self):
        """With the digest behind it, which the registry does not think of."""
        host = f'http://{self.proxy.host}/v2/'
        for length in (16384 - 40, 16384, 16385):
            with self.subTest(length=length):
                self.proxy.clear()
                self.proxy.fault(faults.Answer(b'', status=202, headers={
                    'Location': host + 'x' * (length - len(host))}), method='POST', times=None)
                self.assertRefused(self.upload(), 'RegistryError', 'too long')

    def test_a_registry_that_never_has_enough(self):
        """It takes each part, and says that nothing came of it."""
        place = {'Location': '/v2/team/app/blobs/uploads/1'}
        self.proxy.fault(faults.Answer(b'', status=202, headers={
            **place, 'OCI-Chunk-Min-Length': '1000'}), method='POST', times=None)
        self.proxy.fault(faults.Status(413), method='PUT', times=None)
        for arrived in ('0-0', '0-999', '0-1999'):
            with self.subTest(arrived=arrived):
                before = len(self.proxy.requests('PATCH'))
                self.proxy.fault(faults.Answer(b'', status=202, headers={
                    **place, 'Range': arrived}), method='PATCH', times=None)
                self.assertRefused(self.upload(), 'RegistryError', 'does not go on')
                self.assertLess(len(self.proxy.requests('PATCH')) - before, 20)

    def test_no_place(self):
        self.proxy.fault(faults.NoHeader('Location'), method='POST', times=None)
        self.assertRefused(self.upload(), 'RegistryError', 'does not say where')

    def test_stall(self):
        self.proxy.fault(faults.Drop(), method='PUT')
        self.assertDone(self.upload('--stall', '500'), 'uploaded')

    def test_bandwidth(self):
        self.assertDone(self.upload('--bandwidth', '3000000', '--stall', '300'), 'uploaded')
        self.assertThere()

    def test_in_parallel(self):
        got = self.upload('--copies', '6')
        self.assertEqual(got.lines, ['ok uploaded'] * 6, got.text)
        self.assertThere()

    # Manifests

    def test_manifest(self):
        layer = Layer(1000, 1)
        image = Image([layer])
        image.push(self.registry, 'team/app')
        file = self.path('manifest')
        with open(file, 'wb') as stream:
            stream.write(image.document)
        for target in ('latest', image.digest):
            for fault in (None, faults.Status(500), faults.LoseAnswer(), faults.CutUpload(10)):
                with self.subTest(target=target, fault=fault):
                    if fault:
                        self.proxy.fault(fault, method='PUT')
                    got = self.put('manifest', self.proxy.host, '--type', image.media_type,
                                   file=file, target=target)
                    self.assertDone(got, 'plain')
        self.assertEqual(self.registry.client().get_manifest('team/app', 'latest')[0],
                         image.document)

    def test_manifest_whose_blobs_are_missing(self):
        image = Image([Layer(1000, 1)])
        file = self.path('manifest')
        with open(file, 'wb') as stream:
            stream.write(image.document)
        registry = self.serve(Registry(allow_urls=['^https://']))
        got = self.put('manifest', registry.host, '--type', image.media_type, file=file, target='a')
        self.assertRefused(got, 'RegistryError', 'status 4.*MANIFEST_BLOB_UNKNOWN')

    def test_subject(self):
        image = Image([])
        image.push(self.registry, 'team/app')
        file = self.path('manifest')
        with open(file, 'wb') as stream:
            stream.write(image.document)
        self.proxy.fault(faults.Header('OCI-Subject', self.digest), method='PUT')
        got = self.put('manifest', self.proxy.host, '--type', image.media_type, file=file,
                       target='a')
        self.assertDone(got, 'subject')

    # Referrers

    def referrers(self, digest):
        return self.put('referrers', self.proxy.host, target=digest)

    def test_referrers_by_tag(self):
        image = Image([])
        image.push(self.registry, 'team/app')
        got = self.referrers(image.digest)
        self.assertEqual((got.lines, got.body), (['ok tag'], b''))
        index = images.referrers([Image([Layer(100, 2)], subject=image, artifact_type='text/x')])
        index.push(self.registry, 'team/app', image.digest.replace(':', '-'))
        got = self.referrers(image.digest)
        self.assertEqual((got.lines, got.body), (['ok tag'], index.document + b'\n'))

    def test_referrers_in_pages(self):
        path = f'/v2/team/app/referrers/{self.digest}'
        for page, headers in ((3, {}), (2, {'Link': f'<{path}?page=3>; rel="next"'}),
                              (1, {'Link': '<?page=2>; rel=next'})):
            where = f'page={page}' if page > 1 else 'referrers'
            self.proxy.fault(faults.Answer(json.dumps({'page': page}).encode(), headers=headers),
                             path=where, where=lambda request, page=page:
                             page > 1 or '?' not in request.target)
        got = self.referrers(self.digest)
        self.assertEqual(got.lines, ['ok api'], got.text)
        self.assertEqual([json.loads(line)['page'] for line in got.body.splitlines()], [1, 2, 3])

    def test_referrers_without_end(self):
        self.proxy.fault(faults.Answer(b'{}', headers={'Link': '<?again>; rel=next'}),
                         path='referrers', times=None)
        self.assertRefused(self.referrers(self.digest), 'RegistryError', 'more than 64 pages')

    def test_referrers_at_another_host(self):
        self.proxy.fault(faults.Answer(b'{}', headers={'Link': '<http://127.0.0.1:1/x>; rel=next'}),
                         path='referrers', times=None)
        self.assertRefused(self.referrers(self.digest), 'RegistryError', 'another host')


class Authentication(WritingTestCase):
    def start(self, **kwargs):
        self.tokens = self.serve(TokenServer(users={'alice': 'secret'}, **kwargs))
        self.registry = self.serve(Registry(auth=self.tokens))
        self.proxy = self.serve(FaultProxy(self.registry))
        return self.credentials(self.proxy.host, 'alice', 'secret')

    def upload(self, *options, **kwargs):
        return self.put('blob', self.proxy.host, *options, **kwargs)

    def test_token(self):
        alice = self.start()
        self.assertDone(self.upload(*alice), 'uploaded')
        self.assertThere(account='alice')
        self.assertEqual([sorted(scope.split(':')[2].split(',')) for scope in
                          self.tokens.grants[0].scopes], [['pull', 'push']])
        self.assertEqual(len(self.proxy.requests('PUT')), 1)

    def test_mount_asks_for_both(self):
        alice = self.start()
        self.upload(*alice, repository='team/base')
        self.tokens.grants.clear()
        self.assertDone(self.upload(*alice, '--from', 'team/base'), 'mounted')
        scopes = [scope.rpartition(':') for scope in self.tokens.grants[0].scopes]
        self.assertEqual({name: set(actions.split(',')) for name, _, actions in scopes},
                         {'repository:team/app': {'pull', 'push'},
                          'repository:team/base': {'pull'}})

    def test_nothing_from_a_foreign_repository(self):
        alice = self.start(access={'alice': {'team/*': ['pull', 'push']}})
        self.assertDone(self.upload(*alice, '--from', 'secret/base'), 'uploaded')
        self.assertThere(account='alice')

    def test_reading_is_open_writing_is_not(self):
        self.start(anonymous={'team/*': ['pull']})
        self.assertRefused(self.upload(), 'AuthenticationRequired', 'there are none')

    def test_token_ends_in_mid_upload(self):
        alice = self.start(lifetime=2)
        self.assertDone(self.upload(*alice, '--bandwidth', '800000'), 'uploaded')
        self.tokens.grants.clear()
        self.proxy.fault(faults.MinimumChunk(1), times=None)
        self.proxy.fault(faults.Delay(2.2), method='PATCH', times=1)
        self.assertDone(self.upload(*alice, repository='team/two'), 'uploaded')
        self.assertGreater(len(self.tokens.grants), 1)
        self.assertThere('team/two', 'alice')

    def test_credentials_stay_where_they_belong(self):
        alice = self.start()
        other = self.serve(FaultProxy(None))
        other.fault(faults.Answer(b'', status=201), method='PUT', times=None)
        self.proxy.fault(faults.Redirect(other), method='PUT', where=has('Authorization'))
        self.assertDone(self.upload(*alice), 'uploaded')
        self.assertEqual(len(other.records), 1)
        self.assertNotIn('Authorization', other.records[0].headers)

    def test_basic(self):
        self.registry = self.serve(Registry(htpasswd={'alice': 'secret'}))
        host = self.registry.host
        got = self.put('blob', host, *self.credentials(host, 'alice', 'secret'))
        self.assertDone(got, 'uploaded')
        self.assertThere(account='alice')
        self.assertRefused(self.put('blob', host), 'AuthenticationRequired', 'there are none')


class Tls(WritingTestCase):
    def test_places_behind_a_proxy_that_ends_tls(self):
        ca = self.serve(CA())
        self.registry = self.serve(Registry())
        proxy = self.serve(FaultProxy(self.registry, tls=ca))
        place = {}

        def change(exchange, response):
            place['location'] = response.headers.get('Location').replace('https:', 'http:')
            response.headers.set('Location', place['location'])
            return response

        fault = faults.Fault()
        fault.change = change
        proxy.fault(fault, method='POST', times=None)
        got = self.put('blob', proxy.host, '--ca', ca.certificate, secure=True)
        self.assertDone(got, 'uploaded')
        self.assertTrue(place['location'].startswith('http://127.0.0.1:'))
        self.assertThere()

    def test_plain_http_elsewhere(self):
        ca = self.serve(CA())
        proxy = self.serve(FaultProxy(None, tls=ca))
        proxy.fault(faults.Answer(b'', status=202, headers={'Location': 'http://other.test/x'}),
                    method='POST')
        got = self.put('blob', proxy.host, '--ca', ca.certificate, secure=True)
        self.assertRefused(got, 'RegistryError', 'plain HTTP')

    def test_http2(self):
        ca = self.serve(CA())
        self.registry = self.serve(Registry(tls=ca))
        small = self.path('small', 'x' * 1000)
        digest = f'sha256:{hashlib.sha256(b"x" * 1000).hexdigest()}'
        got = self.put('blob', self.registry.host, '--ca', ca.certificate, '--copies', '20',
                       '--connections', '10', file=small, target=digest, secure=True)
        self.assertEqual(got.lines, ['ok uploaded'] * 20)
        got = self.put('blob', self.registry.host, '--ca', ca.certificate, secure=True)
        self.assertDone(got, 'uploaded')
        self.assertThere()


if __name__ == '__main__':
    unittest.main()
