# SPDX-License-Identifier: LGPL-2.1-or-later
"""What processes find inside a sandbox: shared contents, separate ones, mounts, limits, sysctls."""

import errno
import os
import unittest

import dbus

from berthtest import IF_SANDBOX, InstanceTestCase, MemberError, vardict

KEY = 0x4265


class Sharing(InstanceTestCase):
    def assertShared(self, one, other, key=KEY):
        one.write('/dev/shm/file', 'text of one')
        self.assertEqual(other.read('/dev/shm/file'), 'text of one')
        one.shm_put(key, b'segment of one')
        self.assertEqual(other.shm_get(key, 14), b'segment of one')
        one.mq_put('/queue', b'message of one')
        self.assertEqual(other.listdir('/dev/mqueue'), ['queue'])
        self.assertEqual(other.mq_get('/queue'), b'message of one')

    def assertSeparate(self, one, other):
        one.shm_put(KEY + 1, b'segment')
        one.mq_put('/own', b'message')
        for call in (lambda: other.shm_get(KEY + 1, 7), lambda: other.mq_get('/own')):
            with self.assertRaises(MemberError) as caught:
                call()
            self.assertEqual(caught.exception.errno, errno.ENOENT)

    def test_shareable(self):
        self.instance.create('demo')
        one, other = self.joined('demo'), self.joined('demo')
        self.assertShared(one, other)
        self.assertSeparate(one, self.member())
        self.assertFalse(os.path.exists('/dev/shm/file'))

    def test_container(self):
        self.instance.create('donor')
        self.instance.create('joiner', Mode='container:donor')
        self.instance.create('joiner-of-a-joiner', Mode='container:joiner')
        self.assertShared(self.joined('donor'), self.joined('joiner'))
        self.assertShared(self.joined('joiner-of-a-joiner'), self.joined('donor'), KEY + 2)

    def test_two_sandboxes(self):
        self.instance.create('one')
        self.instance.create('two')
        one, two = self.joined('one'), self.joined('two')
        one.write('/dev/shm/file', 'text')
        self.assertEqual(two.listdir('/dev/shm'), [])
        self.assertSeparate(one, two)

    def test_private(self):
        self.instance.create('private', Mode='private')
        member = self.joined('private')
        member.write('/dev/shm/file', 'text')
        self.assertSeparate(member, self.member())
        mount = member.mount_at('/dev/shm')
        self.assertEqual((mount['fstype'], mount['root']), ('tmpfs', '/'))

    def test_none(self):
        self.instance.create('none', Mode='none')
        member = self.joined('none')
        mount = member.mount_at('/dev/mqueue')
        self.assertEqual(mount['fstype'], 'mqueue')
        self.assertSeparate(member, self.member())

    def test_host(self):
        self.instance.create('host', Mode='host')
        fds = self.join('host')
        self.assertEqual(os.fstat(fds['ipc']).st_ino, os.stat('/proc/self/ns/ipc').st_ino)
        shm, host_shm = os.stat('/dev/shm'), os.fstat(fds['shm'])
        self.assertEqual((shm.st_dev, shm.st_ino), (host_shm.st_dev, host_shm.st_ino))
        self.assertIn('mqueue', fds)

    def test_contents_outlive_their_users(self):
        self.instance.create('demo')
        with self.joined('demo') as member:
            member.write('/dev/shm/file', 'text')
            member.shm_put(KEY, b'segment')
            member.mq_put('/queue', b'message')
        member = self.joined('demo')
        self.assertEqual(member.read('/dev/shm/file'), 'text')
        self.assertEqual(member.shm_get(KEY, 7), b'segment')
        self.assertEqual(member.mq_get('/queue'), b'message')

    def test_members_outlive_the_sandbox(self):
        path = self.instance.create('demo')
        one, other = self.joined('demo'), self.joined('demo')
        self.instance.remove(path)
        self.assertShared(one, other)

    def test_without_mount_rights(self):
        """openat() on the fds is all that a program without privileges needs."""
        self.instance.create('demo')
        fds = self.join('demo')
        fd = os.open('file', os.O_CREAT | os.O_RDWR, 0o600, dir_fd=fds['shm'])
        os.write(fd, b'text')
        os.close(fd)
        self.assertEqual(self.joined('demo').read('/dev/shm/file'), 'text')


