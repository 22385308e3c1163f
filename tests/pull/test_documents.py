# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every kind of image, index and artifact, and what is refused of them; and what other tools see."""

import json
import os
import platform
import subprocess
import unittest

from berthtest import (Blob, FaultProxy, FileLayer, Image, Index, Layer, MemoryRegistry, NONDISTRIBUTABLE,
                       PullTestCase, faults, images, skopeo, skopeo_pull, syscalls)
from berthtest.layout import blobs, hash_file, blob_path, read_blob, read_index

HOST = {'x86_64': 'linux/amd64', 'aarch64': 'linux/arm64'}.get(platform.machine())
SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws'


class DocumentsTestCase(PullTestCase):
    """self.server: a registry; of is what this class of test needs."""

    of = MemoryRegistry

    def setUp(self):
        super().setUp()
        self.server = self.serve(self.of())

    def push(self, image, repository='team/app', tag='latest', **kwargs):
        """Returns: the reference."""
        image.push(self.server, repository, tag, **kwargs)
        return f'{self.server.host}/{repository}:{tag}'

    def entry(self):
        """Returns: the one image in the store's index, and its annotations without the prefix."""
        (row,) = read_index(self.store)['manifests']
        return row, {key.rpartition('org.berthd.')[2]: value
                     for key, value in row['annotations'].items()}


class Kinds(DocumentsTestCase):
    def test_oci_and_docker(self):
        for form in ('oci', 'docker'):
            with self.subTest(form=form):
                image = Image([Layer(9000, 1), Layer(300, 2)], form=form, indent=3)
                self.pull_image(image, self.push(image))
                row, notes = self.entry()
                self.assertEqual((row['mediaType'], row['size'], notes['platform']),
                                 (image.media_type, len(image.document), 'linux/amd64'))
                self.forget()

    def test_compressions(self):
        image = Image([Layer(9000, n, media_type) for n, media_type in enumerate(
            (images.LAYER_TAR, images.LAYER_GZIP, images.LAYER_ZSTD, 'application/x.unheard.of'))])
        self.pull_image(image, self.push(image))

    def test_no_layers_and_empty_ones(self):
        image = Image([])
        self.pull_image(image, self.push(image))
        image = Image([Blob(b'', images.LAYER_TAR), Blob(b'', images.LAYER_TAR), Layer(200)])
        self.pull_image(image, self.push(image, tag='empty'))

    def test_the_same_layer_twice(self):
        layer = Layer(50000, 1)
        image = Image([layer, Layer(300, 2), layer])
        description = self.pull_image(image, self.push(image))
        self.assertEqual(len(self.server.requests('GET', layer.digest)), 1)
        self.assertEqual(description['BytesDone'], description['BytesTotal'])

    def test_artifact(self):
        """A config and a layer that are the same two bytes, and a subject that is not pulled."""
        image = Image([Layer(300, 1)])
        self.push(image)
        signature = Image([Blob(b'{}', images.EMPTY_CONFIG), Layer(500, 2)], subject=image,
                          artifact_type='application/x.signature')
        self.pull_image(signature, self.push(signature, tag='signature'))
        self.assertFalse(self.has_blob(image.digest))
        rows = {row['digest']: row for row in read_index(self.store)['manifests']}
        self.assertNotIn('org.berthd.platform', rows[signature.digest]['annotations'])

    def test_embedded_data(self):
        """What a descriptor holds is not asked for; if it is wrong, nothing is believed."""
        small, large = Layer(400, 1, embed=True), Layer(9000, 2)
        image = Image([small, large], config=Blob(b'{"os": "linux", "architecture": "amd64"}',
                                                  images.OCI_CONFIG, embed=True))
        self.pull_image(image, self.push(image))
        self.assertEqual([record.path.rpartition('/')[2] for record in self.server.requests(
            'GET', '/blobs/')], [large.digest])
        wrong = Image([Layer(400, 3, embed=b'x' * 400)])
        self.fails('DigestMismatch', 'data', self.push(wrong, tag='wrong'))

    def test_sha512(self):
        """Of layer, config and manifest."""
        image = Image([Layer(9000, 1, algorithm='sha512'), Layer(700, 2)], algorithm='sha512',
                      config=Blob(b'{"os": "linux", "architecture": "amd64"}', images.OCI_CONFIG,
                                  algorithm='sha512'))
        image.push(self.server, 'team/app')
        self.pull_image(image, f'{self.server.host}/team/app@{image.digest}')
        self.assertEqual(hash_file(blob_path(self.store, image.layers[0].digest), 'sha512'),
                         image.layers[0].digest[7:])

    def test_tag_and_digest(self):
        """The digest decides, the tag is only part of the name."""
        image, other = Image([Layer(300, 1)]), Image([Layer(300, 2)])
        self.push(image)
        self.push(other)  # the tag has moved on
        reference = f'{self.server.host}/team/app:latest@{image.digest}'
        self.pull_image(image, reference)
        self.assertEqual(self.references(), [reference])

    def test_a_tag_that_moves(self):
        for seed in (1, 2):
            image = Image([Layer(5000, 0), Layer(300, seed)])
            self.pull_image(image, self.push(image))
        self.assertEqual(self.entry()[0]['digest'], image.digest)
        self.assertEqual(len(self.server.requests('GET', image.layers[0].digest)), 1)

    def test_4096_layers(self):
        layer = Layer(300, 1)
        image = Image([layer] * 4096)
        self.pull_image(image, self.push(image))
        self.fails('ManifestInvalid', '4096', self.push(Image([layer] * 4097), tag='more'))


