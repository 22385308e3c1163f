# SPDX-License-Identifier: LGPL-2.1-or-later
"""Copy: from registry to registry, through nothing but a worker's memory."""

import os
import unittest

from berthtest import (ALICE, FaultProxy, Image, Index, Layer, NONDISTRIBUTABLE, Registry, faults,
                       memfd, vardict)

from pushing import PushTestCase, artifact


class CopyTestCase(PushTestCase):
    def setUp(self):
        super().setUp()
        self.source = self.serve(FaultProxy(self.home))

    def fill(self, image, repository='home/app', tag='1', **options):
        """Returns: the reference to copy from, through a proxy."""
        image.push(self.home, repository, tag, **options)
        return f'{self.source.host}/{repository}:{tag}'

    def assertStoreEmpty(self):
        self.assertEqual(self.images('List', 'a{sv}', vardict({})), [])
        store = os.path.join(self.instance.state, 'store')
        found = [name for place in ('blobs/sha256', 'ingest') if os.path.isdir(os.path.join(store, place))
                 for name in os.listdir(os.path.join(store, place)) if name.startswith('sha256-')
                 or place.startswith('blobs')]
        self.assertEqual(found, [])


class Copy(CopyTestCase):
    def test_an_image(self):
        image = Image([Layer(100000, 1), Layer(3000000, 2), Layer(100, 3)], indent=3)
        description = self.copy(self.fill(image), self.to())
        self.assertEqual(description['Digest'], image.digest)
        self.assertEqual(description['Reference'], self.to())
        self.assertEqual(description['BytesDone'], description['BytesTotal'])
        self.assertEqual({row[1] for row in self.rows(description)}, {'done'})
        self.assertThere(image)
        self.assertStoreEmpty()

    def test_what_is_there_is_not_fetched(self):
        image = Image([Layer(100000, 1), Layer(2000, 2)])
        self.registry.client().put_blob('team/app', image.layers[0])
        source = self.fill(image)
        self.copy(source, self.to())
        self.assertThere(image)
        self.assertEqual(self.source.sent(image.layers[0].digest), 0)
        self.assertEqual(self.source.sent(image.layers[1].digest), image.layers[1].size)

    def test_again(self):
        image = Image([Layer(100000, 1)])
        source = self.fill(image)
        self.copy(source, self.to())
        self.proxy.forget()
        self.source.forget()
        self.copy(source, self.to(tag='2'))
        self.assertEqual(self.uploads(), [])
        self.assertEqual(self.source.sent('/blobs/'), 0)
        self.assertThere(image, reference='2')

    def test_within_one_registry(self):
        """Every blob is mounted; none is fetched."""
        image = Image([Layer(100000, 1), Layer(3000, 2)])
        image.push(self.registry, 'base/app', '1')
        description = self.copy(self.to('base/app'), self.to())
        self.assertEqual({row[1:] for row in self.rows(description)}, {('done', 'mount')})
        self.assertEqual(self.uploads(), [])
        self.assertEqual([self.proxy.sent(layer.digest) for layer in image.layers], [0, 0])
        self.assertThere(image)

    def test_platforms(self):
        amd, arm = Image([Layer(1000, 1)], 'linux/amd64'), Image([Layer(1000, 2)], 'linux/arm64')
        index = Index([amd, arm], indent=1)
        source = self.fill(index)
        self.assertEqual(self.copy(source, self.to('one/app'), Platform='linux/arm64')['Digest'],
                         arm.digest)
        self.assertThere(arm, 'one/app')
        self.assertFalse(self.registry.has_blob(amd.digest))
        self.assertEqual(self.copy(source, self.to('all/app'), AllPlatforms=True)['Digest'],
                         index.digest)
        self.assertThere(index, 'all/app')
        self.failure(self.begin('Copy', source, self.to('no/app'), Platform='linux/riscv64'),
                     'PlatformUnavailable')
        self.assertEqual(self.registry.client().tags('no/app'), [])
        self.assertStoreEmpty()

    def test_referrers(self):
        image = Image([Layer(1000, 1)])
        signature = Image([Layer(300, 2)], subject=image, artifact_type='application/x.signature')
        source = self.fill(image)
        signature.push(self.home, 'home/app')
        self.copy(source, self.to('without/app'))
        self.assertFalse(self.registry.has_blob(signature.digest))
        self.copy(source, self.to(), Referrers=True)
        self.assertThere(signature, reference=signature.digest)
        self.assertIn(image.digest.replace(':', '-'), self.registry.client().tags('team/app'))

    def test_an_index_that_is_attached(self):
        image = Image([Layer(1000, 1)])
        index = Index([artifact(image, 2), Image([Layer(700, 3)], 'linux/arm64'), image],
                      subject=image)
        source = self.fill(image)
        index.push(self.home, 'home/app')
        self.copy(source, self.to(), Referrers=True)
        self.assertThere(index, reference=index.digest)
        self.assertStoreEmpty()

    def test_digests(self):
        image = Image([Layer(1000, 1)])
        self.fill(image)
        self.copy(f'{self.source.host}/home/app@{image.digest}', self.to())
        self.assertThere(image)

    def test_what_is_not_there(self):
        self.failure(self.begin('Copy', f'{self.source.host}/no/app:1', self.to()), 'ManifestUnknown')
        self.assertNothing()

    def test_other_bytes(self):
        """A blob that is not what its digest says goes nowhere."""
        image = Image([Layer(300000, 1)])
        source = self.fill(image)
        self.source.fault(faults.Corrupt(200000), path=image.layers[0].digest, times=None)
        self.failure(self.begin('Copy', source, self.to()), 'DigestMismatch')
        self.assertEqual(self.registry.client().tags('team/app'), [])
        self.assertFalse(self.registry.has_blob(image.layers[0].digest))
        self.assertFalse(self.registry.has_blob(image.digest))
        self.assertStoreEmpty()

    def test_what_is_under_way_at_the_end(self):
        """Of another layer a part has come: nobody will go on with it."""
        image = Image([Layer(300000, 1), Layer(2000, 2)])
        source = self.fill(image)
        stall = self.source.fault(faults.Stall(200000), path=image.layers[0].digest)
        hold = self.source.fault(faults.Hold(), path=image.layers[1].digest)
        self.source.fault(faults.Corrupt(5), path=image.layers[1].digest, times=None)
        path = self.begin('Copy', source, self.to())
        stall.wait()
        hold.wait()
        self.eventually(lambda: any(name.startswith('sha256-') for name in os.listdir(
            os.path.join(self.instance.state, 'store', 'ingest'))))
        hold.release()
        self.failure(path, 'DigestMismatch')
        stall.release()
        self.assertStoreEmpty()

    def test_broken_connections(self):
        """On both sides: it goes on, or begins that blob again."""
        image = Image([Layer(2000000, 1), Layer(1000, 2)])
        source = self.fill(image)
        self.source.fault(faults.Cut(700000), path=image.layers[0].digest)
        self.source.fault(faults.Status(503), path='/manifests/')
        self.proxy.fault(faults.CutUpload(300000))
        self.proxy.fault(faults.LoseAnswer(502), method='PUT', path='/manifests/')
        self.copy(source, self.to())
        self.assertThere(image)

    def test_cancel(self):
        image = Image([Layer(1000000, 1)])
        path = self.begin('Copy', self.fill(image), self.to(), MaxBandwidth=100000)
        self.source.wait_request('GET', image.layers[0].digest)
        self.instance.call(path, 'org.berthd.Berth1.Transfer', 'Cancel', '')
        self.assertEqual(self.end(path)['State'], 'cancelled')
        self.assertEqual(self.registry.client().tags('team/app'), [])
        # its worker was killed: nothing lists what it leaves, and nothing needs it once it is gone
        self.eventually(lambda: not self.instance.workers())
        self.images('Prune', 'a{sv}', vardict({}))
        self.assertStoreEmpty()


