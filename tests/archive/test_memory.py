# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hostile archives make a worker keep in memory: bounded, whatever they say or hold.

What is looked at is the most that any process of the instance ever had, which the kernel hands on
to who waits for it. The archives are made so that making them takes little.
"""

import gzip
import os
import resource
import tarfile
import unittest

from berthtest import Image, Layer

from archiving import A, Archive, ArchiveTestCase, pipe_pair, zstd_frame, zstd_raw

MIB = 1 << 20
# The most that a decoder takes is the largest window of zstd, 128 MiB. With sanitizers, everything
# takes more.
MOST = 300 * MIB
NAMED = 1000000


def header(name, kind=b'0', size=0, link=b''):
    """A block, made faster than tarfile makes it."""
    block = bytearray(512)
    block[:len(name)] = name
    block[100:108] = b'0000644\0'
    block[124:136] = b'%011o\0' % size
    block[156:157] = kind
    block[157:157 + len(link)] = link
    block[257:265] = b'ustar  \0'
    block[148:156] = b'%06o\0 ' % (sum(block) + 8 * 32)
    return bytes(block)


def chain():
    """Returns: the header of a sparse file, and a block that goes on with the map, and on."""
    first, more = bytearray(header(b'x', b'S', 512)), bytearray(512)
    first[386:482], first[482] = b'0' * 96, 1
    first[148:156] = b' ' * 8
    first[148:156] = b'%06o\0 ' % sum(first)
    more[:504], more[504] = b'0' * 504, 1
    return bytes(first), bytes(more)


CHAIN = chain()


class MemoryTestCase(ArchiveTestCase):
    def peak(self):
        """Ends the service, once all workers were waited for. Returns: bytes."""
        self.eventually(lambda: len(list(self.instance.processes())) ==
                        1 + len(self.instance.children()))
        self.instance.terminate()
        self.instance.start()
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

    def stream(self, parts, message):
        near, far = pipe_pair()
        path = self.begin_import(near)
        os.close(near)
        before = self.files()
        try:
            with os.fdopen(far, 'wb') as file:
                for part in parts:
                    file.write(part)
        except BrokenPipeError:
            pass
        self.bad(path, 'ArchiveInvalid', message)
        self.assertEqual(self.files(), before)

    def tearDown(self):
        peak = self.peak()
        if os.environ.get('BERTH_TEST_TELL'):
            print(f'{self.id()}: {peak / MIB:.1f} MiB')
        self.assertLess(peak, MOST)
        super().tearDown()


class Windows(MemoryTestCase):
    """zstd says in its first bytes how much of what was unpacked must be kept."""

    def test_too_large(self):
        for log in (28, 31, 41):
            self.refuse(zstd_raw(log, Archive().layout({A: Image([Layer(5000, 1)])}).bytes()),
                        'usable')

    def test_filled(self):
        info = header(b'layer', size=140 * MIB)
        noise = os.urandom(MIB)  # so that it is no bomb by its size
        data = zstd_raw(27, info + noise) + zstd_frame(27, [(b'\0', 131072)] * 8 * 139)
        data += zstd_frame(27, [(b'\0', 1024)])
        self.refuse(data, 'no image')

    def test_layer(self):
        image = Image([Layer(5000, 1)])
        noise = os.urandom(MIB)
        data = zstd_raw(27, noise) + zstd_frame(27, [(b'\0', 131072)] * 8 * 139)
        self.refuse(Archive().docker(([A], image), pack=lambda _: data).bytes(), 'config says')
        self.refuse(Archive().docker(([A], image), pack=lambda _: zstd_raw(31, data)).bytes(),
                    'unpacked')

    def test_packed_in_packed(self):
        """Each would have a window of its own."""
        image = Image([Layer(5000, 1)])
        data = os.urandom(MIB)
        for _ in range(10):
            data = zstd_raw(27, data)
        self.refuse(Archive().docker(([A], image), pack=lambda _: data).bytes(), 'config says')
        self.refuse(data, 'more than once')


class Headers(MemoryTestCase):
    def test_map_of_holes(self):
        """libarchive keeps the map of a sparse file; it can be as long as the file."""
        fields = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 'x',
                  'GNU.sparse.realsize': str(1 << 40)}
        info = tarfile.TarInfo('x')
        info.pax_headers, info.size = fields, 400 * MIB
        head = info.tobuf(tarfile.PAX_FORMAT)
        lines = b'0\n0\n' * (MIB // 4)

        def data():
            yield head + b'90000000\n'
            for _ in range(40):
                yield lines
        self.stream(data(), 'headers of more')

    def test_chain_of_holes(self):
        """The older form of it goes on from block to block."""

        def data():
            yield CHAIN[0]
            for _ in range(40):
                yield CHAIN[1] * (MIB // 512)
        self.stream(data(), 'headers of more')

    def test_packed(self):
        """They are counted while they are unpacked, not when libarchive has seen them all."""
        self.refuse(gzip.compress(CHAIN[0] + CHAIN[1] * (60 * MIB // 512), 1),
                    'headers of more')


class Many(MemoryTestCase):
    """A million entries, of each kind."""

    def entries(self, kind, name, link=b'', count=NAMED):
        for number in range(count):
            yield header(name % number, kind, link=link)

    def test_links(self):
        self.stream(self.entries(b'2', b'%d', b'x' * 90), 'more than 65536 entries')

    def test_directories(self):
        self.stream(self.entries(b'5', b'%d/'), 'more than 65536 entries')

    def test_names_that_are_passed_over(self):
        self.stream(self.entries(b'0', b'%d/json'), 'more than 65536 entries')

    def test_files(self):
        self.stream(self.entries(b'0', b'%d'), 'more than 8192 entries')

    def test_long_names(self):
        def entries():
            for number in range(NAMED):
                yield header(b'x', b'L', 1001) + (b'%d-' % number).ljust(1000, b'x') + bytes(24)
                yield header(b'x', b'2', link=b'y' * 90)
        self.stream(entries(), 'names of the archive')

    def test_packed(self):
        data = gzip.compress(b''.join(self.entries(b'5', b'%d/', count=100000)), 1)
        self.refuse(data, 'more than 65536 entries')


class Documents(MemoryTestCase):
    def test_json(self):
        """Parsed, JSON takes far more than its text."""
        for text in (b'{"manifests":[' + b'{"":""},' * 500000 + b'{}]}',
                     b'{"manifests":[' + b'"",' * 1300000 + b'""]}',
                     b'{"manifests":[{"annotations":{' + b','.join(
                         b'"%d":""' % n for n in range(300000)) + b'}}]}',
                     b'{"manifests":' + b'[' * 2000000 + b']' * 2000000 + b'}'):
            archive = Archive().json('oci-layout', {}).file('index.json', text)
            self.refuse(archive.bytes(), 'index.json')
        for text in (b'[' + b'{},' * 1300000 + b'{}]', b'[' * 4000000,
                     b'[{"Config":"x","RepoTags":[' + b'"a",' * 900000 + b'"a"]}]'):
            self.refuse(Archive().file('manifest.json', text).bytes(), 'manifest.json')

    def test_names(self):
        """One image, and as many names as the text has room for."""
        image = Image([Layer(800, 1)])
        tags = [f'h.example/{n}' for n in range(5000)]
        self.refuse(Archive().docker((tags, image)).bytes(), 'more than 4096 names')


if __name__ == '__main__':
    unittest.main()
