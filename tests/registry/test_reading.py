# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reading from registries, as the library does it, against real registries and broken ones."""

import time
import unittest

from berthtest import (CA, FaultProxy, ForwardProxy, Image, Layer, Registry, TokenServer, UrlServer,
                       faults, has)

from driving import GET, RegistryTestCase

LAYER = 300000


class ReadingTestCase(RegistryTestCase):
    """An image of one layer, and how to get parts of it."""

    def setUp(self):
        super().setUp()
        self.layer = Layer(LAYER, 1)
        self.image = Image([self.layer])

    def blob(self, host, *options, secure=False, layer=None, repository='team/app', **kwargs):
        layer = layer or self.layer
        return self.run_tool(GET, 'blob', host, repository, layer.digest, '--size', layer.size,
                             *([] if secure else ['--insecure']), *options, **kwargs)

    def manifest(self, host, *options, target='latest', secure=False, repository='team/app',
                 **kwargs):
        return self.run_tool(GET, 'manifest', host, repository, target,
                             *([] if secure else ['--insecure']), *options, **kwargs)


class Faults(ReadingTestCase):
    """One fault each in front of a plain registry."""

    def setUp(self):
        super().setUp()
        self.registry = self.serve(Registry())
        self.proxy = self.serve(FaultProxy(self.registry))
        self.image.push(self.registry, 'team/app', 'latest')
        self.data = self.layer.data

    def fault(self, fault, **kwargs):
        kwargs.setdefault('path', '/blobs/')
        return self.proxy.fault(fault, **kwargs)

    def test_plain(self):
        self.assertGot(self.manifest(self.proxy.host), self.image.document)
        self.assertGot(self.blob(self.proxy.host), self.data)
        self.assertEqual(len(self.proxy.requests(path='/blobs/')), 1)
        headers = self.proxy.requests(path='/manifests/')[0].headers
        for media_type in ('oci.image.index.v1', 'oci.image.manifest.v1',
                           'docker.distribution.manifest.list.v2', 'docker.distribution.manifest.v2'):
            self.assertTrue(any(media_type in value for value in headers.all('Accept')), media_type)
        self.assertEqual(headers.get('Accept-Encoding'), 'identity')
        self.assertRegex(headers.get('User-Agent'), '^berth/')

    def test_what_is_not_there(self):
        self.assertRefused(self.manifest(self.proxy.host, target='other'), 'ManifestUnknown',
                           'manifest other of 127.0.0.1.*MANIFEST_UNKNOWN')
        other = Layer(100, 7)
        self.assertRefused(self.blob(self.proxy.host, layer=other), 'RegistryError',
                           'status 404.*BLOB_UNKNOWN')
        self.assertEqual(len(self.proxy.requests(path=other.digest)), 1, 'not asked for again')

    def test_plain_http_only_where_the_settings_say_so(self):
        self.assertRefused(self.manifest(self.proxy.host, secure=True), 'RegistryUnreachable',
                           'Insecure=yes')
        self.assertEqual(self.proxy.records, [])

    def test_namespace_of_a_mirror(self):
        self.assertGot(self.blob(self.proxy.host, '--space', 'other.test:5000'), self.data)
        self.assertEqual(self.proxy.requests(path='/blobs/')[0].query, {'ns': 'other.test:5000'})

    # Cut, reset, stalled

    def test_cut_again_and_again(self):
        for at in (0, 1, 50000):
            self.fault(faults.Cut(at))
        self.fault(faults.Cut(40000), times=5)
        got = self.blob(self.proxy.host, '--retries', '1')
        self.assertGot(got, self.data)
        self.proxy.wait_idle()
        self.assertLess(self.proxy.sent('/blobs/'), LAYER + 200000, 'resumed, not begun anew')
        self.assertTrue(all('Range' in record.headers
                            for record in self.proxy.requests(path='/blobs/')[2:]))

    def test_reset(self):
        self.fault(faults.Cut(100000, reset=True), times=2)
        self.assertGot(self.blob(self.proxy.host), self.data)

    def test_cut_without_progress_ends(self):
        self.fault(faults.Cut(0), times=None)
        got = self.blob(self.proxy.host, '--retries', '2')
        self.assertRefused(got, 'RegistryUnreachable', 'blob sha256:.*cannot reach 127.0.0.1')
        self.assertEqual(len(self.proxy.requests(path='/blobs/')), 3)

    def test_answers_that_never_come(self):
        self.fault(faults.Drop(), times=2)
        self.fault(faults.Drop(reset=True), times=2)
        self.assertGot(self.blob(self.proxy.host), self.data)

    def test_stall(self):
        self.fault(faults.Stall(100000))
        begin = time.monotonic()
        self.assertGot(self.blob(self.proxy.host, '--stall', '300'), self.data)
        self.assertGreater(time.monotonic() - begin, 0.3)

    def test_stall_for_ever(self):
        self.fault(faults.Stall(0), times=None)
        self.assertRefused(self.blob(self.proxy.host, '--stall', '200', '--retries', '1'),
                           'RegistryUnreachable', '200 ms.*StallTimeout=')

    def test_our_own_pauses_are_no_stall(self):
        got = self.blob(self.proxy.host, '--stall', '300', '--bandwidth', '250000')
        self.assertGot(got, self.data)
        self.assertEqual(len(self.proxy.requests(path='/blobs/')), 1)

    # Ranges and lengths

    def test_range_ignored(self):
        self.fault(faults.Cut(100000))
        self.fault(faults.IgnoreRange(), times=None)
        self.assertGot(self.blob(self.proxy.host), self.data)

    def test_wrong_content_range(self):
        for text in ('bytes 0-{last}/{total}', 'bytes {first}-{last}/1', 'bytes {first}-5/{total}',
                     'pages {first}-{last}/{total}', 'bytes */{total}', None):
            with self.subTest(text=text):
                self.proxy.clear()
                self.fault(faults.Cut(100000))
                self.fault(faults.ContentRange(text), times=None)
                self.assertGot(self.blob(self.proxy.host), self.data)

    def test_range_from_elsewhere(self):
        self.fault(faults.Cut(100000))
        self.fault(faults.ShiftedRange(-1000), times=None)
        self.assertGot(self.blob(self.proxy.host), self.data)

    def test_range_not_satisfiable(self):
        self.fault(faults.Cut(100000))
        self.fault(faults.Status(416), where=has('Range'), times=None)
        self.assertGot(self.blob(self.proxy.host), self.data)

    def test_resumed_from_an_earlier_run(self):
        got = self.blob(self.proxy.host, '--offset', '200000')
        self.assertEqual(got.name, 'ok', got.text)
        self.assertEqual(got.body, self.data[200000:])
        self.assertEqual(self.proxy.requests(path='/blobs/')[0].headers.get('Range'),
                         'bytes=200000-')

    def test_all_there_already(self):
        self.assertEqual(self.blob(self.proxy.host, '--offset', LAYER).name, 'ok')
        self.assertEqual(self.proxy.requests(path='/blobs/'), [])

    def test_wrong_length(self):
        for value in ('+1', '-1', 5, 0):
            with self.subTest(value=value):
                self.proxy.clear()
                self.fault(faults.ContentLength(value), times=None)
                self.assertRefused(self.blob(self.proxy.host), 'RegistryError',
                                   f'but the manifest says {LAYER}')

    def test_without_length(self):
        for fault in (faults.NoLength(), faults.Chunked()):
            with self.subTest(fault=type(fault).__name__):
                self.proxy.clear()
                self.fault(fault)
                self.assertGot(self.blob(self.proxy.host), self.data)

    def test_endless(self):
        self.fault(faults.Endless(), times=None)
        self.assertRefused(self.blob(self.proxy.host), 'RegistryError',
                           f'more than the {LAYER} bytes')
        self.proxy.clear()
        self.proxy.fault(faults.Endless(), path='/manifests/', times=None)
        self.assertRefused(self.manifest(self.proxy.host), 'RegistryError', 'too long')

    def test_unknown_size(self):
        self.fault(faults.Cut(100000))
        got = self.run_tool(GET, 'blob', self.proxy.host, 'team/app', self.layer.digest, '--insecure')
        self.assertGot(got, self.data)

    def test_manifest_too_large(self):
        self.proxy.fault(faults.Answer(b' ' * (4 * 1024 * 1024 + 1), 'application/json'),
                         path='/manifests/')
        self.assertRefused(self.manifest(self.proxy.host), 'ManifestInvalid', 'at most 4194304')
        self.proxy.fault(faults.Answer(b' ' * (4 * 1024 * 1024), 'application/json'),
                         path='/manifests/')
        self.assertGot(self.manifest(self.proxy.host), b' ' * (4 * 1024 * 1024))

    def test_encoded(self):
        self.fault(faults.Gzip(), times=None)
        self.assertRefused(self.blob(self.proxy.host), 'RegistryError', "encodes it as 'gzip'")

    def test_headers_without_end(self):
        self.fault(faults.Header('X-Long', 'x' * 70000), times=None)
        self.assertRefused(self.blob(self.proxy.host), 'RegistryError', 'too long')

    def test_no_http(self):
        self.fault(faults.Garbage(), times=None)
        self.assertRefused(self.blob(self.proxy.host, '--retries', '0'), 'RegistryUnreachable', '.')

    # Status

    def test_passing_failures(self):
        for status in (408, 429, 500, 502, 503, 504):
            self.fault(faults.Status(status))
        self.assertGot(self.blob(self.proxy.host, '--retries', '6'), self.data)

    def test_retries_are_counted(self):
        self.fault(faults.Status(500, message='what\n\x1b[31mever'), times=None)
        got = self.blob(self.proxy.host, '--retries', '1')
        self.assertRefused(got, 'RegistryError', r'status 500 \(it says: UNKNOWN: what\\u000a\\u001b')
        self.assertEqual(len(self.proxy.requests(path='/blobs/')), 2)

    def test_retry_after(self):
        for value in (1, 'date'):
            with self.subTest(value=value):
                self.proxy.clear()
                self.fault(faults.Status(429, retry_after=value))
                begin = time.monotonic()
                self.assertGot(self.blob(self.proxy.host), self.data)
                self.assertGreater(time.monotonic() - begin, 0.9)

    def test_retry_after_of_a_mirror(self):
        self.fault(faults.Status(503, retry_after=60), times=None)
        begin = time.monotonic()
        self.assertRefused(self.blob(self.proxy.host, '--mirror'), 'RegistryError', 'status 503')
        self.assertLess(time.monotonic() - begin, 20)

    def test_retry_after_holds_for_all(self):
        self.fault(faults.Status(503, retry_after=1), times=1)
        got = self.blob(self.proxy.host, '--copies', '4', '--connections', '1')
        self.assertEqual(got.lines, [f'ok {LAYER}'] * 4)
        self.assertEqual(len(self.proxy.requests(path='/blobs/')), 5)

    def test_refused_statuses(self):
        for status, name in ((400, 'RegistryError'), (403, 'AuthenticationRequired'),
                             (410, 'RegistryError'), (501, 'RegistryError')):
            with self.subTest(status=status):
                self.proxy.clear()
                self.proxy.forget()
                self.fault(faults.Status(status), times=None)
                self.assertRefused(self.blob(self.proxy.host), name, f'status {status}')
                self.assertEqual(len(self.proxy.requests(path='/blobs/')), 1)

    def test_long_words_of_a_failure(self):
        self.fault(faults.Status(404, body=b'x' * 300000), times=None)
        self.assertRefused(self.blob(self.proxy.host), 'RegistryError', 'status 404')

    # Redirects

    def test_redirect(self):
        web = self.serve(FaultProxy(self.registry))
        for status in (301, 302, 303, 307, 308):
            with self.subTest(status=status):
                self.proxy.clear()
                self.fault(faults.Redirect(web, status), times=None)
                self.assertGot(self.blob(self.proxy.host), self.data)

    def test_redirect_resumes_and_asks_anew(self):
        web = self.serve(FaultProxy(self.registry))
        self.fault(faults.Redirect(web), times=None)
        web.fault(faults.Cut(100000), path='/blobs/')
        web.fault(faults.Status(403), path='/blobs/', after=1)  # the URL has expired
        self.assertGot(self.blob(self.proxy.host), self.data)
        self.assertEqual([record.headers.get('Range') for record in web.requests(path='/blobs/')],
                         [None, 'bytes=100000-', 'bytes=100000-'])
        self.assertEqual(len(self.proxy.requests(path='/blobs/')), 3)

    def test_relative_redirect(self):
        self.fault(faults.Redirect(lambda request: f'../blobs/{self.layer.digest}?again'),
                   where=lambda request: 'again' not in request.target)
        self.assertGot(self.blob(self.proxy.host), self.data)

    def test_redirects_in_a_circle(self):
        self.fault(faults.Redirect(lambda request: request.target), times=None)
        self.assertRefused(self.blob(self.proxy.host), 'RegistryError', 'more than 10 redirects')
        self.assertEqual(len(self.proxy.requests(path='/blobs/')), 11)

    def test_redirects_to_what_is_not_taken(self):
        for place, message in (('ftp://127.0.0.1/x', 'only http and https'),
                               ('file:///etc/passwd', 'not a URL|only http'),
                               ('http://alice:secret@127.0.0.1/x', 'a user name'),
                               ('http://[::1', 'not a URL')):
            with self.subTest(place=place):
                self.proxy.clear()
                self.fault(faults.Redirect(place, exact=True), times=None)
                got = self.blob(self.proxy.host)
                self.assertRefused(got, 'RegistryError', message)
                self.assertNotIn('secret', got.text)

    def test_queries_are_not_told(self):
        self.fault(faults.Redirect('http://127.0.0.1:1/x?signature=hush', exact=True), times=None)
        got = self.blob(self.proxy.host, '--retries', '0')
        self.assertRefused(got, 'RegistryUnreachable', 'cannot reach 127.0.0.1:1')
        self.assertNotIn('hush', got.text)

    def test_only_one_error_however_many_faults(self):
        self.fault(faults.Status(500), times=2)
        self.fault(faults.Cut(0), after=2, times=2)
        self.fault(faults.Status(404), after=4)
        got = self.blob(self.proxy.host)
        self.assertEqual(len(got.lines), 1)
        self.assertRefused(got, 'RegistryError', 'status 404')

    # Many at once

    def test_connections(self):
        got = self.blob(self.proxy.host, '--copies', '12', '--connections', '3', '--pausing')
        self.assertEqual(got.lines, [f'ok {LAYER}'] * 12)
        connections = {record.connection for record in self.proxy.requests(path='/blobs/')}
        self.assertLessEqual(len(connections), 3)

    def test_bandwidth(self):
        begin = time.monotonic()
        got = self.blob(self.proxy.host, '--copies', '2', '--bandwidth', '400000')
        self.assertEqual(got.lines, [f'ok {LAYER}'] * 2)
        self.assertGreater(time.monotonic() - begin, 1)

    def test_unreachable(self):
        begin = time.monotonic()
        self.assertRefused(self.manifest('127.0.0.1:1', '--mirror'), 'RegistryUnreachable',
                           'cannot reach 127.0.0.1:1')
        self.assertLess(time.monotonic() - begin, 2)
        self.assertRefused(self.manifest('nowhere.invalid', '--mirror'), 'RegistryUnreachable',
                           'nowhere.invalid.*check the name')