class Foreign(CopyTestCase):
    def setUp(self):
        super().setUp()
        self.foreign = [Layer(51200, number, kind) for number, kind in enumerate(NONDISTRIBUTABLE, 2)]
        for number, layer in enumerate(self.foreign):
            layer.urls = [self.web.add(f'/{number}', layer.data)]
        self.image = Image([Layer(1000, 1), *self.foreign])
        self.from_ = self.fill(self.image)
        self.skipped = [layer.digest for layer in self.foreign]

    def allow(self):
        self.instance.write_settings('registries.d/allow.conf',
                                     f'[registry {self.proxy.host}]\nAllowNondistributable=yes\n')
        self.instance.manager('Reload')

    def test_not_allowed(self):
        description = self.copy(self.from_, self.to())
        self.assertEqual([row[1:] for row in self.rows(description)][1:], [('skipped', 'skipped')] * 5)
        self.assertThere(self.image, without=self.skipped)
        self.assertEqual(self.web.requests(), [])

    def test_allowed(self):
        self.allow()
        self.copy(self.from_, self.to())
        self.assertThere(self.image)
        self.assertStoreEmpty()

    def test_allowed_and_nowhere(self):
        self.web.remove('/2')
        self.allow()
        self.failure(self.begin('Copy', self.from_, self.to()), 'ForeignLayerUnavailable')
        self.assertEqual(self.registry.client().tags('team/app'), [])

    def test_polkit(self):
        authority = self.polkit(pull='yes', push='yes', push_nondistributable='no')
        alice = self.user(ALICE)
        self.allow()
        self.failure(self.begin('Copy', self.from_, self.to(), who=alice), 'NondistributableRefused',
                     'push-nondistributable')
        self.assertEqual([record for record in self.proxy.requests()
                          if record.method not in ('GET', 'HEAD')], [])
        self.assertNothing()
        authority.answer(push_nondistributable='yes')
        self.copy(self.from_, self.to(), who=alice)
        self.assertThere(self.image)


