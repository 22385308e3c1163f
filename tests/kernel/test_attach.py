# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attach: into ordinary targets, and into hostile ones, where it never mounts anywhere else."""

import os
import re
import signal
import threading
import unittest

import dbus
import dbus.lowlevel

from berthtest import BUS_NAME, IF_SANDBOX, InstanceTestCase, Member

REFUSED = ('org.berthd.Berth1.Error.NotSupported', 'org.freedesktop.DBus.Error.InvalidArgs')


class AttachTestCase(InstanceTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.instance.create('demo')
        self.host = self.host_mounts()
        self.trace = self.instance.trace()

    def tearDown(self):
        self.assertEqual(self.host_mounts(), self.host)
        super().tearDown()

    def ours(self, mountinfo):
        """What Attach could have mounted, and what lies below the instance; not what other tests,
        which run beside this one, do elsewhere."""
        return [line for line in mountinfo.splitlines() if self.instance.directory in line
                or (' /tmp/' not in line and re.search(' - (tmpfs shm|mqueue) ', line))]

    def host_mounts(self):
        with open('/proc/self/mountinfo', encoding='utf-8') as file:
            return self.ours(file.read())

    def attach(self, member, path=None):
        pidfd = member.pidfd()
        try:
            self.instance.attach(path or self.path, pidfd)
        finally:
            os.close(pidfd)

    def assertRefused(self, member, pattern=None):
        """The target's mounts are what they were, and so is what the service holds."""
        before = self.ours(member.mountinfo())
        with self.assertError('NotSupported', pattern):
            self.attach(member)
        self.assertEqual(self.ours(member.mountinfo()), before)
        self.assertTrace(self.trace)

    def target(self):
        """Returns: a member whose root is an own tmpfs: anything can be arranged in there."""
        root = self.instance.path('root')
        os.makedirs(root, exist_ok=True)
        member = self.member()
        member.new_mounts()
        member.mount_tmpfs(root)
        member.mkdir(f'{root}/proc')
        member.bind('/proc', f'{root}/proc')
        member.chroot(root)
        return member


class Targets(AttachTestCase):
    def test_an_ordinary_one(self):
        target, other = self.member(plain_dev=True), self.joined('demo')
        namespace = target.namespace('ipc')
        self.attach(target)
        target.write('/dev/shm/file', 'text')
        self.assertEqual(other.read('/dev/shm/file'), 'text')
        other.mq_put('/queue', b'message')
        self.assertEqual(target.listdir('/dev/mqueue'), ['queue'])
        self.assertEqual(target.namespace('ipc'), namespace)
        for directory, fstype in (('/dev/shm', 'tmpfs'), ('/dev/mqueue', 'mqueue')):
            mount = target.mount_at(directory)
            self.assertEqual(mount['fstype'], fstype)
            self.assertLessEqual({'nosuid', 'nodev', 'noexec'}, set(mount['options']))
        self.assertTrace(self.trace)

    def test_another_root_directory(self):
        target = self.target()
        target.mkdir('/dev')
        target.mkdir('/dev/shm')
        target.mkdir('/dev/mqueue')
        self.attach(target)
        target.write('/dev/shm/file', 'text')
        self.assertEqual(self.joined('demo').read('/dev/shm/file'), 'text')

    def test_missing_directories_are_made(self):
        target = self.target()
        target.mkdir('/dev')
        self.attach(target)
        target.write('/dev/shm/file', 'text')
        self.assertEqual(target.mount_at('/dev/mqueue')['fstype'], 'mqueue')

    def test_a_mount_that_is_there_is_covered(self):
        target = self.member(plain_dev=True)
        target.mount_tmpfs('/dev/shm')
        target.write('/dev/shm/old', 'text')
        self.attach(target)
        self.assertEqual(target.listdir('/dev/shm'), [])
        target.umount('/dev/shm')
        self.assertEqual(target.listdir('/dev/shm'), ['old'])

    def test_a_host_directory_bound_there_is_covered(self):
        target = self.member(plain_dev=True)
        target.bind('/etc', '/dev/shm')
        self.attach(target)
        self.assertEqual(target.listdir('/dev/shm'), [])
        self.assertIn('passwd', os.listdir('/etc'))

    def test_twice(self):
        target = self.member(plain_dev=True)
        self.attach(target)
        target.write('/dev/shm/file', 'text')
        self.attach(target)
        self.assertEqual(target.read('/dev/shm/file'), 'text')

    def test_a_user_namespace_of_its_own(self):
        target = self.member()
        target.new_user_namespace(4711)
        target.new_mounts()
        target.mount_tmpfs('/dev')
        target.mkdir('/dev/shm')
        target.mkdir('/dev/mqueue')
        self.attach(target)
        target.write('/dev/shm/file', 'text')
        self.assertEqual(self.joined('demo').read('/dev/shm/file'), 'text')

    def test_none_mounts_only_mqueue(self):
        path = self.instance.create('none', Mode='none')
        target = self.member(plain_dev=True)
        self.attach(target, path)
        self.assertIsNone(target.mount_at('/dev/shm'))
        self.assertEqual(target.mount_at('/dev/mqueue')['fstype'], 'mqueue')

    def test_private_is_handed_over(self):
        path = self.instance.create('once', Mode='private')
        target = self.member(plain_dev=True)
        self.attach(target, path)
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'handed-over')
        with self.assertError('NotShareable', 'once'):
            self.attach(self.member(plain_dev=True), path)
        target.write('/dev/shm/file', 'text')

    def test_a_refused_attach_hands_nothing_over(self):
        path = self.instance.create('once', Mode='private')
        with self.assertError('NotSupported'):
            self.attach(self.member(), path)
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'ready')
        with self.joined('once') as member:
            member.write('/dev/shm/file', 'text')

    def test_a_stopped_process(self):
        target = self.member(plain_dev=True)
        os.kill(target.pid, signal.SIGSTOP)
        self.attach(target)
        os.kill(target.pid, signal.SIGCONT)
        target.write('/dev/shm/file', 'text')


