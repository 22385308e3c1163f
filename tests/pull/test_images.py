# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the call on the bus to the image in the store and back: service, worker, store and registry."""

import fcntl
import hashlib
import json
import os
import unittest

from berthtest import (ALICE, BOB, FaultProxy, IF_IMAGES, IF_TRANSFER, Image, Index, InstanceTestCase,
                       Layer, ROOT_PATH, Registry, vardict)

EMPTY = vardict({})
DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
OVER = ('done', 'failed', 'cancelled')


class RealTestCase(InstanceTestCase):
    """self.registry: a registry over plain HTTP; everybody may pull."""

    def setUp(self):
        super().setUp()
        self.authority = self.polkit(pull='yes')
        self.registry = Registry()
        self.addCleanup(self.registry.close)
        self.store = os.path.join(self.instance.state, 'store')

    def images(self, method, signature, *args, who=None):
        return (who or self.instance).call(ROOT_PATH, IF_IMAGES, method, signature, *args)

    def begin(self, reference, who=None, **options):
        return str(self.images('Pull', 'sa{sv}', reference, vardict(options), who=who))

    def end(self, path):
        """Waits. Returns: what Describe says then."""
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'State') in OVER)
        return self.instance.call(path, IF_TRANSFER, 'Describe', '')

    def pull(self, reference, who=None, **options):
        """Returns: what Describe says after it has succeeded."""
        description = self.end(self.begin(reference, who, **options))
        self.assertEqual((description['State'], description['ErrorMessage']), ('done', ''),
                         self.instance.logs())
        return description

    def name(self, repository, tag='latest'):
        return f'{self.registry.host}/{repository}:{tag}'

    def references(self, who=None, prefix=''):
        return [str(row['Reference']) for row in self.images(
            'List', 'a{sv}', vardict({'Reference': prefix}), who=who)]

    def read_blob(self, digest, who=None):
        """Returns: (its bytes, whether it was sealed memory)."""
        blob, sealed = self.images('OpenBlob', 'sa{sv}', digest, EMPTY, who=who)
        with os.fdopen(blob.take(), 'rb') as file:
            if sealed:
                self.assertEqual(fcntl.fcntl(file.fileno(), fcntl.F_GET_SEALS), 0xf)
            return file.read(), bool(sealed)


class Images(RealTestCase):
    def test_pull_and_look(self):
        image = Image([Layer(100000, 1), Layer(5000, 2)])
        image.push(self.registry, 'team/app', 'latest')
        before = self.pull(self.name('team/app'))
        self.assertEqual(before['Digest'], image.digest)
        self.assertEqual(before['BytesDone'], before['BytesTotal'])
        self.assertGreaterEqual(before['BytesTotal'], sum(layer.size for layer in image.layers))
        self.assertEqual([(layer['Digest'], layer['State'], layer['Source'], layer['Done'])
                          for layer in before['Layers']],
                         [(layer.digest, 'done', 'registry', layer.size) for layer in image.layers])
        [row] = self.images('List', 'a{sv}', EMPTY)
        self.assertEqual((row['Reference'], row['Digest'], row['Platform'], row['Owner']),
                         (self.name('team/app'), image.digest, 'linux/amd64', 0))
        row = self.images('Inspect', 'sa{sv}', self.name('team/app'), EMPTY)
        self.assertEqual(row['Manifest'].encode(), image.document)
        self.assertEqual(json.loads(row['Config'])['os'], 'linux')
        self.assertEqual([(layer['Digest'], layer['Size'], layer['Present'], layer['Urls'])
                          for layer in row['Layers']],
                         [(layer.digest, layer.size, True, []) for layer in image.layers])
        for digest in [layer.digest for layer in image.layers] + [image.digest]:
            data, sealed = self.read_blob(digest)
            self.assertEqual('sha256:' + hashlib.sha256(data).hexdigest(), digest)
            self.assertTrue(sealed)

    def test_a_large_blob(self):
        layer = Layer(66 << 20, 3)
        Image([layer]).push(self.registry, 'large', 'latest')
        self.pull(self.name('large'))
        data, sealed = self.read_blob(layer.digest)
        self.assertFalse(sealed)
        self.assertEqual('sha256:' + hashlib.sha256(data).hexdigest(), layer.digest)

    def test_tag_remove_prune(self):
        image = Image([Layer(4096, 1)])
        image.push(self.registry, 'a', 'latest')
        self.pull(self.name('a'))
        self.images('Tag', 'ssa{sv}', self.name('a'), 'team/mine:2', EMPTY)
        self.assertEqual(self.references(),
                         sorted([self.name('a'), 'docker.io/team/mine:2']))
        self.images('Remove', 'sa{sv}', self.name('a'), EMPTY)
        self.assertEqual(self.references(), ['docker.io/team/mine:2'])
        self.assertEqual(tuple(self.images('Prune', 'a{sv}', EMPTY)), (0, 0))
        self.images('Remove', 'sa{sv}', image.digest, EMPTY)
        self.assertEqual(self.references(), [])
        size, blobs = self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(blobs, len(image.blobs()))
        self.assertGreater(size, 4096)
        with self.assertError('NoSuchImage'):
            self.images('Inspect', 'sa{sv}', 'team/mine:2', EMPTY)

    def test_platforms(self):
        amd, arm = Image([Layer(100, 1)], 'linux/amd64'), Image([Layer(100, 2)], 'linux/arm64')
        index = Index([amd, arm])
        index.push(self.registry, 'multi', 'latest')
        self.assertEqual(self.pull(self.name('multi'), Platform='linux/arm64')['Digest'], arm.digest)
        self.assertEqual(self.pull(self.name('multi'), AllPlatforms=True)['Digest'], index.digest)
        description = self.end(self.begin(self.name('multi'), Platform='linux/riscv64'))
        self.assertEqual(description['ErrorName'], 'org.berthd.Berth1.Error.PlatformUnavailable')
        self.assertRegex(description['ErrorMessage'], 'linux/arm64')

    def test_what_is_not_there(self):
        description = self.end(self.begin(self.name('missing')))
        self.assertEqual(description['ErrorName'], 'org.berthd.Berth1.Error.ManifestUnknown')
        self.assertRegex(description['ErrorMessage'], 'missing')
        self.registry.stop()
        self.instance.write_settings('registries.d/x.conf', '[defaults]\nRetries=0\n')
        self.instance.manager('Reload')
        description = self.end(self.begin(self.name('missing')))
        self.assertEqual(description['ErrorName'], 'org.berthd.Berth1.Error.RegistryUnreachable')


