# SPDX-License-Identifier: LGPL-2.1-or-later
"""Users who share a store: what one has is not downloaded twice, and not given to who may not have it."""

import os
import signal
import tarfile
import tempfile
import unittest

import dbus.types

from berthtest import (ALICE, BOB, IF_IMAGES, IF_TRANSFER, NONDISTRIBUTABLE, ROOT_PATH, Image, Index,
                       Layer, MemoryRegistry, PullTestCase, UrlServer, faults, images, vardict)
from berthtest.pulling import auth_entry, credentials

EMPTY = vardict({})
DENIED = 'org.freedesktop.DBus.Error.AccessDenied'


class UsersTestCase(PullTestCase):
    def setUp(self):
        super().setUp()
        self.authority = self.polkit(pull='yes')
        self.alice, self.bob = self.user(ALICE), self.user(BOB)

    def read(self, digest, who):
        blob, sealed = self.images('OpenBlob', 'sa{sv}', digest, EMPTY, who=who)
        self.assertTrue(sealed)
        with os.fdopen(blob.take(), 'rb') as file:
            return file.read()

    def export(self, *references, who, **options):
        """Returns: the names of the files in an archive with everything that who may put there."""
        with tempfile.TemporaryFile() as file:
            path = str(self.images('Export', 'asha{sv}', references, dbus.types.UnixFd(file),
                                   vardict({'IncludeForeign': True, **options}), who=who))
            description = self.end(path)
            if description['State'] != 'done':
                return [str(description['ErrorMessage'])]
            file.seek(0)
            with tarfile.open(fileobj=file) as tar:
                return tar.getnames()