class Indexes(DocumentsTestCase):
    def make(self, *platforms, **kwargs):
        """Returns: the images by their platforms, and an index of them."""
        found = {name: Image([Layer(300, name)], name) for name in platforms}
        return found, Index(list(found.values()), **kwargs)

    def test_the_host_is_the_default(self):
        found, index = self.make('linux/s390x', 'windows/amd64', HOST, 'linux/ppc64le')
        for form in ('oci', 'docker'):
            index = Index(list(found.values()), form=form)
            description = self.pull(self.push(index))
            self.assertEqual(description['Digest'], found[HOST].digest)
            row, notes = self.entry()
            self.assertEqual((row['digest'], notes['index.digest'], notes['platform']),
                             (found[HOST].digest, index.digest, HOST))
            self.assertHas(found[HOST])
            self.assertFalse(self.has_blob(found['linux/s390x'].digest))
            self.forget()

    def test_variants(self):
        """The same one, else the next lower."""
        found, index = self.make('linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64/v8',
                                 'linux/amd64', 'linux/amd64/v3')
        reference = self.push(index)
        for wanted, given in (('linux/arm/v7', 'linux/arm/v7'), ('linux/arm/v8', 'linux/arm/v7'),
                              ('linux/arm/v6', 'linux/arm/v6'), ('linux/arm64', 'linux/arm64/v8'),
                              ('linux/amd64/v4', 'linux/amd64/v3'), ('linux/amd64', 'linux/amd64'),
                              ('linux/amd64/v2', 'linux/amd64')):
            with self.subTest(wanted=wanted):
                self.assertEqual(self.pull(reference, Platform=wanted)['Digest'],
                                 found[given].digest)

    def test_unavailable(self):
        _, index = self.make('linux/s390x', 'linux/arm/v7', 'windows/amd64')
        inner = Index([index, Image([Layer(300)], 'linux/riscv64')])
        description = self.fails('PlatformUnavailable', 'linux/mips64le', self.push(inner),
                                 Platform='linux/mips64le')
        for name in ('linux/s390x', 'linux/arm/v7', 'windows/amd64', 'linux/riscv64'):
            self.assertIn(name, description['ErrorMessage'])

    def test_a_plain_image_for_another_platform(self):
        """Somebody who asks for a platform by name gets nothing else."""
        image = Image([Layer(300)], 'linux/s390x')
        reference = self.push(image)
        self.fails('PlatformUnavailable', 'linux/s390x', reference, Platform='linux/arm64')
        self.pull_image(image, reference)
        self.assertEqual(self.entry()[1]['platform'], 'linux/s390x')

    def test_all_platforms(self):
        found, inner = self.make('linux/s390x', 'linux/arm/v7')
        index = Index([inner, Image([Layer(300, 1)]),
                       Image([Layer(300, 2)], artifact_type='application/x.proof')])
        self.pull_image(index, self.push(index), AllPlatforms=True)
        row, notes = self.entry()
        self.assertEqual((row['digest'], row['mediaType']), (index.digest, index.media_type))
        self.assertNotIn('index.digest', notes)
        self.assertTrue(found)

    def test_nested(self):
        image = Image([Layer(300, 1)], HOST)
        index = Index([Index([Index([Image([Layer(300, 2)], 'linux/s390x'), image])])])
        reference = self.push(index)
        self.assertEqual(self.pull(reference)['Digest'], image.digest)
        self.assertEqual(self.entry()[1]['index.digest'], index.digest)
        for _ in range(8):
            index = Index([index])
        self.fails('ManifestInvalid', 'deep', self.push(index, tag='deep'))

    def test_platforms_that_the_index_does_not_say(self):
        """Then the configs do."""
        other, image = Image([Layer(300, 1)], 'linux/s390x'), Image([Layer(300, 2)], HOST)
        for child in (other, image):
            child.platform = None
        self.assertEqual(self.pull(self.push(Index([other, image])))['Digest'], image.digest)
        description = self.fails('PlatformUnavailable', 's390x', self.push(Index([other]), tag='x'))
        self.assertIn(HOST, description['ErrorMessage'])

    def test_by_digest_of_an_index(self):
        found, index = self.make('linux/s390x', HOST)
        self.push(index)
        description = self.pull(f'{self.server.host}/team/app@{index.digest}')
        self.assertEqual(description['Digest'], found[HOST].digest)

    def test_an_empty_index(self):
        index = Index([])
        reference = self.push(index)
        self.fails('PlatformUnavailable', 'nor for any other', reference)
        self.pull_image(index, reference, AllPlatforms=True)

    def test_a_circle_is_not_possible_but_repetition_is(self):
        image = Image([Layer(300)], HOST)
        index = Index([image] * 20)
        self.pull_image(index, self.push(index), AllPlatforms=True)
        self.assertEqual(len(self.server.requests('GET', f'manifests/{image.digest}')), 1)


