# SPDX-License-Identifier: LGPL-2.1-or-later
"""Downloads that break off, within a transfer and between two: only what is missing comes again.

Bytes are counted where the registry sends them.
"""

import os
import random
import signal
import unittest

from berthtest import ALICE, IF_TRANSFER, Image, Layer, MemoryRegistry, PullTestCase, faults
from berthtest.layout import blob_path

SIZE = 3 << 20
BLOCK = 256 << 10  # bytes that a worker may lose when it is killed: what it has not written yet


class ResumeTestCase(PullTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve(MemoryRegistry())
        self.front = self.proxy(self.server)
        self.layer = Layer(SIZE, 1)
        self.image = Image([self.layer, Layer(2000, 2)])
        self.image.push(self.server, 'team/app', 'latest')
        self.reference = f'{self.front.host}/team/app:latest'

    def set(self, text):
        self.configure(f'[registry {self.front.host}]\n{text}')

    def gets(self):
        """Returns: the requests for the layer."""
        return self.front.requests('GET', self.layer.digest)

    def ranges(self):
        """Returns: where each of them began; None: at the beginning, and not asked otherwise."""
        return [record.headers.get('Range') and int(record.headers.get('Range')[6:-1])
                for record in self.gets()]

    def fault(self, fault, **kwargs):
        return self.front.fault(fault, path=self.layer.digest, **kwargs)


class Within(ResumeTestCase):
    """One transfer, and what it does about a connection that fails."""

    def assertSent(self, most, least=SIZE):
        self.front.wait_idle()
        sent = self.front.sent(self.layer.digest)
        self.assertTrue(least <= sent <= most, f'{sent} bytes, {self.ranges()}')

    def test_cut(self):
        self.fault(faults.Cut(1000000))
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.ranges(), [None, 1000000])
        self.assertSent(SIZE)

    def test_cut_again_and_again(self):
        """As often as something comes; retries are counted only between two bytes."""
        self.set('Retries=1\n')
        for at in (0, 1, 100000, 0, 700001):
            self.fault(faults.Cut(at))
        self.fault(faults.Cut(99999), times=12)
        self.pull_image(self.image, self.reference)
        self.assertGreater(len(self.gets()), 10)
        ranges = [place or 0 for place in self.ranges()]
        self.assertEqual(ranges, sorted(ranges))

    def test_reset(self):
        self.fault(faults.Cut(1000000, reset=True), times=2)
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.ranges(), [None, 1000000, 2000000])

    def test_stall(self):
        self.set('StallTimeout=400ms\n')
        self.fault(faults.Stall(1000000))
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.ranges(), [None, 1000000])

    def test_stalls_for_ever(self):
        self.set('StallTimeout=200ms\nRetries=1\n')
        self.fault(faults.Stall(1000000))
        self.fault(faults.Stall(0), after=1, times=None)
        self.fails('RegistryUnreachable', 'StallTimeout=', self.reference)
        self.assertEqual(self.ranges(), [None, 1000000])

    def test_never_a_byte(self):
        self.set('Retries=2\n')
        self.fault(faults.Cut(0), times=None)
        self.fails('RegistryUnreachable', self.layer.digest, self.reference)
        self.assertEqual(len(self.gets()), 3)

    def test_range_is_ignored(self):
        """What is there already is dropped on its way."""
        self.fault(faults.Cut(1000000))
        self.fault(faults.IgnoreRange(), times=None)
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.ranges(), [None, 1000000])
        self.assertSent(SIZE + 1000000)

    def test_range_that_is_not_what_was_asked_for(self):
        for text in ('bytes 0-{last}/{total}', 'bytes {first}-{last}/7', 'bytes {first}-9/{total}',
                     'bytes */{total}', 'nonsense', None):
            with self.subTest(text=text):
                self.front.clear()
                self.fault(faults.Cut(1000000))
                self.fault(faults.ContentRange(text), times=None)
                self.pull_image(self.image, self.reference)
                self.forget()

    def test_a_range_from_elsewhere(self):
        """Whether that is told truly or not, it is not taken for what was asked for."""
        for fault in (faults.ShiftedRange(-5000), faults.ShiftedRange(5000, lie=True)):
            self.fault(faults.Cut(1000000))
            self.fault(fault, times=None)
            self.pull_image(self.image, self.reference)
            self.assertIsNone(self.ranges()[-1])
            self.forget()
            self.front.clear()

    def test_416(self):
        self.fault(faults.Cut(1000000))
        self.fault(faults.Status(416), where=lambda request: 'Range' in request.headers, times=None)
        self.pull_image(self.image, self.reference)

    def test_corrupted_after_it_was_resumed(self):
        """Nobody knows which part it was: it begins anew, once."""
        self.fault(faults.Cut(1000000))
        self.fault(faults.Corrupt(5000), after=1)
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.ranges(), [None, 1000000, None])

    def test_corrupted_every_time(self):
        """Then it is one error, nothing of it stays, and the next try starts clean."""
        self.fault(faults.Cut(1000000))
        self.fault(faults.Corrupt(5000), times=None)
        self.fails('DigestMismatch', self.layer.digest, self.reference)
        self.assertEqual(self.ranges(), [None, 1000000, None])
        self.assertFalse(os.path.exists(self.partial(self.layer.digest)))
        self.front.clear()
        self.front.forget()
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.ranges(), [None])

    def test_corrupted_in_one_go(self):
        """Nothing was put together: another try would bring the same."""
        self.fault(faults.Corrupt(SIZE - 1), times=None)
        self.fails('DigestMismatch', self.layer.digest, self.reference)
        self.assertEqual(self.ranges(), [None])
        self.assertFalse(os.path.exists(self.partial(self.layer.digest)))

    def test_a_redirect_is_asked_for_anew(self):
        """The place may have been good for a moment only."""
        web = self.proxy(self.server)
        self.fault(faults.Redirect(web), times=None)
        web.fault(faults.Cut(1000000), path='/blobs/')
        web.fault(faults.Status(403), path='/blobs/', after=1)
        self.pull_image(self.image, self.reference)
        self.assertEqual([record.headers.get('Range') for record in web.requests(path='/blobs/')],
                         [None, 'bytes=1000000-', 'bytes=1000000-'])
        self.assertEqual(len(self.gets()), 3)


