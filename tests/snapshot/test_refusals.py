# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cannot be kept is refused by name before anything is touched, and can be left out."""

import os
import socket
import tarfile
import tempfile
import unittest

from berthtest import MemberError, SnapshotTestCase, contents

MB = 1 << 20


class RefusalTestCase(SnapshotTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.instance.create('demo')
        self.inside = self.joined('demo')

    def members(self):
        with tarfile.open(self.file) as archive:
            return archive.getnames()

    def assertRefused(self, name, error='SandboxBusy', also='', **options):
        """And nothing was written or touched; leaving it out helps."""
        before = self.inside.do(contents.describe)
        with self.assertError(error, f'cannot keep (.*; )?{name}: .*{also}.*LeaveOut'):
            self.save(self.path, **options)
        self.assertEqual(os.path.getsize(self.file), 0)
        self.assertEqual(self.inside.do(contents.describe), before)
        self.save(self.path, **{**options, 'LeaveOut': [name]})
        self.assertEqual(self.index()['left_out'], [name])
        self.assertEqual(self.inside.do(contents.describe), before)

    def restored(self):
        """Returns: a member of a new sandbox that was filled from the archive."""
        self.load(self.instance.create('new'))
        return self.joined('new')


class Refusals(RefusalTestCase):
    def test_unlinked_file(self):
        self.inside.write('/dev/shm/named', 'text')
        self.save(self.path)
        fd = self.inside.do(contents.open_unlinked, '/dev/shm/file')
        self.assertRefused('unlinked')
        self.assertEqual(self.restored().listdir('/dev/shm'), ['named'])
        self.inside.do(contents.close, fd)
        self.save(self.path)

    def test_unlinked_is_told_from_attributes_and_links(self):
        self.inside.write('/dev/shm/file', 'text')
        self.inside.mkdir('/dev/shm/dir')
        for number in range(10):
            self.inside.do(contents.call, 'link', '/dev/shm/file', f'/dev/shm/dir/{number}')
        for number in range(20):
            self.inside.do(contents.setxattr, '/dev/shm/file', f'user.{number:0200}', bytes(500))
            self.inside.do(contents.setxattr, '/dev/shm/dir', f'user.{number}', bytes(100 * number))
        self.save(self.path)
        self.inside.do(contents.open_unlinked, '/dev/shm/other')
        self.assertRefused('unlinked')

    def test_segment_marked_for_removal(self):
        segment = self.inside.do(contents.shm_make, 5, 4096, b'text')
        other = self.inside.do(contents.shm_make, 6, 4096, b'other')
        self.inside.do(contents.shm_attach, segment)
        self.inside.do(contents.shm_remove, segment)
        self.assertRefused(f'sysv/shm/{segment}', also='marked for removal')
        self.assertEqual(self.restored().do(contents.shm_read, other, 5), b'other')

    def test_segment_that_would_go_at_once(self):
        self.inside.do(contents.shm_attach, self.inside.do(contents.shm_make, 5, 4096))
        self.instance.set_sysctls(self.path, {'kernel.shm_rmid_forced': '1'})
        self.assertRefused('sysv/shm/0', 'NotSupported', also='shm_rmid_forced')

    def test_segment_in_huge_pages(self):
        try:
            segment = self.inside.do(contents.shm_make_huge, 5, 2 * MB)
        except MemberError:  # not of this kernel
            return
        with self.assertError('NotSupported', f'sysv/shm/{segment}: it lies in huge pages'):
            self.save(self.path)
        self.assertEqual(os.path.getsize(self.file), 0)
        self.save(self.path, LeaveOut=[f'sysv/shm/{segment}'])

    def test_message_that_is_too_long_by_now(self):
        """The kernel copies no message that is longer than kernel.msgmax."""
        queue = self.inside.do(contents.msg_make, 5, [(1, b'x' * 8000), (2, b'y' * 4000)])
        self.save(self.path)
        self.instance.set_sysctls(self.path, {'kernel.msgmax': '8000'})
        self.save(self.path)
        self.instance.set_sysctls(self.path, {'kernel.msgmax': '7999'})
        self.assertRefused(f'sysv/msg/{queue}', 'NotSupported', also='kernel.msgmax')

    def test_socket_and_device(self):
        self.inside.do(contents.bind_socket, '/dev/shm/socket')
        self.assertRefused('shm/socket', 'NotSupported')
        self.inside.unlink('/dev/shm/socket')
        self.inside.do(contents.call, 'mknod', '/dev/shm/device', 0o20600, os.makedev(1, 3))
        self.assertRefused('shm/device', 'NotSupported')

    def test_flags(self):
        """A file that may not be changed could not be named, nor removed again."""
        for flag, name in ((0x10, 'immutable'), (0x20, 'append-only')):
            with self.subTest(name=name):
                self.inside.write(f'/dev/shm/{name}', 'text')
                self.inside.do(contents.set_flags, f'/dev/shm/{name}', flag)
                with self.assertError('NotSupported', f'shm/{name}: .*chattr -ia.*LeaveOut'):
                    self.save(self.path)
                self.save(self.path, LeaveOut=[f'shm/{name}'])
                self.inside.do(contents.set_flags, f'/dev/shm/{name}', 0)
                self.save(self.path)

    def test_depth(self):
        path = '/dev/shm'
        for _ in range(140):
            path += '/d'
            self.inside.mkdir(path)
        with self.assertError('NotSupported', 'shm/d/d/d/.*too deep'):
            self.save(self.path)
        self.save(self.path, LeaveOut=['shm' + '/d' * 128])
        self.assertEqual(max(map(len, self.members())), len('shm' + '/d' * 127))

    def test_left_out_directory(self):
        for name in ('keep', 'drop', 'dropped'):
            self.inside.mkdir(f'/dev/shm/{name}')
            self.inside.write(f'/dev/shm/{name}/file', name)
        self.save(self.path, LeaveOut=['shm/drop'])
        self.assertEqual(self.restored().listdir('/dev/shm'), ['dropped', 'keep'])

    def test_left_out_at_restore(self):
        self.inside.do(contents.fill)
        self.save(self.path, Stopped=True)
        path = self.instance.create('new')
        left_out = ['shm/dir', 'sysv', 'mqueue/queue', 'sysctl']
        with self.assertError('InvalidOption', 'shm/plain is another name'):
            self.load(path, LeaveOut=left_out)
        left_out.append('shm/plain')
        self.load(path, LeaveOut=left_out)
        member = self.joined('new')
        self.assertNotIn('dir', member.listdir('/dev/shm'))
        self.assertIn('fifo', member.listdir('/dev/shm'))
        self.assertEqual(member.do(contents.describe_sysv), {'shm': [], 'sem': [], 'msg': []})
        self.assertEqual(list(member.do(contents.describe_queues)), ['empty', 'of-a-user'])

    def test_many(self):
        for number in range(20):
            self.inside.do(contents.bind_socket, f'/dev/shm/{number}')
        with self.assertError('NotSupported', 'shm/.*and 12 more'):
            self.save(self.path)


class Queues(RefusalTestCase):
    def test_messages_need_stopped_programs(self):
        self.inside.do(contents.mq_make, 'queue', [(1, b'text')])
        self.assertRefused('mqueue/queue', also='--stopped')
        self.assertEqual(self.restored().do(contents.describe_queues), {})
        self.save(self.path, Stopped=True)
        self.assertEqual(self.inside.do(contents.mq_drain, 'queue'), [(1, b'text')])
        self.save(self.path)  # an empty one needs nothing

    def test_waiting_sender(self):
        self.inside.do(contents.mq_make, 'queue', [(1, b'one'), (1, b'two')], most=2)
        self.save(self.path, Stopped=True)  # full, and nobody waits
        sender = self.inside.do(contents.mq_send_later, 'queue', 5, b'late')
        self.assertRefused('mqueue/queue', also=f'process {sender} waits', Stopped=True)
        self.assertEqual(self.inside.do(contents.mq_drain, 'queue'),
                         [(1, b'one'), (5, b'late'), (1, b'two')])
        self.assertEqual(self.inside.do(contents.reap, sender), 0)

    def test_frozen_sender(self):
        """The kernel takes a stopped thread out of the line; it goes on with the call all the same."""
        self.inside.do(contents.mq_make, 'queue', [(1, b'one')], most=1)
        sender = self.inside.do(contents.mq_send_later, 'queue', 5, b'late')
        os.kill(sender, 19)
        self.assertRefused('mqueue/queue', also=f'process {sender} waits', Stopped=True)
        os.kill(sender, 18)
        self.assertEqual(self.inside.do(contents.mq_drain, 'queue')[0], (1, b'one'))
        self.assertEqual(self.inside.do(contents.reap, sender), 0)

    def test_notification(self):
        self.inside.do(contents.mq_make, 'queue')
        child = self.inside.do(contents.mq_notify, 'queue')
        self.save(self.path)
        self.assertEqual(self.index()['mqueue'][0]['notify_pid'], child)
        # it fires when a message comes into the empty queue, so now
        self.inside.do(contents.mq_send, 'queue', 1, b'first')
        self.save(self.path, Stopped=True)
        child = self.inside.do(contents.mq_notify, 'queue')
        self.assertRefused('notify/queue', also=f'process {child} is registered', Stopped=True)

    def test_order(self):
        messages = [(number % 7, str(number).encode() * (number % 50)) for number in range(500)]
        self.instance.set_sysctls(self.path, {'fs.mqueue.msg_max': '500'})
        self.inside.do(contents.mq_make, 'queue', messages, most=500, size=150)
        expected = sorted(messages, key=lambda message: -message[0])
        for _ in range(3):
            self.save(self.path, Stopped=True)
        self.assertEqual(self.restored().do(contents.mq_drain, 'queue'), expected)
        self.assertEqual(self.inside.do(contents.mq_drain, 'queue'), expected)

    def test_of_nobody_who_may_write(self):
        self.inside.do(contents.mq_make, 'queue', [(1, b'text')], mode=0o400)
        self.assertRefused('mqueue/queue', 'org.freedesktop.DBus.Error.AccessDenied', Stopped=True)


class Archives(SnapshotTestCase):
    def test_modes(self):
        for mode in ('private', 'none'):
            with self.assertError('NotShareable', 'non-shareable IPC'):
                self.save(self.instance.create(Mode=mode))
        with self.assertError('NotSupported', 'mode host'):
            self.save(self.instance.create(Mode='host'))

    def refuse(self, fd, message, name='InvalidOption', restore=False):
        try:
            with self.assertError(name, message):
                (self.instance.restore if restore else self.instance.snapshot)(self.path, fd)
        finally:
            os.close(fd)

    def test_what_is_no_archive(self):
        self.path = self.instance.create('demo')
        with open(self.file, 'w', encoding='ascii'):
            pass
        self.refuse(os.open(self.file, os.O_RDONLY), 'not open for writing')
        self.refuse(os.open(self.file, os.O_WRONLY), 'not open for reading', restore=True)
        self.refuse(os.open(self.file, os.O_PATH), 'not open for')
        self.refuse(os.open('/dev/null', os.O_RDWR), 'neither a file nor a pipe')
        self.refuse(os.open('/', os.O_RDONLY), 'not open|neither')
        self.refuse(os.open('/proc/self/oom_score_adj', os.O_RDWR), "file of the kernel's")
        member = self.joined('demo')
        fds = self.join('demo')
        member.write('/dev/shm/file', '')
        self.refuse(os.open('file', os.O_RDWR, dir_fd=fds['shm']), 'in the sandbox itself')
        with self.assertError('org.freedesktop.DBus.Error.InvalidArgs', "unknown option 'Stoped'"):
            self.save(self.path, Stoped=True)

    def test_one_at_a_time(self):
        self.path = self.instance.create('demo')
        self.joined('demo').fill('/dev/shm/file', MB)
        reader, writer = os.pipe()
        pending = self.user(0).begin_snapshot(self.path, writer)
        os.close(writer)
        os.read(reader, 1)
        for call in (self.save, self.load):
            with self.assertError('SandboxBusy', 'being saved or restored'):
                call(self.path)
        with self.assertError('SandboxBusy', 'being saved or restored'):
            self.instance.set_sysctls(self.path, {'kernel.shmmni': '10'})
        # everything else goes on meanwhile
        self.instance.describe(self.path)
        self.instance.remove(self.instance.create('other'))
        while os.read(reader, MB):
            pass
        os.close(reader)
        pending.result()
        self.save(self.path)

    def test_removed_meanwhile(self):
        path = self.instance.create('demo')
        self.joined('demo').fill('/dev/shm/file', MB)
        ours, theirs = socket.socketpair()
        pending = self.user(0).begin_snapshot(path, theirs.fileno())
        theirs.close()
        ours.recv(1)
        self.instance.remove(path)
        while ours.recv(MB):
            pass
        ours.close()
        pending.result()

    def test_directory_of_the_archive(self):
        """berthctl leaves nothing behind but complete archives."""
        self.instance.create('demo')
        self.joined('demo').write('/dev/shm/file', 'text')
        directory = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP'))
        self.addCleanup(directory.cleanup)
        file = os.path.join(directory.name, 'file')
        self.instance.run('berthctl', 'snapshot', 'demo', file)
        self.assertEqual(os.listdir(directory.name), ['file'])
        with open(file, 'rb') as one:
            before = one.read()
        self.joined('demo').do(contents.bind_socket, '/dev/shm/socket')
        done = self.instance.run('berthctl', 'snapshot', 'demo', file, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('shm/socket', done.stderr)
        self.assertEqual(os.listdir(directory.name), ['file'])
        with open(file, 'rb') as one:
            self.assertEqual(one.read(), before)
        self.instance.run('berthctl', 'snapshot', '--leave-out=shm/socket', '--stopped', 'demo',
                          file)
        self.instance.create('new')
        self.instance.run('berthctl', 'restore', 'new', file)
        self.assertEqual(self.joined('new').listdir('/dev/shm'), ['file'])
        self.instance.run('sh', '-c', f'{self.instance.tool("berthctl")} snapshot demo - '
                          f'--leave-out=shm | cat >{file}')
        self.instance.create('newer')
        self.instance.run('sh', '-c',
                          f'cat {file} | {self.instance.tool("berthctl")} restore newer -')
        self.assertEqual(self.joined('newer').listdir('/dev/shm'), [])
        done = self.instance.run('berthctl', 'restore', 'new', file, check=False)
        self.assertEqual((done.returncode, 'not empty' in done.stderr), (1, True))


if __name__ == '__main__':
    unittest.main()
