# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults at a pull that succeeds: those that pass by themselves, and what only looks odd."""

import unittest

from berthtest import faults, images

from matrix import MatrixTestCase

LIE = 'sha256:' + '0' * 64
PASSING = (408, 425, 429, 500, 502, 503, 504)


class Once(MatrixTestCase):
    """What passes by itself costs a moment."""

    def everywhere(self, fault, targets=('token', 'manifest', 'config', 'layer')):
        """One pull with the fault once at each of them."""
        with self.subTest(fault=type(fault).__name__, of=vars(fault)):
            rules = [self.fault(target, fault, 1) for target in targets]
            self.pull(self.reference, Credentials=self.own())
            self.assertHas(self.image)
            self.assertTidy()
            self.assertEqual([rule.hits for rule in rules], [1] * len(rules))
        self.front.clear()
        self.tokens.clear()
        self.forget()

    def test_statuses(self):
        for status in PASSING:
            self.everywhere(faults.Status(status))

    def test_retry_after(self):
        for when in (1, 'date', 'soon', -5):
            self.everywhere(faults.Status(429, retry_after=when))
        self.everywhere(faults.Status(503, retry_after=1))

    def test_connections(self):
        for fault in (faults.Drop(), faults.Drop(reset=True), faults.Cut(10),
                      faults.Cut(10, reset=True), faults.Cut(0), faults.Stall(0), faults.Stall(10)):
            self.everywhere(fault)

    def test_tokens_that_are_not_taken(self):
        """Another one is, of which nobody knew before."""
        self.everywhere(faults.Challenge(
            f'Bearer realm="{self.tokens.url}/token",service="registry.test"'), self.places)


class Harmless(MatrixTestCase):
    """What looks odd, and is none of our business, every time."""

    def test_headers(self):
        for target in self.places:
            for fault in (faults.Header('Docker-Content-Digest', LIE),
                          faults.NoHeader('Docker-Content-Digest', 'ETag'), faults.NoLength(),
                          faults.Chunked(), faults.Header('X-Odd', 'x' * 3000),
                          faults.Header('Content-Encoding', 'identity'),
                          faults.Header('Set-Cookie', 'track=me'), faults.Delay(0.05)):
                self.struck(target, fault, None, None)
        self.struck('manifest', faults.NoHeader('Content-Type'), None, None)
        self.struck('layer', faults.Rate(400000), None, None)

    def test_types(self):
        for media_type in (images.OCI_MANIFEST + '; charset=utf-8', images.OCI_MANIFEST.upper()):
            self.struck('manifest', faults.Header('Content-Type', media_type), None, None)
        self.struck('layer', faults.Header('Content-Type', 'text/html'), None, None)
        self.struck('token', faults.Header('Content-Type', 'text/html'), None, None)

    def test_no_cookies(self):
        self.struck('manifest', faults.Header('Set-Cookie', 'track=me'), None, None)
        self.assertFalse([record for record in self.front.records if 'Cookie' in record.headers])

    def test_redirects(self):
        """Followed, and nothing that is secret goes along to another port."""
        web = self.proxy(self.server)
        for target in self.places:
            digest = {'manifest': self.image, 'config': self.image.config,
                      'layer': self.image.layers[0]}[target]
            web.clear()
            web.fault(faults.Answer(digest.data, digest.media_type), times=None)
            for status in (301, 302, 303, 307, 308):
                self.struck(target, faults.Redirect(web, status), None, None)
        self.assertEqual({record.headers.get('Authorization') for record in web.records}, {None})
        self.assertEqual(len(web.records), 15)


if __name__ == '__main__':
    unittest.main()
