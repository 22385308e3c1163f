# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attach by ordinary users: into what is theirs, and into nothing else without leave."""

import json
import os
import shutil
import unittest

from berthtest import ALICE, BOB, CAROL, UserTestCase, mounts_below, name_of_uid

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'


class AttachTestCase(UserTestCase):
    def setUp(self):
        super().setUp()
        self.alice, self.bob = self.user(ALICE), self.user(BOB)
        self.path = self.alice.create('demo', Users=[str(BOB)])
        self.host = self.host_mounts()
        self.trace = self.settled()

    def tearDown(self):
        self.assertEqual(self.host_mounts(), self.host)
        super().tearDown()

    def host_mounts(self):
        """Where a mount that went astray would be; elsewhere others mount as they like."""
        return [(row['id'], row['target'], row['device'])
                for where in (self.instance.directory, '/dev', '/etc')
                for row in mounts_below(where)]

    def target(self, uid):
        """Returns: a member in mount and user namespaces that belong to uid, as unshare -Urm makes."""
        member = self.member()
        member.new_user_namespace(uid)
        member.new_mounts()
        member.mount_tmpfs('/dev')
        member.mkdir('/dev/shm', 0o1777)
        return member

    def attach(self, user, member, path=None):
        pidfd = member.pidfd()
        try:
            user.attach(path or self.path, pidfd)
        finally:
            os.close(pidfd)

    def assertRefused(self, user, member, *actions, path=None):
        before = member.mountinfo()
        self.authority.forget()
        with self.assertError(DENIED):
            self.attach(user, member, path)
        self.assertEqual([check.action for check in self.authority.checks()], list(actions))
        self.assertEqual(member.mountinfo(), before)
        self.assertTrace(self.trace)


class Own(AttachTestCase):
    def test_the_owner(self):
        target = self.target(ALICE)
        self.authority.forget()
        self.attach(self.alice, target)
        self.assertEqual(self.authority.checks(), [])
        target.write('/dev/shm/file', 'text')
        inside = self.member(uid=ALICE, **self.alice.join('demo'))
        self.assertEqual(inside.read('/dev/shm/file'), 'text')
        inside.mq_put('/queue', b'message')
        self.assertEqual(target.listdir('/dev/mqueue'), ['queue'])
        self.assertTrace(self.trace)

    def test_a_member_of_the_sandbox(self):
        target = self.target(BOB)
        self.attach(self.bob, target)
        target.write('/dev/shm/file', 'text')
        inside = self.member(uid=ALICE, **self.alice.join('demo'))
        self.assertEqual(inside.read('/dev/shm/file'), 'text')

    def test_directories_are_made_with_the_owners_rights_alone(self):
        """A directory of the host bound at /dev, group-writable for root: not for the target."""
        protected = self.instance.path('protected')
        os.mkdir(protected)
        os.mkdir(os.path.join(protected, 'shm'))
        os.chmod(protected, 0o775)
        target = self.member()
        target.new_user_namespace(ALICE)
        target.new_mounts()
        target.bind_recursively(protected, '/dev')
        with self.assertError('NotSupported', '/dev/mqueue'):
            self.attach(self.alice, target)
        self.assertEqual(os.listdir(protected), ['shm'])

    def test_private_is_handed_over(self):
        path = self.alice.create('once', Mode='private')
        target = self.target(ALICE)
        self.attach(self.alice, target, path)
        target.write('/dev/shm/file', 'text')
        self.assertEqual(self.alice.list(Name='once')[0]['State'], 'handed-over')
        with self.assertError('NotShareable', 'once'):
            self.attach(self.alice, self.target(ALICE), path)

    def test_by_root_into_anybodys(self):
        for uid in (ALICE, BOB):
            target = self.target(uid)
            self.attach(self.instance, target)
            target.write(f'/dev/shm/file-of-{uid}', 'text')

    @unittest.skipUnless(shutil.which('bwrap'), 'bubblewrap is not installed')
    def test_bubblewrap(self):
        reader, writer = os.pipe()
        bwrap = self.instance.popen(
            ['setpriv', f'--reuid={ALICE}', f'--regid={name_of_uid(ALICE)}', '--clear-groups',
             'bwrap', '--unshare-user', '--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc',
             '--info-fd', '3', 'sh', '-c', 'echo ready; exec sleep 1000'], fds=[writer])
        os.close(writer)

        def end():
            bwrap.kill()
            bwrap.communicate()
            os.close(reader)
        self.addCleanup(end)
        text = ''
        while '}' not in text:
            part = os.read(reader, 4096)
            self.assertNotEqual(part, b'', 'bwrap ended')
            text += part.decode()
        self.assertEqual(bwrap.stdout.readline(), 'ready\n')
        pid = json.loads(text)['child-pid']
        self.addCleanup(os.kill, pid, 9)
        pidfd = os.pidfd_open(pid)
        self.addCleanup(os.close, pidfd)
        self.alice.attach(self.path, pidfd)
        with self.member(uid=ALICE, **self.alice.join('demo')) as inside:
            inside.write('/dev/shm/file', 'text')
        self.assertEqual(os.listdir(f'/proc/{pid}/root/dev/shm'), ['file'])
        with self.assertError(DENIED):
            self.bob.attach(self.path, pidfd)


