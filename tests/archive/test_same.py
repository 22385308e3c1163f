# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same images give the same archive, and it holds all that was pulled with them."""

import json
import os
import threading
import unittest

from berthtest import ALICE, Image, Index, Layer, MemoryRegistry, vardict

from archiving import A, Archive, ArchiveTestCase, B, EMPTY, NAME, entries_of, row_of

SIGNATURE = 'application/x.signature'
ORIGIN = 'org.berthd.index.digest'


def signed(subject, seed):
    return Image([Layer(600, seed)], subject=subject, artifact_type=SIGNATURE)


class SameTestCase(ArchiveTestCase):
    def setUp(self):
        super().setUp()
        self.registry = self.serve(MemoryRegistry())

    def name(self, repository):
        return f'{self.registry.host}/{repository}:1'

    def pull(self, repository, **options):
        return self.good(str(self.images('Pull', 'sa{sv}', self.name(repository),
                                         vardict(options))))

    def forget(self):
        for name, _ in self.rows():
            if name:
                self.images('Remove', 'sa{sv}', name, EMPTY)
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(self.files(), (set(), b''))


class Order(SameTestCase):
    def test_it_does_not_matter(self):
        """Pulled in any order, or imported, by one or the other: the archive is the same."""
        shared = Layer(70000, 'shared')
        found = {repository: Image([shared, Layer(3000, repository)])
                 for repository in ('b/one', 'a/two', 'c/three')}
        for repository, image in found.items():
            image.push(self.registry, repository, '1')
            for seed in (7, 8, 9):
                signed(image, f'{repository} {seed}').push(self.registry, repository)
        names = [self.name(repository) for repository in found]
        first = {}
        for turn in (1, -1):
            for repository in list(found)[::turn]:
                self.pull(repository, Referrers=True)
            for form in ('oci', 'docker'):
                data = self.export(*names, Format=form, Referrers=True)
                self.assertEqual(first.setdefault(form, data), data)
            self.forget()
        for form, data in first.items():
            self.bring(data)
            self.assertEqual(self.export(*names, Format=form, Referrers=True), data)
            self.forget()
        # as they were asked for, they come
        self.bring(first['oci'])
        turned = self.export(*names[::-1], Referrers=True)
        self.assertNotEqual(turned, first['oci'])
        self.assertEqual(entries_of(turned).keys(), entries_of(first['oci']).keys())

    def test_users_do_not_matter(self):
        image = Image([Layer(5000, 1)])
        self.bring(Archive().layout({A: image}).bytes())
        data = self.export(A)
        self.forget()
        self.bring(Archive().layout({B: image, A: image}).bytes(), who=self.user(ALICE))
        self.assertEqual(self.export(A), data)


class Origins(SameTestCase):
    """A pull for one platform keeps the index that it was chosen from; so does its archive."""

    def setUp(self):
        super().setUp()
        self.image = Image([Layer(5000, 1)])
        self.index = Index([Image([Layer(900, 2)], 'linux/arm64'), self.image])
        self.index.push(self.registry, 'team/app', '1')
        self.signatures = [signed(self.index, 3), signed(self.image, 4)]
        for signature in self.signatures:
            signature.push(self.registry, 'team/app')
        self.app = self.name('team/app')
        self.pull('team/app', Platform='linux/amd64', Referrers=True)

    def index_rows(self, data):
        return json.loads(entries_of(data)['index.json'])['manifests']

    def store_rows(self):
        """Returns: [(digest, annotations but those of the time)]"""
        with open(os.path.join(self.store, 'index.json'), encoding='utf-8') as file:
            return sorted((row['digest'], {key: value for key, value in row['annotations'].items()
                                           if 'pulled' not in key})
                          for row in json.load(file)['manifests'])

    def test_they_go_with_the_image(self):
        rows = self.store_rows()
        for form in ('oci', 'docker'):
            data = self.export(self.app, Format=form, Referrers=True)
            entries = entries_of(data)
            first, *others = self.index_rows(data)
            self.assertEqual((first['digest'], first['annotations'][ORIGIN]),
                             (self.image.digest, self.index.digest))
            self.assertEqual({row['digest'] for row in others},
                             {signature.digest for signature in self.signatures})
            self.assertEqual(entries[self.index.path], self.index.document)
            self.assertNotIn(self.index.manifests[0].path, entries)
            self.forget()
            self.bring(data)
            self.assertEqual(self.store_rows(), rows)
            self.assertEqual(self.export(self.app, Format=form, Referrers=True), data)
            self.images('Prune', 'a{sv}', EMPTY)
            self.has(*self.signatures, self.image)
            self.assertIn(self.index.digest, self.blobs())
        self.assertEqual([row['digest'] for row in self.index_rows(self.export(self.app))],
                         [self.image.digest])

    def test_an_archive_can_lie(self):
        """What is no index of the image, or is not there, is none that it was chosen from."""
        data = self.export(self.app)
        self.forget()
        other = Index([Image([Layer(900, 2)], 'linux/arm64')])
        for origin, file in ((other, other), (self.index, None), (self.image, None)):
            row = row_of(self.image)
            row['annotations'] = {NAME: A, ORIGIN: origin.digest}
            archive = Archive().index([row]).blobs(self.image)
            if file:
                archive.file(file.path, file.document)
            self.bring(archive.bytes())
            self.assertEqual(self.blobs(), set(self.image.blobs()))
            self.assertNotIn(ORIGIN, self.store_rows()[0][1])
            self.forget()
        self.bring(data)
        self.assertEqual(self.store_rows()[0][1][ORIGIN], self.index.digest)


class Names(ArchiveTestCase):
    def test_all_at_once(self):
        """Whoever looks sees none of an archive's names, or all of them."""
        image = Image([Layer(500, 1)])
        names = {f'h.example/a:{number}' for number in range(300)}
        self.bring(Archive().layout({B: image}).bytes())
        seen, done = set(), threading.Event()

        def look():
            while not done.is_set():
                with open(os.path.join(self.store, 'index.json'), 'rb') as file:
                    seen.add(file.read().count(b'h.example/a:'))
        thread = threading.Thread(target=look)
        thread.start()
        try:
            self.bring(Archive().docker((sorted(names), image)).bytes())
        finally:
            done.set()
            thread.join()
        self.assertEqual({name for name, _ in self.rows()}, names | {B})
        self.assertLessEqual(seen, {0, len(names)})


if __name__ == '__main__':
    unittest.main()
