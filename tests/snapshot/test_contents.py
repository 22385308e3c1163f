# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sandbox.Snapshot and Restore: what goes in comes out, and nothing else is touched."""

import os
import subprocess
import tarfile
import tempfile
import unittest

from berthtest import SnapshotTestCase, contents

MB = 1 << 20


class Everything(SnapshotTestCase):
    def test_round_trip(self):
        one = self.instance.create('one', ShmSize=64 * MB)
        other = self.instance.create('other', ShmSize=64 * MB)
        member = self.joined('one')
        member.do(contents.fill)
        self.instance.set_sysctls(one, {'kernel.msgmnb': '20000', 'kernel.sem': '100 3200 50 40',
                                        'kernel.shmall': '5000', 'fs.mqueue.queues_max': '64'})
        before = member.do(contents.describe)
        pages = member.do(contents.shm_rss)
        self.save(one, Stopped=True)
        self.assertEqual(member.do(contents.describe), before)
        self.assertEqual(member.do(contents.shm_rss), pages)  # reading filled no hole

        self.load(other)
        again = self.joined('other')
        self.assertEqual(again.do(contents.describe), before)
        self.assertEqual(again.do(contents.shm_rss), pages)
        for name in ('queue', 'of-a-user', 'empty'):
            self.assertEqual(again.do(contents.mq_drain, name),
                             member.do(contents.mq_drain, name))
        # and what follows the size does so again, or not
        self.instance.resize(other, 128 * MB)
        self.assertEqual(again.sysctl('kernel.shmall'), '5000')

    def test_into_the_same_one_when_empty(self):
        path = self.instance.create('demo')
        member = self.joined('demo')
        member.write('/dev/shm/file', 'text')
        segment = member.do(contents.shm_make, 5, 4096, b'segment')
        self.save(path)
        with self.assertError('SandboxBusy', '1 files in shm, 1 segments'):
            self.load(path)
        member.unlink('/dev/shm/file')
        with self.assertError('SandboxBusy', '0 files in shm, 1 segments'):
            self.load(path)
        member.do(contents.shm_remove, segment)
        self.load(path)
        self.assertEqual(member.read('/dev/shm/file'), 'text')
        self.assertEqual(member.do(contents.shm_read, segment, 7), b'segment')

    def test_joiner_acts_on_its_donor(self):
        self.instance.create('donor')
        joiner = self.instance.create('joiner', Mode='container:donor')
        self.joined('donor').write('/dev/shm/file', 'text')
        self.save(joiner)
        self.load(self.instance.create('new'))
        self.assertEqual(self.joined('new').read('/dev/shm/file'), 'text')

    def test_empty(self):
        self.save(self.instance.create('one'))
        self.load(self.instance.create('other'))
        self.assertEmpty(self.joined('other'))

    def test_through_pipes(self):
        one, other = self.instance.create('one'), self.instance.create('other')
        self.joined('one').do(contents.fill)
        before = self.joined('one').do(contents.describe)
        reader, writer = os.pipe()
        user = self.user(0)
        saving = user.begin_snapshot(one, writer, Stopped=True)
        os.close(writer)
        with open(self.file, 'wb') as file:
            subprocess.run(['cat'], stdin=reader, stdout=file, check=True)
        os.close(reader)
        saving.result()
        with subprocess.Popen(['cat', self.file], stdout=subprocess.PIPE) as cat:
            self.instance.restore(other, cat.stdout.fileno())
        self.assertEqual(self.joined('other').do(contents.describe), before)

    def test_long_messages(self):
        """Up to what kernel.msgmax allows, whatever it is in the new sandbox."""
        one = self.instance.create('one')
        self.instance.set_sysctls(one, {'kernel.msgmax': '300000', 'kernel.msgmnb': '1000000'})
        messages = [(7, os.urandom(300000)), (3, b''), (1, os.urandom(65537)), (7, b'last')]
        queue = self.joined('one').do(contents.msg_make, 0x42, messages)
        self.save(one)
        self.load(self.instance.create('other'))
        self.assertEqual(self.joined('other').do(contents.msg_list, queue), messages)

    def test_names_and_numbers(self):
        """What does not fit into the header of a tar archive."""
        one = self.instance.create('one')
        member = self.joined('one')
        top = '/dev/shm/'
        long = 'x' * 250
        member.do(contents.call, 'makedirs', f'{top}{long}/{long}/é{long[2:]}')
        for name, data in ((f'{long}/{long}/file', 'text'), ('y' * 100, ''), ('y' * 96, 'exactly'),
                           ('line\nfeed', 'x'), ('=', '='), ('12 path=forged', '')):
            member.write(top + name, data)
        member.do(contents.call, 'symlink', '/' + 'z' * 300, top + 'link')
        member.do(contents.call, 'symlink', os.fsdecode(b'\xff\xfe'), top + 'link that is not UTF-8')
        member.do(contents.call, 'link', f'{top}{long}/{long}/file', top + long + '/again')
        member.do(contents.hole, f'{top}{long}/{long}/sparse', MB, [(8192, b'data')])
        member.do(contents.hole, f'{top}parts', 100 << 20, [(n << 20, b'part') for n in range(100)])
        member.do(contents.chown, f'{top}{long}/again', 3000000, 4294967294)
        for name, ns in (('=', -10 ** 18), ('line\nfeed', 2 ** 34 * 10 ** 9 + 1), ('link', 1),
                         ('y' * 100, 999999999)):
            member.do(contents.utime, top + name, ns)
        member.do(contents.setxattr, top + '=', 'user.empty', b'')
        member.do(contents.setxattr, top + '=', 'user.large', os.urandom(60000))
        files = member.do(contents.describe_files)
        self.save(one)
        self.load(self.instance.create('other'))
        self.assertEqual(self.joined('other').do(contents.describe_files), files)
        names = {'shm', *(f'shm/{name}' for name in files)}
        with tarfile.open(self.file) as archive:
            self.assertEqual({name for name in archive.getnames() if name.startswith('shm')}, names)
        done = subprocess.run(['tar', 'tf', self.file, '--quoting-style=literal', '--null'],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        listed = os.fsdecode(done.stdout)
        for name in names:
            self.assertIn(name, listed)

    def test_times(self):
        """Also that of the last access, which a snapshot leaves as it is."""
        one = self.instance.create('one')
        member = self.joined('one')
        member.write('/dev/shm/file', 'text')
        member.mkdir('/dev/shm/dir')
        times = (10 ** 18 + 123456789, 10 ** 18 + 987654321)
        for name in ('', '/dir', '/file'):
            member.do(contents.call, 'utime', '/dev/shm' + name, ns=times)
        self.save(one)
        self.load(self.instance.create('other'))
        for found in (member, self.joined('other')):
            for name in ('', '/dir', '/file'):
                self.assertEqual(found.do(contents.times, '/dev/shm' + name), times, name)

    def test_top(self):
        """What the shm itself has, besides files."""
        one = self.instance.create('one')
        member = self.joined('one')
        self.addCleanup(member.close)
        member.do(contents.setxattr, '/dev/shm', 'system.posix_acl_default',
                  contents.acl(*contents.ACL))
        member.do(contents.setxattr, '/dev/shm', 'trusted.note', b'a=b')
        member.do(contents.chown, '/dev/shm', 4, 5)
        member.do(contents.chmod, '/dev/shm', 0o1775)
        member.write('/dev/shm/file', 'text')
        before = member.do(contents.describe_top), member.do(contents.describe_files)
        self.save(one)
        self.load(self.instance.create('other'))
        again = self.joined('other')
        self.assertEqual((again.do(contents.describe_top), again.do(contents.describe_files)), before)

    def test_ten_gib(self):
        """Holes take neither room nor time, in the archive or out of it."""
        size = 10 << 30
        parts = [(0, b'first'), (5 << 30, b'middle'), (size - 4, b'last')]
        one = self.instance.create('one')
        member = self.joined('one')
        member.do(contents.hole, '/dev/shm/large', size, parts)
        self.save(one)
        self.assertLess(os.path.getsize(self.file), 100000)
        self.load(self.instance.create('other'))
        for found in (member, self.joined('other')):
            self.assertEqual(found.do(contents.parts, '/dev/shm/large', parts), (size, 3 * 8, parts))

    def test_many_small_files(self):
        one, other = self.instance.create('one'), self.instance.create('other')
        member = self.joined('one')
        member.do(contents.write_many, '/dev/shm', 2000, 100)
        self.save(one)
        self.load(other)
        self.assertEqual(self.joined('other').do(contents.describe_files),
                         member.do(contents.describe_files))

    def test_full_to_the_last_inode_and_page(self):
        options = {'ShmSize': MB, 'ShmInodes': 20}
        one, other = self.instance.create('one', **options), self.instance.create('other', **options)
        member = self.joined('one')
        for number in range(18):
            member.write(f'/dev/shm/{number}', '')
        member.fill('/dev/shm/big', 2 * MB)
        self.save(one)
        self.load(other)
        self.assertEqual(self.joined('other').do(contents.describe_files),
                         member.do(contents.describe_files))

    def test_index(self):
        path = self.instance.create('demo', ShmSize=8 * MB, ShmInodes=1000, Labels={'a': 'b'},
                                    Users=['1000'])
        member = self.joined('demo')
        semaphores = member.do(contents.sem_make, 7, [3])
        self.save(path)
        index = self.index()
        self.assertEqual((index['format'], index['version']), ('org.berthd.snapshot', 1))
        self.assertEqual(index['sysv']['sem_undo'], [])
        self.assertEqual(index['sandbox']['id'], path.rpartition('/')[2])
        self.assertLessEqual({'name': 'demo', 'mode': 'shareable', 'owner': 0, 'shm_size': 8 * MB,
                              'shm_inodes': 1000, 'labels': {'a': 'b'}, 'users': [1000],
                              'groups': [], 'published': False}.items(), index['sandbox'].items())
        member.do(contents.sem_undo, semaphores, -1)
        self.save(path)
        self.assertEqual(self.index()['sysv']['sem_undo'], [member.pid])
        self.assertEqual(self.index()['sysv']['sem'][0]['values'], [2])

    def test_ordinary_tools_read_it(self):
        path = self.instance.create('demo')
        self.joined('demo').do(contents.fill)
        self.save(path, Stopped=True)
        directory = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP'))
        self.addCleanup(directory.cleanup)
        subprocess.run(['tar', 'xpf', self.file, '-C', directory.name, '--xattrs',
                        '--xattrs-include=*'], check=True, stdin=subprocess.DEVNULL)
        found = contents.describe_files(os.path.join(directory.name, 'shm'))
        inside = self.joined('demo').do(contents.describe_files)
        for one in (found, inside):
            for entry in one.values():  # of another file system
                entry.pop('blocks', None)
                entry.pop('same', None)
        self.assertEqual(found, inside)
        with open(os.path.join(directory.name, 'mqueue', 'queue'), 'rb') as file:
            self.assertEqual(file.read(), b'9 4\nhigh\n9 5\n1 1\n\n\n1 3\nlow\n1 9\nlow again\n0 0\n\n')


if __name__ == '__main__':
    unittest.main()