class Mounts(InstanceTestCase):
    def test_flags_and_options(self):
        path = self.instance.create('demo', ShmSize=1 << 20, ShmInodes=100)
        member = self.joined('demo')
        mount = member.mount_at('/dev/shm')
        self.assertLessEqual({'rw', 'nosuid', 'nodev', 'noexec'}, set(mount['options']))
        self.assertEqual((mount['fstype'], mount['source']), ('tmpfs', 'shm'))
        self.assertEqual(mount['device'], self.instance.describe(path)['ShmDevice'])
        self.assertEqual(member.stat('/dev/shm')[0], 0o1777)
        self.assertEqual(member.statvfs('/dev/shm'), (1 << 20, 100))
        mount = member.mount_at('/dev/mqueue')
        self.assertLessEqual({'rw', 'nosuid', 'nodev', 'noexec'}, set(mount['options']))
        self.assertEqual(member.stat('/dev/mqueue')[0], 0o1777)
        self.assertEqual(member.namespace('ipc'), self.instance.describe(path)['NamespaceId'])

    def test_huge_never(self):
        self.instance.create('demo', ShmHuge='never')
        mount = self.joined('demo').mount_at('/dev/shm')
        self.assertFalse([option for option in mount['super'] if option.startswith('huge=')
                          and option != 'huge=never'])

    def test_who_may_write(self):
        """/dev/shm is for every user of the sandbox, as on any machine."""
        self.instance.create('demo')
        member = self.joined('demo')
        member.setuid(4711)
        member.write('/dev/shm/file', 'text')
        member.mq_put('/queue', b'message')


class Limits(InstanceTestCase):
    def test_bytes(self):
        path = self.instance.create('demo', ShmSize=1 << 20)
        member = self.joined('demo')
        self.assertEqual(member.fill('/dev/shm/file', 2 << 20), 1 << 20)
        self.assertEqual(self.instance.describe(path)['ShmUsed'], 1 << 20)

    def test_inodes(self):
        self.instance.create('demo', ShmInodes=10)
        member = self.joined('demo')
        with self.assertRaises(MemberError) as caught:
            for number in range(11):
                member.write(f'/dev/shm/{number}', '')
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        self.assertEqual(len(member.listdir('/dev/shm')), 9)  # the root is the tenth

    def test_sysv_follows_the_shm_size(self):
        path = self.instance.create('demo', ShmSize=1 << 20)
        member = self.joined('demo')
        member.shm_put(KEY, b'segment', 1 << 20)
        self.assertEqual(self.instance.describe(path)['SysvShmUsed'], 1 << 20)
        with self.assertRaises(MemberError) as caught:
            member.shm_put(KEY + 1, b'segment', 1 << 20)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)

    def test_sysv_of_every_mode_with_a_namespace_of_its_own(self):
        for mode in ('private', 'none'):
            with self.subTest(mode=mode):
                self.instance.create(mode, Mode=mode, ShmSize=1 << 20)
                with self.assertRaises(MemberError) as caught:
                    self.joined(mode).shm_put(KEY, b'segment', 2 << 20)
                self.assertEqual(caught.exception.errno, errno.ENOSPC)

    def test_usage(self):
        path = self.instance.create('demo')
        member = self.joined('demo')
        member.write('/dev/shm/file', 'x')
        member.mq_put('/queue', b'message')
        description = self.instance.describe(path)
        self.assertEqual(description['ShmUsed'], os.sysconf('SC_PAGE_SIZE'))
        self.assertEqual(description['ShmInodesUsed'], 2)
        self.assertEqual(description['MessageQueues'], 1)


class Resize(InstanceTestCase):
    def resize(self, path, size, **options):
        self.instance.sandbox(path, 'Resize', 'ta{sv}', dbus.UInt64(size), vardict(options))

    def test_growing_in_use(self):
        path = self.instance.create('demo', ShmSize=1 << 20, ShmInodes=10)
        member = self.joined('demo')
        self.assertEqual(member.fill('/dev/shm/file', 2 << 20), 1 << 20)
        self.resize(path, 2 << 20, Inodes=20)
        self.assertEqual(member.statvfs('/dev/shm'), (2 << 20, 20))
        self.assertEqual(member.fill('/dev/shm/file', 2 << 20), 2 << 20)
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'ShmSize'), 2 << 20)
        member.shm_put(KEY, b'segment', 2 << 20)  # kernel.shmall followed

    def test_shrinking_below_what_is_in_use(self):
        path = self.instance.create('demo', ShmSize=2 << 20)
        member = self.joined('demo')
        member.fill('/dev/shm/file', 2 << 20)
        with self.assertError('SandboxBusy', str(1 << 20)):
            self.resize(path, 1 << 20)
        self.assertEqual(member.statvfs('/dev/shm')[0], 2 << 20)
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'ShmSize'), 2 << 20)
        member.unlink('/dev/shm/file')
        self.resize(path, 1 << 20)
        self.assertEqual(member.statvfs('/dev/shm')[0], 1 << 20)

    def test_zero_is_the_default(self):
        path = self.instance.create('demo', ShmSize=1 << 20, ShmInodes=10)
        self.resize(path, 0, Inodes=0)
        self.assertEqual(self.joined('demo').statvfs('/dev/shm'), (67108864, 16384))

    def test_a_joiner_resizes_its_donor(self):
        donor = self.instance.create('donor', ShmSize=1 << 20)
        joiner = self.instance.create('joiner', Mode='container:donor')
        self.resize(joiner, 2 << 20)
        for path in (donor, joiner):
            self.assertEqual(self.instance.get(path, IF_SANDBOX, 'ShmSize'), 2 << 20)

    def test_refused(self):
        path = self.instance.create('demo', ShmSize=1 << 20)
        for size in ((1 << 64) - 1, 1 << 60):
            with self.subTest(size=size), self.assertError('InvalidSize', str(size)):
                self.resize(path, size)
        for mode in ('none', 'host'):
            with self.subTest(mode=mode), self.assertError('NotSupported'):
                self.resize(self.instance.create(Mode=mode), 1 << 20)
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'ShmSize'), 1 << 20)