class Refused(AttachTestCase):
    def test_the_host_s_mount_namespace(self):
        self.assertRefused(self.member(), 'publish')

    def test_shared_propagation(self):
        target = self.member(plain_dev=True)
        target.share('/dev')
        self.assertRefused(target, 'publish')

    def test_shared_propagation_of_a_mount_on_shm(self):
        target = self.member(plain_dev=True)
        target.mount_tmpfs('/dev/shm')
        target.share('/dev/shm')
        self.assertRefused(target)

    def test_shared_propagation_of_mqueue_only(self):
        """Both or neither: /dev/shm is fine here and still must not stay mounted."""
        target = self.member(plain_dev=True)
        target.mount_tmpfs('/dev/mqueue')
        target.share('/dev/mqueue')
        self.assertRefused(target)

    def test_dev_is_a_link(self):
        for link in ('/real', 'real', '/proc/1/root/dev', '/proc/self/cwd'):
            with self.subTest(link=link):
                target = self.target()
                for directory in ('/real', '/real/shm', '/real/mqueue'):
                    target.mkdir(directory)
                target.symlink(link, '/dev')
                self.assertRefused(target, 'link')
                self.assertEqual(target.listdir('/real'), ['mqueue', 'shm'])

    def test_shm_is_a_link(self):
        for link in ('/etc', '../etc', '/proc/1/root/etc', '/proc/self/root', '.', '/missing'):
            with self.subTest(link=link):
                target = self.target()
                for directory in ('/etc', '/dev', '/dev/mqueue'):
                    target.mkdir(directory)
                target.symlink(link, '/dev/shm')
                self.assertRefused(target, 'link')

    def test_mqueue_is_a_link(self):
        target = self.target()
        for directory in ('/etc', '/dev', '/dev/shm'):
            target.mkdir(directory)
        target.symlink('/etc', '/dev/mqueue')
        self.assertRefused(target, 'link')

    def test_what_is_no_directory(self):
        target = self.target()
        target.mkdir('/dev')
        target.mkdir('/dev/mqueue')
        target.write('/dev/shm', 'text')
        self.assertRefused(target)
        target = self.target()
        target.write('/dev', 'text')
        self.assertRefused(target)

    def test_no_dev_at_all(self):
        self.assertRefused(self.target())

    def test_directories_are_not_made_with_rights_the_target_lacks(self):
        """A target may bind any directory at its /dev; that must not let it write there."""
        target = self.member()
        target.new_user_namespace(4711)
        target.new_mounts()
        protected = self.instance.path('protected')
        os.mkdir(protected, 0o755)
        target.bind_recursively(protected, '/dev')
        self.assertRefused(target)
        self.assertEqual(os.listdir(protected), [])