class Accounts(PushTestCase):
    """The same registry twice, with two accounts."""

    registry_options = {'htpasswd': {'reader': 'read me', 'writer': 'write me'}}

    def auth(self, name):
        import base64
        import json
        word = base64.b64encode(f'{name}:{self.registry.users[name]}'.encode()).decode()
        return memfd(json.dumps({'auths': {self.proxy.host: {'auth': word}}}).encode())

    def accounts(self):
        import base64
        found = {}
        for record in self.proxy.requests():
            text = record.headers.get('Authorization') or ''
            if text.startswith('Basic '):
                name = base64.b64decode(text[6:]).decode().split(':')[0]
                found.setdefault(name, set()).add(record.method)
        return found

    def test_two_accounts(self):
        image = Image([Layer(1000, 1)])
        image.push(self.registry, 'base/app', '1', account='writer')
        self.copy(self.to('base/app'), self.to(), SourceCredentials=self.auth('reader'),
                  Credentials=self.auth('writer'))
        self.assertThere(image, account='reader')
        accounts = self.accounts()
        self.assertEqual(accounts['reader'] - {'GET', 'HEAD'}, set())
        self.assertIn('PUT', accounts['writer'])
        self.proxy.forget()
        self.copy(self.to('base/app'), self.to(tag='2'), Credentials=self.auth('writer'))
        self.assertEqual(set(self.accounts()), {'writer'})
        self.failure(self.begin('Copy', self.to('base/app'), self.to(tag='3'),
                                SourceCredentials=self.auth('reader')), 'AuthenticationRequired')


class MirrorOfSource(CopyTestCase):
    def test_read_from_a_mirror(self):
        mirror = self.serve(Registry())
        image = Image([Layer(1000, 1)])
        image.push(mirror, 'home/app', '1')
        self.instance.write_settings('registries.d/m.conf', f'''
[registry {self.source.host}]
Mirrors={mirror.host}
''')
        self.instance.manager('Reload')
        self.copy(f'{self.source.host}/home/app:1', self.to())
        self.assertThere(image)
        self.assertEqual(self.source.sent('/blobs/'), 0)


if __name__ == '__main__':
    unittest.main()
