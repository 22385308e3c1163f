# SPDX-License-Identifier: LGPL-2.1-or-later
"""Push: what arrives at a registry, and what is not sent because it is there."""

import collections
import json
import unittest

from berthtest import (ALICE, BOB, FaultProxy, Image, Index, Layer, MemoryRegistry, Registry, faults,
                       images, vardict)

from pushing import DEFAULTS, PushTestCase, artifact


class Push(PushTestCase):
    def test_an_image(self):
        image = self.load(Image([Layer(100000, 1), Layer(3000000, 2), Layer(100, 3)], indent=3))
        description = self.push(image, self.to())
        self.assertThere(image)
        self.assertEqual(self.registry.client().tags('team/app'), ['1'])
        self.assertEqual(sorted(self.rows(description)),
                         sorted((layer.digest, 'done', 'store') for layer in image.layers))
        self.assertEqual(description['BytesDone'], description['BytesTotal'])
        self.assertEqual(description['Reference'], self.to())

    def test_order(self):
        """At no time a manifest without its blobs, nor an index without its manifests."""
        index = self.load(Index([Image([Layer(1000, 1)]), Image([Layer(1000, 2)], 'linux/arm64')]))
        self.push(index, self.to())
        writes = self.proxy.requests('PUT')
        manifests = [record for record in writes if '/manifests/' in record.target]
        self.assertEqual(writes[-len(manifests):], manifests)
        self.assertEqual(len(manifests), 3)
        self.assertTrue(manifests[-1].target.endswith('/manifests/1'))

    def test_forms(self):
        """Docker's and OCI's, kept as they are."""
        for number, image in enumerate((
                Image([Layer(1000, 1)], form='docker'),
                Image([Layer(4000, 2, images.LAYER_ZSTD), Layer(512, 3, images.LAYER_TAR)]),
                Image([]), Image([Layer(1000, 1), Layer(1000, 1)]))):
            with self.subTest(number=number):
                self.load(image, tag=f'v{number}')
                self.push(image, self.to(tag=f'v{number}'))
                self.assertThere(image, reference=f'v{number}')

    def test_what_is_there_is_not_sent(self):
        old, new = Layer(100000, 1), Layer(1000, 2)
        self.registry.client().put_blob('team/app', old)
        image = self.load(Image([old, new]))
        description = self.push(image, self.to())
        self.assertEqual(self.rows(description), [(old.digest, 'done', 'registry'),
                                                  (new.digest, 'done', 'store')])
        self.assertEqual(sum(record.received for record in self.uploads()),
                         new.size + image.config.size)
        self.assertThere(image)

    def test_again(self):
        """A second time nothing is sent but the manifest; under another tag too."""
        image = self.load(Image([Layer(100000, 1)]))
        self.push(image, self.to())
        for tag in ('1', '2'):
            self.proxy.forget()
            self.push(image, self.to(tag=tag))
            self.assertEqual(self.uploads(), [])
            self.assertThere(image, reference=tag)

    def test_another_repository(self):
        """Every blob is mounted."""
        image = self.load(Image([Layer(100000, 1), Layer(2000, 2)]))
        self.push(image, self.to())
        self.proxy.forget()
        description = self.push(image, self.to('other/app'))
        self.assertEqual(self.uploads(), [])
        self.assertEqual(sorted(self.rows(description)),
                         sorted((layer.digest, 'done', 'mount') for layer in image.layers))
        self.assertThere(image, 'other/app')

    def test_back_where_it_came_from(self):
        """The pull is what says from where to mount."""
        image = Image([Layer(100000, 1)])
        image.push(self.registry, 'base/app', '1')
        self.images_pull(self.to('base/app'))
        self.proxy.forget()
        description = self.push(self.to('base/app'), self.to('team/app'))
        self.assertEqual(self.rows(description), [(image.layers[0].digest, 'done', 'mount')])
        self.assertEqual(self.uploads(), [])
        self.assertThere(image)

    def images_pull(self, reference, **options):
        return self.done(self.end(str(self.images('Pull', 'sa{sv}', reference, vardict(options)))))

    def test_its_own_name(self):
        image = Image([Layer(1000, 1)])
        image.push(self.registry, 'base/app', '1')
        self.images_pull(self.to('base/app'))
        self.registry.client().delete_manifest('base/app', image.digest)
        self.push(self.to('base/app'), '')
        self.assertThere(image, 'base/app')

    def test_tags_and_digests(self):
        image = self.load(Image([Layer(1000, 1)]))
        by_digest = f'{self.proxy.host}/team/app@{image.digest}'
        self.push(image, by_digest)
        self.assertEqual(self.registry.client().tags('team/app'), [])
        self.assertThere(image, reference=image.digest)
        self.push(image, f'{self.proxy.host}/team/app:both@{image.digest}')
        self.assertEqual(self.registry.client().tags('team/app'), ['both'])
        self.push(image.digest, self.to(tag='named'))
        self.assertThere(image, reference='named')
        other = f'{self.proxy.host}/team/app@sha256:{"0" * 64}'
        self.failure(self.begin('Push', self.names[image.digest], other), 'InvalidReference', image.digest)

    def test_many_small_layers(self):
        image = self.load(Image([Layer(400, number) for number in range(60)]))
        self.push(image, self.to())
        self.assertThere(image)

    def test_a_large_layer(self):
        image = self.load(Image([Layer(70 << 20, 1)]))
        self.push(image, self.to())
        self.assertTrue(self.registry.has_blob(image.layers[0].digest))

    def test_chunks(self):
        """A registry that wants chunks of a least size gets them."""
        other = self.serve(MemoryRegistry(minimum_chunk=100000))
        image = self.load(Image([Layer(450000, 1)]))
        self.push(image, self.to(server=other))
        self.assertThere(image, registry=other)

    def test_odd_registries(self):
        for number, options in enumerate(({'relative': True}, {'mounts': False})):
            other = self.serve(MemoryRegistry(**options))
            image = self.load(Image([Layer(45000, number)]), tag=f'v{number}')
            for repository in ('team/app', 'team/other'):
                self.push(image, self.to(repository, server=other))
                self.assertThere(image, repository, registry=other)

    def test_a_config_that_is_a_manifest(self):
        """What is named as a blob goes as a blob, whatever else it is."""
        inner = Image([Layer(1000, 1)])
        outer = Image([Layer(1000, 2)], config=images.Blob(inner.document, 'application/x.config'))
        index = self.load(Index([inner, outer]))
        self.push(index, self.to())
        self.assertThere(index)
        self.assertIn(outer.config.digest, self.registry.repository_blobs('team/app'))

    def test_max_bandwidth(self):
        """Slow enough to be seen: it is cancelled in the middle, and the registry has no manifest."""
        image = self.load(Image([Layer(3000000, 1)]))
        path = self.begin('Push', self.names[image.digest], self.to(), MaxBandwidth=100000)
        self.eventually(lambda: self.instance.get(path, 'org.berthd.Berth1.Transfer', 'BytesDone') > 0)
        self.instance.call(path, 'org.berthd.Berth1.Transfer', 'Cancel', '')
        self.assertEqual(self.end(path)['State'], 'cancelled')
        self.assertEqual(self.registry.client().tags('team/app'), [])