class Between(ResumeTestCase):
    """One transfer that ends early, and the next."""

    def interrupt(self, how, who=None, at=SIZE // 2):
        """Begins, and calls how(path) when the worker has written most of at bytes. Returns: the
        bytes that are there then.
        """
        stall = self.fault(faults.Stall(at))
        path = self.begin(self.reference, who)
        stall.wait()
        self.eventually(lambda: self.partials().get(os.path.basename(self.partial(
            self.layer.digest)), 0) >= at - BLOCK)
        how(path)
        stall.remove()
        return os.stat(self.partial(self.layer.digest)).st_size

    def cancel(self, path):
        self.instance.call(path, IF_TRANSFER, 'Cancel', '')
        self.assertEqual(self.end(path)['State'], 'cancelled')
        self.assertEqual(self.references(), [])
        self.assertTidy(killed=True)

    def kill_worker(self, path):
        (worker,) = self.instance.workers()
        os.kill(worker, signal.SIGKILL)
        description = self.end(path)
        self.assertEqual(description['State'], 'failed')
        self.assertRegex(description['ErrorMessage'], 'the worker .* ended by signal KILL')

    def crash(self, _path):
        self.instance.kill()
        self.instance.start()

    def assertResumed(self, have, who=None):
        """The next pull asks for the rest, and gets no byte more."""
        self.front.wait_idle()
        self.front.forget()
        self.pull(self.reference, who)
        self.assertHas(self.image)
        self.assertTidy()
        self.assertEqual(self.partials(), {})
        self.front.wait_idle()
        self.assertEqual(self.ranges(), [have])
        self.assertEqual(self.front.sent(self.layer.digest), SIZE - have)

    def test_cancel(self):
        self.assertResumed(self.interrupt(self.cancel))

    def test_the_worker_is_killed(self):
        self.assertResumed(self.interrupt(self.kill_worker))

    def test_the_service_is_killed(self):
        self.assertResumed(self.interrupt(self.crash))

    def test_the_service_is_restarted(self):
        self.assertResumed(self.interrupt(lambda _path: self.instance.restart()))

    def test_as_a_user(self):
        self.polkit(pull='yes')
        alice = self.user(ALICE)
        self.assertResumed(self.interrupt(self.cancel, alice), alice)

    def test_several_times(self):
        """Each takes up what the one before had."""
        have = [self.interrupt(self.cancel, at=at) for at in (1 << 20, 1 << 20, 512 << 10)]
        self.assertEqual(have, sorted(have))
        self.assertEqual(self.ranges(), [None, *have[:-1]])
        self.assertResumed(have[-1])

    def test_a_failure(self):
        """A registry that goes away is no reason to throw away what it gave."""
        self.set('Retries=0\n')
        self.fault(faults.Cut(SIZE // 2))
        self.fails('RegistryUnreachable', 'remaining', self.reference)
        self.front.clear()
        self.assertResumed(SIZE // 2)

    def test_what_is_complete_is_not_asked_for(self):
        """Small layers, config and manifest of a pull that broke off; a tag is asked for always."""
        self.interrupt(self.cancel)
        self.eventually(lambda: self.has_blob(self.image.config.digest))
        self.front.forget()
        self.pull(self.reference)
        self.assertEqual(self.front.requests(path=self.image.config.digest), [])
        self.front.forget()
        self.pull(self.reference)
        self.assertEqual([record.path for record in self.front.records if record.path != '/v2/'],
                         ['/v2/team/app/manifests/latest'])

    def test_spoiled_on_the_disk(self):
        """What is there is hashed before it counts; then everything comes anew."""
        self.interrupt(self.cancel)
        with open(self.partial(self.layer.digest), 'r+b') as file:
            file.seek(1000)
            file.write(b'spoiled')
        self.front.forget()
        self.pull_image(self.image, self.reference)
        self.assertEqual(len(self.gets()), 2)
        self.assertIsNone(self.ranges()[-1])

    def test_longer_than_it_should_be(self):
        have = self.interrupt(self.cancel)
        os.truncate(self.partial(self.layer.digest), SIZE + 1)
        self.front.forget()
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.ranges(), [None])
        self.assertTrue(have)

    def test_all_there_but_its_name(self):
        """A crash just before the last step: nothing is asked for."""
        self.interrupt(self.cancel)
        with open(self.partial(self.layer.digest), 'wb') as file:
            file.write(self.layer.data)
        self.front.forget()
        self.pull_image(self.image, self.reference)
        self.assertEqual(self.gets(), [])

    def test_no_file(self):
        """Something else of that name is told of, and not touched."""
        self.interrupt(self.cancel)
        path = self.partial(self.layer.digest)
        os.unlink(path)
        os.symlink('/etc/passwd', path)
        description = self.end(self.begin(self.reference))
        self.assertRegex(description['ErrorName'], r'\.(StoreCorrupt|Failed)$')
        self.assertTrue(os.path.islink(path))
        os.unlink(path)
        self.pull_image(self.image, self.reference)

    def test_cut_in_the_store(self):
        """A complete blob that has another size is had again."""
        self.pull(self.reference)
        os.truncate(blob_path(self.store, self.layer.digest), 1000)
        self.pull_image(self.image, self.reference)
        self.assertEqual(len(self.gets()), 2)


class Chance(ResumeTestCase):
    def test_faults_by_chance(self):
        """Whatever comes together, it ends with the right bytes."""
        seed = os.environ.get('BERTH_SURVIVE_SEED') or str(random.randrange(1 << 32))
        chance = random.Random(seed)
        self.set('Retries=8\nStallTimeout=400ms\n')
        for number in range(6):
            for _ in range(chance.randrange(2, 7)):
                at = chance.randrange(SIZE)
                self.fault(chance.choice((
                    faults.Cut(at), faults.Cut(at, reset=True), faults.Drop(), faults.Status(500),
                    faults.Status(503), faults.IgnoreRange(), faults.NoLength(), faults.Chunked(),
                    faults.ContentRange('bytes 1-2/3'), faults.Stall(at))),
                    after=chance.randrange(3))
            with self.subTest(seed=seed, number=number):
                self.pull_image(self.image, self.reference)
            self.front.clear()
            self.forget()


if __name__ == '__main__':
    unittest.main()
