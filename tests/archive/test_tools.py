# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives of other tools, and what those say to ours."""

import gzip
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from berthtest import Docker, FileLayer, Image, Index, Layer, Podman, skopeo, write_layout
from berthtest.images import FOREIGN_OCI

from archiving import A, Archive, ArchiveTestCase, B, EMPTY, NAME

C = 'h.example/team/c:v1.0'


def directory_for(case, prefix='t'):
    """case: a test, or a class of tests: the directory goes with it."""
    directory = tempfile.mkdtemp(prefix=prefix, dir=os.environ.get('BERTH_TEST_TMP'))
    add = case.addClassCleanup if isinstance(case, type) else case.addCleanup
    add(shutil.rmtree, directory)
    return directory


class ToolTestCase(ArchiveTestCase):
    def setUp(self):
        super().setUp()
        self.directory = directory_for(self)
        shared = FileLayer({'etc/hello': b'hello\n'})
        self.one = Image([shared, Layer(5000, 2)], config={'author': 'one'})
        self.other = Image([shared, Layer(70000, 3)], config={'author': 'other'})

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), 'rb') as file:
            return file.read()

    def write(self, name, data):
        """Returns: the path of a file with data."""
        with open(self.path(name), 'wb') as file:
            file.write(data)
        return self.path(name)

    def diff_ids(self, name):
        """Returns: what the store's image consists of, however its layers are packed."""
        found = self.images('Inspect', 'sa{sv}', name, EMPTY)
        return json.loads(found['Config'])['rootfs']['diff_ids']

    def assertSame(self, image, name):
        self.assertEqual(self.diff_ids(name), [layer.diff_id for layer in image.layers])

    def forget(self):
        for name, _ in self.rows():
            self.images('Remove', 'sa{sv}', name, EMPTY)
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(self.files(), (set(), b''))

    def archive(self, images, **options):
        """Returns: the service's own archive of such images, which it forgets again."""
        self.bring(Archive().layout(images, foreign=True).bytes())
        data = self.export(*images, **options)
        self.forget()
        return data


class Skopeo(ToolTestCase):
    def test_it_writes(self):
        layout = write_layout(self.path('layout'), {'x': self.one})
        for form in ('oci-archive', 'docker-archive'):
            skopeo('copy', f'oci:{layout}:x', f'{form}:{self.path(form)}:{A}')
            found = self.bring(self.read(form))
            if form == 'oci-archive':
                self.assertEqual(found['Digest'], self.one.digest)
            self.assertEqual([name for name, _ in self.rows()], [A])
            self.assertSame(self.one, A)

    def test_it_reads(self):
        for form in ('oci', 'docker'):
            self.write(form, self.archive({A: self.one, B: self.other}, Format=form))
            for name, image in ((A, self.one), (B, self.other)):
                target = self.path(f'out-{form}-{name[10]}')
                skopeo('copy', f'{form}-archive:{self.path(form)}:{name}', f'oci:{target}:x')
                found = json.loads(skopeo('inspect', '--config', f'oci:{target}:x').stdout)
                self.assertEqual(found['rootfs']['diff_ids'],
                                 [layer.diff_id for layer in image.layers])
            # what was read comes in again
            skopeo('copy', f'oci:{target}:x', f'docker-archive:{target}.tar:{C}')
            self.bring(self.read(f'{target}.tar'))
            self.assertSame(self.other, C)

    def test_it_reads_an_index(self):
        index = Index([self.one, Image([Layer(900, 4)], 'linux/arm64')])
        self.write('oci', self.archive({A: index}))
        target = self.path('out')
        skopeo('copy', '--all', '--preserve-digests', f'oci-archive:{self.path("oci")}:{A}',
               f'oci:{target}:x')
        for digest in index.blobs():
            self.assertTrue(os.path.exists(os.path.join(target, 'blobs/sha256', digest[7:])))


