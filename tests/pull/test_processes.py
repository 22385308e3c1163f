# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service, its launcher and its workers: whose they are, and what the end of each means."""

import os
import pwd
import signal
import unittest

from berthtest import (ALICE, BerthTestCase, IF_IMAGES, IF_TRANSFER, InstanceTestCase, ROOT_PATH,
                       vardict)

STAND_INS = range(61184, 65520)
PROGRAMS = ('berth-transfer', 'berth-transfer-archive', 'berth-transfer-store')
NO_STORE = 'org.freedesktop.DBus.Error.Failed'


def images(instance):
    return instance.call(ROOT_PATH, IF_IMAGES, 'List', 'a{sv}', vardict({}))


def store(instance):
    return os.path.join(instance.state, 'store')


def ids(path):
    status = os.stat(path)
    return status.st_uid, status.st_gid


def has_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


class WorkerUser(BerthTestCase):
    def start(self, **kwargs):
        return self.new_instance(**kwargs)

    def test_a_named_one(self):
        instance = self.start(settings='[Transfers]\nWorkerUser=nobody\n')
        self.assertEqual(images(instance), [])
        entry = pwd.getpwnam('nobody')
        self.assertEqual(ids(store(instance)), (entry.pw_uid, entry.pw_gid))
        self.assertEqual(os.stat(store(instance)).st_mode & 0o7777, 0o700)
        self.assertNotIn('WorkerUser', instance.text('berthd.log'))

    def test_one_that_is_not_there(self):
        instance = self.start(settings='[Transfers]\nWorkerUser=no-such-user\n', start=False)
        done = instance.run('berthd', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'berth\.conf:2: WorkerUser=no-such-user is not in /etc/passwd; '
                                      'make that user')

    def test_a_reload_refuses_one_that_is_not_there(self):
        instance = self.start()
        instance.write_settings('berth.conf', '[Transfers]\nWorkerUser=no-such-user\n')
        with self.assertError('SettingsInvalid', 'no-such-user is not in'):
            instance.manager('Reload')
        self.assertEqual(images(instance), [])

    @unittest.skipIf(has_user('berth'), 'there is a user berth')
    def test_the_stand_in(self):
        instance = self.start()
        self.assertEqual(images(instance), [])
        owner = ids(store(instance))
        self.assertIn(owner[0], STAND_INS)
        self.assertEqual(owner[0], owner[1])
        self.assertIn(f"there is no user 'berth' (WorkerUser=): workers run as user ID {owner[0]}",
                      instance.text('berthd.log'))
        instance.restart()
        self.assertEqual(images(instance), [])
        self.assertEqual(ids(store(instance)), owner)

    @unittest.skipIf(has_user('berth'), 'there is a user berth')
    def test_the_stand_in_is_the_owner_of_the_store(self):
        instance = self.start(start=False)
        os.mkdir(store(instance), 0o700)
        os.chown(store(instance), 65432, 65432)
        instance.start()
        self.assertEqual(images(instance), [])
        for where, directories, files in os.walk(store(instance)):
            for name in directories + files:
                self.assertEqual(ids(os.path.join(where, name)), (65432, 65432), name)


class Store(InstanceTestCase):
    def test_of_somebody_else(self):
        path = store(self.instance)
        os.mkdir(path, 0o700)
        with self.assertError(NO_STORE, f'the store {path} belongs to user 0, but transfers run as '
                                        rf'user \d+; run: chown -R \d+:\d+ {path}'):
            images(self.instance)
        self.assertEqual(ids(path), (0, 0))

    def test_no_directory(self):
        path = store(self.instance)
        with open(path, 'w', encoding='utf-8'):
            pass
        self.addCleanup(os.unlink, path)
        with self.assertError(NO_STORE, f'cannot open the store {path}: Not a directory; make it '
                                        'with: install -d -m 0700'):
            images(self.instance)

    def test_nowhere(self):
        os.rmdir(self.instance.state)
        with self.assertError(NO_STORE, 'cannot make the store .*: No such file or directory'):
            images(self.instance)
        os.mkdir(self.instance.state)
        self.assertEqual(images(self.instance), [])


