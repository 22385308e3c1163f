# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers that may not be redistributed: where they go, and what becomes of the others."""

import os
import unittest

import dbus.types

from berthtest import (ALICE, FaultProxy, IF_IMAGES, Image, Index, Layer, NONDISTRIBUTABLE, ROOT_PATH,
                       Registry, images, vardict)

from pushing import PushTestCase

REFUSED = 'NondistributableRefused'


class ForeignTestCase(PushTestCase):
    """The image has an ordinary layer and one of each media type that is not distributable."""

    def setUp(self):
        super().setUp()
        self.plain = Layer(20000, 1)
        self.foreign = [self.foreign_layer(number, kind)
                        for number, kind in enumerate(NONDISTRIBUTABLE, 2)]
        self.image = Image([self.plain, *self.foreign], indent=2)
        self.skipped = [layer.digest for layer in self.foreign]

    def foreign_layer(self, number, kind):
        layer = Layer(51200 + 512 * number, number, kind)
        layer.urls = [self.web.add(f'/layer-{number}', layer.data)]
        return layer

    def allow(self, name=None, text='AllowNondistributable=yes'):
        self.instance.write_settings('registries.d/allow.conf',
                                     f'[registry {name or self.proxy.host}]\n{text}\n')
        self.instance.manager('Reload')

    def settings_say(self, name=None):
        return bool(self.instance.call(ROOT_PATH, 'org.berthd.Berth1.Registries', 'GetSettings', 's',
                                       name or self.proxy.host)['AllowNondistributable'])

    def assertSkipped(self, description, repository='team/app'):
        self.assertEqual(self.rows(description),
                         [(self.plain.digest, 'done', 'store')]
                         + [(digest, 'skipped', 'skipped') for digest in self.skipped])
        self.assertThere(self.image, repository, without=self.skipped)

    def assertAsked(self, word):
        """No request about any of them, not even whether it is there, if word is nothing."""
        asked = [record for record in self.proxy.requests()
                 if any(digest.rpartition(':')[2] in record.target for digest in self.skipped)]
        self.assertEqual(bool(asked), word == 'something', asked)


class Foreign(ForeignTestCase):
    def test_not_allowed(self):
        """Left out, although they are there; the manifest is as it was."""
        self.load(self.image)
        self.assertFalse(self.settings_say())
        description = self.push(self.image, self.to())
        self.assertSkipped(description)
        self.assertEqual(description['BytesDone'], description['BytesTotal'])
        self.assertAsked('nothing')

    def test_not_allowed_and_not_held(self):
        self.load(self.image, ForeignLayers='skip')
        self.assertSkipped(self.push(self.image, self.to()))

    def test_allowed(self):
        self.load(self.image)
        self.allow()
        self.assertTrue(self.settings_say())
        description = self.push(self.image, self.to())
        self.assertThere(self.image)
        self.assertEqual({row[1:] for row in self.rows(description)}, {('done', 'store')})
        self.assertAsked('something')

    def test_each_type_by_itself(self):
        for number, layer in enumerate(self.foreign):
            with self.subTest(type=layer.media_type):
                image = Image([self.plain, layer])
                self.load(image, tag=f'v{number}')
                where = f'team/v{number}'
                description = self.push(image, self.to(where))
                self.assertEqual(self.rows(description)[1], (layer.digest, 'skipped', 'skipped'))
                self.assertThere(image, where, without=[layer.digest])
        self.allow()
        for number, layer in enumerate(self.foreign):
            with self.subTest(type=layer.media_type, allowed=True):
                self.push(self.names[Image([self.plain, layer]).digest], self.to(f'team/v{number}'))
                self.assertThere(Image([self.plain, layer]), f'team/v{number}')

    def test_docker_manifests(self):
        layer = self.foreign_layer(20, NONDISTRIBUTABLE[4])
        image = self.load(Image([Layer(1000, 1), layer], form='docker'))
        self.push(image, self.to())
        self.assertThere(image, without=[layer.digest])
        self.allow()
        self.push(image, self.to())
        self.assertThere(image)

    def test_allowed_and_not_held(self):
        """An error that names the layer, before anything is sent."""
        self.load(self.image, ForeignLayers='skip')
        self.allow()
        self.failure(self.begin('Push', self.names[self.image.digest], self.to()),
                     'ForeignLayerUnavailable', f'{self.skipped[0]}.*(pull|store)')
        self.assertEqual([record for record in self.proxy.requests()
                          if record.method not in ('GET', 'HEAD')], [])
        self.assertNothing()

    def test_allowed_by_network(self):
        self.load(self.image)
        self.allow('127.0.0.0/8')
        name = f'localhost:{self.proxy.port}'
        self.assertTrue(self.settings_say())
        self.push(self.image, self.to())
        self.assertThere(self.image)
        # the name leads elsewhere too, as ::1, which is not in the network: not allowed
        self.allow('127.0.0.2/32')
        self.assertFalse(self.settings_say(name))
        self.assertSkipped(self.push(self.image, f'{name}/other/app:1'), 'other/app')

    def test_allowed_elsewhere(self):
        """A setting for another name, port or repository is none."""
        self.load(self.image)
        for number, name in enumerate((f'localhost:{self.proxy.port}', '127.0.0.1',
                                       f'127.0.0.1:{self.proxy.port + 1}',
                                       f'{self.proxy.host}/team/other', '10.0.0.0/8')):
            with self.subTest(name=name):
                self.allow(name)
                self.assertFalse(self.settings_say(self.proxy.host + '/team/app'))
                self.push(self.image, self.to('team/app', tag=f'v{number}'))
                self.assertThere(self.image, reference=f'v{number}', without=self.skipped)

    def test_of_an_index(self):
        """What one platform of several has counts for all."""
        index = Index([self.image, Image([Layer(1000, 50)], 'linux/arm64')])
        self.load(index)
        self.push(index, self.to())
        self.assertThere(index, without=self.skipped)
        self.allow()
        self.push(index, self.to('team/full'))
        self.assertThere(index, 'team/full')

    def test_a_registry_that_checks(self):
        """Some take no manifest with layers that are not there: then the push fails, and says it."""
        layer = Layer(2000, 30, images.FOREIGN_OCI)  # without URLs: it can be nowhere else
        image = Image([self.plain, layer])
        name = image.push(self.home, 'home/odd', '1', foreign=True)
        self.done(self.end(str(self.images('Pull', 'sa{sv}', name, vardict({})))))
        strict = self.serve(Registry(allow_urls=['.*']))
        proxy = self.serve(FaultProxy(strict))
        self.failure(self.begin('Push', name, self.to(server=proxy)), 'RegistryError')
        self.assertEqual(strict.client().tags('team/app'), [])

    def test_exported_and_imported(self):
        """What was imported is pushed as what was pulled."""
        self.load(self.image)
        name = self.names[self.image.digest]
        path = os.path.join(self.registry.directory, 'archive')
        with open(path, 'wb') as file:
            self.done(self.end(str(self.images('Export', 'asha{sv}', [name],
                                               dbus.types.UnixFd(file.fileno()),
                                               vardict({'IncludeForeign': True})))))
        other = self.new_instance()
        self.instance = other
        with open(path, 'rb') as file:
            self.done(self.end(str(other.call(ROOT_PATH, IF_IMAGES, 'Import', 'ha{sv}',
                                              dbus.types.UnixFd(file.fileno()), vardict({})))))
        self.assertSkipped(self.push(name, self.to()))
        self.allow()
        self.push(name, self.to())
        self.assertThere(self.image)