class Authentication(ReadingTestCase):
    def start(self, **kwargs):
        self.tokens = self.serve(TokenServer(users={'alice': 'secret'}, **kwargs))
        self.registry = self.serve(Registry(auth=self.tokens))
        self.proxy = self.serve(FaultProxy(self.registry))
        self.image.push(self.registry, 'team/app', 'latest', account='alice')
        self.tokens.grants.clear()
        self.alice = self.credentials(self.proxy.host, 'alice', 'secret')

    def test_anonymous(self):
        self.start(anonymous={'team/*': ['pull']})
        self.assertGot(self.manifest(self.proxy.host), self.image.document)
        self.assertEqual([grant[:3] for grant in self.tokens.grants],
                         [('GET', '', ['repository:team/app:pull'])])
        self.assertEqual(self.tokens.grants[0].service, 'registry.test')

    def test_nothing_for_strangers(self):
        self.start()
        self.assertRefused(self.manifest(self.proxy.host), 'AuthenticationRequired',
                           'wants credentials, and there are none')
        self.assertLess(len(self.tokens.grants), 4)

    def test_password(self):
        self.start()
        for field in ('token', 'access_token', 'both'):
            with self.subTest(field=field):
                self.tokens.field = field
                self.tokens.grants.clear()
                self.assertGot(self.blob(self.proxy.host, *self.alice), self.layer.data)
                self.assertEqual(self.tokens.kinds(), ['password'])
                self.assertEqual(self.tokens.grants[0].account, 'alice')

    def test_no_post(self):
        self.start()
        for status in (400, 401, 404, 405):
            with self.subTest(status=status):
                self.tokens.refuse_post = status
                self.tokens.grants.clear()
                self.assertGot(self.blob(self.proxy.host, *self.alice), self.layer.data)
                self.assertEqual([grant[:2] for grant in self.tokens.grants], [('GET', 'alice')])

    def test_wrong_password(self):
        self.start()
        got = self.manifest(self.proxy.host, *self.credentials(self.proxy.host, 'alice', 'hush'))
        self.assertRefused(got, 'AuthenticationRequired', '401.*refused by the test.*password')
        self.assertNotIn('hush', got.text)

    def test_identity_token(self):
        self.start()
        token = self.tokens.add_refresh_token('alice')
        options = self.credentials(self.proxy.host, identitytoken=token, auth='')
        self.assertGot(self.blob(self.proxy.host, *options), self.layer.data)
        self.assertEqual(self.tokens.kinds(), ['refresh_token'])
        got = self.manifest(self.proxy.host,
                            *self.credentials(self.proxy.host, identitytoken='hush', auth=''))
        self.assertRefused(got, 'AuthenticationRequired', '401')
        self.assertNotIn('hush', got.text)

    def test_one_token_for_all(self):
        self.start()
        got = self.blob(self.proxy.host, *self.alice, '--copies', '12')
        self.assertEqual(got.lines, [f'ok {LAYER}'] * 12)
        self.assertEqual(self.tokens.kinds(), ['password'])

    def test_token_server_is_down_for_a_while(self):
        self.start()
        tokens = self.serve(FaultProxy(self.tokens))
        tokens.fault(faults.Status(503), method='POST', times=2)
        self.proxy.fault(faults.Challenge(f'Bearer realm="{tokens.url}/token",'
                                          'service="registry.test",'
                                          'scope="repository:team/app:pull"'))
        self.assertGot(self.blob(self.proxy.host, *self.alice), self.layer.data)

    def test_token_ends_in_mid_transfer(self):
        self.start(lifetime=2)
        self.proxy.fault(faults.Stall(100000), path='/blobs/', where=has('Authorization'), times=2)
        got = self.blob(self.proxy.host, *self.alice, '--stall', '4000', '--copies', '2')
        self.assertEqual(got.lines, [f'ok {LAYER}'] * 2, got.text)
        self.assertEqual(len(self.tokens.grants), 2)

    def test_tokens_that_the_registry_does_not_take(self):
        self.start()
        self.proxy.fault(faults.Status(401, headers={'WWW-Authenticate':
                                                     f'Bearer realm="{self.tokens.realm}"'}),
                         where=has('Authorization'), times=None)
        self.assertRefused(self.manifest(self.proxy.host, *self.alice), 'AuthenticationRequired',
                           'does not take the credentials')
        self.assertLess(len(self.proxy.records), 6)

    def test_realms_that_are_not_taken(self):
        self.start()
        for realm in ('http://tokens.invalid/token', 'ftp://127.0.0.1/token', 'http://a:b@127.0.0.1'):
            with self.subTest(realm=realm):
                ca = self.serve(CA())
                proxy = self.serve(FaultProxy(self.registry, tls=ca))
                proxy.fault(faults.Challenge(f'Bearer realm="{realm}"'), times=None)
                got = self.manifest(proxy.host, *self.credentials(proxy.host, 'alice', 'secret'),
                                    '--ca', ca.certificate, secure=True)
                self.assertIn(got.name, ('AuthenticationRequired', 'RegistryError'), got.text)
                self.assertRegex(got.text, 'plain HTTP|cannot go to')

    def test_several_challenges(self):
        self.start()
        bearer = (f'Bearer realm="{self.tokens.realm}",service="registry.test",'
                  'scope="repository:team/app:pull",error="a, \\"b\\""')
        for texts in (['Negotiate', bearer], [f'Negotiate abc==, {bearer}, Digest realm="x, y"'],
                      [f'Basic realm="x, Bearer realm=y", {bearer}'],
                      [bearer.replace('Bearer', 'bEARER').replace('realm', 'Realm')]):
            with self.subTest(texts=texts):
                self.proxy.clear()
                self.tokens.grants.clear()
                self.proxy.fault(faults.Challenge(*texts))
                self.assertGot(self.manifest(self.proxy.host, *self.alice), self.image.document)
                self.assertEqual(self.tokens.grants[0].scopes, ['repository:team/app:pull'])

    def test_nothing_we_know(self):
        self.start()
        for texts in ([], ['Negotiate'], ['Bearer'], ['Bearer x'], ['"'], [',,,'], ['Digest x="']):
            with self.subTest(texts=texts):
                self.proxy.clear()
                self.proxy.fault(faults.Challenge(*texts), times=None)
                self.assertRefused(self.manifest(self.proxy.host, *self.alice),
                                   'AuthenticationRequired', 'status 401')

    def test_credentials_stay_where_they_belong(self):
        self.start()
        web = self.serve(FaultProxy(self.registry))
        web.fault(faults.Answer(self.layer.data), path='/blobs/', times=None)
        self.proxy.fault(faults.Redirect(web), path='/blobs/', where=has('Authorization'))
        self.assertGot(self.blob(self.proxy.host, *self.alice), self.layer.data)
        self.assertEqual(len(web.records), 1)
        for record in web.records:
            self.assertNotIn('Authorization', record.headers)

    def test_a_stranger_asks_for_credentials(self):
        self.start()
        web = self.serve(FaultProxy(self.registry))
        web.fault(faults.Challenge('Basic realm="give"'), times=None)
        self.proxy.fault(faults.Redirect(web), path='/blobs/', times=None)
        got = self.blob(self.proxy.host, *self.alice, '--retries', '1')
        self.assertRefused(got, 'RegistryError', f'{web.host} answers with status 401')
        self.assertEqual([record.headers.get('Authorization') for record in web.records], [None] * 2)

    def test_bad_auth_json(self):
        self.start()
        got = self.manifest(self.proxy.host, '--credentials', self.path('auth.json', '{"auths": 3}'))
        self.assertRefused(got, 'AuthenticationRequired', '.')


