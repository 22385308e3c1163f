# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sandboxes of ordinary users: names, what the owner can do with them, and what nobody can."""

import errno
import os
import re
import shutil
import subprocess
import unittest

from berthtest import (ALICE, BOB, CAROL, IF_SANDBOX, UserTestCase, effective, gid_of_name,
                       inside_vault, name_of_uid, syscalls)

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
KEY = 0x4265


def as_user(uid, function):
    """Runs function in a process of that user without privilege. Returns: 0, or the errno."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            gid = gid_of_name(name_of_uid(uid))
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            os.umask(0)
            try:
                function()
                result = 0
            except OSError as error:
                result = error.errno
            os.write(writer, b'%d' % result)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return int(text)


class Names(UserTestCase):
    def setUp(self):
        super().setUp()
        self.alice, self.bob = self.user(ALICE), self.user(BOB)

    def test_names_are_per_owner(self):
        paths = {user: user.create('demo') for user in (self.instance, self.alice, self.bob)}
        self.assertEqual(len(set(paths.values())), 3)
        for user, path in paths.items():
            self.assertEqual(user.find('demo'), path)
        with self.assertError('SandboxExists', f'demo of user {ALICE}'):
            self.alice.create('demo')

    def test_a_plain_name_is_ones_own_or_roots(self):
        roots = self.instance.create('demo')
        self.assertEqual(self.alice.find('demo'), roots)
        own = self.alice.create('demo')
        self.assertEqual(self.alice.find('demo'), own)
        self.assertEqual(self.bob.find('demo'), roots)
        self.alice.remove(own)
        self.assertEqual(self.alice.find('demo'), roots)
        self.alice.create('other')
        for user in (self.bob, self.instance):
            with self.assertError('NoSuchSandbox', 'other'):
                user.find('other')

    def test_a_name_with_its_owner(self):
        mine, roots = self.alice.create('demo'), self.instance.create('demo')
        for user in (self.alice, self.bob, self.instance):
            self.assertEqual(user.find(f'{ALICE}/demo'), mine)
            self.assertEqual(user.find('0/demo'), roots)
            self.assertEqual(user.find(mine.rsplit('/', 1)[1]), mine)
            with self.assertError('NoSuchSandbox'):
                user.find(f'{BOB}/demo')

    def test_join_means_ones_own_too(self):
        self.instance.create('demo')
        own = self.alice.create('demo')
        fds = self.keep(self.alice.join('demo'))
        self.assertEqual(os.fstat(fds['ipc']).st_ino, self.alice.describe(own)['NamespaceId'])
        joiner = self.alice.create(Mode='container:demo')
        self.assertEqual(self.alice.describe(joiner)['Donor'], own)

    def test_owner(self):
        path = self.alice.create('demo')
        self.assertEqual(self.bob.get(path, IF_SANDBOX, 'Owner'), ALICE)
        row, = self.bob.list()
        self.assertEqual(row['Owner'], ALICE)
        self.assertEqual(self.instance.list(Owner=row['Owner'])[0]['Path'], path)

    def test_only_root_has_names_among_the_published(self):
        self.authority.answer(publish_sandbox='yes')
        path = self.alice.create('demo', Publish=True)
        where = str(self.alice.describe(path)['PublishedPath'])
        self.assertEqual(sorted(os.listdir(where)), ['ipc', 'mqueue', 'shm'])
        self.assertEqual(os.listdir(self.instance.path('run', 'sandbox', 'by-name')), [])
        own = self.instance.create('demo', Publish=True)
        self.assertEqual(os.readlink(self.instance.path('run', 'sandbox', 'by-name', 'demo')),
                         f'../{own.rsplit("/", 1)[1]}')
        self.alice.remove(path)
        self.assertEqual(os.listdir(self.instance.path('run', 'sandbox', 'by-name')), ['demo'])


class Owner(UserTestCase):
    """What an owner does from processes of its own, without any privilege."""

    def setUp(self):
        super().setUp()
        self.alice = self.user(ALICE)
        self.path = self.alice.create('demo', ShmSize=1 << 20, ShmInodes=100)

    def inside(self, name='demo', user=None):
        """Returns: a Member of alice's that has entered."""
        return self.member(uid=ALICE, **(user or self.alice).join(name))

    def test_enter_again_from_another_process(self):
        first = self.inside()
        first.write('/dev/shm/file', 'text')
        first.shm_put(KEY, b'segment')
        first.mq_put('/queue', b'message')
        other = self.user(ALICE)  # another connection, another process
        second = self.inside(user=other)
        self.assertEqual(second.namespace('ipc'), self.alice.describe(self.path)['NamespaceId'])
        self.assertEqual(second.read('/dev/shm/file'), 'text')
        self.assertEqual(second.shm_get(KEY, 7), b'segment')
        self.assertEqual(second.mq_get('/queue'), b'message')

    def test_enter_after_everybody_left_and_a_restart(self):
        with self.inside() as member:
            member.write('/dev/shm/file', 'text')
            member.shm_put(KEY, b'segment')
            member.mq_put('/queue', b'message')
        self.instance.restart()
        with self.inside(user=self.user(ALICE)) as member:
            self.assertEqual(member.read('/dev/shm/file'), 'text')
            self.assertEqual(member.shm_get(KEY, 7), b'segment')
            self.assertEqual(member.mq_get('/queue'), b'message')

    def test_every_mode(self):
        for mode in ('private', 'none', 'container:demo'):
            with self.subTest(mode=mode):
                self.alice.create('other', Mode=mode)
                fds = self.alice.join('other')
                self.assertEqual(set(fds), {'ipc', 'mqueue'} if mode == 'none'
                                 else {'ipc', 'shm', 'mqueue'})
                with self.member(uid=ALICE, **fds) as member:
                    member.mq_put('/queue', b'message')
                    member.shm_put(KEY, b'segment')
                    member.shm_remove(KEY)
                for row in self.alice.list(Name='other'):
                    self.alice.remove(row['Path'])

    def test_users_and_groups_inside_are_the_real_ones(self):
        member = self.inside()
        self.assertEqual(member.read('/proc/self/uid_map').split(), [str(ALICE), str(ALICE), '1'])
        groups = member.read('/proc/self/gid_map').split()
        self.assertIn(str(gid_of_name('games')), groups)
        self.assertNotIn('0', groups[0::3] + groups[1::3])
        self.assertEqual(member.read('/proc/self/setgroups'), 'deny\n')

    def test_the_size_cannot_be_raised(self):
        member = self.inside()
        size = member.statvfs('/dev/shm')
        self.assertEqual(size, (1 << 20, 100))
        for data in ('size=2097152', 'nr_inodes=1000', 'size=0'):
            with self.subTest(data=data), self.assertRaises(OSError) as caught:
                member.remount('/dev/shm', data)
            self.assertEqual(caught.exception.errno, errno.EPERM)
        self.assertEqual(member.statvfs('/dev/shm'), size)
        self.assertEqual(member.fill('/dev/shm/file', 2 << 20), 1 << 20)

    def test_the_sysctls_cannot_be_raised(self):
        member = self.inside()
        before = dict(self.alice.describe(self.path)['Sysctls'])
        self.assertLess(5, len(before))
        for name, value in before.items():
            if name.endswith('_next_id'):
                continue  # no limit: which ID comes next is for CRIU to say, within the namespace
            with self.subTest(name=name), self.assertRaises(OSError) as caught:
                member.set_sysctl(name, value)
            self.assertIn(caught.exception.errno, (errno.EACCES, errno.EPERM, errno.EROFS))
            self.assertEqual(member.sysctl(name).split(), value.split())
        self.assertEqual(self.alice.describe(self.path)['Sysctls'], before)

    def test_nor_from_another_user_namespace(self):
        """One inside, where the user is root: it has no power over what lies above."""
        member = self.inside()
        member.unshare_user()
        for name, value in self.alice.describe(self.path)['Sysctls'].items():
            if name.endswith('_next_id'):
                continue
            with self.subTest(name=name), self.assertRaises(OSError):
                member.set_sysctl(name, value)
        with self.assertRaises(OSError):
            member.remount('/dev/shm', 'size=2097152')

    def test_sysv_memory_is_bounded_by_the_shm_size(self):
        member = self.inside()
        self.assertEqual(member.sysctl('kernel.shmall'), str((1 << 20) // os.sysconf('SC_PAGESIZE')))
        member.shm_put(KEY, b'', 1 << 20)
        with self.assertRaises(OSError) as caught:
            member.shm_put(KEY + 1, b'', 4096)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)

    def test_the_owner_changes_limits_through_the_service(self):
        member = self.inside()
        self.alice.resize(self.path, 2 << 20, Inodes=200)
        self.alice.set_sysctls(self.path, {'kernel.msgmnb': '32768'})
        self.assertEqual(member.statvfs('/dev/shm'), (2 << 20, 200))
        self.assertEqual(member.sysctl('kernel.msgmnb'), '32768')
        self.assertEqual(self.alice.describe(self.path)['Sysctls']['kernel.msgmnb'], '32768')

    def test_sysctls_at_creation(self):
        self.alice.create('tuned', Sysctls={'kernel.msgmnb': '32768', 'fs.mqueue.msg_max': '20'})
        member = self.inside('tuned')
        self.assertEqual(member.sysctl('kernel.msgmnb'), '32768')
        self.assertEqual(member.sysctl('fs.mqueue.msg_max'), '20')

    def test_the_shm_by_descriptor_alone(self):
        """No mount, no namespace entered: openat."""
        fds = self.keep(self.alice.join('demo'))

        def write():
            with open(os.open('file', os.O_CREAT | os.O_RDWR, dir_fd=fds['shm']), 'w') as file:
                file.write('text')
            os.close(os.open('queue', os.O_CREAT | os.O_RDWR, dir_fd=fds['mqueue']))
        self.assertEqual(as_user(ALICE, write), 0)
        member = self.inside()
        self.assertEqual(member.read('/dev/shm/file'), 'text')

        def climb():
            status = os.stat('../../../../..', dir_fd=fds['shm'])
            if (status.st_dev, status.st_ino) != (os.fstat(fds['shm']).st_dev,
                                                  os.fstat(fds['shm']).st_ino):
                raise OSError(errno.ENOTRECOVERABLE, 'escaped')
        self.assertEqual(as_user(ALICE, climb), 0)

    def test_another_user_cannot_enter_even_with_the_descriptor(self):
        fds = self.keep(self.alice.join('demo'))

        def enter():
            syscalls.setns(syscalls.user_namespace(fds['ipc']), syscalls.CLONE_NEWUSER)
        self.assertEqual(as_user(BOB, enter), errno.EPERM)
        self.assertEqual(as_user(BOB, lambda: syscalls.setns(fds['ipc'], syscalls.CLONE_NEWIPC)),
                         errno.EPERM)
        self.assertEqual(as_user(ALICE, enter), 0)

    def test_root_enters_too(self):
        inside = self.inside()
        inside.write('/dev/shm/file', 'text')
        with self.member(**self.instance.join(f'{ALICE}/demo')) as member:
            self.assertEqual(member.read('/dev/shm/file'), 'text')
            self.assertEqual(member.namespace('ipc'), inside.namespace('ipc'))

    def test_helpers_leave_nothing(self):
        self.alice.remove(self.path)
        before = self.instance.trace()
        for mode in ('shareable', 'private', 'none'):
            path = self.alice.create(Mode=mode)
            self.alice.remove(path)
        self.assertTrace(before)


class Programs(UserTestCase):
    """berthctl, run by an ordinary user."""

    def setUp(self):
        super().setUp()
        # the build may lie where a user may not look
        self.program = shutil.copy(self.instance.tool('berthctl'), self.instance.path('berthctl'))
        os.chmod(self.program, 0o755)

    def ctl(self, *arguments, uid=ALICE, status=0):
        """Returns: standard output."""
        done = subprocess.run(
            [self.program, *arguments], env=self.instance.environment(), user=uid,
            group=gid_of_name(name_of_uid(uid)), extra_groups=[], cwd='/', text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr + self.instance.logs())
        self.error = done.stderr
        return done.stdout

    def test_run(self):
        output = self.ctl('run', '--shm-size=3m', '--', 'sh', '-c',
                          'id -u; readlink /proc/self/ns/ipc; echo text >/dev/shm/x; ls /dev/shm; '
                          'stat -fc %b*%S /dev/shm; ipcmk -M 4096 >/dev/null && ipcs -m | grep -c 0x')
        uid, namespace, files, size, segments = output.splitlines()
        self.assertEqual((uid, files, segments), (str(ALICE), 'x', '1'))
        self.assertNotEqual(namespace, os.readlink('/proc/self/ns/ipc'))
        blocks, block = size.split('*')
        self.assertEqual(int(blocks) * int(block), 3 << 20)
        self.eventually(lambda: not self.instance.list())

    def test_every_mode(self):
        self.user(ALICE).create('donor')
        for mode in ('private', 'shareable', 'none', 'container:donor'):
            with self.subTest(mode=mode):
                namespace = self.ctl('run', f'--ipc={mode}', 'readlink', '/proc/self/ns/ipc')
                self.assertNotEqual(namespace.strip(), os.readlink('/proc/self/ns/ipc'))
        self.eventually(lambda: len(self.instance.list()) == 1)

    @unittest.skipUnless(os.path.ismount('/dev/mqueue'), 'no mqueue is mounted at /dev/mqueue')
    def test_the_host_s(self):
        self.authority.answer(host_ipc='yes')
        namespace = self.ctl('run', '--ipc=host', 'readlink', '/proc/self/ns/ipc')
        self.assertEqual(namespace.strip(), os.readlink('/proc/self/ns/ipc'))

    def test_the_host_s_descriptors(self):
        self.authority.answer(host_ipc='yes')
        alice = self.user(ALICE)
        alice.create('host', Mode='host')
        fds = self.keep(alice.join('host'))
        self.assertEqual(os.fstat(fds['ipc']).st_ino, os.stat('/proc/self/ns/ipc').st_ino)
        self.assertEqual(os.fstat(fds['shm']).st_dev, os.stat('/dev/shm').st_dev)

    def test_none_has_no_shm(self):
        # below a user namespace the machine's mount is locked, so it is covered
        self.assertEqual(self.ctl('run', '--ipc=none', '--', 'sh', '-c',
                                  'ls /dev/shm 2>/dev/null; touch /dev/shm/x 2>/dev/null; echo $?'),
                         '1\n')

    def test_create_enter_remove(self):
        identifier = self.ctl('create', 'demo').strip()
        self.assertRegex(identifier, '^[0-9a-f]{32}$')
        self.ctl('enter', 'demo', '--', 'sh', '-c', 'echo text >/dev/shm/x; ipcmk -Q >/dev/null')
        self.assertEqual(self.ctl('enter', identifier, 'cat', '/dev/shm/x'), 'text\n')
        self.assertEqual(self.ctl('enter', 'demo', 'sh', '-c', 'ipcs -q | grep -c 0x'), '1\n')
        self.assertIn('demo', self.ctl('list'))
        self.ctl('remove', 'demo')
        self.assertEqual(self.instance.list(), [])

    def test_a_refusal(self):
        self.instance.create('roots')
        self.ctl('enter', '0/roots', 'true', status=1)
        self.assertRegex(self.error, r'\Aberthctl: [^\n]*join-sandbox[^\n]*\n\Z')
        self.authority.answer(all='no', create_sandbox='no')
        self.ctl('run', 'true', status=1)
        self.assertRegex(self.error, 'create-sandbox')

    def test_a_member_is_told_what_it_can_do(self):
        self.user(ALICE).create('demo', Users=[name_of_uid(BOB)])
        self.ctl('enter', f'{ALICE}/demo', 'true', uid=BOB, status=1)
        self.assertRegex(self.error, 'owner')
        self.assertNotRegex(self.error, 'polkit')


class Members(UserTestCase):
    """Users and Groups: who else may join."""

    def setUp(self):
        super().setUp()
        self.alice, self.bob, self.carol = map(self.user, (ALICE, BOB, CAROL))

    def assertMember(self, user, name, path):
        fds = self.keep(user.join(name))
        self.assertEqual(set(fds), {'shm', 'mqueue'})
        with open(os.open('file', os.O_CREAT | os.O_RDWR, 0o666, dir_fd=fds['shm']), 'w') as file:
            file.write('text')
        self.assertEqual(user.describe(path)['Lifetime'], 'explicit')
        for call in (lambda: user.remove(path), lambda: user.resize(path, 1 << 20),
                     lambda: user.set_sysctls(path, {'kernel.msgmnb': '4096'}),
                     lambda: user.sandbox(path, 'Publish')):
            with self.assertError(DENIED):
                call()

    def assertStranger(self, user, name, path):
        for call in (lambda: user.join(name), lambda: user.describe(path),
                     lambda: user.sandbox(path, 'Join', 'a{sv}', {})):
            with self.assertError(DENIED):
                call()

    def test_users(self):
        path = self.alice.create('demo', Users=[name_of_uid(BOB)])
        self.assertMember(self.bob, f'{ALICE}/demo', path)
        self.assertStranger(self.carol, f'{ALICE}/demo', path)

    def test_groups(self):
        group = gid_of_name('cdrom')
        path = self.alice.create('demo', Groups=['cdrom'])
        self.assertStranger(self.bob, f'{ALICE}/demo', path)
        self.assertMember(self.user(BOB, [group]), f'{ALICE}/demo', path)
        primary = self.alice.create('other', Groups=[name_of_uid(CAROL)])
        self.assertMember(self.carol, f'{ALICE}/other', primary)

    def test_of_root(self):
        path = self.instance.create('demo', Users=[str(BOB)], Groups=['cdrom'])
        self.assertMember(self.bob, 'demo', path)
        self.assertMember(self.user(CAROL, [gid_of_name('cdrom')]), 'demo', path)
        self.assertStranger(self.carol, 'demo', path)

    def test_a_member_uses_it_with_no_privilege(self):
        """A queue is the owner's to make: the kernel knows no other uid in the namespace."""
        self.alice.create('demo', Users=[str(BOB)])
        own = self.keep(self.alice.join('demo'))
        fds = self.keep(self.bob.join(f'{ALICE}/demo'))

        def make():
            os.close(os.open('queue', os.O_CREAT | os.O_RDWR, 0o666, dir_fd=own['mqueue']))
        self.assertEqual(as_user(ALICE, make), 0)

        def use():
            os.close(os.open('file', os.O_CREAT | os.O_RDWR, dir_fd=fds['shm']))
            queue = os.open('queue', os.O_RDWR, dir_fd=fds['mqueue'])
            syscalls.mq_send(queue, b'message')
            if syscalls.mq_receive(queue) != b'message':
                raise OSError(errno.EBADMSG, 'not the message')
        self.assertEqual(as_user(BOB, use), 0)
        with self.member(uid=ALICE, **self.alice.join('demo')) as member:
            self.assertEqual(member.listdir('/dev/shm'), ['file'])

    def test_names_and_ids_are_stored_as_ids(self):
        path = self.alice.create('demo', Users=[name_of_uid(BOB), str(CAROL), str(BOB), '4000000000'],
                                 Groups=['cdrom', '4711', 'root'])
        for user in (self.alice, self.bob, self.instance):
            description = user.describe(path)
            self.assertEqual(list(description['Users']), [BOB, CAROL, 4000000000])
            self.assertEqual(list(description['Groups']), [gid_of_name('cdrom'), 4711, 0])

    def test_they_survive_a_restart(self):
        path = self.alice.create('demo', Users=[str(BOB)], Groups=['cdrom'])
        self.instance.kill()
        self.instance.start()
        self.assertMember(self.bob, f'{ALICE}/demo', path)
        self.assertMember(self.user(CAROL, [gid_of_name('cdrom')]), f'{ALICE}/demo', path)
        self.assertStranger(self.carol, f'{ALICE}/demo', path)

    def test_names_that_do_not_exist(self):
        before = self.instance.trace()
        for option in ('Users', 'Groups'):
            for name in ('no-such-name', '', 'a:b', '4294967295', '4294967296', '-1', '0x1', ' 1',
                         '1 ', 'x' * 10000, '\n'):
                with self.subTest(option=option, name=name[:20]):
                    with self.assertError('InvalidOption',
                                          re.escape(name[:10].strip()) or '(?i)' + option[:-1]):
                        self.alice.create('demo', **{option: ['root', name]})
        self.assertEqual(self.instance.list(), [])
        self.assertTrace(before)

    def test_how_many(self):
        path = self.alice.create('demo', Users=[str(number) for number in range(1000, 1064)])
        self.assertEqual(len(self.alice.describe(path)['Users']), 64)
        with self.assertError('InvalidOption', 'Groups'):
            self.alice.create('other', Groups=[str(number) for number in range(100000)])

    def test_not_with_what_is_handed_over(self):
        for mode in ('private', 'none'):
            for option in ('Users', 'Groups'):
                with self.assertError('InvalidOption', option):
                    self.alice.create(Mode=mode, **{option: ['root']})

    def test_groups_are_those_that_the_bus_saw(self):
        """Not those that /proc shows when the call comes."""
        path = self.alice.create('demo', Groups=['cdrom'])
        had = self.user(BOB, [gid_of_name('cdrom')])
        with effective(CAROL, [gid_of_name('cdrom')]):  # what this process has now
            self.assertStranger(self.bob, f'{ALICE}/demo', path)
        with effective(CAROL):
            self.assertMember(had, f'{ALICE}/demo', path)


class Donors(UserTestCase):
    """container:X never gives more than X's owner gave."""

    def setUp(self):
        super().setUp()
        self.alice, self.bob, self.carol = map(self.user, (ALICE, BOB, CAROL))
        self.donor = self.alice.create('demo', Users=[str(BOB)], Groups=['cdrom'])
        self.mode = f'container:{ALICE}/demo'

    def test_a_stranger(self):
        with self.assertError(DENIED, 'join-sandbox'):
            self.carol.create(Mode=self.mode)
        self.authority.answer(join_sandbox='yes')
        self.carol.create(Mode=self.mode)

    def test_a_member_joins_and_gets_no_more(self):
        self.bob.create('mine', Mode=self.mode)
        fds = self.keep(self.bob.join('mine'))
        self.assertEqual(set(fds), {'shm', 'mqueue'})
        self.assertEqual(set(self.keep(self.alice.join('demo'))), {'ipc', 'shm', 'mqueue'})
        self.assertEqual(os.fstat(fds['shm']).st_dev,
                         os.fstat(self.keep(self.alice.join('demo'))['shm']).st_dev)

    def test_users_can_only_narrow(self):
        for option, allowed, refused in (('Users', [BOB, ALICE], [CAROL, 0]),
                                         ('Groups', [gid_of_name('cdrom')], [4711, 0])):
            for identifier in allowed:
                self.bob.create(Mode=self.mode, **{option: [str(identifier)]})
            for identifier in refused:
                with self.subTest(option=option, identifier=identifier):
                    with self.assertError('InvalidOption', option):
                        self.bob.create(Mode=self.mode, **{option: [str(identifier)]})
                    with self.assertError('InvalidOption', option):
                        self.bob.create(Mode=self.mode, **{option: [str(allowed[0]),
                                                                    str(identifier)]})

    def test_a_chain(self):
        """What the one in the middle did not give on, the next cannot have."""
        first = self.bob.create('first', Mode=self.mode)
        for user in (self.carol, self.user(CAROL, [gid_of_name('cdrom')])):
            with self.assertError(DENIED):
                user.create(Mode=f'container:{BOB}/first')
        with self.assertError(DENIED):
            self.carol.join(first.rsplit('/', 1)[1])
        second = self.bob.create('second', Mode='container:first')
        self.assertEqual(self.bob.describe(second)['NamespaceId'],
                         self.alice.describe(self.donor)['NamespaceId'])
        with self.assertError('InvalidOption', 'Users'):
            self.bob.create(Mode='container:first', Users=[str(CAROL)])

    def test_limits_belong_to_the_donors_owner(self):
        joiner = self.bob.create('mine', Mode=self.mode)
        for call in (lambda: self.bob.resize(joiner, 1 << 20),
                     lambda: self.bob.set_sysctls(joiner, {'kernel.msgmnb': '4096'}),
                     lambda: self.bob.resize(self.donor, 1 << 20)):
            with self.assertError(DENIED, 'manage-sandbox'):
                call()
        self.alice.resize(joiner, 1 << 20)
        self.assertEqual(self.bob.get(joiner, IF_SANDBOX, 'ShmSize'), 1 << 20)
        # but the joiner itself is its owner's
        with self.assertError(DENIED, 'manage-sandbox'):
            self.alice.remove(joiner)
        self.bob.remove(joiner)

    def test_the_donor_goes(self):
        joiner = self.bob.create('mine', Mode=self.mode)
        self.alice.remove(self.donor)
        fds = self.keep(self.bob.join('mine'))
        self.assertEqual(set(fds), {'shm', 'mqueue'})
        with self.assertError(DENIED):
            self.bob.resize(joiner, 1 << 20)
        self.instance.restart()
        with self.assertError(DENIED):
            self.bob.resize(joiner, 1 << 20)
        self.assertEqual(set(self.keep(self.bob.join('mine'))), {'shm', 'mqueue'})

    def test_limits_after_the_donor_went(self):
        """What the joiner shows is what the kernel has, whatever the donor's record said last."""
        joiner = self.alice.create('joiner', Mode='container:demo')
        self.alice.remove(self.donor)
        self.alice.resize(joiner, 3 << 20, Inodes=300)
        records = [f'/record/{path.rsplit("/", 1)[1]}' for path in (self.donor, joiner)]
        for record in records:  # which of the two is read first must not matter
            self.instance.terminate()
            inside_vault(self.instance.pin, lambda: (os.rename(record, '/record/x'),
                                                     os.rename('/record/x', record)))
            self.instance.start()
            with self.subTest(newest=record):
                self.assertEqual(self.alice.get(joiner, IF_SANDBOX, 'ShmSize'), 3 << 20)
                self.assertEqual(self.alice.describe(joiner)['ShmInodes'], 300)


if __name__ == '__main__':
    unittest.main()
