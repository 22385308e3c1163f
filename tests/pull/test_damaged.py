# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images whose documents something has damaged in the store: they stop nobody, can be removed, and are
mended by the next pull.
"""

import unittest

from berthtest import ALICE, BOB, Image, Index, Layer, MemoryRegistry, PullTestCase, vardict
from berthtest.layout import blob_path

EMPTY = vardict({})
DENIED = 'org.freedesktop.DBus.Error.AccessDenied'


class Damaged(PullTestCase):
    """self.images[name]: an image that is in the store as self.names[name], pulled by alice."""

    def setUp(self):
        super().setUp()
        self.polkit(pull='yes')
        self.home = self.serve(MemoryRegistry())
        self.alice = self.user(ALICE)
        self.image = Image([Layer(3000, 1)])
        self.spare, self.kept = Image([Layer(3000, 2)]), Image([Layer(3000, 3)])
        self.name, self.spare_name, self.kept_name = (
            image.push(self.home, 'team/app', tag)
            for tag, image in (('1', self.image), ('2', self.spare), ('3', self.kept)))
        for name in (self.name, self.spare_name, self.kept_name):
            self.pull(name, self.alice)

    def damage(self, digest):
        with open(blob_path(self.store, digest), 'r+b') as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 1]))

    def test_they_stop_no_prune(self):
        self.damage(self.image.digest)
        self.images('Remove', 'sa{sv}', self.spare_name, EMPTY, who=self.alice)
        self.assertEqual(self.images('Prune', 'a{sv}', EMPTY)[1], len(self.spare.blobs()))
        self.eventually(lambda: self.name in self.instance.logs())
        self.assertHas(self.kept)
        self.assertTrue(self.has_blob(self.image.layers[0].digest))

    def test_they_are_mended_by_a_pull(self):
        self.damage(self.image.digest)
        self.images('Prune', 'a{sv}', EMPTY)
        self.pull_image(self.image, self.name)

    def test_they_can_be_removed(self):
        for digest in (self.image.digest, self.kept.digest):
            self.damage(digest)
        with self.assertError(DENIED):
            self.images('Remove', 'sa{sv}', self.name, EMPTY, who=self.user(BOB))
        self.images('Remove', 'sa{sv}', self.name, EMPTY, who=self.alice)
        self.images('Remove', 'sa{sv}', self.kept.digest, EMPTY)
        self.assertEqual(self.references(), [self.spare_name])
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertFalse(self.has_blob(self.image.digest))
        self.assertHas(self.spare)

    def test_they_are_not_shown(self):
        self.damage(self.image.digest)
        with self.assertError('StoreCorrupt', self.image.digest):
            self.images('Inspect', 'sa{sv}', self.name, EMPTY, who=self.alice)
        self.assertIn(self.name, self.references())

    def test_one_platform_of_an_index(self):
        """What is damaged in it keeps nothing else of it from being there."""
        index = Index([Image([Layer(2000, 4)], platform='linux/amd64'),
                       Image([Layer(2000, 5)], platform='linux/arm64')])
        name = index.push(self.home, 'team/both', '1')
        self.pull(name, AllPlatforms=True)
        self.damage(index.manifests[0].digest)
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertTrue(all(map(self.has_blob, index.blobs())))


if __name__ == '__main__':
    unittest.main()
