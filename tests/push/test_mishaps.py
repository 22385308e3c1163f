# SPDX-License-Identifier: LGPL-2.1-or-later
"""More of what can go wrong while an image is pushed: what the registry answers, and when; processes
that end; blobs of ours that are gone or damaged. See test_faults.py for connections that break.
"""

import os
import signal
import unittest

from berthtest import FaultProxy, IF_TRANSFER, Image, Index, Layer, faults

from pushing import PushTestCase

FAST = '''
[defaults]
StallTimeout=2s
Retries=3
'''


class MishapTestCase(PushTestCase):
    def setUp(self):
        super().setUp()
        self.instance.write_settings('registries.d/fast.conf', FAST)
        self.instance.manager('Reload')
        self.large = Layer(2000000, 1)
        self.image = self.load(Image([self.large, Layer(1000, 2)]))

    def fails(self, name, message=None):
        """Returns: the message of the error that a push ends with; it has left nothing to be pulled."""
        found = self.failure(self.begin('Push', self.names[self.image.digest], self.to()), name, message)
        self.assertEqual(self.registry.client().tags('team/app'), [])
        return str(found['ErrorMessage'])


class GotOver(MishapTestCase):
    """After the fault the push is complete."""

    def over(self, number, fault, method=None, path='/blobs/uploads/.*{}', times=1, **options):
        """path: with the hexadecimal digest of the large layer for {}. Returns: the Rule."""
        image = self.image
        if number:  # another one, or there would be nothing to be sent
            image = self.load(Image([Layer(700000, 100 + number)]), tag=f'v{number}')
        name = image.layers[0].digest.rpartition(':')[2]
        rule = self.proxy.fault(fault, method=method, path=path.format(name), times=times, **options)
        self.push(image, self.to(tag=f'v{number}'))
        self.assertEqual(rule.hits, times, f'{type(fault).__name__} at {method} {path}')
        self.assertThere(image, reference=f'v{number}')
        rule.remove()
        return rule

    def test_cut_again_and_again(self):
        self.over(0, faults.CutUpload(300000), times=3)

    def test_answers_instead(self):
        """Of each kind of request."""
        number = 0
        for method, path in (('HEAD', '/blobs/.*{}'), ('POST', '/blobs/uploads/'),
                             ('PUT', '/blobs/uploads/.*{}'), ('PUT', '/manifests/')):
            for status in (504, 429):
                number += 1
                self.over(number, faults.Status(status, retry_after=0), method, path)

    def test_later(self):
        """A time that the registry asks for is waited for."""
        self.over(0, faults.Status(503, retry_after=1), 'PUT', '/manifests/')

    def test_stalled(self):
        """Nothing moves: the connection is given up in time, and the blob sent again."""
        self.over(0, faults.Delay(10), 'PUT')

    def test_redirected(self):
        """307 and 308, with the body; on another connection."""
        other = self.serve(FaultProxy(self.registry))
        for number, status in enumerate((307, 308)):
            self.over(number, faults.Redirect(other.url, status), 'PUT')
        self.assertEqual(other.received(method='PUT'), self.large.size + 700000)

    def test_two_at_once(self):
        other = self.load(Image([self.large, Layer(3000, 5)]), tag='2')
        paths = [self.begin('Push', self.names[image.digest], self.to(tag=tag))
                 for image, tag in ((self.image, 'a'), (other, 'b'), (self.image, 'c'))]
        for path in paths:
            self.done(self.end(path))
        for image, tag in ((self.image, 'a'), (other, 'b'), (self.image, 'c')):
            self.assertThere(image, reference=tag)


class Ends(MishapTestCase):
    """What cannot be got over: one error, which says what it is."""

    def test_refused(self):
        for method, path, status, name in (
                ('POST', '/blobs/uploads/', 401, 'AuthenticationRequired'),
                ('POST', '/blobs/uploads/', 403, 'AuthenticationRequired|RegistryError'),
                ('POST', '/blobs/uploads/', 404, 'RegistryError'),
                ('POST', '/blobs/uploads/', 405, 'RegistryError'),
                ('PUT', '/blobs/uploads/', 413, 'RegistryError'),
                ('PUT', '/blobs/uploads/', 507, 'RegistryError'),
                ('PUT', '/manifests/', 400, 'RegistryError'),
                ('PUT', '/manifests/', 403, 'AuthenticationRequired|RegistryError')):
            with self.subTest(method=method, path=path, status=status):
                self.proxy.clear()
                self.proxy.fault(faults.Status(status), method=method, path=path, times=None)
                description = self.end(self.begin('Push', self.names[self.image.digest], self.to()))
                self.assertIn(description['ErrorName'],
                              ['org.berthd.Berth1.Error.' + word for word in name.split('|')],
                              description['ErrorMessage'])
                self.assertIn(self.proxy.host, description['ErrorMessage'])
                self.assertEqual(self.registry.client().tags('team/app'), [])

    def test_gone(self):
        self.proxy.close()
        self.fails('RegistryUnreachable', self.proxy.host)

    def test_a_missing_blob_of_ones_own(self):
        """Is found before anything is sent."""
        path = os.path.join(self.instance.state, 'store', 'blobs', *self.large.digest.split(':'))
        os.unlink(path)
        self.fails('StoreCorrupt', self.large.digest)
        self.assertEqual([record for record in self.proxy.requests()
                          if record.method not in ('GET', 'HEAD')], [])

    def test_a_damaged_blob_of_ones_own(self):
        """The registry finds it out, or we do; it is not there then."""
        path = os.path.join(self.instance.state, 'store', 'blobs', *self.large.digest.split(':'))
        with open(path, 'r+b') as file:
            file.seek(1000000)
            byte = file.read(1)[0]
            file.seek(1000000)
            file.write(bytes([byte ^ 255]))
        description = self.end(self.begin('Push', self.names[self.image.digest], self.to()))
        self.assertEqual(description['State'], 'failed')
        self.assertIn(self.large.digest, description['ErrorMessage'])
        self.assertFalse(self.registry.has_blob(self.large.digest))
        os.truncate(path, 5000)
        self.fails('StoreCorrupt', self.large.digest)

    def begin_slowly(self, name):
        """Returns: a push, in the middle of the large layer."""
        path = self.begin('Push', name, self.to(), MaxBandwidth=300000)
        text = self.large.digest.rpartition(':')[2]
        self.proxy.wait_for(lambda: any(row.received for row in self.proxy.records
                                        if row.method == 'PUT' and text in row.target))
        return path

    def test_a_killed_worker(self):
        path = self.begin_slowly(self.names[self.image.digest])
        [worker] = self.instance.workers()
        os.kill(worker, signal.SIGKILL)
        description = self.end(path)
        self.assertEqual(description['State'], 'failed')
        self.assertRegex(description['ErrorMessage'], 'worker.*(signal|KILL)')
        self.assertEqual(self.registry.client().tags('team/app'), [])
        self.push(self.image, self.to())
        self.assertThere(self.image)

    def test_cancelled(self):
        index = self.load(Index([self.image, Image([Layer(900000, 9)], 'linux/arm64')]), tag='i')
        path = self.begin_slowly(self.names[index.digest])
        self.instance.call(path, IF_TRANSFER, 'Cancel', '')
        self.assertEqual(self.end(path)['State'], 'cancelled')
        self.assertEqual(self.registry.client().tags('team/app'), [])
        self.push(index, self.to())
        self.assertThere(index)


if __name__ == '__main__':
    unittest.main()
