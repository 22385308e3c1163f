# SPDX-License-Identifier: LGPL-2.1-or-later
"""The air-gapped site: an image with foreign layers goes in with a courier and is complete there.

Five machines, each with a network namespace of its own. `vendor` has a registry and the web server
of the foreign layers; `connected` reaches both, pulls, and exports to a file. `carrier` takes the
file in, pushes to `site`, the site's registry, and `host` pulls from there. The last three form
the air-gapped side, which has no way to the vendor.
"""

import hashlib
import os

import dbus.types

from berthtest import (BerthTestCase, IF_IMAGES, IF_TRANSFER, Image, Instance, Layer, Machine,
                       NONDISTRIBUTABLE, ROOT_PATH, Registry, UrlServer, use_hosts, vardict)

VENDOR, CONNECTED = '10.20.0.1', '10.20.0.2'
SITE, CARRIER = '10.30.0.1', '10.30.0.2'
SITE_TOO, HOST = '10.31.0.1', '10.31.0.2'  # another network of the site
SITE_NAME = 'registry.site.test'
EMPTY = vardict({})
OVER = ('done', 'failed', 'cancelled')

VENDOR_RULES = '''
[registry 10.20.0.0/16]
Insecure=yes
ForeignUrlHosts=10.20.0.0/16
'''
# what every machine of the site knows of its registry; the networks, not the name
SITE_RULES = '''
[defaults]
Retries=0
ConnectTimeout=5s
StallTimeout=3s

[registry 10.30.0.0/16]
Insecure=yes

[registry 10.31.0.0/16]
Insecure=yes
'''
ALLOW = '''
[registry 10.30.0.0/16]
AllowNondistributable=yes
'''


def setUpModule():
    use_hosts(f'127.0.0.1 localhost\n{SITE} {SITE_NAME}\n')


class Service:
    """An instance on a machine, and calls of Images that are followed to their end."""

    def __init__(self, test, machine, registries):
        self._test = test
        with machine.entered():
            self.instance = Instance(registries=registries)
        test.addCleanup(self.instance.close)

    def images(self, method, signature, *args):
        return self.instance.call(ROOT_PATH, IF_IMAGES, method, signature, *args)

    def transfer(self, method, signature, *args):
        """Returns: what Describe says after it has ended."""
        return self.end(str(self.images(method, signature, *args)))

    def end(self, path):
        self._test.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'State') in OVER)
        return self.instance.call(path, IF_TRANSFER, 'Describe', '')

    def pull(self, reference):
        return self.transfer('Pull', 'sa{sv}', reference, EMPTY)

    def push(self, image, reference):
        return self.transfer('Push', 'ssa{sv}', image, reference, EMPTY)

    def export(self, image, path, **options):
        with open(path, 'wb') as file:
            return self.transfer('Export', 'asha{sv}', [image],
                                 dbus.types.UnixFd(file.fileno()), vardict(options))

    def import_file(self, path):
        with open(path, 'rb') as file:
            return self.transfer('Import', 'ha{sv}', dbus.types.UnixFd(file.fileno()), EMPTY)

    def import_blob(self, digest, path):
        with open(path, 'rb') as file:
            return self.transfer('ImportBlob', 'sha{sv}', digest,
                                 dbus.types.UnixFd(file.fileno()), EMPTY)

    def inspect(self, image):
        return self.images('Inspect', 'sa{sv}', image, EMPTY)

    def blob(self, digest):
        fd, _ = self.images('OpenBlob', 'sa{sv}', digest, EMPTY)
        with os.fdopen(fd.take(), 'rb') as file:
            return file.read()


