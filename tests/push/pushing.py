# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of pushing have in common: a service with real workers, a registry that images come
from, and one that they go to, behind a proxy that counts and breaks.
"""

import glob
import json
import os

from berthtest import (FaultProxy, IF_IMAGES, IF_TRANSFER, Image, Index, InstanceTestCase, Layer,
                       MemoryRegistry, NONDISTRIBUTABLE, ROOT_PATH, Registry, UrlServer, vardict)

OVER = ('done', 'failed', 'cancelled')
ERROR = 'org.berthd.Berth1.Error.'

DEFAULTS = '''
[defaults]
ForeignUrlHosts=127.0.0.0/8
'''


def artifact(subject, number, kind='signature'):
    return Image([Layer(300, number)], subject=subject, artifact_type=f'application/x.{kind}',
                 manifest_annotations={'number': str(number)})


class PushTestCase(InstanceTestCase):
    """self.home: where images come from; self.registry: where they go, best through self.proxy."""

    registry_options = {}
    registries = {}  # files of registries.d besides that with DEFAULTS

    def setUp(self):
        self.home = self.serve(MemoryRegistry())
        self.registry = self.serve(self.new_registry())
        self.proxy = self.serve(FaultProxy(self.registry))
        self.web = self.serve(UrlServer())
        self.instance = self.new_instance(registries=DEFAULTS)
        if isinstance(self.registry, Registry):
            self.addCleanup(self.assertWhole, self.registry)

    def new_registry(self):
        return Registry(**self.registry_options)

    # Calls

    def images(self, method, signature, *args, who=None):
        return (who or self.instance).call(ROOT_PATH, IF_IMAGES, method, signature, *args)

    def end(self, path):
        """Waits. Returns: what Describe says then."""
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'State') in OVER)
        return self.instance.call(path, IF_TRANSFER, 'Describe', '')

    def begin(self, method, first, second, who=None, **options):
        return str(self.images(method, 'ssa{sv}', first, second, vardict(options), who=who))

    def done(self, description, image=None):
        self.assertEqual((description['State'], description['ErrorMessage']), ('done', ''),
                         self.instance.logs())
        if image:
            self.assertEqual(description['Digest'], image.digest)
        return description

    def push(self, image, reference, who=None, **options):
        """image: the Document that is pushed, whose name load() gave, or a text.

        Returns: what Describe says after it has succeeded.
        """
        name = image if isinstance(image, str) else self.names[image.digest]
        return self.done(self.end(self.begin('Push', name, reference, who, **options)),
                         None if isinstance(image, str) else image)

    def copy(self, source, destination, who=None, **options):
        return self.done(self.end(self.begin('Copy', source, destination, who, **options)))

    def failure(self, path, name, message=None):
        """Waits for the end, which must be this error. Returns: what Describe says."""
        description = self.end(path)
        self.assertEqual((description['State'], description['ErrorName']), ('failed', ERROR + name),
                         f'{description["ErrorMessage"]}\n{self.instance.logs()}')
        if message:
            self.assertRegex(description['ErrorMessage'], message)
        return description

    # Images

    names = {}  # digest: reference in the store

    def load(self, image, repository='home/app', tag='1', who=None, **options):
        """Brings it into the store, all platforms of an index. Returns: image."""
        if isinstance(image, Index):
            options.setdefault('AllPlatforms', True)
        reference = image.push(self.home, repository, tag)
        path = str(self.images('Pull', 'sa{sv}', reference, vardict(options), who=who))
        self.done(self.end(path))
        self.names = {**self.names, image.digest: reference}
        return image

    def to(self, repository='team/app', tag='1', server=None):
        """Returns: a reference at the registry, through the proxy."""
        return f'{(server or self.proxy).host}/{repository}:{tag}'

    def rows(self, description):
        """Returns: [(digest, state, source)] of the layers."""
        return [(str(row['Digest']), str(row['State']), str(row['Source']))
                for row in description['Layers']]

    # What is there then

    def uploads(self):
        """Returns: the requests that carried bytes of blobs to the registry."""
        return [record for record in self.proxy.requests(path='/blobs/uploads/')
                if record.method in ('PATCH', 'PUT') and record.received]

    def assertThere(self, image, repository='team/app', reference='1', without=(), registry=None,
                    account=None):
        """Every byte of the image, but the blobs whose digests are in without, which are not there."""
        registry = registry or self.registry
        client = registry.client(account)
        document, media_type = client.get_manifest(repository, reference)
        self.assertEqual((document, media_type), (image.document, image.media_type))
        for digest, blob in image.blobs().items():
            if digest in without:
                self.assertFalse(client.has_blob(repository, digest), digest)
            elif hasattr(blob, 'document'):
                self.assertEqual(client.get_manifest(repository, digest)[0], blob.document)
            else:
                self.assertTrue(client.get_blob(repository, digest) == b''.join(blob.chunks()),
                                f'other bytes of {digest}')

    def assertWhole(self, registry):
        """Whatever became of the pushes: what a manifest there names is there, or may be left out."""
        root = os.path.join(registry.storage, 'docker/registry/v2/repositories')
        for path in glob.glob(f'{root}/**/_manifests/revisions/sha256', recursive=True):
            repository = os.path.relpath(path, root).split('/_manifests/')[0]
            manifests = {f'sha256:{name}' for name in os.listdir(path)}
            here = manifests | set(registry.repository_blobs(repository))
            for digest in manifests:
                with open(registry.blob_path(digest), encoding='utf-8') as file:
                    document = json.load(file)
                rows = [*document.get('manifests', ()), *document.get('layers', ())]
                rows += [document['config']] if 'config' in document else []
                for row in rows:
                    if row['mediaType'] not in NONDISTRIBUTABLE:
                        self.assertIn(row['digest'], here, f'{repository} lacks it for {digest}')

    def assertNothing(self, repository='team/app'):
        """Neither name nor manifest nor blob."""
        self.assertEqual((self.registry.client().tags(repository),
                          self.registry.repository_blobs(repository)), ([], []))
        self.assertEqual(self.registry.blobs(), [])