class Requests(PushTestCase):
    """How many of them it takes, which is what a push takes where the registry is far away."""

    def setUp(self):
        super().setUp()
        self.image = self.load(Image([Layer(65536, number) for number in range(30)]))

    def count(self, path='/v2/'):
        """Returns: {method: how many requests of it the registry got}, and forgets them."""
        records = self.proxy.requests(path=path)
        for record in records:
            self.assertNotIn('Expect', record.headers, 'libcurl waits for an answer to that')
        self.assertLessEqual(len({record.connection for record in records}), 6)
        self.proxy.forget()
        return dict(collections.Counter(record.method for record in records))

    def test_nothing_is_there(self):
        """Of each blob whether it is there, where to, and its bytes; and the manifest."""
        self.push(self.image, self.to())
        self.assertEqual(self.count(), {'HEAD': 31, 'POST': 31, 'PUT': 32})

    def test_all_is_there(self):
        self.push(self.image, self.to())
        self.proxy.forget()
        self.push(self.image, self.to(tag='2'))
        self.assertEqual(self.count(), {'HEAD': 31, 'PUT': 1})

    def test_all_is_mounted(self):
        self.push(self.image, self.to())
        self.proxy.forget()
        self.push(self.image, self.to('other/app'))
        self.assertEqual(self.count(), {'POST': 31, 'PUT': 1})

    def test_copy(self):
        """From one repository to another; a manifest is read by its name and written by it."""
        self.image.push(self.registry, 'base/app', '1')
        self.copy(self.to('base/app'), self.to())
        self.assertEqual(self.count('/team/app/'), {'HEAD': 31, 'POST': 31, 'PUT': 1})
        self.copy(self.names[self.image.digest], self.to('third/app'))
        self.assertEqual(self.count(), {'HEAD': 31, 'POST': 31, 'PUT': 32})

    def test_at_once(self):
        """Nobody waits for an answer to another's question when HTTPS is out of question."""
        holds = [self.proxy.fault(faults.Hold(), path=layer.digest, method='HEAD')
                 for layer in self.image.layers[:5]]
        path = self.begin('Push', self.names[self.image.digest], self.to())
        for hold in holds:
            hold.wait()
        for hold in holds:
            hold.remove()
        self.done(self.end(path), self.image)


