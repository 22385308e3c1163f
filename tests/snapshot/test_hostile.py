# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives that are damaged, cut off, or made by somebody who wants more than to restore."""

import io
import os
import random
import tarfile
import unittest

from berthtest import SnapshotTestCase, contents

MB = 1 << 20


class Hostile(SnapshotTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.instance.create('demo', ShmSize=8 * MB)
        self.inside = self.joined('demo')
        self.target = self.instance.create('target', ShmSize=8 * MB, ShmInodes=100)
        self.victim = self.joined('target')
        self.before = self.victim.do(contents.describe)

    def make(self):
        """A small archive with some of everything."""
        self.inside.mkdir('/dev/shm/dir')
        self.inside.write('/dev/shm/dir/file', 'text')
        self.inside.write('/dev/shm/other', 'x' * 10000)
        self.inside.do(contents.hole, '/dev/shm/sparse', MB, [(500000, b'data')])
        self.inside.do(contents.shm_make, 0x42, 10000, b'segment')
        self.inside.do(contents.sem_make, 0x43, [1, 2])
        self.inside.do(contents.msg_make, 0x44, [(1, b'one'), (2, b'two')])
        self.inside.do(contents.mq_make, 'queue', [(1, b'one'), (2, b'two')], size=64)
        self.save(self.path, Stopped=True)
        with open(self.file, 'rb') as file:
            self.whole = file.read()

    def again(self):
        """The archive as make() made it."""
        with open(self.file, 'wb') as file:
            file.write(self.whole)

    def assertRefused(self, name='ArchiveInvalid', message=None, path=None, **options):
        """And the sandbox is as it was."""
        with self.assertError(name, message):
            self.load(path or self.target, **options)
        self.assertEqual(self.victim.do(contents.describe), self.before)
        usage = self.victim.statvfs('/dev/shm')
        self.assertEqual(usage, (8 * MB, 100))
        description = self.instance.describe(self.target)
        self.assertEqual((description['ShmUsed'], description['ShmInodesUsed']), (0, 1))

    def test_unchanged_but_packed_anew(self):
        self.make()
        self.rewrite(lambda info, data: [(info, data)])
        self.load(self.target)
        self.assertEqual(self.victim.read('/dev/shm/dir/file'), 'text')

    def test_cut_off(self):
        self.make()
        whole = self.whole
        lengths = {0, 1, 511, 512, 513, 1024, len(whole) - 1024, len(whole) - 1025,
                   len(whole) - 2048}
        lengths |= set(range(0, len(whole) - 1024, len(whole) // 40))
        lengths |= set(range(0, len(whole) - 1024, 512 * 7))
        # what is cut behind the text of the last member is nothing
        for length in sorted(filter(range(whole.rindex(b'}') + 1).__contains__, lengths)):
            with self.subTest(length=length):
                with open(self.file, 'wb') as file:
                    file.write(whole[:length])
                self.assertRefused()

    def test_damaged(self):
        self.make()
        whole = self.whole
        end = self.end()['bytes']
        generator = random.Random(1)
        for _ in range(60):
            position = generator.randrange(end)
            with self.subTest(position=position):
                damaged = bytearray(whole)
                damaged[position] ^= 1 << generator.randrange(8)
                with open(self.file, 'wb') as file:
                    file.write(damaged)
                self.assertRefused(
                    'ArchiveInvalid|NotSupported|InvalidOption|QuotaExceeded|Failed')

    def assertError(self, name, message=None, instance=None):
        """name: also several, of which any will do."""
        if '|' not in name:
            return super().assertError(name, message, instance)
        test = self

        class Any:
            def __enter__(self):
                pass

            def __exit__(self, kind, value, _traceback):
                test.assertIsNotNone(kind, 'no error')
                test.assertRegex(value.get_dbus_name(), f'\\.({name})$')
                return True
        return Any()

    def test_not_an_archive(self):
        for data in (b'', b'text', os.urandom(100000), bytes(100000), b'\x1f\x8b' + bytes(600)):
            with open(self.file, 'wb') as file:
                file.write(data)
            self.assertRefused()
        with tarfile.open(self.file, 'w') as archive:
            archive.addfile(tarfile.TarInfo('shm/file'))
        self.assertRefused(message='no snapshot of a sandbox')
        with tarfile.open(self.file, 'w:gz') as archive:
            archive.addfile(tarfile.TarInfo('berth-snapshot.json'))
        self.assertRefused()

    def add(self, *members):
        """Adds members after the last of the shm."""
        def change(info, data):
            if info.name != 'sysv/shm/0':
                return [(info, data)]
            return [*members, (info, data)]
        self.rewrite(change)

    def member(self, *args, **kwargs):
        if args and isinstance(args[0], str):
            info = tarfile.TarInfo(args[0])
            data = kwargs.pop('data', b'')
            info.mode = 0o644
            for key, value in kwargs.items():
                setattr(info, key, value)
            return info, data
        return super().member(*args, **kwargs)

    def test_names(self):
        self.make()
        for name in ('shm/../escaped', '/escaped', 'shm//escaped', 'shm/.', 'shm/..', '../escaped',
                     'shm/dir/../../escaped', 'shm/nowhere/file', 'escaped', 'shmescaped',
                     'shm/' + 'x' * 300, 'sysv/shm/1', 'sysv/shm/-1', 'sysv/shm/0/0', 'sysv/shm',
                     'sysv/msg/7', 'sysv/sem/0', 'mqueue/other', 'mqueue/../x', 'mqueue', 'sysv',
                     'berth-snapshot.json', 'shm/other', 'shm/dir', 'shm/dir/file', 'shm', ''):
            with self.subTest(name=name):
                self.again()
                self.add(self.member(name, data=b'x'))
                self.assertRefused()
        self.assertFalse(os.path.exists('/escaped'))

    def test_members_that_lead_elsewhere(self):
        self.make()
        link = self.member('shm/link', type=tarfile.SYMTYPE, linkname='/')
        for members in ([link, self.member('shm/link/escaped', data=b'x')],
                        [link, self.member('shm/link', data=b'x')],
                        [self.member('shm/hard', type=tarfile.LNKTYPE, linkname='/etc/passwd')],
                        [self.member('shm/hard', type=tarfile.LNKTYPE, linkname='shm/../etc')],
                        [self.member('shm/hard', type=tarfile.LNKTYPE, linkname='shm')],
                        [self.member('shm/hard', type=tarfile.LNKTYPE, linkname='shm/dir')],
                        [self.member('shm/hard', type=tarfile.LNKTYPE, linkname='shm/later')],
                        [link, self.member('shm/hard', type=tarfile.LNKTYPE,
                                           linkname='shm/link/etc/passwd')],
                        [self.member('shm/device', type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
                        [self.member('shm/device', type=tarfile.BLKTYPE, devmajor=7, devminor=0)]):
            with self.subTest(members=[one[0].name for one in members]):
                self.again()
                self.add(*members)
                self.assertRefused('ArchiveInvalid|AccessDenied|Failed')
        self.assertFalse(os.path.exists('/escaped'))

    def test_too_much(self):
        self.make()
        for change in (lambda: self.add(self.member('shm/big', data=bytes(9 * MB))),
                       lambda: self.add(*[self.member(f'shm/{number}') for number in range(200)])):
            self.again()
            change()
            self.assertRefused('QuotaExceeded', 'resize')

    def test_bombs(self):
        """What says it is large is only what it holds."""
        self.make()
        sparse = io.BytesIO()
        with tarfile.open(fileobj=sparse, mode='w', format=tarfile.PAX_FORMAT) as archive:
            info = tarfile.TarInfo('shm/bomb')
            body = b'1\n%d\n4\n' % (1 << 61)
            body += bytes(512 - len(body)) + b'data'
            info.size = len(body)
            info.pax_headers = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0',
                                'GNU.sparse.name': 'shm/bomb',
                                'GNU.sparse.realsize': str((1 << 61) + 4)}
            archive.addfile(info, io.BytesIO(body))
        sparse.seek(0)
        with tarfile.open(fileobj=sparse) as archive:
            raw = archive.fileobj.getvalue()
        whole = self.whole
        # before the end, whose checksum is then wrong: nothing of it must stay
        end = whole.rindex(b'berth-snapshot-end.json') // 512 * 512
        with open(self.file, 'wb') as file:
            file.write(whole[:end] + raw[:2560] + whole[end:])
        self.assertRefused()

    def change_index(self, change):
        self.rewrite(lambda info, data: [(info, data)], index=change)

    def test_index(self):
        self.make()
        def set_at(value, *where):
            def change(index):
                for key in where[:-1]:
                    index = index[key]
                index[where[-1]] = value
            return change
        segment = ('sysv', 'shm', 0)
        for change, error in (
                (set_at('else', 'format'), 'ArchiveInvalid'),
                (set_at(2, 'version'), 'NotSupported'),
                (set_at('1', 'version'), 'ArchiveInvalid'),
                (set_at({}, 'sysv'), 'ArchiveInvalid'),
                (set_at([], 'sysctls'), 'ArchiveInvalid'),
                (set_at(-1, *segment, 'id'), 'ArchiveInvalid'),
                (set_at(1 << 31, *segment, 'id'), 'ArchiveInvalid'),
                (set_at(1 << 32, *segment, 'key'), 'ArchiveInvalid'),
                (set_at(0o1600, *segment, 'mode'), 'ArchiveInvalid'),
                (set_at(-1, *segment, 'uid'), 'ArchiveInvalid'),
                (set_at((1 << 32) - 1, *segment, 'uid'), 'ArchiveInvalid'),
                (set_at(-5, *segment, 'size'), 'ArchiveInvalid'),
                (set_at(1 << 62, *segment, 'size'), 'QuotaExceeded'),
                (set_at(9 * MB, *segment, 'size'), 'QuotaExceeded'),
                (set_at(5000, *segment, 'size'), 'ArchiveInvalid'),  # its data is more
                (set_at([], 'sysv', 'shm'), 'ArchiveInvalid'),
                (set_at([], 'sysv', 'msg'), 'ArchiveInvalid'),
                (set_at([], 'mqueue'), 'ArchiveInvalid'),
                (set_at([40000], 'sysv', 'sem', 0, 'values'), 'ArchiveInvalid'),
                (set_at([], 'sysv', 'sem', 0, 'values'), 'ArchiveInvalid'),
                (set_at([1.5], 'sysv', 'sem', 0, 'values'), 'ArchiveInvalid'),
                (set_at(1, 'sysv', 'msg', 0, 'qbytes'), 'ArchiveInvalid'),
                (set_at(1 << 40, 'sysv', 'msg', 0, 'qbytes'), 'ArchiveInvalid'),
                (set_at('a/b', 'mqueue', 0, 'name'), 'ArchiveInvalid'),
                (set_at('..', 'mqueue', 0, 'name'), 'ArchiveInvalid'),
                (set_at('', 'mqueue', 0, 'name'), 'ArchiveInvalid'),
                (set_at('x' * 256, 'mqueue', 0, 'name'), 'ArchiveInvalid'),
                (set_at(1, 'mqueue', 0, 'maxmsg'), 'ArchiveInvalid'),
                (set_at(2, 'mqueue', 0, 'msgsize'), 'ArchiveInvalid'),
                (set_at(0, 'mqueue', 0, 'maxmsg'), 'ArchiveInvalid'),
                (set_at(1 << 20, 'mqueue', 0, 'maxmsg'), 'ArchiveInvalid'),
                (set_at({'kernel.hostname': 'x'}, 'sysctls'), 'InvalidOption'),
                (set_at({'../../kernel/core_pattern': 'x'}, 'sysctls'), 'InvalidOption'),
                (set_at({'kernel.msgmax': '-1'}, 'sysctls'), 'InvalidOption'),
                (set_at({'kernel.msgmax': 5}, 'sysctls'), 'ArchiveInvalid'),
                (set_at(9 * MB, 'shm', 'bytes'), 'QuotaExceeded'),
                (set_at(200, 'shm', 'inodes'), 'QuotaExceeded')):
            with self.subTest(change=change.__closure__):
                self.again()
                self.change_index(change)
                self.assertRefused(error)

    def test_twice_in_the_index(self):
        self.make()
        for kind in ('shm', 'sem', 'msg'):
            for keep in ('id', 'key'):
                def change(index, kind=kind, keep=keep):
                    other = dict(index['sysv'][kind][0])
                    other['key' if keep == 'id' else 'id'] += 1
                    index['sysv'][kind].append(other)
                self.again()
                self.change_index(change)
                self.assertRefused()

    def test_messages(self):
        self.make()
        for data in (b'x', b'1', b'1 ', b'1 3', b'1 3\nonetwo', b'1 3\none', b'1 30\none\n',
                     b'-1 3\none\n', b'0 3\none\n', b'1 -3\none\n', b'1 3\none\n\n', b'01  3\none\n',
                     b'1 99999999999999999999\nx\n', b'9223372036854775808 1\nx\n', b'1 3\none\n' * 9999):
            for name in ('sysv/msg/0', 'mqueue/queue'):
                if data.startswith(b'0 3') and name == 'mqueue/queue':
                    continue  # a priority can be 0, a type cannot
                with self.subTest(data=data[:40], name=name):
                    self.again()
                    self.rewrite(lambda info, old, name=name, data=data:
                                 [(info, data if info.name == name else old)])
                    self.assertRefused('ArchiveInvalid')

    def test_members_that_are_missing(self):
        self.make()
        for name, error in (('sysv/shm/0', 'ArchiveInvalid'), ('mqueue/queue', 'ArchiveInvalid'),
                            ('berth-snapshot-end.json', 'ArchiveInvalid'),
                            ('berth-snapshot.json', 'ArchiveInvalid'),
                            ('shm/dir', 'ArchiveInvalid')):
            self.again()
            self.rewrite(lambda info, data, name=name: [] if info.name == name else [(info, data)])
            self.assertRefused(error)

    def test_in_the_way(self):
        """A program that is faster keeps what it made."""
        self.make()
        reader, writer = os.pipe()
        pending = self.user(0).begin_restore(self.target, reader)
        os.close(reader)
        with open(self.file, 'rb') as file:
            data = file.read()
        middle = data.index(b'shm/dir/file') // 512 * 512
        os.write(writer, data[:middle])
        # until it reads members: SysV objects were made before
        self.eventually(lambda: self.victim.do(contents.call, 'listdir', '/dev/shm'))
        self.victim.write('/dev/shm/other', 'mine')
        os.write(writer, data[middle:])
        os.close(writer)
        with self.assertError('SandboxBusy', 'shm/other'):
            pending.result()
        self.assertEqual(self.victim.listdir('/dev/shm'), ['other'])
        self.assertEqual(self.victim.read('/dev/shm/other'), 'mine')
        self.assertEqual(self.victim.do(contents.describe_sysv),
                         {'shm': [], 'sem': [], 'msg': []})
        self.assertEqual(self.victim.do(contents.describe_queues), {})

    def test_nothing_is_seen_before_all_is_there(self):
        self.make()
        reader, writer = os.pipe()
        pending = self.user(0).begin_restore(self.target, reader)
        os.close(reader)
        with open(self.file, 'rb') as file:
            data = file.read()
        os.write(writer, data[:-2048])
        self.eventually(lambda: len(self.victim.do(contents.describe_queues)) == 1)
        names = self.eventually(lambda: self.victim.listdir('/dev/shm'))
        self.assertFalse({'dir', 'other', 'sparse'} & set(names))
        self.assertEqual(self.victim.do(contents.describe_queues)['queue'][2], 0o600)
        os.write(writer, data[-2048:])
        os.close(writer)
        pending.result()
        self.assertEqual(self.victim.listdir('/dev/shm'), ['dir', 'other', 'sparse'])


if __name__ == '__main__':
    unittest.main()
