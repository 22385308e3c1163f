# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a power cut at any moment leaves: read from the order of system calls.

A file system may lose, or do in another order, whatever was not synced. So before a file gets its
name all of it must have been synced; before the index names an image, so must the directories that
have its blobs; and the index itself before anybody is told.
"""

import os
import re
import subprocess
import tempfile
import unittest

from berthtest import Image, Layer, syscalls

from storing import STORE_TOOL

CALL = re.compile(r'^(\d+) +(?:<\.\.\. (\w+) resumed>)?(.*)$')


def parse(text):
    """Yields (name, arguments) of calls in the order that they succeeded in."""
    pending = {}
    for line in text.splitlines():
        pid, resumed, rest = CALL.match(line).groups()
        if rest.endswith('<unfinished ...>'):
            pending[pid] = rest[:-len('<unfinished ...>')]
            continue
        if resumed:
            rest = pending.pop(pid) + rest
        match = re.match(r'(\w+)\((.*)\) += (\d+)', rest)
        if match:
            yield match.group(1), match.group(2)


class Durable(unittest.TestCase):
    def setUp(self):
        base = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        self.addCleanup(base.cleanup)
        self.log = os.path.join(base.name, 'log')
        self.directory = os.path.realpath(os.path.join(base.name, 'store'))
        os.mkdir(self.directory)

    def trace(self, image, more, fast):
        """more: a blob that comes later. Returns: the calls, each with the paths in the store that it is about."""
        commands = []
        for blob in image.blobs().values():
            how = 'put' if blob is image else 'ingest'
            commands += [f'{how} {blob.digest} {blob.size}\n'.encode(), *blob.chunks()]
        name = f'{image.digest} {image.size} {image.media_type}\n'
        commands += [f'name h.example/a:1 {name}'.encode(),
                     f'ingest {more.digest} {more.size}\n'.encode(), *more.chunks(),
                     f'name h.example/a:2 {name}'.encode()]
        done = subprocess.run(
            ['strace', '-f', '-y', '-s', '8', '-o', self.log, '-e',
             'trace=write,pwrite64,fsync,renameat,mkdirat', STORE_TOOL, self.directory, '0', '0',
             *(['fast'] if fast else [])], input=b''.join(commands), stdout=subprocess.PIPE,
            check=True, preexec_fn=syscalls.die_with_parent,
            env={**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'})  # it traces as well
        self.assertEqual(done.stdout.decode().splitlines()[-1], 'ok name')
        calls = []
        with open(self.log, encoding='utf-8') as file:
            for name, arguments in parse(file.read()):
                paths = [os.path.relpath(path, self.directory)
                         for path in re.findall(r'\d+<(/[^>]*)>', arguments)
                         if path.startswith(self.directory)]
                names = re.findall(r'>, "([^"]*)"', arguments)
                if name in ('renameat', 'mkdirat'):
                    paths = [os.path.normpath(os.path.join(*pair)) for pair in zip(paths, names)]
                if paths:
                    calls.append((name, *paths))
        return calls

    def test_order(self):
        image = Image([Layer(3 << 20, 1), Layer(1000, 2)])
        more = Layer(2000, 3)
        calls = self.trace(image, more, fast=False)
        dirty, unsynced = set(), set()  # files written to; directories with new names
        placed = set()
        for name, *paths in calls:
            if name in ('write', 'pwrite64'):
                dirty.add(paths[0])
            elif name == 'fsync':
                dirty.discard(paths[0])
                unsynced.discard(paths[0])
            elif name == 'mkdirat':
                unsynced.add(os.path.dirname(paths[0]) or '.')
            elif name == 'renameat':
                self.assertNotIn(paths[0], dirty, calls)
                if paths[1] == 'index.json':
                    self.assertEqual({path for path in unsynced if path.startswith('blobs')},
                                     set(), calls)
                unsynced.add(os.path.dirname(paths[1]) or '.')
                placed.add(paths[1])
        self.assertEqual(unsynced, set(), calls)
        self.assertEqual(placed, {'index.json', 'oci-layout', more.path,
                                  *(blob.path for blob in image.blobs().values())})
        self.assertEqual({path for path in dirty if not path.startswith('ingest/lse-')}, set())

    def test_fast(self):
        calls = self.trace(Image([Layer(3 << 20, 1)]), Layer(2000, 3), fast=True)
        self.assertEqual([call for call in calls if call[0] == 'fsync'], [])


if __name__ == '__main__':
    unittest.main()