class Platforms(PushTestCase):
    def setUp(self):
        super().setUp()
        self.amd = Image([Layer(1000, 1)], 'linux/amd64')
        self.arm = Image([Layer(1000, 2)], 'linux/arm64')
        self.index = Index([self.amd, self.arm], indent=1)

    def test_all(self):
        self.load(self.index)
        self.push(self.index, self.to())
        self.assertThere(self.index)

    def test_one_of_an_index(self):
        self.load(self.index)
        description = self.push(self.names[self.index.digest], self.to(), Platform='linux/arm64')
        self.assertEqual(description['Digest'], self.arm.digest)
        self.assertThere(self.arm)
        self.assertFalse(self.registry.has_blob(self.amd.digest))
        self.assertFalse(self.registry.has_blob(self.amd.layers[0].digest))
        self.failure(self.begin('Push', self.names[self.index.digest], self.to(tag='2'),
                                Platform='linux/riscv64'), 'PlatformUnavailable', 'riscv64')
        self.assertEqual(self.registry.client().tags('team/app'), ['1'])

    def test_what_was_pulled_of_an_index(self):
        """Is what is pushed; all of it only when all of it is there."""
        self.load(self.index, Platform='linux/arm64', AllPlatforms=False)
        name = self.names[self.index.digest]
        self.assertEqual(self.push(name, self.to())['Digest'], self.arm.digest)
        self.assertThere(self.arm)
        description = self.end(self.begin('Push', name, self.to(tag='all'), AllPlatforms=True))
        self.assertEqual(description['State'], 'failed')
        self.assertIn(self.amd.digest, description['ErrorMessage'])
        self.assertEqual(self.registry.client().tags('team/app'), ['1'])
        self.load(self.index, tag='2', Platform='linux/amd64', AllPlatforms=False)
        self.assertEqual(self.push(name, self.to(tag='all'), AllPlatforms=True)['Digest'],
                         self.index.digest)
        self.assertThere(self.index, reference='all')

    def test_removed_meanwhile(self):
        """What is being pushed stays in the store until it has been: of all platforms."""
        for number, image in enumerate((self.arm, self.amd)):
            self.load(self.index, tag=f'v{number}', Platform=image.platform, AllPlatforms=False)
            name = self.names[self.index.digest]
        hold = self.proxy.fault(faults.Hold(), method='HEAD', times=None)
        path = self.begin('Push', name, self.to(), AllPlatforms=True)
        hold.wait()
        for row in self.images('List', 'a{sv}', vardict({})):
            self.images('Remove', 'sa{sv}', row['Reference'], vardict({}))
        self.images('Prune', 'a{sv}', vardict({}))
        hold.remove()
        self.done(self.end(path), self.index)
        self.assertThere(self.index)

    def test_a_platform_that_the_image_is_not_of(self):
        """Something else must not go out under the name that was meant for another one."""
        self.load(self.index, Platform='linux/arm64', AllPlatforms=False)
        self.load(self.amd, tag='alone')
        for name, platform in ((self.names[self.index.digest], 'linux/riscv64'),
                               (self.names[self.amd.digest], 'linux/arm64')):
            self.failure(self.begin('Push', name, self.to(), Platform=platform), 'PlatformUnavailable',
                         platform)
        self.push(self.names[self.amd.digest], self.to(), Platform='linux/amd64')
        self.assertThere(self.amd)

    def test_indexes_that_say_little(self):
        """An index in an index, and entries without a platform: the configs are looked at."""
        for image in (self.amd, self.arm):
            image.platform = None
        index = Index([Index([Image([Layer(1000, 9)], 'linux/s390x')]), Index([self.amd]), self.arm])
        self.load(index)
        name = self.names[index.digest]
        for image, platform in ((self.arm, 'linux/arm64'), (self.amd, 'linux/amd64')):
            self.assertEqual(self.push(name, self.to(), Platform=platform)['Digest'], image.digest)
            self.assertThere(image)
        self.failure(self.begin('Push', name, self.to(), Platform='linux/riscv64'),
                     'PlatformUnavailable', 'riscv64')

    def test_docker_lists(self):
        index = Index([Image([Layer(1000, 1)], form='docker'),
                       Image([Layer(1000, 2)], 'linux/arm64', form='docker')], form='docker')
        self.load(index)
        self.push(index, self.to())
        self.assertThere(index)