class Launcher(InstanceTestCase):
    def launcher(self):
        (pid,) = [pid for pid in self.instance.children() if self.name(pid) == 'berth-launcher']
        return int(pid)

    @staticmethod
    def name(pid):
        with open(f'/proc/{pid}/comm', encoding='utf-8') as file:
            return file.read().strip()

    def test_it_ends(self):
        os.kill(self.launcher(), signal.SIGKILL)
        self.eventually(lambda: 'no images can be transferred' in self.instance.text('berthd.log'))
        with self.assertError(NO_STORE, 'cannot start a worker: the process that starts workers has '
                                        'ended; restart berthd'):
            images(self.instance)
        self.instance.create('demo')
        self.join('demo')
        self.instance.restart()
        self.assertEqual(images(self.instance), [])
        self.assertTrue(self.instance.find('demo'))

    def test_it_ends_with_the_service(self):
        pidfd = os.pidfd_open(self.launcher())
        self.addCleanup(os.close, pidfd)
        self.instance.kill()
        self.eventually(lambda: self.has_ended(pidfd))
        self.instance.start()

    @staticmethod
    def has_ended(pidfd):
        try:
            signal.pidfd_send_signal(pidfd, 0)
        except ProcessLookupError:
            return True
        return False

    def test_it_holds_nothing(self):
        self.instance.create('demo', Publish=True)
        pid = self.launcher()
        links = {os.readlink(f'/proc/{pid}/fd/{fd}').split(':')[0]
                 for fd in os.listdir(f'/proc/{pid}/fd')}
        self.assertEqual(links, {'/dev/null', 'socket', 'anon_inode', self.instance.path('berthd.log'),
                                 *(os.path.join(self.instance.build, 'src/transfer', name)
                                   for name in PROGRAMS)})

    def test_no_program(self):
        self.instance.terminate()
        self.instance.extra_environment['BERTH_TRANSFER'] = '/no/such/file'
        self.instance.start()
        with self.assertError(NO_STORE, 'cannot start a worker: cannot open /no/such/file: No such'):
            images(self.instance)
        self.instance.create('demo')


class Mute(InstanceTestCase):
    """Workers that were started and never speak: what is to be flushed to them, they never take."""

    def setUp(self):
        super().setUp()
        self.instance.terminate()
        self.program = self.instance.tool('pull/mute-transfer')
        self.instance.extra_environment['BERTH_TRANSFER'] = self.program
        self.instance.start()

    def workers(self):
        """Returns: descriptors of those that are running."""
        found = []
        for pid in map(int, list(self.instance.processes())):
            try:
                pidfd = os.pidfd_open(pid)
                if os.readlink(f'/proc/{pid}/exe') == self.program:
                    self.addCleanup(os.close, pidfd)
                    found.append(pidfd)
                else:
                    os.close(pidfd)
            except OSError:
                continue
        return found

    def test_the_service_ends_all_the_same(self):
        alice = self.user(ALICE)
        alice.begin(ROOT_PATH, IF_IMAGES, 'List', 'a{sv}', vardict({}))
        transfer = self.instance.call(ROOT_PATH, IF_IMAGES, 'Pull', 'sa{sv}', 'h.example/a:1',
                                      vardict({}))
        self.assertTrue(transfer)
        self.eventually(lambda: len(self.workers()) == 2)
        workers = self.workers()
        self.instance.terminate()
        self.eventually(lambda: all(map(Launcher.has_ended, workers)))
        self.instance.start()

    def test_a_transfer_can_be_cancelled(self):
        path = self.instance.call(ROOT_PATH, IF_IMAGES, 'Pull', 'sa{sv}', 'h.example/a:1',
                                  vardict({}))
        self.eventually(self.workers)
        self.instance.call(path, IF_TRANSFER, 'Cancel', '')
        self.assertEqual(self.instance.get(path, IF_TRANSFER, 'State'), 'cancelled')
        self.eventually(lambda: not self.workers())


if __name__ == '__main__':
    unittest.main()