class OfPodman(ToolTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.podman = Podman(directory_for(cls))

    def check(self, name, image):
        """It has that image, and can unpack it."""
        [found] = json.loads(self.podman('image', 'inspect', name))
        self.assertEqual(found['RootFS']['Layers'], [layer.diff_id for layer in image.layers])
        self.assertEqual(found['Architecture'], 'amd64')
        with self.podman.mounted(name) as where, \
                open(os.path.join(where, 'etc/hello'), encoding='ascii') as file:
            self.assertEqual(file.read(), 'hello\n')

    def test_both_ways(self):
        images = {A: self.one, B: self.other}
        self.podman('load', '--input',
                    self.write('docker', self.archive(images, Format='docker')))
        for name, image in images.items():
            self.check(name, image)
        saved = self.path('saved')
        self.podman('save', '--format', 'docker-archive', '--multi-image-archive', '--output',
                    saved, A, B)
        self.bring(self.read(saved))
        self.assertEqual([name for name, _ in self.rows()], [A, B])
        self.assertSame(self.one, A)
        self.assertSame(self.other, B)
        for form in ('docker-archive', 'oci-archive'):
            self.forget()
            os.unlink(saved)
            self.podman('save', '--format', form, '--output', saved, B)
            self.bring(self.read(saved))
            self.assertEqual([name for name, _ in self.rows()], [B])
            self.assertSame(self.other, B)
        self.podman('rmi', '--force', A, B)

    def test_it_loads_oci_archives(self):
        self.podman('load', '--input', self.write('oci', self.archive({C: self.one})))
        self.check(C, self.one)
        [found] = json.loads(self.podman('image', 'inspect', C))
        self.assertEqual(found['Digest'], self.one.digest)
        self.podman('rmi', '--force', C)


class OfDocker(ToolTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.docker = Docker(directory_for(cls, 'd'))
        cls.addClassCleanup(cls.docker.close)

    def check(self, name, image):
        [found] = json.loads(self.docker('image', 'inspect', name))
        self.assertEqual(found['RootFS']['Layers'], [layer.diff_id for layer in image.layers])
        return found['Id']

    def save(self, *names):
        saved = self.path('saved')
        self.docker('save', '--output', saved, *names)
        return self.read(saved)

    def test_both_ways(self):
        images = {A: self.one, B: self.other}
        data = self.archive(images, Format='docker')
        for pack in (bytes, gzip.compress):
            self.docker('load', '--input', self.write('docker', pack(data)))
            # the name of an image is the digest of its config there
            self.assertEqual({name: self.check(name, image) for name, image in images.items()},
                             {name: image.config.digest for name, image in images.items()})
            self.docker('tag', B, C)
            saved = self.save(A, B, C)
            self.docker('rmi', A, B, C)
            self.bring(saved)
            self.assertEqual([name for name, _ in self.rows()], [A, B, C])
            for name, image in ((A, self.one), (B, self.other), (C, self.other)):
                self.assertSame(image, name)
            digests = dict(self.rows())
            self.assertEqual(digests[B], digests[C])
        # what it wrote once and we write again is the same to it
        self.docker('load', '--input', self.write('docker', self.export(A, C, Format='docker')))
        self.assertEqual(self.check(C, self.other), self.other.config.digest)
        self.forget()
        self.bring(self.save(A))
        self.assertEqual(dict(self.rows()), {A: digests[A]})
        self.docker('rmi', A, C)

    def test_an_image_without_a_name(self):
        self.docker('load', '--input',
                    self.write('docker', self.archive({A: self.one}, Format='docker')))
        saved = self.save(self.check(A, self.one))
        self.docker('rmi', A)
        self.refuse(saved, 'does not name')
        self.bring(saved, Reference=B)
        self.assertSame(self.one, B)

    def test_an_index_and_foreign_layers(self):
        foreign = Layer(3000, 9, FOREIGN_OCI, urls=['http://u.example/layer'])
        image = Image([self.one.layers[0], foreign])
        index = Index([Image([Layer(900, 4)], 'linux/arm64'), image])
        data = self.archive({A: index}, Format='docker', IncludeForeign=True)
        self.docker('load', '--input', self.write('docker', data))
        self.check(A, image)
        self.bring(self.save(A))
        self.assertSame(image, A)
        self.docker('rmi', A)


class OfUmoci(ToolTestCase):
    def umoci(self, *arguments):
        return subprocess.run(['umoci', *arguments], check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout

    def tar(self, layout):
        return subprocess.run(['tar', '-C', layout, '-c', '.'], check=True,
                              stdout=subprocess.PIPE).stdout

    def test_it_writes(self):
        layout = self.path('layout')
        self.umoci('init', '--layout', layout)
        self.umoci('new', '--image', f'{layout}:empty')
        self.umoci('new', '--image', f'{layout}:v1')
        for name in ('hello', 'again'):
            self.umoci('insert', '--image', f'{layout}:v1',
                       self.write(name, name.encode() * 5000), f'/etc/{name}')
        self.umoci('config', '--image', f'{layout}:v1', '--author', 'umoci', '--tag', 'v2')
        self.refuse(self.tar(layout), 'does not name')
        for data in (self.tar(layout), gzip.compress(self.tar(layout))):
            self.bring(data, Reference='h.example/x')
            self.assertEqual([name for name, _ in self.rows()],
                             [f'h.example/x:{tag}' for tag in ('empty', 'v1', 'v2')])
            self.assertEqual(len(self.diff_ids('h.example/x:v2')), 2)
            self.forget()

    def test_it_reads(self):
        layout = self.path('layout')
        os.mkdir(layout)
        subprocess.run(['tar', '-C', layout, '-x'], input=self.archive({A: self.one}), check=True)
        self.assertEqual(self.umoci('ls', '--layout', layout).split(), [A])
        # umoci itself takes no colons in names, and copies what it does not know
        index = os.path.join(layout, 'index.json')
        with open(index, encoding='utf-8') as file:
            fields = json.load(file)
        fields['manifests'][0]['annotations'] = {NAME: 'a'}
        with open(index, 'w', encoding='utf-8') as file:
            json.dump(fields, file)
        self.umoci('unpack', '--image', f'{layout}:a', self.path('bundle'))
        self.assertEqual(self.read('bundle/rootfs/etc/hello'), b'hello\n')
        self.write('bundle/rootfs/etc/more', b'more\n')
        self.umoci('repack', '--image', f'{layout}:b', self.path('bundle'))
        self.bring(self.tar(layout), Reference='h.example/x')
        self.assertEqual(len(self.diff_ids('h.example/x:b')), 3)


if __name__ == '__main__':
    unittest.main()
