# SPDX-License-Identifier: LGPL-2.1-or-later
"""The store as several processes, other tools, full disks and ends at any moment leave it."""

import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from berthtest import Blob, Image, Index, Layer, skopeo, syscalls, write_layout
from berthtest.layout import blob_path, check_layout, hash_file, read_index

from storing import Killer, StoreError, Tool

KILLS = int(os.environ.get('BERTH_SURVIVE_KILLS') or 40)


class StoreTestCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        base = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        self.addCleanup(base.cleanup)
        self.base = base.name
        self.directory = self.path('store')
        os.mkdir(self.directory)

    def path(self, *names):
        return os.path.join(self.base, *names)

    def tool(self, **kwargs):
        tool = Tool(self.directory, **kwargs)
        self.addCleanup(tool.close)
        return tool

    def check(self, *names, **kwargs):
        images = check_layout(self, self.directory, **kwargs)
        self.assertEqual(sorted(images), sorted(names))
        return images

    def ingesting(self):
        """Returns: what lies in ingest/ besides the locks."""
        return [name for name in os.listdir(os.path.join(self.directory, 'ingest'))
                if not name.startswith('lock-')]

    def assertError(self, name, function, *args):
        with self.assertRaises(StoreError) as context:
            function(*args)
        self.assertEqual(context.exception.name, name, context.exception)


class Peers(StoreTestCase):
    """Other tools read what is written here, and write what is read here."""

    def setUp(self):
        super().setUp()
        self.image = Image([Layer(10000, 1), Layer(300000, 2)])
        self.docker = Image([Layer(10000, 3)], form='docker')
        self.index = Index([Image([Layer(5000, 4)]),
                            Image([Layer(5000, 5)], 'linux/arm64/v8')])
        with Tool(self.directory) as tool:
            tool.put_image(self.image, '127.0.0.1:5000/team/app:1')
            tool.put_image(self.docker, 'docker.io/library/busybox:latest')
            tool.put_image(self.index, 'h.example/index:1')
        self.names = ['127.0.0.1:5000/team/app:1', 'docker.io/library/busybox:latest',
                      'h.example/index:1']

    def test_skopeo(self):
        self.check(*self.names)
        # of Docker's manifests skopeo knows in registries, but not in layouts
        for name, image in ((self.names[0], self.image), (self.names[2], self.index)):
            found = json.loads(skopeo('inspect', '--raw', f'oci:{self.directory}:{name}').stdout)
            self.assertEqual(found, json.loads(image.document))
        copied = self.path('copied')
        skopeo('copy', '--preserve-digests', f'oci:{self.directory}:{self.names[0]}',
               f'oci:{copied}:x')
        self.assertEqual(read_index(copied)['manifests'][0]['digest'], self.image.digest)
        for digest in self.image.blobs():
            self.assertEqual(hash_file(blob_path(copied, digest), 'sha256'), digest[7:])

    def test_skopeo_writes(self):
        other = Image([Layer(7000, 6)])
        write_layout(self.path('other'), {'x': other})
        skopeo('copy', '--preserve-digests', f'oci:{self.path("other")}:x',
               f'oci:{self.directory}:h.example/other:1')
        with Tool(self.directory) as tool:
            self.assertEqual(tool.images()['h.example/other:1'], other.digest)
            tool('tag h.example/other:1 h.example/other:2')
            self.assertEqual(tool('prune')[-1], 'pruned 0 0')
            self.check(*self.names, 'h.example/other:1', 'h.example/other:2')
            tool('remove h.example/other:1')
        skopeo('inspect', f'oci:{self.directory}:h.example/other:2')
        skopeo('inspect', f'oci:{self.directory}:{self.names[0]}')

    def test_umoci(self):
        listed = subprocess.run(['umoci', 'ls', '--layout', self.directory], check=True,
                                capture_output=True, text=True).stdout
        self.assertEqual(sorted(listed.split()), sorted(self.names))
        # umoci itself takes no colons in names
        with Tool(self.directory) as tool:
            tool(f'name plain {self.image.digest} {self.image.size} {self.image.media_type}')
        done = subprocess.run(['umoci', 'stat', '--json', '--image', f'{self.directory}:plain'],
                              check=True, capture_output=True, text=True)
        self.assertEqual(len(json.loads(done.stdout)['history']), 2)

    def test_podman(self):
        # it makes a name of the layout's path: one that is random can be none
        parent, name = os.path.split(self.directory)

        def podman(*arguments):
            return subprocess.run(
                ['podman', '--root', self.path('root'), '--runroot', self.path('run'),
                 '--storage-driver', 'vfs', *arguments], check=True, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, cwd=parent,
                preexec_fn=syscalls.die_with_parent).stdout
        image = podman('pull', '--quiet', f'oci:{name}:{self.names[0]}').strip()
        found = json.loads(podman('image', 'inspect', image))
        self.assertEqual(len(found[0]['RootFS']['Layers']), 2)