class Others(AttachTestCase):
    def test_another_users_target(self):
        self.assertRefused(self.alice, self.target(BOB), 'attach')
        self.assertRefused(self.bob, self.target(ALICE), 'attach')

    def test_a_target_of_root(self):
        """Whoever runs in it: its mounts are root's."""
        target = self.member(plain_dev=True)
        self.assertRefused(self.alice, target, 'attach')
        target.setuid(ALICE)
        self.assertRefused(self.alice, target, 'attach')

    def test_ones_own_process_on_the_host(self):
        """Its mount namespace is everybody's."""
        target = self.member(uid=ALICE)
        self.assertRefused(self.alice, target, 'attach')
        self.authority.answer(attach='yes')
        with self.assertError('NotSupported', 'publish'):
            self.attach(self.alice, target)

    def test_another_users_sandbox(self):
        carol = self.user(CAROL)
        self.assertRefused(carol, self.target(CAROL), 'join-sandbox')
        self.authority.answer(join_sandbox='yes')
        self.assertRefused(carol, self.target(BOB), 'join-sandbox', 'attach')

    def test_with_leave(self):
        self.authority.answer(attach='yes')
        target = self.target(BOB)
        self.attach(self.alice, target)
        check = self.authority.checks()[-1]
        self.assertEqual((check.action, check.details['sandbox'], check.details['owner']),
                         ('attach', 'demo', str(ALICE)))
        target.write('/dev/shm/file', 'text')
        # the target was looked at again after the answer: nothing of it stays open
        self.assertTrace(self.trace)

    def test_with_leave_for_everything(self):
        self.authority.answer(attach='yes', join_sandbox='yes')
        target = self.target(BOB)
        self.attach(self.user(CAROL), target)
        target.write('/dev/shm/file', 'text')
        self.assertTrace(self.trace)

    def test_a_target_that_is_no_process(self):
        null = os.open('/dev/null', os.O_RDONLY)
        self.addCleanup(os.close, null)
        self.authority.forget()
        with self.assertError('org.freedesktop.DBus.Error.InvalidArgs', 'pidfd'):
            self.alice.attach(self.path, null)
        self.assertEqual(self.authority.checks(), [])

    def test_it_moves_while_polkit_is_asked(self):
        """Who was in a mount namespace of its own is in the host's when the answer comes."""
        self.authority.answer(attach='yes')
        target = self.member()
        target.keep_mounts()
        target.new_mounts()
        pidfd = target.pidfd()
        self.addCleanup(os.close, pidfd)
        self.authority.hang('attach')
        pending = self.alice.begin_attach(self.path, pidfd)
        self.authority.wait_checks(2)
        target.back_to_mounts()
        self.authority.release()
        with self.assertError('NotSupported'):
            pending.result()
        self.assertTrace(self.trace)  # and tearDown looks at the host's mounts

    def test_it_ends_while_polkit_is_asked(self):
        self.authority.answer(attach='yes')
        target = self.target(BOB)
        pidfd = target.pidfd()
        self.addCleanup(os.close, pidfd)
        self.authority.hang('attach')
        pending = self.alice.begin_attach(self.path, pidfd)
        self.authority.wait_checks(2)
        target.close()
        self.authority.release()
        with self.assertError('org.freedesktop.DBus.Error.InvalidArgs', 'ended'):
            pending.result()
        self.assertTrace(self.trace)


if __name__ == '__main__':
    unittest.main()