class Referrers(PushTestCase):
    """Signatures and the like, which a registry lists by itself, or in a tag."""

    def setUp(self):
        super().setUp()
        self.image = Image([Layer(1000, 1)])
        self.first, self.second = artifact(self.image, 11), artifact(self.image, 12, 'sbom')
        for one in (self.first, self.second):
            one.push(self.home, 'home/app')
        self.load(self.image, Referrers=True)

    def tagged(self, registry=None, repository='team/app'):
        """Returns: the entries of the list in the tag."""
        tag = self.image.digest.replace(':', '-')
        document, media_type = (registry or self.registry).client().get_manifest(repository, tag)
        self.assertEqual(media_type, images.OCI_INDEX)
        return json.loads(document)['manifests']

    def test_not_unasked(self):
        self.push(self.image, self.to())
        self.assertThere(self.image)
        self.assertEqual(self.registry.client().tags('team/app'), ['1'])
        self.assertFalse(self.registry.has_blob(self.first.digest))

    def test_in_a_tag(self):
        self.push(self.image, self.to(), Referrers=True)
        self.assertThere(self.image)
        for one in (self.first, self.second):
            self.assertThere(one, reference=one.digest)
        entries = {row['digest']: row for row in self.tagged()}
        self.assertEqual(set(entries), {self.first.digest, self.second.digest})
        row = entries[self.second.digest]
        self.assertEqual((row['artifactType'], row['annotations'], row['size'], row['mediaType']),
                         ('application/x.sbom', {'number': '12'}, len(self.second.document),
                          self.second.media_type))
        self.push(self.image, self.to(), Referrers=True)
        self.assertEqual(len(self.tagged()), 2, 'once each')

    def test_what_is_in_the_tag_stays(self):
        mine = artifact(self.image, 99)
        self.image.push(self.registry, 'team/app', 'x')
        mine.push(self.registry, 'team/app')
        images.referrers([mine]).push(self.registry, 'team/app',
                                      self.image.digest.replace(':', '-'))
        self.push(self.image, self.to(), Referrers=True)
        self.assertEqual({row['digest'] for row in self.tagged()},
                         {mine.digest, self.first.digest, self.second.digest})

    def test_by_the_registry(self):
        other = self.serve(MemoryRegistry())
        self.push(self.image, self.to(server=other), Referrers=True)
        self.assertEqual(other.client().tags('team/app'), ['1'], 'no list in a tag')
        listed = json.loads(other.client().request(
            'GET', f'/v2/team/app/referrers/{self.image.digest}')[2])['manifests']
        self.assertEqual({row['digest'] for row in listed}, {self.first.digest, self.second.digest})

    def indexed(self):
        """Returns: an index that is attached to the image, and names it and others; the registry has
        it.
        """
        index = Index([artifact(self.image, 21), Image([Layer(700, 3)], 'linux/arm64'), self.image,
                       Index([Image([Layer(600, 4)], 'linux/s390x')])], subject=self.image)
        index.push(self.home, 'home/app')
        return index

    def test_an_index(self):
        """It comes with all that it names, and goes with it."""
        index = self.indexed()
        deep = artifact(index, 31)
        deep.push(self.home, 'home/app')
        self.load(self.image, Referrers=True)
        self.push(self.image, self.to(), Referrers=True)
        self.assertThere(index, reference=index.digest)
        self.assertThere(deep, reference=deep.digest)
        self.assertLessEqual({index.digest, self.first.digest},
                             {row['digest'] for row in self.tagged()})

    def test_what_is_not_there_any_more(self):
        """It is left out, and the log says so."""
        index, lost = self.indexed(), artifact(self.image, 41)
        self.home.referrers = False
        images.referrers([lost, self.first, index]).push(
            self.home, 'home/app', self.image.digest.replace(':', '-'))
        for digest in (lost.digest, index.manifests[1].digest):
            self.home.client().delete_manifest('home/app', digest)
        self.load(self.image, tag='2', Referrers=True)
        for digest in (lost.digest, index.digest):
            self.assertIn(f'left out {digest}, which is listed as attached to {self.image.digest}: ',
                          self.instance.logs())
        self.push(self.image, self.to(), Referrers=True)
        self.assertThere(self.first, reference=self.first.digest)
        for one in (lost, index):
            self.assertFalse(self.registry.has_blob(one.digest))

    def test_what_cannot_be_had(self):
        """Anything but its absence ends the pull."""
        self.instance.write_settings('registries.d/test.conf', f'{DEFAULTS}Retries=0\n')
        self.instance.manager('Reload')
        source = self.serve(FaultProxy(self.home))
        new = artifact(self.image, 51)
        new.push(self.home, 'home/app')
        for fault, error in ((faults.Status(500), 'RegistryError'),
                             (faults.Status(403), 'AuthenticationRequired'),
                             (faults.Corrupt(10), 'DigestMismatch')):
            with self.subTest(error=error):
                rule = source.fault(fault, path=new.digest, times=None)
                path = str(self.images('Pull', 'sa{sv}', f'{source.host}/home/app:1',
                                       vardict({'Referrers': True})))
                self.failure(path, error)
                rule.remove()

    def test_of_referrers(self):
        """What is attached to what is attached comes along."""
        deep = artifact(self.first, 13)
        deep.push(self.home, 'home/app')
        self.load(self.image, Referrers=True)
        self.push(self.image, self.to(), Referrers=True)
        self.assertThere(deep, reference=deep.digest)