class Together(StoreTestCase):
    """Several processes at once."""

    def test_shared_layers(self):
        shared = [Layer(3 << 20, 1), Layer(200000, 2)]
        images = {f'h.example/a:{n}': Image([*shared, Layer(30000, 10 + n)]) for n in range(4)}
        tools = [self.tool() for _ in images]
        fetched = []

        def work(tool, name, image):
            for layer in image.layers:
                fetched.append(layer.size - tool.ingest(layer))
            tool.put_image(image, name)
        threads = [threading.Thread(target=work, args=(tool, name, image))
                   for tool, (name, image) in zip(tools, images.items())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.check(*images)
        self.assertEqual(sum(fetched), sum({layer.digest: layer.size for image in images.values()
                                            for layer in image.layers}.values()))
        for tool in tools:
            tool.close()
        self.assertEqual(self.ingesting(), [])

    def test_same_blobs(self):
        """Many small ones, in the same order: whoever comes second finds them or waits."""
        blobs = [Blob(b'%d' % n * 5000, 'a/b') for n in range(600)]
        problems = []

        def work():
            try:
                with Tool(self.directory, fast=True) as tool:
                    for blob in blobs:
                        tool.ingest(blob)
            except (StoreError, EOFError) as error:
                problems.append(str(error))
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])
        self.check()
        self.assertEqual(self.ingesting(), [])

    def test_prune_beside(self):
        """Images come and go while somebody prunes all the time: no named one loses a blob."""
        names = [f'h.example/a:{n}' for n in range(3)]
        stop = threading.Event()
        problems, pruned = [], []

        def come_and_go(number):
            source = random.Random(number)
            with Tool(self.directory, fast=True) as tool:
                for _ in range(40):
                    image = Image([Layer(20000, source.randrange(4)) for _ in range(2)],
                                  config={'n': number * 100 + source.randrange(3)})
                    tool.put_image(image, names[number])
                    tool('release')
                    for digest, blob in image.blobs().items():
                        if not os.path.exists(blob_path(self.directory, digest)):
                            problems.append(f'{blob.size} bytes of {names[number]} are gone')
                    if source.random() < 0.3:
                        tool(f'remove {names[number]}')

        def prune():
            with Tool(self.directory, fast=True) as tool:
                while not stop.is_set():
                    pruned.append(int(tool('prune')[-1].split()[2]))
        pruner = threading.Thread(target=prune)
        pruner.start()
        threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        pruner.join()
        self.assertEqual(problems, [])
        self.assertGreater(sum(pruned), 0)
        check_layout(self, self.directory)


class Kills(StoreTestCase):
    """SIGKILL at random points: what was promised is there, and nothing is broken."""

    def setUp(self):
        super().setUp()
        self.seed = os.environ.get('BERTH_SURVIVE_SEED') or str(random.randrange(1 << 32))
        self.random = random.Random(self.seed)
        shared = Layer(2 << 20, 1)
        self.images = {f'h.example/a:{n}': Image([shared, Layer(700000, 10 + n),
                                                  Layer(2000, 20 + n)]) for n in range(4)}

    def test_sigkill_while_it_is_made(self):
        """A directory that is not yet a store becomes one at the next try."""
        for self.round in range(KILLS):
            tool = Tool(self.directory)
            time.sleep(self.random.uniform(0, 0.02))  # at any moment: that is the test
            tool.kill()
            tool.close()
            with Tool(self.directory) as tool:
                self.assertEqual(tool.images(), {})
            self.check()
            for part in ('oci-layout', 'index.json'):
                os.unlink(os.path.join(self.directory, part))
            shutil.rmtree(os.path.join(self.directory, 'blobs'))
            shutil.rmtree(os.path.join(self.directory, 'ingest'))

    def test_sigkill(self):
        promised = {}

        def work(tool):
            """Everything, in any order; a name now and then goes again, so that there is work."""
            source = random.Random(self.random.random())
            for name in source.sample(list(self.images), len(self.images)):
                if source.random() < 0.3:
                    try:
                        promised.pop(name, None)
                        tool(f'remove {name}')
                    except StoreError as error:
                        self.assertEqual(error.name, 'NoSuchImage')
                tool.put_image(self.images[name], name)
                promised[name] = self.images[name].digest
            if source.random() < 0.3:
                tool('prune')

        with Tool(self.directory):
            pass
        try:
            for self.round in range(KILLS):
                promised.clear()
                killers = [Killer(Tool(self.directory), work)
                           for _ in range(self.random.choice((1, 1, 2)))]
                time.sleep(self.random.uniform(0, 0.08))  # at any moment: that is the test
                for killer in killers:
                    killer.kill()
                images = check_layout(self, self.directory)
                if len(killers) == 1:  # else another one may have removed it
                    self.assertEqual(promised, {name: digest for name, digest in images.items()
                                                if name in promised})
                if self.random.random() < 0.1:
                    with Tool(self.directory) as tool:
                        for name in images:
                            tool(f'remove {name}')
                        tool('prune')
        except BaseException as error:
            error.add_note(f'seed {self.seed}, round {self.round}')
            raise
        with Tool(self.directory) as tool:
            for name, image in self.images.items():
                tool.put_image(image, name)
            tool('prune')
        self.check(*self.images)
        self.assertEqual(self.ingesting(), [])

    def test_resume(self):
        """What a killed process has written is not fetched again."""
        layer = Layer(20 << 20, 3)
        tool = self.tool()
        half = b''.join(layer.chunks())[:10 << 20]
        tool.feed(f'ingest {layer.digest} {layer.size}', half)
        partial = os.path.join(self.directory, 'ingest', layer.digest.replace(':', '-'))
        deadline = time.monotonic() + 20
        while not os.path.exists(partial) or os.stat(partial).st_size < 8 << 20:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        tool.kill()
        left = os.stat(partial).st_size
        with Tool(self.directory) as second:
            self.assertEqual(second.ingest(layer), left)
        self.assertEqual(hash_file(blob_path(self.directory, layer.digest), 'sha256'),
                         layer.digest[7:])

    def test_damaged_partial(self):
        """One that failed its digest is thrown away, so that the next try starts clean."""
        layer = Layer(3 << 20, 3)
        with Tool(self.directory) as tool:
            partial = os.path.join(self.directory, 'ingest', layer.digest.replace(':', '-'))
            tool('list')  # it is there
            with open(partial, 'wb') as file:
                file.write(bytes(1 << 20))
            self.assertError('DigestMismatch', tool.ingest, layer)
            self.assertFalse(os.path.exists(partial))
            self.assertEqual(tool.ingest(layer), 0)


