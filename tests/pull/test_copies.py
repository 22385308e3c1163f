# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is hard to copy and to push: odd trees, odd layers, what is attached."""

from berthtest import (ALICE, Image, Index, Layer, MemoryRegistry, PullTestCase, images, vardict)

REFUSED = 'NondistributableRefused'


class CopyTestCase(PullTestCase):
    def setUp(self):
        super().setUp()
        self.source, self.target = self.serve(MemoryRegistry()), self.serve(MemoryRegistry())

    def begin_copy(self, tag='latest', who=None, **options):
        return str(self.images('Copy', 'ssa{sv}', f'{self.source.host}/team/app:{tag}',
                               f'{self.target.host}/other/app:{tag}', vardict(options), who=who))

    def begin_push(self, image, reference='', who=None, **options):
        return str(self.images('Push', 'ssa{sv}', image, reference, vardict(options), who=who))


class Order(CopyTestCase):
    def test_an_index_that_names_another_one_that_came_before(self):
        """No index is put before what it names, in whatever order the documents came."""
        inner = Index([Image([Layer(300, 'inner')])])
        index = Index([inner, *(Image([Layer(300, n)]) for n in range(12)), Index([inner])])
        index.push(self.source, 'team/app', 'latest')
        self.assertEqual(self.ended(self.begin_copy(AllPlatforms=True))['Digest'], index.digest)
        self.assertLessEqual(set(index.blobs()), set(self.target.blobs()))


class Layers(CopyTestCase):
    def test_a_layer_of_two_types(self):
        """It is carried, since one of its types says that it may be; so is a config."""
        layer, config = Layer(300, 1), images.Blob(b'{}', images.OCI_CONFIG)
        image = Image([layer, images.Blob(layer.data, images.FOREIGN_OCI), Layer(300, 2),
                       images.Blob(config.data, images.FOREIGN_OCI)], config=config)
        image.push(self.source, 'team/app', 'latest')
        description = self.ended(self.begin_copy())
        self.assertEqual(len(description['Layers']), 2)
        self.assertLessEqual(set(image.blobs()), set(self.target.blobs()))
        self.pull(f'{self.source.host}/team/app:latest')
        self.ended(self.begin_push(f'{self.source.host}/team/app:latest',
                                   f'{self.target.host}/third/app:latest'))


class Nondistributable(CopyTestCase):
    def test_it_is_asked_for_what_is_attached(self):
        self.polkit(pull='yes', push='yes', push_nondistributable='no')
        self.configure(f'[registry {self.target.host}]\nAllowNondistributable=yes\n')
        image = Image([Layer(300, 1)])
        image.push(self.source, 'team/app', 'latest')
        Image([Layer(500, 2, images.FOREIGN_OCI)], subject=image, artifact_type='application/x.y').push(
            self.source, 'team/app', foreign=True)
        self.failed(self.begin_copy(who=self.user(ALICE), Referrers=True), REFUSED, 'not auth')
        self.assertEqual(self.target.blobs(), [])