class Refused(DocumentsTestCase):
    """What nobody honest serves."""

    def setUp(self):
        super().setUp()
        self.front = self.serve(FaultProxy(self.server))
        self.image = Image([Layer(300, 1)])
        self.push(self.image)

    def served(self, body, media_type=images.OCI_MANIFEST):
        """Returns: the reference of that document."""
        self.front.clear()
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.front.fault(faults.Answer(body, media_type), path='/manifests/', times=None)
        return f'{self.front.host}/team/app:latest'

    def fields(self, **changes):
        found = {**json.loads(self.image.document), **changes}
        return {key: value for key, value in found.items() if value is not None}

    def test_two_faces(self):
        for body, media_type in (
                (self.fields(manifests=[]), images.OCI_MANIFEST),
                (self.fields(manifests=[], mediaType=None), images.OCI_INDEX),
                (self.fields(fsLayers=[]), images.OCI_MANIFEST),
                (self.fields(), images.OCI_INDEX),
                (self.fields(), images.DOCKER_MANIFEST),
                (self.fields(mediaType=images.OCI_INDEX), images.OCI_INDEX),
                (self.fields(Layers=[]), images.OCI_MANIFEST),
                (self.image.document[:-1] + b', "layers": []}', images.OCI_MANIFEST)):
            with self.subTest(body=body, media_type=media_type):
                self.fails('ManifestInvalid', '.', self.served(body, media_type))

    def test_schema_1(self):
        body = {'schemaVersion': 1, 'name': 'team/app', 'tag': 'latest', 'architecture': 'amd64',
                'fsLayers': [{'blobSum': self.image.layers[0].digest}], 'history': []}
        for media_type in (SIGNED, SIGNED.replace('prettyjws', 'json'), 'application/json'):
            self.fails('ManifestInvalid', '(?i)schema.*1', self.served(body, media_type))

    def test_nonsense(self):
        layer = self.image.layers[0].descriptor()
        for body in (b'', b'{', b'null', b'[]', b'"x"', b'{}', b'\xff' * 20, b'[' * 100000,
                     self.fields(schemaVersion=3), self.fields(config=None),
                     self.fields(layers=None), self.fields(layers='x'),
                     self.fields(layers=[{**layer, 'digest': 'sha256:../../../../etc/passwd'}]),
                     self.fields(layers=[{**layer, 'digest': 'md5:' + 'a' * 32}]),
                     self.fields(layers=[{**layer, 'digest': layer['digest'].upper()}]),
                     self.fields(layers=[{**layer, 'size': -1}]),
                     self.fields(layers=[{**layer, 'size': 1 << 63}]),
                     self.fields(layers=[{**layer, 'size': '300'}]),
                     self.fields(layers=[{**layer, 'urls': 'http://x'}])):
            with self.subTest(body=body):
                self.fails('ManifestInvalid', '.', self.served(body))

    def test_too_large(self):
        self.fails('ManifestInvalid', '4194304', self.served(
            self.image.document + b' ' * (4 << 20)))
        description = self.pull(self.served(self.image.document + b' ' * (
            (4 << 20) - len(self.image.document))))
        self.assertEqual(len(read_blob(self.store, str(description['Digest']))), 4 << 20)

    def test_sizes_that_are_not_true(self):
        """Of a layer, of a config, of a manifest in an index."""
        for change in (lambda fields: fields['layers'][0].update(size=299),
                       lambda fields: fields['layers'][0].update(size=301),
                       lambda fields: fields['config'].update(size=5)):
            fields = self.fields()
            change(fields)
            self.fails('RegistryError', 'bytes', self.served(fields))

        def edit(fields):
            fields['manifests'][0]['size'] += 1
        index = Index([self.image], edit=edit)
        self.fails('DigestMismatch', 'bytes', self.push(index, tag='index'), AllPlatforms=True)

    def test_a_type_that_is_not_the_index_s(self):
        def edit(fields):
            fields['manifests'][0]['mediaType'] = images.DOCKER_MANIFEST
        self.fails('ManifestInvalid', '.', self.push(Index([self.image], edit=edit), tag='index'),
                   AllPlatforms=True)


