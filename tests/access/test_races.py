# SPDX-License-Identifier: LGPL-2.1-or-later
"""Things that happen at the same time, each provoked: names, objects, and hostile targets of Attach."""

import os
import shutil
import unittest

import dbus

from berthtest import (ALICE, BOB, IF_SANDBOX, Member, Race, UserTestCase, mounts_below, vardict)

ERROR = 'org.berthd.Berth1.Error.'
INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs'
ROUNDS = 150


def name_of_error(call):
    """Returns: the last part of the name of the error that call ends with, None without one."""
    try:
        call()
    except dbus.DBusException as error:
        return error.get_dbus_name().rsplit('.', 1)[1]
    return None


class Names(UserTestCase):
    def test_two_creates_with_one_name(self):
        """Of users, whose namespaces take time, over several connections; then of root."""
        for uid in (ALICE, 0):
            users = [self.user(uid) for _ in range(4)]
            for _ in range(10):
                pending = [user.begin_create('demo') for user in users for _ in range(2)]
                errors = [name_of_error(call.result) for call in pending]
                self.assertEqual(errors.count(None), 1, errors)
                self.assertEqual(set(errors), {None, 'SandboxExists'})
                row, = self.instance.list()
                self.instance.remove(str(row['Path']))

    def test_two_creates_that_take_a_name_and_different_times(self):
        """The first asked for has names to look up; still only one gets it."""
        alice, other = self.user(ALICE), self.user(ALICE)
        for _ in range(10):
            slow = alice.begin_create('demo', Users=['daemon'])
            quick = other.begin_create('demo', Mode='none')
            errors = {name_of_error(slow.result), name_of_error(quick.result)}
            self.assertEqual(errors, {None, 'SandboxExists'})
            self.instance.remove(str(self.instance.list()[0]['Path']))

    def test_create_and_remove_of_the_same_name(self):
        """An object path is never used again."""
        seen = set()
        alice = self.user(ALICE)
        for _ in range(50):
            path = alice.create('demo')
            self.assertNotIn(path, seen)
            seen.add(path)
            alice.remove(path)
            for call in (lambda: alice.remove(path), lambda: alice.describe(path),
                         lambda: alice.sandbox(path, 'Join', 'a{sv}', vardict({})),
                         lambda: alice.properties(path)):
                self.assertIn(name_of_error(call),
                              ('NoSuchSandbox', 'UnknownObject', 'UnknownInterface'))

    def test_removed_during_join(self):
        """All descriptors or an error, and nothing that stays."""
        before = self.instance.trace()
        alice, other = self.user(ALICE), self.user(ALICE)
        results = set()
        for _ in range(ROUNDS):
            path = alice.create('demo')
            calls = [alice.begin(path, IF_SANDBOX, 'Join', 'a{sv}', vardict({})),
                     other.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', vardict({})),
                     alice.begin(path, IF_SANDBOX, 'Join', 'a{sv}', vardict({}))]
            for call in (calls[0], calls[2]):
                try:
                    fds = call.result()
                    self.assertEqual(set(fds), {'ipc', 'shm', 'mqueue'})
                    results.add('joined')
                except dbus.DBusException as error:
                    self.assertEqual(error.get_dbus_name(), ERROR + 'NoSuchSandbox')
                    results.add('gone')
            calls[1].result()
        self.assertEqual(results, {'joined', 'gone'})
        del calls, call, fds
        self.assertTrace(before)

    def test_private_is_handed_over_to_one(self):
        users = [self.user(ALICE) for _ in range(4)]
        for mode in ('private', 'none'):
            for _ in range(20):
                path = users[0].create('demo', Mode=mode)
                pending = [user.begin(path, IF_SANDBOX, 'Join', 'a{sv}', vardict({}))
                           for user in users]
                errors = [name_of_error(call.result) for call in pending]
                self.assertEqual(errors.count(None), 1)
                self.assertLessEqual(set(errors), {None, 'NotShareable', 'NoSuchSandbox'})
                del pending
                self.eventually(lambda: not self.instance.list())

    def test_a_donor_that_goes(self):
        alice, other = self.user(ALICE), self.user(ALICE)
        for _ in range(30):
            donor = alice.create('donor')
            joiner = other.begin_create('joiner', Mode='container:donor')
            removed = alice.begin(donor, IF_SANDBOX, 'Remove', 'a{sv}', vardict({}))
            error = name_of_error(joiner.result)
            removed.result()
            # who may not know of a donor does not learn that it is gone
            self.assertIn(error, (None, 'NoSuchSandbox', 'AccessDenied'))
            rows = self.instance.list()
            self.assertEqual(len(rows), 0 if error else 1)
            for row in rows:
                fds = self.instance.join(str(row['Id']))
                self.assertEqual(os.fstat(fds['ipc']).st_ino, row['NamespaceId'])
                for fd in fds.values():
                    os.close(fd)
                self.instance.remove(str(row['Path']))

    def test_resize_publish_and_remove(self):
        for _ in range(30):
            path = self.instance.create('demo', Publish=True)
            users = [self.user(0) for _ in range(3)]
            for user, method, signature, args in (
                    (users[0], 'Resize', 'ta{sv}', (dbus.UInt64(1 << 20), vardict({}))),
                    (users[1], 'Unpublish', '', ()), (users[2], 'Publish', '', ()),
                    (users[0], 'Remove', 'a{sv}', (vardict({}),)),
                    (users[1], 'Publish', '', ())):
                last = user.begin(path, IF_SANDBOX, method, signature, *args)
            name_of_error(last.result)
            self.eventually(lambda: not self.instance.list())
            self.assertEqual(os.listdir(self.instance.path('run', 'sandbox')), ['by-name'])
            self.assertEqual(os.listdir(self.instance.path('run', 'sandbox', 'by-name')), [])
            for user in users:
                user.close()