class AirGapTestCase(BerthTestCase):
    """The image has an ordinary layer and one of each media type that is not distributable."""

    rules = SITE_RULES  # of the carrier

    def setUp(self):
        self.vendor, self.connected, self.carrier, self.site, self.host = (
            self.serve(Machine()) for _ in range(5))
        self.connected.plug(f'{CONNECTED}/24', self.vendor, f'{VENDOR}/24')
        self.host.plug(f'{HOST}/24', self.site, f'{SITE_TOO}/24')
        with self.vendor.entered():
            self.web = self.serve(UrlServer(address=VENDOR))
            self.upstream = self.serve(Registry(address=VENDOR))
        with self.site.entered():
            self.registry = self.serve(Registry(address='0.0.0.0'))
        self.port = self.registry.host.rpartition(':')[2]
        self.plain = Layer(100000, 1)
        self.foreign = [self.foreign_layer(number, kind)
                        for number, kind in enumerate(NONDISTRIBUTABLE, 2)]
        self.image = Image([self.plain, *self.foreign])
        with self.vendor.entered():
            self.name = self.image.push(self.upstream, 'vendor/app', '1')
        self.file = os.path.join(self.registry.directory, 'carried.tar')

    def foreign_layer(self, number, kind):
        layer = Layer(512 * 100 * number, number, kind)
        url = self.web.add(f'/layer-{number}', layer.data)
        layer.urls = [f'{self.web.url}/moved-{number}', url]
        return layer

    def at_site(self, address=SITE_NAME):
        return f'{address}:{self.port}/site/app:1'

    def assertDone(self, description, service):
        self.assertEqual((description['State'], description['ErrorMessage']), ('done', ''),
                         service.instance.logs())
        self.assertEqual(description['Digest'], self.image.digest)

    def assertFailed(self, description, error):
        self.assertEqual((description['State'], description['ErrorName']),
                         ('failed', 'org.berthd.Berth1.Error.' + error),
                         description['ErrorMessage'])

    def sources(self, description):
        return {str(row['Digest']): (str(row['State']), str(row['Source']))
                for row in description['Layers']}

    def all_layers(self, plain, foreign):
        return {self.plain.digest: plain, **{layer.digest: foreign for layer in self.foreign}}

    def assertComplete(self, service, name):
        """The service holds every byte of the image, under that name."""
        row = service.inspect(name)
        self.assertEqual(row['Manifest'].encode(), self.image.document)
        self.assertEqual([(layer['Digest'], layer['Present']) for layer in row['Layers']],
                         [(layer.digest, True) for layer in self.image.layers])
        for blob in self.image.blobs().values():
            data = service.blob(blob.digest)
            self.assertEqual('sha256:' + hashlib.sha256(data).hexdigest(), blob.digest)

    # The steps

    def bring(self, **options):
        """Pulls where there is a network, and exports. Afterwards the file is all that there is."""
        service = Service(self, self.connected, VENDOR_RULES)
        description = service.pull(self.name)
        self.assertDone(description, service)
        self.assertEqual(self.sources(description),
                         self.all_layers(('done', 'registry'), ('done', 'url')))
        self.assertComplete(service, self.name)
        self.assertDone(service.export(self.name, self.file, **options), service)
        self.web.forget()

    def arrive(self):
        """Imports at the carrier, which has no network yet; then it is plugged in at the site.

        Returns: the carrier's Service.
        """
        service = Service(self, self.carrier, self.rules)
        self.assertDone(service.import_file(self.file), service)
        self.plug_in()
        for machine in (self.carrier, self.site, self.host):
            self.assertFalse(machine.reaches(self.web.host))
            self.assertFalse(machine.reaches(self.upstream.host))
        self.assertTrue(self.connected.reaches(self.web.host))
        self.web.forget()
        return service

    def plug_in(self):
        self.cable = self.carrier.plug(f'{CARRIER}/24', self.site, f'{SITE}/24')

    def layer_file(self, layer):
        """Returns: the path of a file with it, as a courier brings it."""
        path = os.path.join(self.registry.directory, layer.digest)
        with open(path, 'wb') as file:
            file.writelines(layer.chunks())
        return path

    def at_registry(self):
        """Returns: the manifest that the site's registry has, and which layers of the image."""
        with self.site.entered():
            document, _ = self.registry.client().get_manifest('site/app', '1')
        return document, {layer.digest for layer in self.image.layers
                          if layer.digest in self.registry.repository_blobs('site/app')}

    def assertNothingAtRegistry(self):
        self.assertEqual(self.registry.blobs(), [])
        self.assertEqual(self.registry.uploads('site/app'), [])