class Basic(ReadingTestCase):
    def setUp(self):
        super().setUp()
        self.registry = self.serve(Registry(htpasswd={'alice': 'secret'}))
        self.image.push(self.registry, 'team/app', 'latest', account='alice')

    def test_basic(self):
        host = self.registry.host
        self.assertGot(self.blob(host, *self.credentials(host, 'alice', 'secret'), '--copies', '1'),
                       self.layer.data)
        self.assertRefused(self.manifest(host), 'AuthenticationRequired', 'there are none')
        got = self.manifest(host, *self.credentials(host, 'alice', 'hush'))
        self.assertRefused(got, 'AuthenticationRequired', 'does not take the credentials')
        self.assertNotIn('hush', got.text)
        self.assertRefused(self.manifest(host, *self.credentials('other.test', 'alice', 'secret')),
                           'AuthenticationRequired', '.')

    def test_asked_once(self):
        proxy = self.serve(FaultProxy(self.registry))
        self.manifest(proxy.host, *self.credentials(proxy.host, 'alice', 'hush'))
        self.assertEqual(len(proxy.records), 2)


class Tls(ReadingTestCase):
    def setUp(self):
        super().setUp()
        self.ca = self.serve(CA())

    def start(self, **kwargs):
        self.registry = self.serve(Registry(tls=self.ca, **kwargs))
        if 'client_ca' not in kwargs:
            self.image.push(self.registry, 'team/app', 'latest')
        return self.registry.host

    def get(self, host, *options, **kwargs):
        return self.manifest(host, '--retries', '0', *options, secure=True, **kwargs)

    def test_private_authority(self):
        host = self.start()
        self.assertGot(self.get(host, '--ca', self.ca.certificate), self.image.document)
        self.assertGot(self.blob(host, '--ca', self.ca.certificate, '--copies', '1', secure=True),
                       self.layer.data)
        self.assertRefused(self.get(host), 'RegistryUnreachable', 'certificate.*CAFile=')
        other = self.serve(CA())
        self.assertRefused(self.get(host, '--ca', other.certificate), 'RegistryUnreachable',
                           'CAFile=')

    def test_insecure(self):
        self.assertGot(self.manifest(self.start()), self.image.document)

    def test_slow_handshake(self):
        host = self.start()
        proxy = self.serve(FaultProxy(self.registry, tls=self.ca, delay=0.4))
        self.assertGot(self.manifest(proxy.host), self.image.document)
        self.assertTrue(host)

    def test_many_small_ones_over_http2(self):
        host = self.start()
        small = Layer(2000, 9)
        Image([small]).push(self.registry, 'team/small', 'latest')
        got = self.blob(host, '--ca', self.ca.certificate, '--copies', '60', '--connections', '20',
                        secure=True, layer=small, repository='team/small')
        self.assertEqual(got.lines, ['ok 2000'] * 60)

    def test_wrong_name_and_expired(self):
        for context in (self.ca.server_context('other.test'),
                        self.ca.server_context(expired=True)):
            proxy = self.serve(FaultProxy(None, tls=context))
            self.assertRefused(self.get(proxy.host, '--ca', self.ca.certificate),
                               'RegistryUnreachable', 'CAFile=')
            self.assertEqual(proxy.records, [])

    def test_client_certificate(self):
        proxy = self.serve(FaultProxy(None, tls=self.ca.server_context(client_ca=self.ca)))
        proxy.fault(faults.Answer(b'{}', 'application/json'), times=None)
        certificate, key = self.ca.client('alice')
        trusted = ['--ca', self.ca.certificate]
        shown = trusted + ['--certificate', certificate, '--key', key]
        self.assertGot(self.get(proxy.host, *shown), b'{}')
        self.assertRefused(self.get(proxy.host, *trusted), 'RegistryUnreachable', '.')
        front = self.serve(FaultProxy(None, tls=self.ca))
        front.fault(faults.Redirect(proxy), times=None)
        self.assertRefused(self.get(front.host, *shown), 'RegistryUnreachable', proxy.host)

    def test_bad_certificates(self):
        host = '127.0.0.1:1'
        junk = self.path('junk', 'no certificate\n')
        certificate, key = self.ca.client('alice')
        _, other = self.ca.client('bob')
        for options, message in ((['--ca', junk], 'CAFile='),
                                 (['--certificate', junk, '--key', key], 'ClientCertificate='),
                                 (['--certificate', certificate], 'ClientKey='),
                                 (['--certificate', certificate, '--key', other], 'belong')):
            self.assertRefused(self.get(host, *options), 'SettingsInvalid', message)

    def test_never_from_https_to_http(self):
        host = self.start()
        plain = self.serve(FaultProxy(None))
        proxy = self.serve(FaultProxy(self.registry, tls=self.ca))
        proxy.fault(faults.Redirect(plain), times=None)
        self.assertTrue(host)
        for options in (['--ca', self.ca.certificate], ['--insecure']):
            self.assertRefused(self.get(proxy.host, *options), 'RegistryError',
                               'from https to http')
        self.assertEqual(plain.records, [])

    def test_pinned_addresses(self):
        server = self.serve(FaultProxy(None, tls=self.ca.server_context('registry.test')))
        server.fault(faults.Answer(b'{}', 'application/json'), times=None)
        host = f'registry.test:{server.port}'
        options = ['--ca', self.ca.certificate]
        self.assertGot(self.get(host, *options, '--address', '127.0.0.1'), b'{}')
        self.assertRefused(self.get(host, *options), 'RegistryUnreachable', 'resolve')
        got = self.manifest(host, *options, '--address', '127.0.0.2', '--address', '127.0.0.1',
                            '--retries', '2', secure=True)
        self.assertGot(got, b'{}')
        self.assertEqual(server.records[0].headers.get('Host'), host)


