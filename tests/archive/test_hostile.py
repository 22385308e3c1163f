# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives made to do harm, or damaged: each is refused with a clear error, and nothing is kept."""

import bz2
import gzip
import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest
import zlib

from berthtest import Blob, Image, Index, Layer

from archiving import A, Archive, ArchiveTestCase, data_of, entries_of, row_of, zstd_frame, zstd_raw


def image():
    return Image([Layer(5000, 1), Layer(700, 2)])


def good():
    return Archive().layout({A: image()})


class Entries(ArchiveTestCase):
    def test_paths_and_kinds(self):
        for path in ('../x', '/etc/passwd', 'a/../../x', '..', 'blobs/../../x'):
            self.refuse(good().file(path, b'x').bytes(), 'leads out')
        self.refuse(good().file('x' * 2000, b'x').bytes(), 'too long')
        for target in ('/etc/passwd', '../../x', '../x/../../../y'):
            self.refuse(good().special('d/l', tarfile.SYMTYPE, target).bytes(), 'leads out')
            self.refuse(good().special('l', tarfile.LNKTYPE, target).bytes(), 'leads out')
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            self.refuse(good().special('dev', kind).bytes(), "'dev' is no file")
        self.refuse(good().file('\udcff', b'').bytes(), 'UTF-8|convert')

    def test_twice(self):
        self.refuse(good().file('index.json', b'{}').bytes(), "'index.json' is there twice")
        self.refuse(good().file('./oci-layout', b'{}').bytes(), 'twice')
        self.refuse(good().special(image().path, tarfile.SYMTYPE, 'x').bytes(), 'twice')

    def test_link_loops(self):
        row = {'Config': 'a', 'RepoTags': [A], 'Layers': []}
        self.refuse(Archive().special('a', tarfile.SYMTYPE, 'b').special(
            'b', tarfile.SYMTYPE, 'a').json('manifest.json', [row]).bytes(), "lacks 'a'")

    def test_sparse(self):
        directory = tempfile.mkdtemp(dir=os.environ.get('BERTH_TEST_TMP'))
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, 'sparse')
        for size, hole in ((1 << 30, 1 << 30), (1 << 20, 1 << 19)):
            with open(path, 'wb') as file:
                file.truncate(hole)
                file.seek(hole)
                file.write(os.urandom(size - hole))
            for form in ('gnu', 'posix'):
                archive = subprocess.run(
                    ['tar', '-C', directory, '-cS', f'--format={form}', 'sparse'],
                    stdout=subprocess.PIPE, check=True).stdout
                self.refuse(archive, 'sparse|another size')

    def test_large_headers(self):
        long = tarfile.TarInfo('x')
        long.pax_headers = {'comment': 'y' * (4 << 20)}
        self.refuse(Archive(tarfile.PAX_FORMAT).entry(long).bytes(), 'usable')
        for kind in (b'L', b'K', b'x', b'g'):
            info = tarfile.TarInfo('x')
            info.type, info.size = kind, 1 << 40
            self.refuse(info.tobuf(tarfile.GNU_FORMAT) + b'1' * 100000, '')

    def test_empty(self):
        for data in (b'', b'\0' * 10240, b'hello', os.urandom(5000), gzip.compress(b'')):
            self.refuse(data, '')


class Bombs(ArchiveTestCase):
    def bomb(self, path):
        """Returns: an archive with 256 MiB of zeros in it, packed."""
        info = tarfile.TarInfo(path)
        info.size = 1 << 28
        pack = zlib.compressobj(1, zlib.DEFLATED, 31)
        zeros = bytes(1 << 20)
        parts = [pack.compress(info.tobuf())]
        parts += [pack.compress(zeros) for _ in range(1 << 8)]
        return b''.join([*parts, pack.compress(bytes(1024)), pack.flush()])

    def test_bombs(self):
        for path in ('layer', 'x/json', 'repositories'):  # the last two are not even wanted
            self.refuse(self.bomb(path), 'times its size')
        info = tarfile.TarInfo('layer')
        info.size = 1 << 29
        frames = zstd_raw(20, info.tobuf()) + zstd_frame(20, [(b'\0', 131072)] * 8000)
        self.refuse(frames, 'times its size')
        self.refuse(gzip.compress(gzip.compress(good().bytes())), 'more than once')
        self.refuse(bz2.compress(gzip.compress(good().bytes())), 'more than once')

    def test_packed_headers(self):
        header = tarfile.TarInfo('x')
        header.pax_headers = {'comment': 'y' * 900000}
        block = header.tobuf(tarfile.PAX_FORMAT)
        self.refuse(gzip.compress(block * 200), 'times its size|twice')

    def test_layer(self):
        for data in (gzip.compress(bytes(256 << 20), 1),
                     zstd_frame(20, [(b'\0', 131072)] * 2000)):
            archive = Archive().docker(([A], image()), pack=lambda _, data=data: data)
            self.refuse(archive.bytes(), 'times its size')