class Shared(UsersTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.registry()
        self.front = self.proxy(self.server)
        self.layer = Layer(300000, 1)
        self.image = Image([self.layer])
        self.image.push(self.server, 'team/app', 'latest')
        self.reference = f'{self.front.host}/team/app:latest'

    def gets(self):
        return self.front.requests('GET', self.layer.digest)

    def together(self, *calls):
        """Begins all while the layer stalls, then lets it go on. Returns: their descriptions."""
        stall = self.front.fault(faults.Stall(100000), path=self.layer.digest, method='GET')
        paths = [call() for call in calls]
        stall.wait()
        # all have come to the layer when they have the manifest and the config
        self.front.wait_request('GET', '/manifests/', count=len(paths))
        stall.release()
        return [self.ended(path) for path in paths]

    def test_by_one_user(self):
        Image([self.layer, Layer(300, 2)]).push(self.server, 'team/other', 'latest')
        descriptions = self.together(lambda: self.begin(self.reference, who=self.alice),
                                     lambda: self.begin(f'{self.front.host}/team/other:latest',
                                                        who=self.alice))
        self.assertEqual(len(self.gets()), 1)
        self.assertEqual(sorted(self.sources(description)[0][1] for description in descriptions),
                         ['registry', 'store'])

    def test_by_two_users(self):
        """Who may read the repository need not download what somebody else has read from it."""
        descriptions = self.together(lambda: self.begin(self.reference, who=self.alice),
                                     lambda: self.begin(self.reference, who=self.bob))
        self.assertEqual(len(self.gets()), 1)
        self.assertEqual(sorted(self.sources(description)[0][1] for description in descriptions),
                         ['registry', 'store'])
        for who in (self.alice, self.bob):
            self.assertEqual(self.read(self.layer.digest, who), self.layer.data)

    def test_of_another_repository(self):
        """The registry is asked whether it would give the layer, and need not do it."""
        self.pull(self.reference, who=self.alice)
        other = Image([self.layer, Layer(300, 2)])
        other.push(self.server, 'other/app', 'latest')
        description = self.pull(f'{self.front.host}/other/app:latest', who=self.bob)
        self.assertEqual([source for _, source in self.sources(description)], ['store', 'registry'])
        self.assertEqual(len(self.gets()), 1)
        self.assertEqual(self.read(self.layer.digest, self.bob), self.layer.data)

    def test_of_another_registry(self):
        """That has it too, which is shown by downloading it; once only."""
        self.pull(self.reference, who=self.alice)
        other = self.proxy(self.server)
        for _ in range(2):
            description = self.pull(f'{other.host}/team/app:latest', who=self.bob)
        self.assertEqual(self.sources(description), [(self.layer.digest, 'store')])
        self.assertEqual(other.sent(self.layer.digest), self.layer.size)
        self.assertEqual(self.read(self.layer.digest, self.bob), self.layer.data)
        self.assertEqual(sorted(self.partials()), [])

    def test_root_has_what_is_there(self):
        self.pull(self.reference, who=self.alice)
        self.assertEqual(self.sources(self.pull(self.reference)), [(self.layer.digest, 'store')])

    def test_who_waits_goes_on_with_it(self):
        """The first gives up, and the second takes over what root may take over: all of it."""
        stall = self.front.fault(faults.Stall(280000), path=self.layer.digest)
        first = self.begin(self.reference, who=self.alice)
        stall.wait()
        self.eventually(lambda: self.partials().get(
            os.path.basename(self.partial(self.layer.digest)), 0) > 0)
        second = self.begin(self.reference)
        self.front.wait_request('GET', '/manifests/', count=2)
        self.instance.call(first, IF_TRANSFER, 'Cancel', '')
        self.ended(second)
        self.assertHas(self.image)
        self.assertRegex(self.gets()[-1].headers.get('Range'), r'bytes=[1-9]\d*-')

    def test_many_want_it_and_the_first_dies(self):
        """Of those that wait one goes on where it stood, and the others get it from the store."""
        stall = self.front.fault(faults.Stall(280000), path=self.layer.digest)
        first = self.begin(self.reference)
        stall.wait()
        self.eventually(lambda: self.partials().get(
            os.path.basename(self.partial(self.layer.digest)), 0) > 0)
        (worker,) = self.instance.workers()
        waiting = [self.begin(self.reference) for _ in range(3)]
        self.front.wait_request('GET', '/manifests/', count=4)
        os.kill(worker, signal.SIGKILL)
        self.assertEqual(self.end(first)['State'], 'failed')
        descriptions = [self.ended(path) for path in waiting]
        have = int(self.gets()[-1].headers.get('Range')[6:-1])
        self.assertGreater(have, 0)
        self.front.wait_idle()
        self.assertEqual(len(self.gets()), 2)
        self.assertEqual(self.gets()[-1].sent, self.layer.size - have)
        self.assertEqual(sorted(self.sources(x)[0][1] for x in descriptions),
                         ['registry', 'store', 'store'])
        self.assertHas(self.image)

    def test_a_download_is_not_continued_for_somebody_else(self):
        """Whoever has the beginning could guess the rest."""
        stall = self.front.fault(faults.Stall(280000), path=self.layer.digest)
        first = self.begin(self.reference, who=self.alice)
        stall.wait()
        self.eventually(lambda: self.partials().get(
            os.path.basename(self.partial(self.layer.digest)), 0) > 0)
        self.instance.call(first, IF_TRANSFER, 'Cancel', '')
        self.end(first)
        self.pull(self.reference, who=self.bob)
        self.assertNotIn('Range', self.gets()[-1].headers)


class Private(UsersTestCase):
    """Alice has something. Bob knows its digest, and has a registry that says what he likes."""

    def setUp(self):
        super().setUp()
        self.server = self.registry(htpasswd={'alice': 'secret', 'bob': 'his'})
        self.front = self.proxy(self.server)
        self.secret = Layer(5000, 'secret')
        self.image = Image([self.secret])
        reference = self.image.push(self.front, 'alice/app', 'latest', account='alice')
        self.pull(reference, who=self.alice,
                  Credentials=credentials(**{self.front.host: auth_entry('alice', 'secret')}))
        self.bobs = self.serve(MemoryRegistry())
        self.base = Layer(300, 'base')

    def serve_lie(self, *documents, host=None):
        """Documents with which Bob names what he has not. Returns: a reference."""
        front = host or self.proxy(self.bobs)
        for document in documents:
            for digest, blob in document.blobs().items():
                if digest not in self.image.blobs():
                    front.fault(faults.Answer(blob.data, blob.media_type), path=blob.digest,
                                times=None, where=lambda request: '/bob/' in request.path)
        front.fault(faults.Answer(documents[0].document, documents[0].media_type), times=None,
                    path='/v2/bob/x/manifests/latest')
        return f'{front.host}/bob/x:latest'

    def foreign(self, urls=()):
        """Returns: Alice's layer, as Bob would have it."""
        layer = Layer(5000, 'secret', NONDISTRIBUTABLE[1], urls=list(urls))
        self.assertEqual(layer.digest, self.secret.digest)
        return layer

    def assertKept(self, reference=None):
        """Bob has nothing of it."""
        with self.assertError(DENIED):
            self.read(self.secret.digest, self.bob)
        if reference:
            hexadecimal = self.secret.digest.partition(':')[2]
            self.assertFalse([name for name in self.export(reference, who=self.bob)
                              if name.endswith(hexadecimal)])
        self.assertEqual(self.read(self.secret.digest, self.alice), self.secret.data)

    def test_as_a_layer(self):
        reference = self.serve_lie(Image([self.base, self.secret]))
        self.fails('RegistryError', '404', reference, who=self.bob)
        self.assertKept()

    def test_as_a_layer_in_the_same_registry(self):
        """One that does not look at what is put into it."""
        reference = self.serve_lie(Image([self.base, self.secret]), host=self.front)
        own = credentials(**{self.front.host: auth_entry('bob', 'his')})
        self.fails('RegistryError|AuthenticationRequired', '40[134]', reference, who=self.bob,
                   Credentials=own)
        self.assertKept()

    def test_as_a_manifest_in_the_same_registry(self):
        """An index may name manifests that the repository does not have."""
        reference = self.serve_lie(Index([self.image]), host=self.front)
        own = credentials(**{self.front.host: auth_entry('bob', 'his')})
        self.fails('ManifestUnknown', '.', reference, who=self.bob, Credentials=own)
        self.assertKept()

    def fails(self, name, *args, **kwargs):
        """name: one of several errors."""
        before = self.references()
        path = self.begin(args[1], kwargs.pop('who', None), **kwargs)
        found = str(self.end(path)['ErrorName']).rpartition('.')[2]
        self.assertIn(found, name.split('|'), self.instance.logs())
        return self.failed(path, found, args[0], before)

    def test_as_a_foreign_layer_that_is_left_out(self):
        reference = self.serve_lie(Image([self.base, self.foreign()]))
        self.pull(reference, who=self.bob, ForeignLayers='skip')
        self.assertKept(reference)

    def test_as_a_foreign_layer_in_the_same_registry(self):
        """A registry need not have those, so that its manifest shows nothing."""
        reference = self.serve_lie(Image([self.base, self.foreign()]), host=self.front)
        own = credentials(**{self.front.host: auth_entry('bob', 'his')})
        self.fails('ForeignLayerUnavailable', '.', reference, who=self.bob, Credentials=own)
        self.assertKept()

    def test_as_a_config(self):
        config = images.Blob(self.secret.data, images.OCI_CONFIG)
        reference = self.serve_lie(Image([self.base], config=config), host=self.front)
        own = credentials(**{self.front.host: auth_entry('bob', 'his')})
        self.fails('RegistryError|AuthenticationRequired', '40[134]', reference, who=self.bob,
                   Credentials=own)
        self.assertKept()

    def test_after_root_has_pulled_it(self):
        """Root has everything, which shows nothing about the repository."""
        reference = self.serve_lie(Image([self.base, self.secret]), host=self.front)
        own = auth_entry('bob', 'his')
        self.pull(reference, Credentials=credentials(**{self.front.host: own}))
        self.fails('RegistryError|AuthenticationRequired', '40[134]', reference, who=self.bob,
                   Credentials=credentials(**{self.front.host: own}))
        self.assertKept()

    def publish(self):
        """Alice has something that polkit lets Bob read. Returns: its reference."""
        reference = Image([Layer(400, 'public')]).push(self.front, 'alice/public', 'latest',
                                                       account='alice')
        self.pull(reference, who=self.alice,
                  Credentials=credentials(**{self.front.host: auth_entry('alice', 'secret')}))
        self.authority.answer(pull='yes', read_image='yes')
        return reference

    def assertPublicOnly(self, reference, names):
        """What was asked for, and what came of it."""
        self.authority.answer(pull='yes')
        asked = {check.details['reference'] for check in self.authority.checks()
                 if check.action == 'read-image'}
        self.assertEqual(asked, {reference})
        self.assertFalse([name for name in names if name in self.paths()], names)

    def paths(self):
        return [blob.path for blob in self.image.blobs().values()]

    def test_as_a_foreign_layer_beside_what_he_may_read(self):
        reference = self.serve_lie(Image([self.base, self.foreign()]))
        self.pull(reference, who=self.bob, ForeignLayers='skip')
        public = self.publish()
        for both in ((public, reference), (reference, public)):
            [message] = self.export(*both, who=self.bob)
            self.assertIn('not for you', message)
            self.assertPublicOnly(public, [])
            self.authority.answer(pull='yes', read_image='yes')
            names = self.export(*both, who=self.bob, IncludeForeign=False)
            self.assertIn(self.base.path, names)
            self.assertPublicOnly(public, names)
            self.authority.answer(pull='yes', read_image='yes')

    def test_as_what_his_name_means_meanwhile(self):
        reference = self.serve_lie(Image([self.base]))
        self.pull(reference, who=self.bob)
        public = self.publish()
        self.authority.hang('read-image')
        with tempfile.TemporaryFile() as file:
            pending = self.bob.begin(ROOT_PATH, IF_IMAGES, 'Export', 'asha{sv}',
                                     [reference, public], dbus.types.UnixFd(file), EMPTY)
            self.authority.wait_checks(1)
            self.images('Tag', 'ssa{sv}', self.image.digest, reference, EMPTY)
            self.authority.release()
            description = self.end(str(pending.result()))
        self.assertEqual((description['State'], description['ErrorName']), ('failed', DENIED))
        self.assertIn('somebody else', description['ErrorMessage'])

    def test_as_what_others_attached_to_what_he_may_read(self):
        public = self.publish()
        subject = Image([Layer(400, 'public')])
        note = Image([Layer(5000, 'note')], artifact_type='application/x.note', subject=subject)
        note.push(self.front, 'alice/public', note.digest, account='alice')
        images.referrers([note]).push(self.front, 'alice/public', subject.digest.replace(':', '-'),
                                      account='alice')
        subject.push(self.front, 'alice/public', 'roots', account='alice')
        own = {'Credentials': credentials(**{self.front.host: auth_entry('alice', 'secret')})}
        self.pull(public.replace(':latest', ':roots'), Referrers=True, **own)
        self.assertNotIn(note.path, self.export(public, who=self.bob, Referrers=True))
        self.pull(public, who=self.alice, Referrers=True,
                  Credentials=credentials(**{self.front.host: auth_entry('alice', 'secret')}))
        self.assertIn(note.path, self.export(public, who=self.bob, Referrers=True))


class Foreign(UsersTestCase):
    """Who has shown that a foreign layer is for him has it as he has other layers."""

    def setUp(self):
        super().setUp()
        self.server = self.registry()
        self.web = self.serve(UrlServer())
        self.configure('[defaults]\nForeignUrlHosts=127.0.0.1\n')
        self.layer = Layer(5000, 1, NONDISTRIBUTABLE[1])
        self.layer.urls = [self.web.add('/layer', self.layer.data)]
        self.image = Image([self.layer])
        self.reference = self.image.push(self.server, 'team/app', 'latest')

    def test_read_and_export(self):
        name = self.layer.path
        for who in (self.alice, self.bob):
            with self.assertError(DENIED):
                self.read(self.layer.digest, who)
            self.pull(self.reference, who=who)
            self.assertEqual(self.read(self.layer.digest, who), self.layer.data)
            self.assertIn(name, self.export(self.reference, who=who))

    def test_left_out_then_wanted(self):
        self.pull(self.reference, who=self.alice)
        self.pull(self.reference, who=self.bob, ForeignLayers='skip')
        with self.assertError(DENIED):
            self.read(self.layer.digest, self.bob)
        self.assertNotIn(self.layer.path, self.export(self.reference, who=self.bob))
        self.pull(self.reference, who=self.bob)
        self.assertEqual(self.read(self.layer.digest, self.bob), self.layer.data)


if __name__ == '__main__':
    unittest.main()