class Full(StoreTestCase):
    """A disk without room: the right error, and nothing that was there is lost."""

    def setUp(self):
        super().setUp()
        self.first = Image([Layer(100000, 1)])
        self.large = Image([Layer(12 << 20, 2)])

    def mount(self, size):
        syscalls.mount('tmpfs', self.directory, 'tmpfs', 0, f'size={size}')
        self.addCleanup(syscalls.umount, self.directory, syscalls.MNT_DETACH)

    def grow(self, size):
        syscalls.mount('tmpfs', self.directory, 'tmpfs', syscalls.MS_REMOUNT, f'size={size}')

    def test_known_before(self):
        self.mount('8M')
        with Tool(self.directory) as tool:
            tool.put_image(self.first, 'h.example/a:1')
            self.assertError('StoreFull', tool.put_image, self.large, 'h.example/b:1')
            self.check('h.example/a:1')
            self.grow('20M')
            tool.put_image(self.large, 'h.example/b:1')
            self.check('h.example/a:1', 'h.example/b:1')

    def test_min_free(self):
        self.mount('16M')
        with Tool(self.directory, min_free=6 << 20) as tool:
            tool.put_image(self.first, 'h.example/a:1')
            self.assertError('StoreFull', tool.put_image, self.large, 'h.example/b:1')
            self.check('h.example/a:1')

    def test_during(self):
        """Others fill the disk meanwhile: what came stays, and is gone on with."""
        self.mount('16M')
        layer = self.large.layers[0]
        data = b''.join(layer.chunks())
        with Tool(self.directory) as tool:
            tool.put_image(self.first, 'h.example/a:1')
            tool.feed(f'ingest {layer.digest} {layer.size}', data[:1 << 20])
            ballast = os.path.join(self.directory, 'ballast')
            self.fill(ballast, tool, layer)
            tool.write(data[1 << 20:])
            self.assertError('StoreFull', tool.answer)
            self.assertError('StoreFull', tool, 'name h.example/b:1 '
                             f'{self.first.digest} {self.first.size} {self.first.media_type}')
            self.check('h.example/a:1')
            os.unlink(ballast)
            self.assertGreater(tool.ingest(layer), 0)
            tool.put_image(self.large, 'h.example/b:1')
        self.check('h.example/a:1', 'h.example/b:1')

    def fill(self, ballast, tool, layer):
        """Takes the last byte, and what was reserved for the layer as soon as it is given back."""
        partial = os.path.join(self.directory, 'ingest', layer.digest.replace(':', '-'))
        deadline = time.monotonic() + 20
        while not os.path.exists(partial) or os.stat(partial).st_size < 512 << 10:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        os.truncate(partial, os.stat(partial).st_size)
        with open(ballast, 'wb', buffering=0) as file:
            for size in (65536, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def test_no_room_at_all(self):
        self.mount('64k')
        with Tool(self.directory) as tool:
            self.assertError('StoreFull', tool.ingest, Blob(bytes(100000), 'a/b'))
        self.check()


if __name__ == '__main__':
    unittest.main()