class Allowed(AirGapTestCase):
    """The carrier's settings allow the site's network to have the layers."""

    rules = SITE_RULES + ALLOW

    def test_arrives_complete(self):
        self.bring(IncludeForeign=True)
        carrier = self.arrive()
        for name in (f'{SITE_NAME}:{self.port}', f'{SITE}:{self.port}'):
            self.assertTrue(carrier.instance.registry(name)['AllowNondistributable'])
        self.assertFalse(carrier.instance.registry(f'{SITE_TOO}:5000')['AllowNondistributable'])

        description = carrier.push(self.name, self.at_site())
        self.assertDone(description, carrier)
        self.assertEqual(self.sources(description),
                         self.all_layers(('done', 'store'), ('done', 'store')))
        self.assertEqual(self.at_registry(),
                         (self.image.document, {layer.digest for layer in self.image.layers}))

        host = Service(self, self.host, SITE_RULES)
        description = host.pull(self.at_site(SITE_TOO))
        self.assertDone(description, host)
        self.assertEqual(self.sources(description),
                         self.all_layers(('done', 'registry'), ('done', 'registry')))
        self.assertComplete(host, self.at_site(SITE_TOO))
        self.assertEqual(self.web.requests(), [])

    def test_another_network_is_not_allowed(self):
        self.bring(IncludeForeign=True)
        carrier = self.arrive()
        self.carrier.plug('10.31.7.2/24', self.site, '10.31.7.1/24')
        description = carrier.push(self.name, self.at_site('10.31.7.1'))
        self.assertDone(description, carrier)
        self.assertEqual(self.sources(description),
                         self.all_layers(('done', 'store'), ('skipped', 'skipped')))

    def test_left_at_home(self):
        """Allowed, but not in the file: nothing is pushed until a courier brings the layers."""
        self.bring()
        carrier = self.arrive()
        for layer in self.foreign:
            description = carrier.push(self.name, self.at_site())
            self.assertFailed(description, 'ForeignLayerUnavailable')
            self.assertIn(layer.digest, description['ErrorMessage'])
            self.assertNothingAtRegistry()
            description = carrier.import_blob(layer.digest, self.layer_file(layer))
            self.assertEqual((description['State'], description['Digest']), ('done', layer.digest))
        self.assertDone(carrier.push(self.name, self.at_site()), carrier)
        self.assertEqual(self.at_registry(),
                         (self.image.document, {layer.digest for layer in self.image.layers}))

    def test_the_cable_is_pulled_out(self):
        """In the middle of a push, and put in again afterwards."""
        self.bring(IncludeForeign=True)
        carrier = self.arrive()
        path = str(carrier.images('Push', 'ssa{sv}', self.name, self.at_site(),
                                  vardict({'MaxBandwidth': 200000})))
        self.eventually(lambda: carrier.instance.get(path, IF_TRANSFER, 'BytesDone') > 100000)
        self.cable.pull_out()
        description = carrier.end(path)
        self.assertFailed(description, 'RegistryUnreachable')
        self.assertIn(self.at_site().partition('/')[0], description['ErrorMessage'])
        with self.site.entered():
            self.assertEqual(self.registry.client().tags('site/app'), [])
        self.assertNotIn(self.image.digest, self.registry.blobs())
        self.plug_in()
        self.assertDone(carrier.push(self.name, self.at_site()), carrier)
        self.assertEqual(self.at_registry(),
                         (self.image.document, {layer.digest for layer in self.image.layers}))


class NotAllowed(AirGapTestCase):
    def push_without_foreign(self):
        self.bring(IncludeForeign=True)
        carrier = self.arrive()
        self.assertFalse(
            carrier.instance.registry(f'{SITE_NAME}:{self.port}')['AllowNondistributable'])
        description = carrier.push(self.name, self.at_site())
        self.assertDone(description, carrier)
        self.assertEqual(self.sources(description),
                         self.all_layers(('done', 'store'), ('skipped', 'skipped')))
        self.assertEqual(self.at_registry(), (self.image.document, {self.plain.digest}))

    def test_leaves_them_out(self):
        self.push_without_foreign()
        host = Service(self, self.host, SITE_RULES)
        description = host.pull(self.at_site(SITE_TOO))
        self.assertFailed(description, 'ForeignLayerUnavailable')
        message = str(description['ErrorMessage'])
        named = [layer for layer in self.foreign if layer.digest in message]
        self.assertEqual(len(named), 1, message)
        for source in (f'{SITE_TOO}:{self.port}', *named[0].urls):
            self.assertIn(source, message)
        self.assertEqual(self.web.requests(), [])
        self.assertEqual(list(host.images('List', 'a{sv}', EMPTY)), [])

    def test_a_courier_brings_them(self):
        """What the site distributes by itself is found by the pull, which asks for it no more."""
        self.push_without_foreign()
        host = Service(self, self.host, SITE_RULES)
        for layer in self.foreign:
            description = host.import_blob(layer.digest, self.layer_file(layer))
            self.assertEqual((description['State'], description['Digest']), ('done', layer.digest))
        description = host.pull(self.at_site(SITE_TOO))
        self.assertDone(description, host)
        self.assertEqual(self.sources(description),
                         self.all_layers(('done', 'registry'), ('done', 'store')))
        self.assertComplete(host, self.at_site(SITE_TOO))
        self.assertEqual(self.web.requests(), [])

    def test_a_courier_brings_something_else(self):
        self.push_without_foreign()
        host = Service(self, self.host, SITE_RULES)
        first, second = self.foreign[:2]
        description = host.import_blob(first.digest, self.layer_file(second))
        self.assertFailed(description, 'DigestMismatch')
        self.assertFailed(host.pull(self.at_site(SITE_TOO)), 'ForeignLayerUnavailable')
