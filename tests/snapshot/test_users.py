# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of users: with their own rights, so that an archive gives nobody more than they have."""

import os
import unittest

from berthtest import ALICE, BOB, Member, SnapshotTestCase, contents, effective

MB = 1 << 20
DENIED = 'org.freedesktop.DBus.Error.AccessDenied'


class Users(SnapshotTestCase):
    def setUp(self):
        super().setUp()
        self.authority = self.polkit(create_sandbox='yes')
        self.alice = self.user(ALICE)
        self.bob = self.user(BOB)
        self.path = self.alice.create('demo', Users=[str(BOB)])
        self.inside = self.inside_as(ALICE, self.path)

    def inside_as(self, uid, path):
        fds = self.alice.sandbox(path, 'Join', 'a{sv}', {})
        member = Member(uid=uid, **{str(key): fd.take() for key, fd in fds.items()})
        self.addCleanup(member.close)
        return member

    def fill(self):
        self.inside.write('/dev/shm/file', 'text')
        self.inside.mkdir('/dev/shm/dir')
        self.inside.write('/dev/shm/dir/inner', 'inner')
        self.inside.do(contents.call, 'chmod', '/dev/shm/dir', 0o500)
        self.inside.do(contents.shm_make, 0x42, 4096, b'segment', 0o640)
        self.inside.do(contents.sem_make, 0x43, [1, 2])
        self.inside.do(contents.msg_make, 0x44, [(7, b'seven')])
        self.inside.do(contents.mq_make, 'queue', [(1, b'low'), (9, b'high')], size=64)

    def test_round_trip(self):
        self.fill()
        self.alice.set_sysctls(self.path, {'kernel.msgmnb': '20000'})
        before = self.inside.do(contents.describe)
        self.save(self.path, self.alice, Stopped=True)
        new = self.alice.create('new')
        self.load(new, self.alice)
        member = self.inside_as(ALICE, new)
        self.assertEqual(member.do(contents.describe), before)
        self.assertEqual(member.do(contents.mq_drain, 'queue'), [(9, b'high'), (1, b'low')])

    def test_by_root(self):
        self.fill()
        before = self.inside.do(contents.describe)
        self.save(self.path, Stopped=True)
        new = self.alice.create('new')
        self.load(new)
        self.assertEqual(self.inside_as(ALICE, new).do(contents.describe), before)

    def test_who_may(self):
        for calls in (self.save, self.load):
            with self.assertError(DENIED):
                calls(self.path, self.bob)
        self.fill()
        self.save(self.path, self.alice, Stopped=True)
        self.authority.answer(manage_sandbox='yes')
        before = self.inside.do(contents.describe)
        self.save(self.path, self.bob, Stopped=True)
        # whoever does it, it is done as the owner
        new = self.alice.create('new')
        self.load(new, self.bob)
        self.assertEqual(self.inside_as(ALICE, new).do(contents.describe), before)
        joiner = self.alice.create('joiner', Mode='container:demo')
        self.save(joiner, self.alice, Stopped=True)

    def test_files_of_others(self):
        self.inside.write('/dev/shm/own', 'text')
        fds = {str(key): fd.take() for key, fd in
               self.bob.sandbox(self.path, 'Join', 'a{sv}', {}).items()}
        with effective(BOB):
            for name, mode in (('open', 0o644), ('closed', 0o600)):
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, mode, dir_fd=fds['shm']))
            os.mkdir('private', 0o700, dir_fd=fds['shm'])
        for fd in fds.values():
            os.close(fd)
        with self.assertError(DENIED, 'shm/(closed|private): .*root can save it'):
            self.save(self.path, self.alice)
        self.save(self.path, self.alice, LeaveOut=['shm/closed', 'shm/private'])
        new = self.alice.create('new')
        with self.assertError(DENIED, f'shm/open belongs to user {BOB}'):
            self.load(new, self.alice)
        self.assertEqual(self.inside_as(ALICE, new).listdir('/dev/shm'), [])
        self.load(new, self.alice, LeaveOut=['shm/open'])
        self.assertEqual(self.inside_as(ALICE, new).listdir('/dev/shm'), ['own'])
        # root takes and gives all
        self.save(self.path)
        newer = self.alice.create('newer')
        with self.assertError(DENIED):
            self.load(newer, self.alice)
        self.load(newer)
        fds = self.instance.join(newer.rpartition('/')[2])
        try:
            self.assertEqual(
                {name: os.stat(name, dir_fd=fds['shm']).st_uid
                 for name in ('own', 'open', 'closed', 'private')},
                {'own': ALICE, 'open': BOB, 'closed': BOB, 'private': BOB})
        finally:
            for fd in fds.values():
                os.close(fd)

    def test_forged_owners(self):
        """Who writes an archive by hand gets nothing that is another's."""
        self.fill()
        self.save(self.path, self.alice, Stopped=True)
        with open(self.file, 'rb') as file:
            whole = file.read()
        new = self.alice.create('new')
        victim = self.inside_as(ALICE, new)
        before = victim.do(contents.describe)

        def owner(name, **fields):
            def change(info, data):
                if info.name == name:
                    for key, value in fields.items():
                        setattr(info, key, value)
                return [(info, data)]
            return change, None

        def index(*where):
            def change(parsed):
                for key in where[:-2]:
                    parsed = parsed[key]
                parsed[where[-2]] = where[-1]
            return lambda info, data: [(info, data)], change

        for change, parsed in (
                owner('shm/file', uid=0), owner('shm/file', uid=BOB), owner('shm/file', gid=0),
                owner('shm/dir', uid=0), owner('shm/dir/inner', uid=0, mode=0o4755),
                owner('shm', mode=0o777), owner('shm', uid=ALICE),
                index('sysv', 'shm', 0, 'cuid', 0), index('sysv', 'shm', 0, 'cgid', 0),
                index('sysv', 'sem', 0, 'cuid', BOB), index('sysv', 'msg', 0, 'cuid', 0),
                index('mqueue', 0, 'uid', 0), index('mqueue', 0, 'gid', 0)):
            with self.subTest(change=parsed.__closure__ if parsed else change.__closure__):
                with open(self.file, 'wb') as file:
                    file.write(whole)
                self.rewrite(change, parsed)
                with self.assertError(DENIED):
                    self.load(new, self.alice)
                self.assertEqual(victim.do(contents.describe), before)

    def test_limits_of_queues(self):
        """The kernel charges them to the user, whatever the archive says."""
        self.inside.do(contents.mq_make, 'queue', [(1, b'x')], size=64)
        self.save(self.path, self.alice, Stopped=True)

        def change(parsed):
            parsed['mqueue'] = [{**parsed['mqueue'][0], 'name': f'queue{number}', 'messages': 0,
                                 'maxmsg': 100, 'msgsize': 8192} for number in range(10)]
        self.rewrite(lambda info, data: [] if info.name == 'mqueue/queue' else [(info, data)],
                     change)
        new = self.alice.create('new')
        with self.assertError('QuotaExceeded', f'of user {ALICE}.*LimitMSGQUEUE='):
            self.load(new, self.alice)
        self.assertEqual(self.inside_as(ALICE, new).do(contents.describe_queues), {})

    def test_limits_of_messages(self):
        self.inside.do(contents.msg_make, 0x44, [(7, b'x' * 8000)])
        self.save(self.path, self.alice)

        def index(parsed):
            parsed['sysctls']['kernel.msgmnb'] = '2000000000'
            parsed['sysv']['msg'][0]['qbytes'] = 2000000000

        def change(info, data):
            return [(info, data * 200 if info.name == 'sysv/msg/0' else data)]
        self.rewrite(change, index)
        new = self.alice.create('new', ShmSize=MB)
        with self.assertError('QuotaExceeded', 'bytes of messages'):
            self.load(new, self.alice)
        member = self.inside_as(ALICE, new)
        self.assertEqual(member.do(contents.describe_sysv)['msg'], [])
        self.assertEqual(member.sysctl('kernel.msgmnb'), '16384')
        self.load(new)  # root may

    def test_limits_of_semaphores(self):
        """They take the kernel's memory, which is not the service's to give."""
        self.inside.do(contents.sem_make, 0x44, [1])
        self.save(self.path, self.alice)

        def change(parsed):
            parsed['sysv']['sem'] = [{**parsed['sysv']['sem'][0], 'id': number, 'key': number + 1,
                                      'values': [0] * 1000} for number in range(17)]
        self.rewrite(lambda info, data: [(info, data)], change)
        new = self.alice.create('new', ShmSize=MB)
        with self.assertError('QuotaExceeded', '17000 semaphores'):
            self.load(new, self.alice)
        member = self.inside_as(ALICE, new)
        self.assertEqual(member.do(contents.describe_sysv)['sem'], [])
        self.load(new)  # root may
        self.assertEqual(len(member.do(contents.describe_sysv)['sem']), 17)

    def test_the_file_is_the_callers(self):
        """What alice cannot read or write is not read or written for her."""
        with open(self.file, 'w', encoding='ascii') as file:
            os.chmod(self.file, 0o600)
            fd = os.open(self.file, os.O_PATH)
            try:
                with effective(ALICE), self.assertError('InvalidOption', 'not open for'):
                    self.alice.snapshot(self.path, fd)
            finally:
                os.close(fd)
            self.assertEqual(os.fstat(file.fileno()).st_size, 0)


if __name__ == '__main__':
    unittest.main()