class Proxies(ReadingTestCase):
    def setUp(self):
        super().setUp()
        self.registry = self.serve(Registry())
        self.image.push(self.registry, 'team/app', 'latest')

    def test_settings(self):
        proxy = self.serve(ForwardProxy(users={'alice': 'secret'},
                                        names={'registry.test:5000': self.registry.host}))
        url = f'http://alice:secret@{proxy.host}'
        self.assertGot(self.manifest('registry.test:5000', '--proxy', url), self.image.document)
        self.assertGot(self.blob('registry.test:5000', '--proxy', url), self.layer.data)
        got = self.manifest('registry.test:5000', '--proxy', f'http://alice:hush@{proxy.host}')
        self.assertRefused(got, 'RegistryUnreachable', 'proxy wants.*Proxy=')
        self.assertNotIn('hush', got.text)
        self.assertRefused(self.manifest('registry.test:5000', '--proxy', 'http://127.0.0.1:1'),
                           'RegistryUnreachable', '.')

    def test_environment(self):
        proxy = self.serve(ForwardProxy(names={'registry.test:5000': self.registry.host}))
        environment = {'https_proxy': proxy.url, 'http_proxy': proxy.url}
        self.assertGot(self.manifest('registry.test:5000', environment=environment),
                       self.image.document)
        self.assertRefused(self.manifest('registry.test:5000', '--proxy', 'none', '--retries', '0',
                                         environment=environment), 'RegistryUnreachable', 'resolve')
        environment['no_proxy'] = '.test'
        self.assertRefused(self.manifest('registry.test:5000', '--retries', '0',
                                         environment=environment), 'RegistryUnreachable', 'resolve')
        proxy.forget()
        self.assertGot(self.manifest(self.registry.host, environment=environment),
                       self.image.document)
        self.assertEqual(proxy.records, [])

    def test_pinned_address_through_a_proxy(self):
        ca = self.serve(CA())
        server = self.serve(FaultProxy(None, tls=ca.server_context('registry.test')))
        server.fault(faults.Answer(b'{}', 'application/json'), times=None)
        proxy = self.serve(ForwardProxy())
        got = self.manifest(f'registry.test:{server.port}', '--proxy', proxy.url, '--address',
                            '127.0.0.1', '--ca', ca.certificate, secure=True)
        self.assertGot(got, b'{}')
        self.assertEqual(proxy.targets, [f'127.0.0.1:{server.port}'])


