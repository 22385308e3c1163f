# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults at a pull that do not pass: each ends in one error, the right one, and soon."""

import json
import unittest

from berthtest import Image, Layer, faults, images

from matrix import LAYER, MatrixTestCase

UNREACHABLE, WRONG, REFUSED = 'RegistryUnreachable', 'RegistryError', 'AuthenticationRequired'
INVALID, MISMATCH, UNKNOWN = 'ManifestInvalid', 'DigestMismatch', 'ManifestUnknown'


class Always(MatrixTestCase):
    """What does not pass is told, once, and soon."""

    def test_statuses(self):
        for target in (*self.places, 'token'):
            for status in (500, 503, 429):
                self.struck(target, faults.Status(status, message='no\x1b[31m luck'), None, WRONG,
                            rf'status {status}.*no\\u001b\[31m luck')
            self.struck(target, faults.Status(403), None, REFUSED, 'status 403')
        for target in self.places:
            unknown = UNKNOWN if target == 'manifest' else WRONG
            self.struck(target, faults.Status(401), None, REFUSED, 'status 401')
            self.struck(target, faults.Status(404), None, unknown)
        self.struck('token', faults.Status(401), None, REFUSED, 'password')
        self.struck('token', faults.Status(404), None, WRONG, 'status 404')

    def test_statuses_that_make_no_sense(self):
        for target in self.places:
            for status in (204, 206, 300, 304, 400, 410, 418, 451, 501, 599, 999):
                self.struck(target, faults.Status(status, body=b''), None, WRONG)
        for status in (201, 204, 300, 418, 501):
            self.struck('token', faults.Status(status, body=b''), None, WRONG)

    def test_connections(self):
        for target in (*self.places, 'token'):
            for fault in (faults.Drop(), faults.Drop(reset=True), faults.Cut(0), faults.Stall(0),
                          faults.Garbage(), faults.Garbage(b'HTTP/1.1 abc\r\n\r\n'),
                          faults.Garbage(b'')):
                self.struck(target, fault, None, UNREACHABLE)

    def test_bodies_without_end(self):
        for target in (*self.places, 'token'):
            self.struck(target, faults.Endless(), None, WRONG, 'too long|more than the')

    def test_heads_without_end(self):
        for target in (*self.places, 'token'):
            self.struck(target, faults.Header('X-Long', 'x' * 200000), None, WRONG, 'too long')
            self.struck(target, faults.Garbage(b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 20000), None,
                        WRONG, 'too long')

    def test_encodings(self):
        for target in self.places:
            self.struck(target, faults.Gzip(), None, WRONG, "encodes it as 'gzip'")
            self.struck(target, faults.Header('Content-Encoding', 'br'), None, WRONG, "'br'")

    def test_lengths(self):
        for target in ('config', 'layer'):
            for value in ('+5', '-5', 0, 1 << 60):
                self.struck(target, faults.ContentLength(value), None, WRONG, 'the manifest says')
        self.struck('manifest', faults.ContentLength('+5'), None, UNREACHABLE)
        self.struck('manifest', faults.ContentLength('-5'), None, INVALID)

    def test_other_bytes(self):
        for target, size in (('config', self.image.config.size), ('layer', LAYER)):
            for place in (0, size - 1):
                self.struck(target, faults.Corrupt(place), None, MISMATCH)
            self.struck(target, faults.Answer(b'x' * size), None, MISMATCH)
            self.struck(target, faults.Answer(b'<html>log in</html>', 'text/html'), None, WRONG)
        self.struck('manifest', faults.Corrupt(0), None, INVALID)
        self.struck('manifest', faults.Answer(b'<html>log in</html>', 'text/html'), None, INVALID)
        self.struck('manifest', faults.Answer(b''), None, INVALID)

    def test_by_digest_other_bytes_are_no_manifest(self):
        self.reference = f'{self.front.host}/team/app@{self.image.digest}'
        other = Image([Layer(100, 9)])
        for fault in (faults.Corrupt(5), faults.Answer(other.document, other.media_type),
                      faults.Answer(b'{}', 'application/json')):
            self.struck('manifest', fault, None, MISMATCH)

    def test_types(self):
        """A manifest and the server must be of one mind about what it is."""
        for media_type in ('application/json', 'text/html', images.OCI_INDEX,
                           images.DOCKER_MANIFEST):
            self.struck('manifest', faults.Header('Content-Type', media_type), None, INVALID)

    def test_redirects(self):
        for target in self.places:
            for place in ('ftp://127.0.0.1/x', 'file:///etc/passwd', 'http://a:secret@127.0.0.1/',
                          'http://', 'http://[', ''):
                outcome = WRONG
                self.struck(target, faults.Redirect(place, exact=True), None, outcome)
            self.struck(target, faults.Redirect(lambda request: request.target), None, WRONG,
                        'more than 10 redirects')
            self.struck(target, faults.Redirect('http://127.0.0.1:1/x?signature=secret',
                                                exact=True), None, UNREACHABLE, '127.0.0.1:1')

    def test_challenges(self):
        for target in self.places:
            for text in ('Basic realm="x"', 'Negotiate', '', 'Bearer', '"', 'Bearer realm="'):
                self.struck(target, faults.Challenge(text), None, REFUSED)

    def test_tokens(self):
        for answer in (b'', b'{}', b'[]', b'"x"', b'{"token": ""}', b'{"token": 5}', b'{"token": null}',
                       b'{"token": "a b"}', b'{"token": "a\\r\\nX-Evil: yes"}', b'{"token": "\\u00e9"}',
                       b'<html>', b'{"token":' * 1000,
                       json.dumps({'token': 'x' * 70000}).encode()):
            self.struck('token', faults.Answer(answer, 'application/json'), None, WRONG, 'token')
        self.assertFalse([record for record in self.front.records if 'X-Evil' in record.headers])
        self.struck('token', faults.Answer(b'{"token": "forged"}', 'application/json'), None, REFUSED)

    def test_token_servers_that_redirect(self):
        """What is sent to them is secret: nothing of it goes to somebody else."""
        web = self.proxy(None)
        for status in (301, 302, 303, 307, 308):
            self.struck('token', faults.Redirect(web, status), None, WRONG)
        for record in web.records:
            self.assertNotIn('Authorization', record.headers)
            self.assertEqual((record.method, record.received), ('GET', 0))


if __name__ == '__main__':
    unittest.main()
