# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is hard to copy and to push: odd trees and layers, what is attached, what is others'."""

from berthtest import (ALICE, BOB, Image, Index, Layer, MemoryRegistry, PullTestCase, images,
                       vardict)

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


class Others(CopyTestCase):
    """What one user has is not to be had by another who only knows its digest."""

    def setUp(self):
        super().setUp()
        self.polkit(pull='yes', push='yes', push_nondistributable='yes')
        self.alice, self.bob = self.user(ALICE), self.user(BOB)
        self.secret = Image([Layer(500, 'secret')], 'linux/s390x')
        self.secret.push(self.source, 'alice/secret', 'latest')
        self.pull(f'{self.source.host}/alice/secret:latest', who=self.alice, Platform='linux/s390x')

    def lie(self, index, reference):
        """Bob's registry has what names a manifest that it has not."""
        self.target.data[index.digest] = index.document
        for name in (reference, index.digest):
            self.target.manifests['bob/app', name] = index.digest, index.media_type

    def test_by_an_index(self):
        own = Image([Layer(300, 'own')])
        index = Index([own, self.secret])
        own.push(self.target, 'bob/app')
        self.lie(index, 'latest')
        name = f'{self.target.host}/bob/app:latest'
        self.pull(name, who=self.bob, Platform='linux/amd64')
        self.end(self.begin_push(name, f'{self.target.host}/bob/stolen:1', who=self.bob,
                                 AllPlatforms=True))
        self.assertFalse(self.target.has_blob(self.secret.layers[0].digest))
        self.assertFalse(self.target.has_blob(self.secret.digest))

    def test_by_a_nondistributable_layer(self):
        layer = self.secret.layers[0]
        own = Image([Layer(300, 'own'), images.Blob(layer.data, images.FOREIGN_OCI)])
        own.push(self.target, 'bob/app', 'latest')
        self.configure(f'[registry {self.target.host}]\nAllowNondistributable=yes\n')
        name = f'{self.target.host}/bob/app:latest'
        self.pull(name, who=self.bob, ForeignLayers='skip')
        self.end(self.begin_push(name, f'{self.target.host}/bob/stolen:1', who=self.bob))
        self.assertFalse(self.target.has_blob(layer.digest))

    def test_by_an_index_that_is_attached(self):
        own = Image([Layer(300, 'own')])
        own.push(self.target, 'bob/app', 'latest')
        index = Index([self.secret], edit=lambda fields: fields.update(
            subject={key: own.descriptor()[key] for key in ('mediaType', 'digest', 'size')}))
        self.lie(index, index.digest)
        self.pull(f'{self.target.host}/bob/app:latest', who=self.bob, Referrers=True)
        with self.assertError('org.freedesktop.DBus.Error.AccessDenied'):
            self.images('OpenBlob', 'sa{sv}', self.secret.layers[0].digest, vardict({}),
                        who=self.bob)
