# SPDX-License-Identifier: LGPL-2.1-or-later
"""Base class of tests that pull with the real service, worker and store, and of how they fail."""

import base64
import json
import os
import re

from .calls import ERROR, IF_IMAGES, IF_TRANSFER, ROOT_PATH, vardict
from .case import InstanceTestCase
from .fakestore import FINAL, memfd
from .layout import blob_path, check_layout, read_blob
from .proxy import FaultProxy
from .registry import Registry

EMPTY = vardict({})


class PullTestCase(InstanceTestCase):
    """self.store: its directory. Only root may pull; users may after self.polkit(pull='yes')."""

    def setUp(self):
        super().setUp()
        self.store = os.path.join(self.instance.state, 'store')

    def configure(self, text):
        """text: of registries.d/test.conf, which is in force afterwards."""
        self.instance.write_settings('registries.d/test.conf', text)
        self.instance.manager('Reload')

    def registry(self, **kwargs):
        """Returns: a Registry for this test."""
        return self.serve(Registry(**kwargs))

    def proxy(self, upstream, **kwargs):
        """Returns: a FaultProxy for this test."""
        return self.serve(FaultProxy(upstream, **kwargs))

    # Calls

    def images(self, method, signature, *args, who=None):
        return (who or self.instance).call(ROOT_PATH, IF_IMAGES, method, signature, *args)

    def begin(self, reference, who=None, **options):
        """Returns: the object path of the transfer."""
        return str(self.images('Pull', 'sa{sv}', reference, vardict(options), who=who))

    def transfer(self, path, method):
        return self.instance.call(path, IF_TRANSFER, method, '')

    def property(self, path, name):
        return self.instance.get(path, IF_TRANSFER, name)

    def end(self, path):
        """Waits. Returns: what Describe says then."""
        self.eventually(lambda: self.property(path, 'State') in FINAL)
        return self.transfer(path, 'Describe')

    def ended(self, path):
        """Waits for its success. Returns: what Describe says then."""
        description = self.end(path)
        self.assertEqual((description['State'], description['ErrorMessage']), ('done', ''),
                         self.instance.logs())
        return description

    def pull(self, reference, who=None, **options):
        """Returns: what Describe says after it has succeeded."""
        return self.ended(self.begin(reference, who, **options))

    def pull_image(self, image, reference, **options):
        """Pulls and compares every byte that shall be in the store. Returns: what Describe says."""
        description = self.pull(reference, **options)
        self.assertEqual(description['Digest'], image.digest)
        self.assertHas(image)
        self.assertIn(image.digest, check_layout(self, self.store).values())
        return description

    def fails(self, name, message, reference, who=None, **options):
        """The pull ends with this error, and leaves no image. Returns: what Describe says."""
        before = self.references() if os.path.exists(self.store) else []
        return self.failed(self.begin(reference, who, **options), name, message, before)

    def failed(self, path, name, message, references=()):
        """references: what the store names afterwards. Returns: what Describe says."""
        description = self.end(path)
        text = str(description['ErrorMessage'])
        self.assertEqual((description['State'], description['ErrorName']),
                         ('failed', name if '.' in name else ERROR + name),
                         f'{text}\n{self.instance.logs()}')
        self.assertRegex(text, message)
        self.assertEqual(description['Digest'], '')
        self.assertEqual(self.references(), list(references))
        self.assertTidy()
        return description

    # The store

    def references(self, who=None, prefix=''):
        return [str(row['Reference']) for row in self.images(
            'List', 'a{sv}', vardict({'Reference': prefix}), who=who)]

    def partials(self):
        """Returns: {name: size} of the downloads that are not complete."""
        place = os.path.join(self.store, 'ingest')
        return {name: os.stat(os.path.join(place, name)).st_size for name in os.listdir(place)
                if not name.startswith('lock-')}

    def partial(self, digest):
        """Returns: the path of what there is of a blob that is not complete."""
        return os.path.join(self.store, 'ingest', digest.replace(':', '-'))

    def has_blob(self, digest):
        return os.path.exists(blob_path(self.store, digest))

    def assertTidy(self, killed=False):
        """The layout is valid, and nothing is left but what a next pull goes on with.

        killed: a worker was, and what it was at is for the next one to remove.
        """
        check_layout(self, self.store)
        for name in self.partials():
            if killed and name.startswith(('lse-', 'tmp-')):
                continue
            self.assertRegex(name, r'\Asha(256-[0-9a-f]{64}|512-[0-9a-f]{128})\Z')

    def assertHas(self, image):
        """Every blob of it is there, byte for byte."""
        for digest, blob in image.blobs().items():
            self.assertTrue(read_blob(self.store, digest) == blob.data, digest)

    def forget(self):
        """Removes all images and blobs."""
        for reference in self.references():
            self.images('Remove', 'sa{sv}', reference, EMPTY)
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(self.partials(), {})

    def sources(self, description):
        """Returns: [(digest, source)] of the layers."""
        return [(str(layer['Digest']), str(layer['Source'])) for layer in description['Layers']]


def credentials(**entries):
    """entries of an auth.json, hosts as given in a dictionary. Returns: a sealed descriptor."""
    return memfd(json.dumps({'auths': entries}).encode())


def auth_entry(name, password):
    return {'auth': base64.b64encode(f'{name}:{password}'.encode()).decode()}


def host_pattern(*hosts):
    """Returns: a regular expression for hosts in this order, with anything between them."""
    return '(?s)' + '.*'.join(map(re.escape, hosts))