class Asked(ForeignTestCase):
    """polkit, asked by the service when the worker has met the first."""

    def setUp(self):
        super().setUp()
        self.authority = self.polkit(pull='yes', push='yes')
        self.alice = self.user(ALICE)
        self.load(self.image, who=self.alice)
        self.name = self.names[self.image.digest]
        self.authority.forget()

    def actions(self):
        return [check.action for check in self.authority.checks()]

    def test_refused(self):
        """Nothing has been sent by then, nor is it afterwards."""
        self.allow()
        for answer, why in (('no', 'push-nondistributable'), ('challenge', 'authenticate')):
            self.authority.answer(push_nondistributable=answer)
            path = self.begin('Push', self.name, self.to(), who=self.alice)
            self.failure(path, REFUSED, 'nothing was pushed: .*' + why)
        self.assertEqual(self.actions(), ['push', 'push-nondistributable'] * 2)
        self.assertEqual([record for record in self.proxy.requests()
                          if record.method not in ('GET', 'HEAD')], [])
        self.assertNothing()

    def test_granted(self):
        self.allow()
        self.authority.answer(push_nondistributable='yes')
        self.push(self.name, self.to(), who=self.alice)
        self.assertThere(self.image)
        [check] = [check for check in self.authority.checks()
                   if check.action == 'push-nondistributable']
        self.assertEqual((check.details['reference'], check.details['registry'],
                          check.details['repository']), (self.to(), self.proxy.host, 'team/app'))

    def test_nothing_goes_out_before_the_answer(self):
        self.allow()
        self.authority.hang('push-nondistributable')
        path = self.begin('Push', self.name, self.to(), who=self.alice)
        self.authority.wait_checks(2)
        self.assertEqual([record for record in self.proxy.requests()
                          if record.method not in ('GET', 'HEAD')], [])
        self.authority.answer(push_nondistributable='yes')
        self.authority.release()
        self.done(self.end(path))
        self.assertThere(self.image)

    def test_not_asked_without_need(self):
        """Not where they stay out anyway, nor for an image without any."""
        self.assertSkipped(self.push(self.name, self.to(), who=self.alice))
        self.allow()
        image = self.load(Image([Layer(1000, 40)]), tag='plain', who=self.alice)
        self.push(image, self.to('team/plain'), who=self.alice)
        self.assertNotIn('push-nondistributable', self.actions())

    def test_root(self):
        self.allow()
        self.push(self.name, self.to())
        self.assertThere(self.image)
        self.assertEqual(self.actions(), [])


if __name__ == '__main__':
    unittest.main()