class Sysctls(InstanceTestCase):
    VALUES = {'kernel.shmmax': '1048576', 'kernel.shmall': '100', 'kernel.shmmni': '50',
              'kernel.msgmax': '4096', 'kernel.msgmnb': '32768', 'kernel.msgmni': '60',
              'kernel.sem': '100 3200 50 40', 'fs.mqueue.msg_max': '20',
              'fs.mqueue.msgsize_max': '16384', 'fs.mqueue.queues_max': '64'}

    def assertInForce(self, member, values):
        for name, value in values.items():
            self.assertEqual(member.sysctl(name).split(), value.split(), name)

    def test_at_creation(self):
        host = {name: self.member().sysctl(name) for name in self.VALUES}
        path = self.instance.create('demo', Sysctls=self.VALUES)
        self.assertInForce(self.joined('demo'), self.VALUES)
        self.assertLessEqual(self.VALUES.items(), self.instance.describe(path)['Sysctls'].items())
        self.assertEqual({name: self.member().sysctl(name) for name in self.VALUES}, host)

    def test_later(self):
        path = self.instance.create('demo', Sysctls={'kernel.msgmni': '60'})
        member = self.joined('demo')
        self.instance.sandbox(path, 'SetSysctls', 'a{ss}', {'kernel.msgmnb': '32768'})
        self.assertInForce(member, {'kernel.msgmni': '60', 'kernel.msgmnb': '32768'})
        self.assertLessEqual({'kernel.msgmni': '60', 'kernel.msgmnb': '32768'}.items(),
                             self.instance.describe(path)['Sysctls'].items())

    def test_all_or_none(self):
        path = self.instance.create('demo')
        member = self.joined('demo')
        before = {name: member.sysctl(name) for name in self.VALUES}
        for bad in ({'kernel.hostname': 'x'}, {'kernel.sem': '1'}, {'kernel.shmmni': '-1'}):
            with self.subTest(bad=bad), self.assertError('InvalidOption', next(iter(bad))):
                self.instance.sandbox(path, 'SetSysctls', 'a{ss}',
                                      {'kernel.msgmnb': '32768', **bad})
        self.assertEqual({name: member.sysctl(name) for name in self.VALUES}, before)

    def test_shmall_stays_when_it_was_set(self):
        path = self.instance.create('demo', ShmSize=1 << 20, Sysctls={'kernel.shmall': '10'})
        member = self.joined('demo')
        self.instance.sandbox(path, 'Resize', 'ta{sv}', dbus.UInt64(2 << 20), vardict({}))
        self.assertEqual(member.sysctl('kernel.shmall'), '10')

    def test_shmall_at_most_what_the_size_allows(self):
        path = self.instance.create('demo', ShmSize=1 << 20)
        pages = (1 << 20) // os.sysconf('SC_PAGE_SIZE')
        self.instance.sandbox(path, 'SetSysctls', 'a{ss}', {'kernel.shmall': str(pages)})
        with self.assertError('InvalidOption', 'kernel.shmall'):
            self.instance.sandbox(path, 'SetSysctls', 'a{ss}', {'kernel.shmall': str(pages + 1)})

    def test_not_the_host_s(self):
        with self.assertError('InvalidOption', 'Sysctls'):
            self.instance.create(Mode='host', Sysctls={'kernel.msgmnb': '32768'})
        path = self.instance.create('host', Mode='host')
        with self.assertError('NotSupported'):
            self.instance.sandbox(path, 'SetSysctls', 'a{ss}', {'kernel.msgmnb': '32768'})


if __name__ == '__main__':
    unittest.main()