class Contents(ArchiveTestCase):
    def test_digests(self):
        one, other = image(), Layer(900, 7)
        self.refuse(Archive().layout({A: one}).file(other.path, b'something else').bytes(),
                    other.digest, 'DigestMismatch')
        row = {**row_of(one, A), 'digest': other.digest}
        self.refuse(Archive().index([row]).blobs(one).bytes(), other.digest)
        self.refuse(Archive().index([row_of(other, A)]).blobs(one).file(
            other.path, data_of(other)).bytes(), other.digest)

    def test_missing_blobs(self):
        one = image()
        for left_out in one.blobs().values():
            archive = Archive().index([row_of(one, A)])
            for blob in one.blobs().values():
                if blob is not left_out:
                    archive.file(blob.path, data_of(blob))
            self.refuse(archive.bytes(), left_out.digest)
        index = Index([one])
        archive = Archive().index([row_of(index, A)]).file(index.path, index.document)
        self.refuse(archive.bytes(), '')

    def test_two_images_of_one_name(self):
        one, other = image(), Image([Layer(800, 9)])
        self.refuse(Archive().index([row_of(one, A), row_of(other, A)]).blobs(one, other).bytes(),
                    f'two images for the name {A}')
        archive = Archive().layout({A: one, 'h.example/NOT:a': other})
        self.refuse(archive.bytes(), '', 'InvalidReference')

    def test_index_json(self):
        def with_index(text):
            return Archive().json('oci-layout', {}).file('index.json', text).bytes()
        self.refuse(with_index(b'[' * 100000), 'index.json')
        self.refuse(with_index(b'{"manifests":' + b'[' * 100 + b']' * 100 + b'}'), 'index.json')
        self.refuse(with_index(b' ' * (5 << 20)), 'more than')
        self.refuse(with_index(b'{"schemaVersion":2,"manifests":[]}'), 'no image')
        self.refuse(with_index(b'{"schemaVersion":2,"manifests":[' + b'{},' * 100000 + b'{}]}'),
                    'index.json')
        for text in (b'[]', b'null', b'{"manifests":7}', b'\xff', b'',
                     b'{"manifests":[{"digest":"x"}]}'):
            self.refuse(with_index(text), '')

    def test_docker(self):
        one = image()

        def edited(**fields):
            return Archive().docker(([A], one), edit=lambda rows: rows[0].update(fields)).bytes()
        self.refuse(edited(Layers=[]), 'layers')
        self.refuse(edited(Layers=['no.tar', 'no.tar']), "lacks 'no.tar'")
        self.refuse(edited(Config='no.json'), "lacks 'no.json'")
        self.refuse(edited(Config=7), '')
        self.refuse(edited(RepoTags=[7]), 'RepoTags')
        self.refuse(edited(RepoTags=['NOT A NAME']), '', 'InvalidReference')
        paths = [f'{layer.diff_id[7:]}.tar' for layer in one.layers]
        self.refuse(edited(Layers=paths[::-1]), "config says")
        for pack in (lambda data: gzip.compress(data + b'x'), lambda data: data + b'x'):
            self.refuse(Archive().docker(([A], one), pack=pack).bytes(), "config says")
        archive = Archive().docker(([A], one), pack=lambda data: gzip.compress(data)[:-50])
        self.refuse(archive.bytes(), 'unpacked|config says')
        for text in (b'', b'{}', b'[7]', b'[' * 5000, b'[]', b'7'):
            self.refuse(Archive().file('manifest.json', text).bytes(), '')

    def test_what_follows_a_document(self):
        docker = Archive().docker(([A], image())).bytes()
        rows = entries_of(docker)['manifest.json']
        for rest in (b',"x":[]', b'}', b'x', b'\0', b'\0' + rows, rows, b',' + rows, b'/**/'):
            self.refuse(Archive().docker(([A], image()), text=rows + rest).bytes(),
                        'manifest.json: not JSON')
        self.bring(Archive().docker(([A], image()), text=rows + b' \n').bytes())
        index = entries_of(good().bytes())['index.json']
        for rest in (b',', b'}', b'x', b'\0', b'\0' + index, index):
            archive = Archive().json('oci-layout', {}).file('index.json', index + rest)
            self.refuse(archive.blobs(image()).bytes(), 'index.json: not JSON')
        again = rows[:-2] + b',"Config":"x"}]'
        self.refuse(Archive().docker(([A], image()), text=again).bytes(), 'manifest.json: not JSON')

    def test_config_that_is_none(self):
        one = Image([Layer(800, 1)], config=Blob(b'not json', 'application/json'))
        self.refuse(Archive().docker(([A], one)).bytes(), '')

    def test_truncated(self):
        docker = Archive().docker(([A], image()))
        for data in (good().bytes(), gzip.compress(good().bytes()),
                     zstd_raw(20, good().bytes().rstrip(b'\0') + bytes(2048)), docker.bytes(),
                     bz2.compress(docker.bytes())):
            end = len(data.rstrip(b'\0'))
            points = {*range(0, end, 311), *range(512, end, 512), end - 1}
            for point in sorted(points)[::4]:
                self.cut(data[:point])

    def cut(self, data):
        before = self.files()
        found = self.end(self.begin_import(data))
        self.assertEqual(found['State'], 'failed', len(data))
        self.assertRegex(found['ErrorName'], 'ArchiveInvalid|DigestMismatch')
        self.assertEqual(self.files(), before)

    def test_cut_between_platforms(self):
        """What is complete so far is no whole archive."""
        index = Index([Image([Layer(5000, 1)], 'linux/amd64'),
                       Image([Layer(5000, 2)], 'linux/arm64')])
        first, second = index.manifests
        archive = Archive().index([row_of(index, A)]).file(index.path, index.document).blobs(first)
        size = archive.size()
        data = archive.blobs(second).bytes()
        self.refuse(data[:size], 'too early')
        self.bring(data)


if __name__ == '__main__':
    unittest.main()