class EndingTargets(AttachTestCase):
    def attach_while_it_ends(self, end):
        """Attaches again and again while the target ends. Returns: whether it was refused at last."""
        member = Member(plain_dev=True)
        pidfd = member.pidfd()
        ending = threading.Thread(target=end, args=[member])
        try:
            ending.start()
            while True:
                try:
                    self.instance.attach(self.path, pidfd)
                except dbus.DBusException as error:
                    self.assertIn(error.get_dbus_name(), REFUSED, error.get_dbus_message())
                    return
        finally:
            ending.join()
            os.close(pidfd)
            member.close()

    def test_killed_in_the_middle(self):
        for _ in range(20):
            self.attach_while_it_ends(lambda member: os.kill(member.pid, signal.SIGKILL))
        self.assertTrace(self.trace)

    def test_a_zombie(self):
        member = self.member(plain_dev=True)
        pidfd = member.pidfd()
        os.kill(member.pid, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        with self.assertRaises(dbus.DBusException) as caught:
            self.instance.attach(self.path, pidfd)
        self.assertIn(caught.exception.get_dbus_name(), REFUSED)
        os.close(pidfd)
        self.assertTrace(self.trace)


@unittest.skipUnless(os.path.exists('/dev/fuse'), 'this kernel has no FUSE')
class HangingTargets(AttachTestCase):
    """A FUSE at /dev that never answers blocks whoever resolves a path there."""

    def hang(self):
        target = self.member()
        target.new_mounts()
        target.mount_hanging_fuse('/dev')
        return target

    def begin(self, target):
        """Sends Attach. Returns: the pending call, whose reply comes much later."""
        message = dbus.lowlevel.MethodCallMessage(BUS_NAME, self.path, IF_SANDBOX, 'Attach')
        pidfd = target.pidfd()
        message.append(dbus.types.UnixFd(pidfd), dbus.Dictionary({}, signature='sv'),
                       signature='ha{sv}')
        os.close(pidfd)
        replies = []
        pending = self.instance.bus.send_message_with_reply(message, replies.append, 120)
        self.instance.bus.flush()
        return pending, replies

    def test_others_are_served_meanwhile(self):
        target = self.hang()
        pending, replies = self.begin(target)
        self.instance.create('meanwhile')
        with self.joined('meanwhile') as member:
            member.write('/dev/shm/file', 'text')
        self.attach(self.member(plain_dev=True))
        self.assertEqual(replies, [])
        pending.block()
        self.assertEqual(replies[0].get_error_name(), 'org.freedesktop.DBus.Error.Timeout')
        self.instance.remove(self.instance.sandboxes('Get', 's', 'meanwhile'))
        self.assertTrace(self.trace)

    def test_the_target_is_killed_meanwhile(self):
        target = self.hang()
        pending, replies = self.begin(target)
        self.instance.list()
        target.close()
        pending.block()
        self.assertIn(replies[0].get_error_name(), REFUSED)
        self.assertTrace(self.trace)

    def test_sigterm_meanwhile(self):
        target = self.hang()
        self.begin(target)
        self.instance.list()
        self.instance.terminate()
        self.instance.start()
        self.assertEqual(len(self.instance.list()), 1)


if __name__ == '__main__':
    unittest.main()