class Users(RealTestCase):
    def test_each_reads_its_own(self):
        alice, bob = self.user(ALICE), self.user(BOB)
        image = Image([Layer(4096, 1)])
        image.push(self.registry, 'a', 'latest')
        self.pull(self.name('a'), who=alice)
        self.images('Inspect', 'sa{sv}', self.name('a'), EMPTY, who=alice)
        self.read_blob(image.layers[0].digest, who=alice)
        for call in (lambda: self.images('Inspect', 'sa{sv}', self.name('a'), EMPTY, who=bob),
                     lambda: self.read_blob(image.layers[0].digest, who=bob),
                     lambda: self.images('Remove', 'sa{sv}', self.name('a'), EMPTY, who=bob),
                     lambda: self.images('Tag', 'ssa{sv}', self.name('a'), 'b', EMPTY, who=bob)):
            with self.assertError(DENIED):
                call()
        self.pull(self.name('a'), who=bob)
        self.read_blob(image.layers[0].digest, who=bob)
        [row] = self.images('List', 'a{sv}', EMPTY, who=bob)
        self.assertEqual(row['Owner'], ALICE)

    def test_one_removes_what_two_have(self):
        alice, bob = self.user(ALICE), self.user(BOB)
        Image([Layer(4096, 1)]).push(self.registry, 'a', 'latest')
        for who in (alice, bob):
            self.pull(self.name('a'), who=who)
        self.images('Remove', 'sa{sv}', self.name('a'), EMPTY, who=alice)
        with self.assertError(DENIED):
            self.images('Inspect', 'sa{sv}', self.name('a'), EMPTY, who=alice)
        self.images('Inspect', 'sa{sv}', self.name('a'), EMPTY, who=bob)
        self.images('Remove', 'sa{sv}', self.name('a'), EMPTY, who=bob)
        self.assertEqual(self.references(), [])

    def test_a_name_is_not_taken_from_somebody(self):
        alice, bob = self.user(ALICE), self.user(BOB)
        for repository, seed in (('a', 1), ('b', 2)):
            Image([Layer(4096, seed)]).push(self.registry, repository, 'latest')
        self.pull(self.name('a'), who=alice)
        self.pull(self.name('b'), who=bob)
        with self.assertError(DENIED):
            self.images('Tag', 'ssa{sv}', self.name('b'), self.name('a'), EMPTY, who=bob)
        self.images('Tag', 'ssa{sv}', self.name('b'), 'mine', EMPTY, who=bob)
        self.images('Tag', 'ssa{sv}', self.name('b'), 'mine', EMPTY, who=bob)


class Interrupted(RealTestCase):
    """What an earlier transfer left is not downloaded again."""

    def setUp(self):
        super().setUp()
        self.layer = Layer(8 << 20, 7)
        self.image = Image([self.layer])
        self.image.push(self.registry, 'a', 'latest')
        self.proxy = FaultProxy(self.registry)
        self.addCleanup(self.proxy.close)
        self.reference = f'{self.proxy.host}/a:latest'

    def interrupt(self, how):
        path = self.begin(self.reference, MaxBandwidth=2 << 20)
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'BytesDone') > 1 << 20)
        how(path)

    def finish(self):
        before = self.proxy.sent(self.layer.digest)
        description = self.pull(self.reference)
        self.assertEqual(description['Digest'], self.image.digest)
        self.assertLessEqual(self.proxy.sent(self.layer.digest) - before,
                             self.layer.size - (1 << 20))
        data, _ = self.read_blob(self.layer.digest)
        self.assertEqual('sha256:' + hashlib.sha256(data).hexdigest(), self.layer.digest)

    def test_cancel(self):
        self.interrupt(lambda path: self.instance.call(path, IF_TRANSFER, 'Cancel', ''))
        self.finish()

    def test_sigterm(self):
        self.interrupt(lambda _: self.instance.restart())
        self.finish()

    def test_sigkill(self):
        def crash(_):
            self.instance.kill()
            self.instance.start()
        self.interrupt(crash)
        self.finish()


if __name__ == '__main__':
    unittest.main()
