# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives that come and go through the service: round trips, whose they are, sudden ends."""

import bz2
import glob
import gzip
import json
import os
import signal
import unittest

import dbus

from berthtest import ALICE, BOB, IF_TRANSFER, Image, Index, Layer, syscalls
from berthtest.images import FOREIGN_OCI

from archiving import (A, Archive, ArchiveTestCase, B, EMPTY, Feeder, Reader, data_of, entries_of,
                       never_wait, pipe_pair, row_of, socket_pair, unpacked, unread)

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'


def images():
    shared = Layer(300000, 1)
    return Image([shared, Layer(5000, 2)]), Image([shared, Layer(70000, 3)])


class RoundTrips(ArchiveTestCase):
    def again(self, data, *names, **options):
        """Removes all images, brings data, and finds names there. Returns: {name: digest}."""
        for name, _digest in self.rows():
            self.images('Remove', 'sa{sv}', name, EMPTY)
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(self.files(), (set(), b''))
        self.bring(data, **options)
        self.assertEqual([name for name, _ in self.rows()], sorted(names))
        return dict(self.rows())

    def test_several_images_in_both_formats(self):
        one, other = images()
        found = self.bring(Archive().layout({A: one, B: other}).bytes())
        self.assertEqual(found['Digest'], one.digest)
        self.assertEqual(self.rows(), [(A, one.digest), (B, other.digest)])
        for form in ('oci', 'docker'):
            data = self.export(A, B, Format=form)
            entries = entries_of(data)  # each once: the layer that both have too
            self.assertLessEqual({blob.path for image in (one, other)
                                  for blob in image.blobs().values()}, set(entries))
            self.assertEqual(self.export(A, B, Format=form), data)
            self.assertEqual(self.again(data, A, B), {A: one.digest, B: other.digest})
            self.assertEqual(self.export(A, B, Format=form), data)
            self.has(one, other)

    def test_files_pipes_and_sockets(self):
        one, _ = images()
        data = Archive().layout({A: one}).bytes()
        self.bring(data)
        expected = self.export(A)
        for pair in (pipe_pair, socket_pair):
            for waits in (True, False):
                self.bring(data)
                far, near = pair()
                if not waits:
                    never_wait(near)
                reader = Reader(far)
                path = self.begin_export([A], near)
                os.close(near)
                self.good(path)
                self.assertEqual(reader.join(), expected)
                near, far = pair()
                if not waits:
                    never_wait(near)
                feeder = Feeder(far, expected + b'\0' * 20000)
                path = self.begin_import(near)
                os.close(near)
                self.good(path)
                self.assertTrue(feeder.join(), 'what stands behind the end was not taken')
                self.images('Remove', 'sa{sv}', A, EMPTY)
                near, far = pair()
                if not waits:
                    never_wait(near)
                feeder = Feeder(far, data_of(one.layers[0]))
                path = str(self.images('ImportBlob', 'sha{sv}', one.layers[0].digest,
                                       dbus.types.UnixFd(near), EMPTY))
                os.close(near)
                self.good(path)
                feeder.join()

    def test_damaged_blobs_do_not_leave(self):
        layers = [Layer(size, number) for number, size in enumerate((5000, 600000, 70000))]
        self.bring(Archive().layout({A: Image(layers)}).bytes())
        whole = self.export(A)
        for layer in layers:  # also the last, which is hashed when all is written
            with open(os.path.join(self.store, layer.path), 'r+b') as file:
                file.seek(layer.size // 2)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))
                file.flush()
                output = self.memfd(b'')
                self.bad(self.begin_export([A], output), 'StoreCorrupt', layer.digest)
                self.assertLess(os.fstat(output).st_size, len(whole), 'no end of an archive')
                file.seek(-1, os.SEEK_CUR)
                file.write(byte)
        self.assertEqual(self.export(A), whole)

    def test_many_files_at_once(self):
        image = Image([Layer(70000 if number % 9 else 300000, number) for number in range(60)])
        archive = Archive().layout({A: image})
        data = archive.bytes()
        wrong = data_of(image.layers[30])
        place = data.index(wrong)
        self.assertEqual(self.files(), (set(), b''))
        self.refuse(data[:place] + bytes([wrong[0] ^ 1]) + data[place + 1:],
                    image.layers[30].digest, name='DigestMismatch')
        self.bring(data)
        self.has(image)

    def test_packed(self):
        one, _ = images()
        data = Archive().layout({A: one}).bytes()
        for pack in (gzip.compress, bz2.compress):
            self.bring(pack(data))
            self.assertEqual(self.again(pack(data), A), {A: one.digest})

    def test_index(self):
        index = Index([Image([Layer(5000, 1)], 'linux/amd64'),
                       Image([Layer(5000, 2)], 'linux/arm64')])
        self.bring(Archive().layout({A: index}).bytes())
        data = self.export(A)
        self.assertEqual(self.again(data, A), {A: index.digest})
        self.has(index)
        # of the other images of an index, an archive for one platform lacks all
        part = index.manifests[1]
        data = Archive().index([row_of(index, A)]).blobs(part).file(index.path, index.document)
        self.assertEqual(self.again(data.bytes(), A), {A: part.digest})

    def test_names(self):
        one, other = images()
        bare = Archive().layout({None: one}).bytes()
        self.refuse(bare, 'does not name')
        self.bring(bare, Reference='team/app')
        self.assertEqual(self.rows(), [('docker.io/team/app:latest', one.digest)])
        tag = Archive().layout({'v1': one, 'v2': other}).bytes()
        self.refuse(tag, 'does not name')
        found = self.again(tag, 'h.example/x:v1', 'h.example/x:v2', Reference='h.example/x')
        self.assertEqual(found, {'h.example/x:v1': one.digest, 'h.example/x:v2': other.digest})

    def test_what_no_image_needs_does_not_stay(self):
        one, other = images()
        data = Archive().file('notes', b'hello').blobs(other).layout({A: one}).bytes()
        self.bring(data)
        self.assertEqual(self.blobs(), set(one.blobs()))

    def test_foreign_layers(self):
        foreign = Layer(60000, 9, FOREIGN_OCI, urls=['http://u.example/layer'])
        image = Image([Layer(5000, 1), foreign])
        self.bring(Archive().layout({A: image}, foreign=True).bytes())
        data = self.export(A)
        self.assertNotIn(foreign.path, entries_of(data))
        full = self.export(A, IncludeForeign=True)
        self.assertEqual(entries_of(full)[foreign.path], data_of(foreign))
        docker = self.export(A, Format='docker', IncludeForeign=True)
        [row] = json.loads(entries_of(docker)['manifest.json'])
        self.assertEqual(row['LayerSources'][foreign.diff_id]['urls'], foreign.urls)
        self.bad(self.begin_export([A], self.memfd(b''), Format='docker'), 'NotSupported', 'oci')
        self.again(data, A)
        self.assertEqual(self.blobs(), set(image.blobs()) - {foreign.digest})
        self.bad(self.begin_export([A], self.memfd(b''), IncludeForeign=True),
                 'ForeignLayerUnavailable', foreign.digest)

    def test_docker_archives(self):
        one, other = images()
        old = Archive().docker(([A], one), ([B, 'h.example/b:2'], other)).bytes()
        self.bring(old)
        names = [A, B, 'h.example/b:2']
        digests = dict(self.rows())
        self.assertEqual(sorted(digests), names)
        self.assertEqual(digests[B], digests['h.example/b:2'])
        # the same again, and with packed layers, which are checked
        self.assertEqual(self.again(old, *names), digests)
        self.again(Archive().docker(([A], one), pack=gzip.compress).bytes(), A)
        # as docker wrote them long ago, with links
        linked = Archive().file('x/layer.tar', unpacked(one.layers[0])).file(
            'x/json', b'{}').file('x/VERSION', b'1.0').special('y/', b'5').special(
            'y/layer.tar', b'2', '../x/layer.tar').file('c.json', data_of(one.config)).file(
            'z.tar', unpacked(one.layers[1])).json('repositories', {}).json('manifest.json', [
                {'Config': 'c.json', 'RepoTags': [A], 'Layers': ['y/layer.tar', 'z.tar']}])
        self.assertEqual(self.again(linked.bytes(), A), {A: digests[A]})

    def test_referrers(self):
        image, _ = images()
        signature = Image([Layer(600, 5)], artifact_type='application/x.sig', subject=image)
        deeper = Image([Layer(600, 6)], artifact_type='application/x.sig', subject=signature)
        rows = [row_of(image, A), row_of(signature), row_of(deeper)]
        self.bring(Archive().index(rows).blobs(image, signature, deeper).bytes())
        self.has(image, signature, deeper)
        plain, full = self.export(A), self.export(A, Referrers=True)
        self.assertNotIn(signature.path, entries_of(plain))
        found = json.loads(entries_of(full)['index.json'])['manifests']
        self.assertEqual([row['digest'] for row in found],
                         [image.digest, signature.digest, deeper.digest])
        self.assertNotIn('annotations', found[1])
        for name, _ in self.rows():
            if name:
                self.images('Remove', 'sa{sv}', name, EMPTY)
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(self.files()[0], set())
        self.bring(full)
        self.has(image, signature, deeper)
        self.assertEqual(self.export(A, Referrers=True), full)

    def test_import_blob(self):
        layer = Layer(100000, 4)
        call = 'ImportBlob', 'sha{sv}', layer.digest
        self.good(str(self.images(*call, dbus.types.UnixFd(self.memfd(data_of(layer))), EMPTY)))
        self.assertEqual(self.blobs(), {layer.digest})
        self.images('Prune', 'a{sv}', EMPTY)
        self.bad(str(self.images(*call, dbus.types.UnixFd(self.memfd(data_of(layer)[1:])), EMPTY)),
                 'DigestMismatch', layer.digest)
        self.assertEqual(self.files()[0], set())
        with self.assertError('InvalidReference'):
            self.images('ImportBlob', 'sha{sv}', 'sha256:1', dbus.types.UnixFd(self.memfd(b'')),
                        EMPTY)


class Seeds(ArchiveTestCase):
    def test_they_are_good(self):
        """What the fuzz target of imports begins with, it brings into the store."""
        paths = glob.glob(os.path.join(os.path.dirname(__file__), '../fuzz/corpus/archive/*'))
        self.assertTrue(paths)
        for path in paths:
            with open(path, 'rb') as file, self.subTest(path):
                self.bring(file.read(), Reference='h.example/fuzz')


class Owners(ArchiveTestCase):
    def setUp(self):
        super().setUp()
        self.alice, self.bob = self.user(ALICE), self.user(BOB)

    def test_who_may(self):
        one, _ = images()
        data = Archive().layout({A: one}).bytes()
        self.authority.answer(**{'import': 'no'})
        for method, signature, arguments in (
                ('Import', 'ha{sv}', []), ('ImportBlob', 'sha{sv}', [one.digest])):
            with self.assertError(DENIED):
                self.images(method, signature, *arguments,
                            dbus.types.UnixFd(self.memfd(data)), EMPTY, who=self.alice)
        self.assertEqual([check.action for check in self.authority.checks()], ['import', 'import'])
        self.authority.answer(**{'import': 'yes'})
        self.bring(data, who=self.alice)
        self.authority.forget()
        self.assertEqual(self.export(A, who=self.alice), self.export(A))
        self.assertEqual(self.authority.checks(), [])
        with self.assertError(DENIED):
            self.begin_export([A], self.memfd(b''), self.bob)
        [check] = self.authority.checks()
        self.assertEqual((check.action, check.details['reference'], check.details['owner']),
                         ('read-image', A, str(ALICE)))
        self.authority.answer(read_image='yes')
        self.assertEqual(self.export(A, who=self.bob), self.export(A))

    def test_nobody_gets_at_the_blobs_of_others(self):
        secret, foreign = Layer(50000, 1), Layer(50000, 2, FOREIGN_OCI)
        self.bring(Archive().layout({A: Image([secret, foreign])}, foreign=True).bytes(),
                   who=self.alice)
        image = Image([secret], config={'author': 'bob'})
        archive = Archive().index([row_of(image, B)]).file(image.path, image.document).file(
            image.config.path, data_of(image.config))
        self.refuse(archive.bytes(), secret.digest, who=self.bob)

        def pretend(document, also=False):
            lie = {**document['layers'][0], 'mediaType': FOREIGN_OCI}
            document['layers'] = [lie, document['layers'][0]] if also else [lie]
        # with a layer that may be left out, all but that layer
        image = Image([secret], edit=pretend)
        archive = Archive().index([row_of(image, B)]).file(image.path, image.document).file(
            image.config.path, data_of(image.config))
        self.bring(archive.bytes(), who=self.bob)
        with self.assertError(DENIED):
            self.images('OpenBlob', 'sa{sv}', secret.digest, EMPTY, who=self.bob)
        self.bad(self.begin_export([B], self.memfd(b''), self.bob, IncludeForeign=True),
                 'ForeignLayerUnavailable', secret.digest)
        self.export(B, who=self.bob)
        # and nowhere that is left out for one and had by another
        image = Image([secret], edit=lambda document: pretend(document, True))
        archive = Archive().index([row_of(image, 'h.example/c:1')]).file(
            image.path, image.document).file(image.config.path, data_of(image.config))
        self.refuse(archive.bytes(), secret.digest, who=self.bob)

    def test_who_brings_foreign_layers_may_have_them(self):
        foreign = Layer(50000, 2, FOREIGN_OCI)
        data = Archive().layout({A: Image([foreign])}, foreign=True).bytes()
        self.bring(data, who=self.alice)
        self.images('OpenBlob', 'sa{sv}', foreign.digest, EMPTY, who=self.alice)[0].take()
        self.assertIn(foreign.path, entries_of(self.export(A, who=self.alice, IncludeForeign=True)))

    def test_names_of_others(self):
        one, other = images()
        self.bring(Archive().layout({A: one}).bytes(), who=self.alice)
        self.refuse(Archive().layout({B: other, A: other}).bytes(), A, DENIED, who=self.bob)
        self.bring(Archive().layout({A: one}).bytes(), who=self.bob)
        self.export(A, who=self.bob)
        self.bring(Archive().layout({A: other}).bytes())  # root may


class Ends(ArchiveTestCase):
    settings = '[Store]\nMinFree=4k\n'

    def setUp(self):
        super().setUp()
        self.image = Image([Layer(24 << 20, 1)])
        self.data = Archive().layout({A: self.image}).bytes()

    def test_reader_goes(self):
        self.bring(self.data)
        for pair in (pipe_pair, socket_pair):
            far, near = pair()
            path = self.begin_export([A], near)
            os.close(near)
            with os.fdopen(far, 'rb') as file:
                file.read(1 << 20)
            self.bad(path, 'org.freedesktop.DBus.Error.Failed', 'gone')
        self.export(A)

    def cancel(self, path):
        self.instance.call(path, IF_TRANSFER, 'Cancel', '')
        self.assertEqual(self.end(path)['State'], 'cancelled')

    @staticmethod
    def is_broken(file):
        never_wait(file.fileno())
        try:
            file.write(b'x')
        except BrokenPipeError:
            return True
        return False

    def test_cancel(self):
        near, far = os.pipe()
        path = self.begin_import(near)
        os.close(near)
        with os.fdopen(far, 'wb', buffering=0) as file:
            file.write(self.data[:20 << 20])
            self.cancel(path)
            self.eventually(lambda: self.is_broken(file))
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(self.files(), (set(), b''))
        self.bring(self.data)
        far, near = os.pipe()
        path = self.begin_export([A], near)
        os.close(near)
        self.eventually(lambda: unread(far) > 60000)
        self.cancel(path)
        os.close(far)

    def test_killed(self):
        near, far = os.pipe()
        path = self.begin_import(near)
        os.close(near)
        with os.fdopen(far, 'wb', buffering=0) as file:
            file.write(self.data[:20 << 20])
            self.eventually(lambda: glob.glob(os.path.join(self.store, 'ingest', 'tmp-*')))
            for pid in self.workers():
                os.kill(pid, signal.SIGKILL)
            self.assertEqual(self.end(path)['State'], 'failed')
        self.images('Prune', 'a{sv}', EMPTY)
        self.assertEqual(self.files(), (set(), b''))
        with open(os.path.join(self.store, 'oci-layout'), encoding='utf-8') as file:
            self.assertEqual(json.load(file), {'imageLayoutVersion': '1.0.0'})
        self.bring(self.data)
        self.has(self.image)

    def workers(self):
        """Returns: the processes that have the store's files in ingest/ open."""
        found = []
        for entry in glob.glob('/proc/[0-9]*/fd/*'):
            try:
                if os.readlink(entry).startswith(os.path.join(self.store, 'ingest', 'tmp-')):
                    found.append(int(entry.split('/')[2]))
            except OSError:
                pass
        self.assertTrue(found)
        return set(found)

    def test_full_disk(self):
        self.bring(Archive().layout({B: Image([Layer(600, 3)])}).bytes())
        owner = os.stat(self.store).st_uid
        syscalls.mount('tmpfs', self.store, 'tmpfs', 0, f'size=16m,mode=700,uid={owner}')
        self.addCleanup(syscalls.umount, self.store, syscalls.MNT_DETACH)
        self.refuse(self.data, '', 'StoreFull')
        small = Image([Layer(50000, 2)])
        self.bring(Archive().layout({B: small}).bytes())


if __name__ == '__main__':
    unittest.main()
