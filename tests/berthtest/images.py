# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images, indexes and artifacts for tests: made from arguments, the same each time.

    image = Image([Layer(4096, 1), Layer(1 << 20, 2)])
    image.push(registry, 'team/app', 'latest')
    image.digest, image.document, image.blobs()          # what a store must hold after a pull

    foreign = Layer(4096, 3, FOREIGN_OCI, urls=[web.add('/layer', …)])
    Image([foreign]).push(registry, 'team/app', 'windows')      # the manifest only, not the layer
    Index([Image([…], 'linux/amd64'), Image([…], 'linux/arm64/v8'), Index([…])])
    Image([], form='docker')                                     # Docker schema 2
    Image([Layer(100)], subject=image, artifact_type='application/x.signature')
    Image([…], edit=lambda document: document.pop('mediaType'))  # what nobody honest would push

    write_layout(directory, {'latest': image})                   # for skopeo: oci:DIRECTORY:latest
"""

import json
import os

from .layers import (Blob, DOCKER, DOCKER_LAYER, FOREIGN_DOCKER, FOREIGN_OCI, FileLayer, LAYER_GZIP,
                     LAYER_TAR, LAYER_ZSTD, Layer, NONDISTRIBUTABLE, OCI, digest_of)

__all__ = ['Blob', 'DOCKER_INDEX', 'DOCKER_LAYER', 'DOCKER_MANIFEST', 'Document', 'EMPTY_CONFIG',
           'FOREIGN_DOCKER', 'FOREIGN_OCI', 'FileLayer', 'Image', 'Index', 'LAYER_GZIP',
           'LAYER_TAR', 'LAYER_ZSTD', 'Layer', 'NONDISTRIBUTABLE', 'OCI_CONFIG', 'OCI_INDEX',
           'OCI_MANIFEST', 'digest_of', 'referrers', 'write_layout']

OCI_MANIFEST, OCI_INDEX = OCI + 'manifest.v1+json', OCI + 'index.v1+json'
OCI_CONFIG, EMPTY_CONFIG = OCI + 'config.v1+json', 'application/vnd.oci.empty.v1+json'
DOCKER_MANIFEST = DOCKER + 'distribution.manifest.v2+json'
DOCKER_INDEX = DOCKER + 'distribution.manifest.list.v2+json'
DOCKER_CONFIG = DOCKER + 'container.image.v1+json'

# `oci` as the Docker media type of the same layer
_DOCKER_TYPES = {LAYER_GZIP: DOCKER_LAYER, LAYER_TAR: DOCKER + 'image.rootfs.diff.tar',
                 FOREIGN_OCI: FOREIGN_DOCKER, NONDISTRIBUTABLE[0]: NONDISTRIBUTABLE[3]}


def _platform(text):
    words = text.split('/')
    found = {'architecture': words[1], 'os': words[0]}
    if len(words) > 2:
        found['variant'] = words[2]
    return found


class Document(Blob):
    """A manifest or an index: document are its bytes.

    fields: what it says; edit: a function that changes that before it is written; indent: of the
    JSON, so that tests find out who writes it anew.
    """

    def __init__(self, fields, media_type, children, platform=None, edit=None, indent=None,
                 algorithm='sha256', artifact_type=None, annotations=None):
        if edit:
            edit(fields)
        self.document = json.dumps(fields, indent=indent).encode()
        super().__init__(self.document, media_type, algorithm=algorithm, annotations=annotations)
        self.platform = platform
        self.artifact_type = artifact_type
        self.children = children

    def descriptor(self):
        found = super().descriptor()
        if self.platform:
            found['platform'] = _platform(self.platform)
        if self.artifact_type:
            found['artifactType'] = self.artifact_type
        return found

    def blobs(self):
        """Returns: {digest: Blob} of all that belongs to it, itself and foreign layers included."""
        found = {self.digest: self}
        for child in self.children:
            found.update(child.blobs() if isinstance(child, Document) else {child.digest: child})
        return found

    def push(self, registry, repository, *references, account=None, foreign=False):
        """Puts it and what belongs to it into a Registry (or what has client()).

        references: tags; none: by its digest. foreign: non-distributable layers too. Blobs that the
        repository has are not sent again. Returns: the first `HOST/REPOSITORY:TAG` or `@DIGEST`.
        """
        client = registry.client(account)
        for child in self.children:
            if isinstance(child, Document):
                child.push(registry, repository, account=account, foreign=foreign)
            elif (foreign or not child.nondistributable) and \
                    not client.has_blob(repository, child.digest):
                client.put_blob(repository, child)
        for reference in references or (self.digest,):
            client.put_manifest(repository, reference, self.document, self.media_type)
        name = f':{references[0]}' if references else f'@{self.digest}'
        return f'{registry.host}/{repository}{name}'


class Image(Document):
    """An image, or with artifact_type an artifact.

    layers: list of Layer. platform: `OS/ARCHITECTURE[/VARIANT]`. form: `oci`, or `docker` (whose
    layers get the Docker media types of theirs). config: {key: value} added to the configuration, or
    a Blob instead of it. subject: the Document it refers to. For the rest see Document.
    """

    def __init__(self, layers, platform='linux/amd64', form='oci', config=None, subject=None,
                 artifact_type=None, manifest_annotations=None, **kwargs):
        docker = form == 'docker'
        self.layers = layers
        for layer in layers if docker else ():
            layer.media_type = _DOCKER_TYPES.get(layer.media_type, layer.media_type)
        if isinstance(config, Blob):
            self.config = config
        elif artifact_type:
            self.config = Blob(b'{}', EMPTY_CONFIG)
        else:
            content = {**_platform(platform), 'config': {},
                       'rootfs': {'type': 'layers', 'diff_ids': [_diff_id(x) for x in layers]},
                       'history': [{'created_by': f'layer {n}'} for n in range(len(layers))],
                       **(config or {})}
            self.config = Blob(json.dumps(content).encode(),
                               DOCKER_CONFIG if docker else OCI_CONFIG)
        fields = {'schemaVersion': 2, 'mediaType': DOCKER_MANIFEST if docker else OCI_MANIFEST}
        if artifact_type:
            fields['artifactType'] = artifact_type
        fields['config'] = self.config.descriptor()
        fields['layers'] = [layer.descriptor() for layer in layers]
        if subject is not None:
            fields['subject'] = _reference(subject)
        if manifest_annotations:
            fields['annotations'] = manifest_annotations
        super().__init__(fields, fields['mediaType'], [self.config, *layers],
                         None if artifact_type else platform, artifact_type=artifact_type, **kwargs)


class Index(Document):
    """manifests: list of Image and Index. form: `oci`, or `docker` (a manifest list). subject: the
    Document it refers to.
    """

    def __init__(self, manifests, form='oci', subject=None, **kwargs):
        media_type = DOCKER_INDEX if form == 'docker' else OCI_INDEX
        self.manifests = manifests
        fields = {'schemaVersion': 2, 'mediaType': media_type,
                  'manifests': [manifest.descriptor() for manifest in manifests]}
        if subject is not None:
            fields['subject'] = _reference(subject)
        super().__init__(fields, media_type, manifests, **kwargs)


def _reference(document):
    return {key: document.descriptor()[key] for key in ('mediaType', 'digest', 'size')}


def _diff_id(layer):
    return layer.diff_id if isinstance(layer, Layer) else layer.digest


def referrers(artifacts):
    """Returns: the Index that a registry answers with when it is asked for referrers.

    Where it has no such API, it is pushed with the tag `sha256-HEX` of the subject.
    """
    return Index(artifacts)


def write_layout(directory, images, foreign=False):
    """Writes an OCI image layout.

    images: {name: Document}. foreign: non-distributable layers too. Returns: directory.
    """
    os.makedirs(directory, exist_ok=True)
    rows = []
    for name, image in images.items():
        row = image.descriptor()
        row['annotations'] = {**row.get('annotations', {}),
                              'org.opencontainers.image.ref.name': name}
        rows.append(row)
        for blob in image.blobs().values():
            path = os.path.join(directory, blob.path)
            if blob.nondistributable and not foreign or os.path.exists(path):
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as file:
                file.writelines(blob.chunks())
    with open(os.path.join(directory, 'oci-layout'), 'w', encoding='utf-8') as file:
        file.write('{"imageLayoutVersion":"1.0.0"}')
    with open(os.path.join(directory, 'index.json'), 'w', encoding='utf-8') as file:
        json.dump({'schemaVersion': 2, 'mediaType': OCI_INDEX, 'manifests': rows}, file)
    return directory