class Users(PushTestCase):
    """With real workers, which look at the rights once more."""

    def setUp(self):
        super().setUp()
        self.authority = self.polkit(pull='yes', push='yes')
        self.alice, self.bob = self.user(ALICE), self.user(BOB)

    def test_ones_own_and_others(self):
        image = self.load(Image([Layer(1000, 1)]), who=self.alice)
        name = self.names[image.digest]
        with self.assertError('org.freedesktop.DBus.Error.AccessDenied', 'read-image'):
            self.begin('Push', name, self.to(), who=self.bob)
        self.assertNothing()
        self.push(image, self.to(), who=self.alice)
        self.authority.answer(read_image='yes')
        self.push(image, self.to('bobs/app'), who=self.bob)
        self.assertThere(image)
        self.assertThere(image, 'bobs/app')

    def test_others_attachments_stay(self):
        """A push of one's own image brings nothing that others attached to it."""
        image = Image([Layer(1000, 1)])
        secret = artifact(image, 66)
        self.load(image, who=self.alice)
        secret.push(self.home, 'home/app')
        self.load(image, tag='1', who=self.bob, Referrers=True)
        self.push(image, self.to(), who=self.alice, Referrers=True)
        self.assertFalse(self.registry.has_blob(secret.digest))
        self.push(image, self.to(), who=self.bob, Referrers=True)
        self.assertTrue(self.registry.has_blob(secret.digest))


class Mirrors(PushTestCase):
    """A mirror never gets anything."""

    def test_never_written_to(self):
        mirror = self.serve(Registry())
        self.instance.write_settings('registries.d/m.conf', f'''
[registry {self.proxy.host}]
Mirrors={mirror.host}
''')
        self.instance.manager('Reload')
        image = self.load(Image([Layer(1000, 1)]))
        self.push(image, self.to())
        self.assertThere(image)
        self.assertEqual(mirror.blobs(), [])


if __name__ == '__main__':
    unittest.main()