class Urls(ReadingTestCase):
    """Foreign layers."""

    def setUp(self):
        super().setUp()
        self.web = self.serve(UrlServer())
        self.url = self.web.add('/layer', self.layer.data)

    def get(self, url, *options, **kwargs):
        return self.run_tool(GET, 'url', 'registry.test', 'team/app', url, '--size', LAYER, *options,
                             **kwargs)

    def test_allowed(self):
        self.assertGot(self.get(self.url, '--allow', '--space', 'x',
                                *self.credentials('127.0.0.1', 'alice', 'secret')), self.layer.data)
        headers = self.web.records[0].headers
        self.assertEqual(sorted(name.lower() for name, _ in headers),
                         ['accept', 'accept-encoding', 'host', 'user-agent'])
        self.assertEqual(self.web.records[0].query, {})

    def test_not_inside(self):
        for url in (self.url, self.url.replace('127.0.0.1', 'localhost'),
                    self.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'),
                    self.url.replace('127.0.0.1', '2130706433')):
            with self.subTest(url=url):
                self.assertRefused(self.get(url), 'ForeignLayerUnavailable', 'ForeignUrlHosts=')
        self.assertEqual(self.web.records, [])

    def test_not_inside_by_a_proxy(self):
        proxy = self.serve(ForwardProxy())
        for url in (self.url, self.url.replace('127.0.0.1', 'localhost')):
            got = self.get(url, '--proxy', proxy.url)
            self.assertRefused(got, 'ForeignLayerUnavailable', 'ForeignUrlHosts=')
        self.assertRefused(self.get('http://nowhere.invalid/x', '--proxy', proxy.url),
                           'ForeignLayerUnavailable', 'cannot be resolved')
        self.assertEqual(proxy.records, [])
        self.assertGot(self.get(self.url, '--proxy', proxy.url, '--allow'), self.layer.data)
        self.assertEqual(len(proxy.records), 1)

    def test_bad_urls(self):
        for url in ('ftp://127.0.0.1/x', 'file:///etc/passwd', '', 'layer', 'http://', 'http://a b/',
                    'http://alice:hush@127.0.0.1/'):
            with self.subTest(url=url):
                got = self.get(url, '--allow')
                self.assertRefused(got, 'RegistryError', 'cannot go to')
                self.assertNotIn('hush', got.text)

    def test_redirect(self):
        self.assertGot(self.get(self.web.add('/moved', redirect=self.url), '--allow'),
                       self.layer.data)

    def test_resumed(self):
        proxy = self.serve(FaultProxy(self.web))
        proxy.fault(faults.Cut(100000), times=2)
        self.assertGot(self.get(f'{proxy.url}/layer', '--allow'), self.layer.data)

    def test_another_length(self):
        self.assertRefused(self.get(self.web.add('/short', self.layer.data[:-1]), '--allow'),
                           'RegistryError', 'the manifest says')
        self.assertRefused(self.get(self.url + 'x', '--allow'), 'RegistryError', 'status 404')

    def test_certificates_are_always_verified(self):
        ca = self.serve(CA())
        web = self.serve(UrlServer(tls=ca))
        url = web.add('/layer', self.layer.data)
        self.assertRefused(self.get(url, '--allow', '--insecure', '--retries', '0'),
                           'RegistryUnreachable', 'CAFile=')
        self.assertGot(self.get(url, '--allow', '--ca', ca.certificate), self.layer.data)

    def test_in_parallel(self):
        got = self.get(self.url, '--allow', '--copies', '8')
        self.assertEqual(got.lines, [f'ok {LAYER}'] * 8)


class Schemes(ReadingTestCase):
    """A server that says nothing to a TLS handshake, or is not quite there."""

    def test_silent_server(self):
        registry = self.serve(Registry())
        self.image.push(registry, 'team/app', 'latest')
        proxy = self.serve(FaultProxy(registry))
        begin = time.monotonic()
        self.assertGot(self.manifest(proxy.host), self.image.document)
        self.assertLess(time.monotonic() - begin, 3)


if __name__ == '__main__':
    unittest.main()