class Targets(UserTestCase):
    """Attach, while the target does what it can."""

    def setUp(self):
        super().setUp()
        self.alice = self.user(ALICE)
        self.path = self.alice.create('demo')
        self.trace = self.settled()
        self.host = self.host_mounts()

    def host_mounts(self):
        return [(row['id'], row['target'], row['device'])
                for where in (self.instance.directory, '/dev', '/etc')
                for row in mounts_below(where)]

    def tearDown(self):
        self.assertEqual(self.host_mounts(), self.host)
        self.assertTrace(self.trace)
        super().tearDown()

    def target(self, uid=ALICE):
        member = Member()
        self.addCleanup(member.close)
        if uid:
            member.new_user_namespace(uid)
        member.new_mounts()
        member.mount_tmpfs('/dev')
        for directory in ('/dev/shm', '/dev/mqueue'):
            member.mkdir(directory)
        return member

    def attach(self, user, pidfd, allowed):
        """Attaches. Returns: whether it went; an error must be one of those allowed."""
        try:
            user.attach(self.path, pidfd)
        except dbus.DBusException as error:
            self.assertIn(error.get_dbus_name().rsplit('.', 1)[1], allowed,
                          error.get_dbus_message())
            return False
        return True

    def test_shm_becomes_a_link_and_a_directory_again(self):
        """What was looked at is what is mounted on: never what the link leads to."""
        victim = self.instance.path('victim')
        os.mkdir(victim)
        target = self.target()
        target.symlink(victim, '/dev/link')
        target.begin_exchanging('/dev/shm', '/dev/link')
        pidfd = target.pidfd()
        self.addCleanup(os.close, pidfd)
        went = [self.attach(self.alice, pidfd, ('NotSupported',)) for _ in range(ROUNDS)]
        target.end_exchanging()
        mounted = [row['target'] for row in target.mounts()
                   if row['fstype'] == 'tmpfs' and row['source'] == 'shm'
                   and row['target'] != '/dev/shm']
        self.assertLessEqual(set(mounted), {'/dev/link'})
        self.assertNotIn(victim, [row['target'] for row in target.mounts()])
        self.assertEqual(os.listdir(victim), [])
        self.assertIn(True, went)
        self.assertIn(False, went)

    def test_dev_is_exchanged(self):
        target = self.target()
        target.mkdir('/dev/one')
        target.mkdir('/dev/one/shm')
        target.mkdir('/dev/one/mqueue')
        target.symlink('/etc', '/dev/two')
        # a root directory in which /dev itself changes
        for directory in ('/dev/proc', '/dev/etc'):
            target.mkdir(directory)
        target.chroot('/dev')
        target.rename('/one', '/dev')
        target.symlink('/etc', '/link')
        target.begin_exchanging('/dev', '/link')
        pidfd = target.pidfd()
        self.addCleanup(os.close, pidfd)
        for _ in range(ROUNDS):
            self.attach(self.alice, pidfd, ('NotSupported',))
        target.end_exchanging()
        self.assertEqual(target.listdir('/etc'), [])

    def test_it_execs_a_setuid_program(self):
        """Its own namespaces stay its own, whoever it runs as; and those of root stay root's."""
        program = self.instance.path('setuid-sleep')
        shutil.copy(shutil.which('sleep'), program)
        os.chmod(program, 0o4755)
        for root in (False, True):
            went = 0
            for _ in range(20):
                target = self.target(0 if root else ALICE)
                if root:
                    target.setuid(ALICE)
                pidfd = target.pidfd()
                target.begin_exec(program, '1000')
                try:
                    for _ in range(10):
                        went += self.attach(self.alice, pidfd, ('AccessDenied', 'NotSupported',
                                                                'InvalidArgs'))
                    if root:
                        self.assertEqual(target.mounts_from_outside('shm'), 0)
                finally:
                    os.close(pidfd)
                    target.close()
            self.assertEqual(went > 0, not root)

    def test_it_ends(self):
        for _ in range(20):
            target = self.target()
            pidfd = target.pidfd()
            with Race(lambda: self.attach(self.alice, pidfd, ('InvalidArgs', 'NotSupported'))):
                target.close()
            self.assertFalse(self.attach(self.alice, pidfd, ('InvalidArgs',)))
            os.close(pidfd)

    @unittest.skipUnless(Member.can_reuse(), 'this kernel cannot be told which PID is next')
    def test_its_pid_is_another_process(self):
        """A pidfd of who ended is no way into who has its PID now."""
        target = self.target()
        pid, pidfd = target.pid, target.pidfd()
        self.addCleanup(os.close, pidfd)
        target.close()
        heir = Member.reuse(pid, plain_dev=True)
        self.addCleanup(heir.close)
        before = heir.mountinfo()
        self.authority.answer(attach='yes')
        for user in (self.alice, self.instance):
            with self.assertError(INVALID_ARGS, 'ended'):
                user.attach(self.path, pidfd)
        self.assertEqual(heir.mountinfo(), before)

    @unittest.skipUnless(Member.can_reuse(), 'this kernel cannot be told which PID is next')
    def test_its_pid_becomes_another_process_while_polkit_is_asked(self):
        target = self.target(BOB)
        pid, pidfd = target.pid, target.pidfd()
        self.addCleanup(os.close, pidfd)
        self.authority.answer(attach='yes')
        self.authority.hang('attach')
        pending = self.alice.begin_attach(self.path, pidfd)
        self.authority.wait_checks(2)
        target.close()
        heir = Member.reuse(pid, plain_dev=True)
        self.addCleanup(heir.close)
        before = heir.mountinfo()
        self.authority.release()
        with self.assertError(INVALID_ARGS, 'ended'):
            pending.result()
        self.assertEqual(heir.mountinfo(), before)

    def test_it_moves_to_the_hosts_mounts_and_back(self):
        target = self.member()
        target.keep_mounts()
        target.new_mounts()
        target.mount_tmpfs('/dev')
        target.mkdir('/dev/shm')
        target.mkdir('/dev/mqueue')
        target.begin_moving()
        pidfd = target.pidfd()
        self.addCleanup(os.close, pidfd)
        for _ in range(ROUNDS):
            self.attach(self.instance, pidfd, ('NotSupported',))
        target.end_moving()

    def test_the_sandbox_goes_meanwhile(self):
        other = self.user(ALICE)
        target = self.target()
        pidfd = target.pidfd()
        self.addCleanup(os.close, pidfd)
        for mode in ('shareable', 'private', 'none'):
            for _ in range(20):
                path = self.alice.create('gone', Mode=mode)
                attached = self.alice.begin_attach(path, pidfd)
                removed = other.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', vardict({}))
                self.assertIn(name_of_error(attached.result), (None, 'NoSuchSandbox'))
                if name_of_error(removed.result) == 'SandboxBusy':
                    self.alice.remove(path)
        target.close()
        self.eventually(lambda: len(self.instance.list()) == 1)


if __name__ == '__main__':
    unittest.main()