class Peers(PullTestCase):
    """docker-registry serves, skopeo pulls the same, and others read the store."""

    def setUp(self):
        super().setUp()
        self.server = self.registry()

    def skopeo(self, reference, *options):
        """Returns: the directory of what skopeo makes of it."""
        directory = self.instance.path('skopeo')
        skopeo_pull(self.server, reference, directory, options=options)
        return directory

    def test_the_same_bytes_as_skopeo(self):
        image = Image([Layer(300000, 1), Layer(9000, 2, images.LAYER_ZSTD), Layer(2048, 3,
                                                                                images.LAYER_TAR)])
        self.pull_image(image, image.push(self.server, 'team/app', 'latest'))
        theirs = self.skopeo('team/app:latest', '--preserve-digests')
        self.assertEqual(blobs(self.store), blobs(theirs))
        for digest in blobs(theirs):
            self.assertEqual(read_blob(self.store, digest), read_blob(theirs, digest), digest)

    def test_the_same_bytes_as_skopeo_of_docker_images(self):
        """In an OCI layout skopeo writes these anew; what it got is in a directory of its own kind."""
        image = Image([Layer(300000, 1), Layer(900, 2)], form='docker')
        self.pull_image(image, image.push(self.server, 'team/app', 'latest'))
        theirs = self.instance.path('skopeo')
        skopeo('copy', '--src-tls-verify=false', f'docker://{self.server.host}/team/app:latest',
               f'dir:{theirs}')
        names = {digest: digest.partition(':')[2] for digest in blobs(self.store)}
        names[image.digest] = 'manifest.json'
        self.assertEqual(sorted([*names.values(), 'version']), sorted(os.listdir(theirs)))
        for digest, name in names.items():
            with open(os.path.join(theirs, name), 'rb') as file:
                self.assertEqual(read_blob(self.store, digest), file.read(), digest)

    def test_the_same_bytes_as_skopeo_of_all_platforms(self):
        index = Index([Image([Layer(3000, 1)]), Image([Layer(3000, 2)], 'linux/arm64/v8')])
        self.pull_image(index, index.push(self.server, 'team/app', 'latest'), AllPlatforms=True)
        theirs = self.skopeo('team/app:latest', '--all', '--preserve-digests')
        self.assertEqual(blobs(self.store), blobs(theirs))
        for digest in blobs(theirs):
            self.assertEqual(read_blob(self.store, digest), read_blob(theirs, digest), digest)

    def test_readers(self):
        """skopeo, podman and umoci read what is in the store."""
        image = Image([FileLayer({'etc/hello': b'hello\n'}), Layer(5000, 1)])
        reference = image.push(self.server, 'team/app', 'latest')
        self.pull_image(image, reference)
        found = json.loads(skopeo('inspect', f'oci:{self.store}:{reference}').stdout)
        self.assertEqual(found['Layers'], [layer.digest for layer in image.layers])

        def run(*command):
            return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  preexec_fn=syscalls.die_with_parent).stdout
        self.assertIn(reference, run('umoci', 'ls', '--layout', self.store))
        # it makes a name of the layout's path: one that is random can be none
        parent, store = os.path.split(self.store)
        base = ('env', '-C', parent, 'podman', '--root', self.instance.path('podman'),
                '--runroot', self.instance.path('podman-run'), '--storage-driver', 'vfs')
        name = run(*base, 'pull', '--quiet', f'oci:{store}:{reference}').strip()
        where = run(*base, 'image', 'mount', name).strip()
        try:
            with open(os.path.join(where, 'etc/hello'), encoding='ascii') as file:
                self.assertEqual(file.read(), 'hello\n')
        finally:
            run(*base, 'image', 'umount', '--all')

    def test_foreign_layers_that_were_left_out(self):
        """The store is what skopeo makes of such an image: the manifest says more than there is."""
        image = Image([Layer(3000, 1), Layer(3000, 2, NONDISTRIBUTABLE[1],
                                             urls=['https://example.com/layer'])])
        reference = image.push(self.server, 'team/app', 'latest')
        description = self.pull(reference, ForeignLayers='skip')
        self.assertEqual([source for _, source in self.sources(description)], ['registry', 'skipped'])
        self.assertEqual(blobs(self.store), sorted(digest for digest in image.blobs()
                                                   if digest != image.layers[1].digest))
        found = json.loads(skopeo('inspect', f'oci:{self.store}:{reference}').stdout)
        self.assertEqual(len(found['Layers']), 2)


if __name__ == '__main__':
    unittest.main()
