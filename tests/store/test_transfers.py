# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL of workers and of the service at random points of real pulls: the store stays sound.

How often: BERTH_SURVIVE_KILLS (tests/run --survive-kills=N); BERTH_SURVIVE_SEED repeats a run, as
far as the machine's timing lets it.
"""

import os
import random
import signal
import time
import unittest

import dbus

from berthtest import (DEADLINE, IF_IMAGES, IF_TRANSFER, Image, InstanceTestCase, Layer, ROOT_PATH,
                       Registry, skopeo, syscalls, vardict)
from berthtest.layout import blob_path, check_layout

KILLS = int(os.environ.get('BERTH_SURVIVE_KILLS') or 40)
OVER = ('done', 'failed', 'cancelled')


def children(pid):
    """Returns: the processes below pid."""
    found = []
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children', encoding='ascii') as file:
                found += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found + [below for child in found for below in children(child)]


class StoreTestCase(InstanceTestCase):
    def setUp(self):
        super().setUp()
        self.registry = Registry()
        self.addCleanup(self.registry.close)
        self.store = os.path.join(self.instance.state, 'store')

    def images(self, method, signature, *args):
        return self.instance.call(ROOT_PATH, IF_IMAGES, method, signature, *args)

    def begin(self, reference):
        return str(self.images('Pull', 'sa{sv}', reference, vardict({})))

    def end(self, path):
        """Waits. Returns: what Describe says then."""
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'State') in OVER)
        return self.instance.call(path, IF_TRANSFER, 'Describe', '')

    def pull(self, reference):
        description = self.end(self.begin(reference))
        self.assertEqual((description['State'], description['ErrorMessage']), ('done', ''),
                         self.instance.logs())
        return description


class Kills(StoreTestCase):
    def setUp(self):
        super().setUp()
        self.seed = os.environ.get('BERTH_SURVIVE_SEED') or str(random.randrange(1 << 32))
        self.random = random.Random(self.seed)
        shared = Layer(2 << 20, 1)
        self.all = {}
        for number in range(4):
            image = Image([shared, Layer(1 << 20, 10 + number), Layer(3000, 20 + number)])
            self.all[image.push(self.registry, f'app{number}', 'latest')] = image

    def workers(self):
        """Returns: pidfds of the workers that run now."""
        found = []
        for pid in children(self.instance.daemon.pid):
            try:
                with open(f'/proc/{pid}/comm', encoding='ascii') as file:
                    if 'berth-transfer'.startswith(file.read().strip()):
                        found.append(os.pidfd_open(pid))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def kill_worker(self, paths):
        """One of them fails, the others do not. Returns: references that are promised."""
        workers = self.workers()
        if workers:
            signal.pidfd_send_signal(self.random.choice(workers), signal.SIGKILL)
        for worker in workers:
            os.close(worker)
        descriptions = {name: self.end(path) for name, path in paths.items()}
        failed = [x for x in descriptions.values() if x['State'] != 'done']
        self.assertLessEqual(len(failed), 1, descriptions)
        for description in failed:
            self.assertRegex(description['ErrorMessage'], 'worker')
        return [name for name, x in descriptions.items() if x['State'] == 'done']

    def kill_service(self, paths):
        """Its workers end with it. Returns: references that are promised."""
        workers = self.workers()
        done = [name for name, path in paths.items()
                if self.instance.get(path, IF_TRANSFER, 'State') == 'done']
        self.instance.kill()
        for worker in workers:
            deadline = time.monotonic() + DEADLINE
            while True:
                try:
                    signal.pidfd_send_signal(worker, 0)
                except ProcessLookupError:
                    break
                self.assertLess(time.monotonic(), deadline, 'a worker outlives the service')
                time.sleep(0.002)
            os.close(worker)
        self.instance.start()
        return done

    def spoil(self):
        """Now and then there is nothing, so that there is something to do."""
        for name in self.random.sample(list(self.all), 3):
            try:
                self.images('Remove', 'sa{sv}', name, vardict({}))
            except dbus.DBusException as error:
                self.assertTrue(error.get_dbus_name().endswith('.NoSuchImage'), error)
        self.images('Prune', 'a{sv}', vardict({}))

    def others_read(self, names):
        """Each takes another one: a whole image, and not only the index."""
        for name, (number, take) in zip(names, enumerate((self.skopeo, self.umoci, self.podman))):
            take(name, self.instance.path(f'taken-{self.round}-{number}'))

    def skopeo(self, name, place):
        skopeo('copy', f'oci:{self.store}:{name}', f'dir:{place}')

    def umoci(self, name, place):
        self.instance.run('umoci', 'raw', 'unpack', '--rootless', '--image',
                          f'{self.store}:{name}', place)

    def podman(self, name, place):
        # it makes a name of the layout's path: one that is random can be none
        parent, store = os.path.split(self.store)
        self.instance.run('env', '-C', parent, 'podman', '--root', place, '--runroot',
                          f'{place}-run', '--storage-driver', 'vfs', 'pull', '--quiet',
                          f'oci:{store}:{name}')

    def test_sigkill(self):
        counts = [0, 0]
        try:
            for self.round in range(KILLS):
                if self.round % 3 == 0:
                    self.spoil()
                names = self.random.sample(list(self.all), self.random.choice((1, 2, 3)))
                paths = {name: self.begin(name) for name in names}
                time.sleep(self.random.uniform(0, 0.15))  # at any moment: that is the test
                kill = self.random.choice((self.kill_worker, self.kill_service))
                promised = kill(paths)
                images = check_layout(self, self.store) if os.path.exists(
                    os.path.join(self.store, 'oci-layout')) else {}
                self.assertEqual([name for name in promised if name not in images], [])
                if self.round % max(1, KILLS // 3) == 0:
                    self.others_read(images)
                counts[0] += len(promised)
                counts[1] += len(names)
        except BaseException as error:
            error.add_note(f'seed {self.seed}, round {self.round}\n{self.instance.logs()[-5000:]}')
            raise
        for name in self.all:
            self.pull(name)
        self.images('Prune', 'a{sv}', vardict({}))
        self.assertEqual(sorted(check_layout(self, self.store)), sorted(self.all))
        self.assertEqual([name for name in os.listdir(os.path.join(self.store, 'ingest'))
                          if not name.startswith('lock-')], [])
        self.others_read(self.all)
        print(f'seed {self.seed}: {counts[1]} pulls, {counts[0]} of them done')


class Full(StoreTestCase):
    """The disk of the store is small: the right error, and nothing that was there is lost."""

    def setUp(self):
        super().setUp()
        self.images('List', 'a{sv}', vardict({}))  # makes it, for its user
        status = os.stat(self.store)
        self.instance.terminate()
        syscalls.mount('tmpfs', self.store, 'tmpfs', 0,
                       f'size=24M,mode=700,uid={status.st_uid},gid={status.st_gid}')
        self.addCleanup(syscalls.umount, self.store, syscalls.MNT_DETACH)
        self.instance.write_settings('berth.conf', '[Store]\nMinFree=2M\n')
        self.instance.start()

    def test_what_was_there_stays(self):
        small = Image([Layer(3 << 20, 1)])
        large = Image([Layer(6 << 20, 2), Layer(6 << 20, 3), Layer(12 << 20, 4)])
        small_name, large_name = (image.push(self.registry, f'app{number}', 'latest')
                                  for number, image in enumerate((small, large)))
        self.pull(small_name)
        for _ in range(2):
            description = self.end(self.begin(large_name))
            self.assertEqual((description['State'], description['ErrorName']),
                             ('failed', 'org.berthd.Berth1.Error.StoreFull'),
                             description['ErrorMessage'])
            self.assertEqual(list(check_layout(self, self.store)), [small_name])
        usage = os.statvfs(self.store)
        self.assertGreaterEqual(usage.f_bavail * usage.f_frsize, 2 << 20)
        syscalls.mount('tmpfs', self.store, 'tmpfs', syscalls.MS_REMOUNT, 'size=64M')
        self.pull(large_name)
        self.assertEqual(sorted(check_layout(self, self.store)), sorted([small_name, large_name]))


class Damage(StoreTestCase):
    def test_other_size(self):
        """What another tool left after a power cut is not taken for the layer."""
        layer = Layer(300000, 1)
        image = Image([layer])
        name = image.push(self.registry, 'app', 'latest')
        self.pull(name)
        os.truncate(blob_path(self.store, layer.digest), 1000)
        self.pull(name)
        self.assertEqual(list(check_layout(self, self.store)), [name])

    def test_skopeo(self):
        """What was pulled is what skopeo would have."""
        image = Image([Layer(300000, 1), Layer(2 << 20, 2)])
        name = image.push(self.registry, 'app', 'latest')
        self.pull(name)
        self.assertEqual(skopeo('inspect', '--raw', f'oci:{self.store}:{name}').stdout.encode(),
                         image.document)
        other = self.instance.path('other')
        skopeo('copy', '--src-tls-verify=false', '--preserve-digests', f'docker://{name}',
               f'oci:{other}:x')
        for digest in image.blobs():
            with open(blob_path(other, digest), 'rb') as theirs, \
                    open(blob_path(self.store, digest), 'rb') as ours:
                self.assertEqual(theirs.read() == ours.read(), True, digest)


if __name__ == '__main__':
    unittest.main()
