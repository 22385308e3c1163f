# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes wrong while an image is pushed: it arrives all the same, or there is one right error.

Whatever happens, the registry never has a manifest whose blobs it has not.
"""

import itertools

from berthtest import Image, Layer, MemoryRegistry, Registry, TokenServer, faults

from pushing import DEFAULTS, PushTestCase

SIZE = 3 << 20
UPLOAD = '/blobs/uploads/'


class FaultTestCase(PushTestCase):
    def setUp(self):
        super().setUp()
        self._seeds = itertools.count(1)

    def set_retries(self, count):
        self.instance.write_settings('registries.d/test.conf', f'{DEFAULTS}Retries={count}\n')
        self.instance.manager('Reload')

    def another(self):
        """Returns: an image in the store that no registry knows; the repository it shall go to."""
        seed = next(self._seeds)
        image = self.load(Image([Layer(SIZE, seed), Layer(100000, -seed)]), tag=str(seed))
        return image, f'team/app{seed}'

    def assertArrives(self, image, repository, fault, times=1, **where):
        """The fault strikes so often, and the image arrives. Returns: what Describe says."""
        rule = self.proxy.fault(fault, times=times, **where)
        description = self.push(image, self.to(repository))
        self.assertEqual(rule.hits, times)
        self.assertThere(image, repository)
        return description

    def assertFails(self, image, repository, name, message=None):
        """It ends with one error, and nobody can pull anything of it."""
        self.failure(self.begin('Push', self.names[image.digest], self.to(repository)), name,
                     message)
        self.assertEqual(self.registry.client().tags(repository), [])
        self.assertNotIn(image.digest, self.registry.blobs())


class Transient(FaultTestCase):
    """Each strikes once."""

    def test_cut(self):
        for at, reset in itertools.product((0, 1, 65536, SIZE - 1), (False, True)):
            with self.subTest(at=at, reset=reset):
                image, repository = self.another()
                self.assertArrives(image, repository, faults.CutUpload(at, reset),
                                   path=image.layers[0].digest)

    def test_failure_in_the_middle(self):
        for status in (408, 500, 502, 503):
            with self.subTest(status=status):
                image, repository = self.another()
                self.assertArrives(image, repository, faults.FailUpload(SIZE // 2, status),
                                   path=image.layers[0].digest)

    def test_lost_session(self):
        image, repository = self.another()
        self.assertArrives(image, repository, faults.LostSession(), path=image.layers[0].digest)

    def test_lost_answers(self):
        for method, path in (('POST', UPLOAD), ('PUT', UPLOAD), ('PUT', '/manifests/')):
            for status in (500, None):
                with self.subTest(method=method, path=path, status=status):
                    self.assertArrives(*self.another(), faults.LoseAnswer(status), method=method,
                                       path=path)

    def test_not_now(self):
        for method, path in (('HEAD', '/blobs/'), ('POST', UPLOAD), ('PUT', UPLOAD),
                             ('PUT', '/manifests/')):
            with self.subTest(method=method, path=path):
                self.assertArrives(*self.another(), faults.Status(503), method=method, path=path)

    def test_layers_before_the_manifest(self):
        """The manifest waits for a layer that has to be sent again."""
        image, repository = self.another()
        self.assertArrives(image, repository, faults.CutUpload(SIZE - 1),
                           path=image.layers[0].digest)
        order = [record for record in self.proxy.requests('PUT') if record.status == 201]
        self.assertIn('/manifests/', order[-1].target)
        self.assertEqual(len(order), 4)


class Lasting(FaultTestCase):
    """Each strikes until somebody does something about it."""

    def setUp(self):
        super().setUp()
        self.set_retries(1)

    def strike(self, fault, name, message=None, **where):
        image, repository = self.another()
        with self.subTest(fault=type(fault).__name__):
            rule = self.proxy.fault(fault, times=None, **where)
            self.assertFails(image, repository, name, message)
            self.assertGreater(rule.hits, 0)
            self.proxy.clear()
            self.push(image, self.to(repository))
            self.assertThere(image, repository)

    def test_cut(self):
        self.strike(faults.CutUpload(SIZE // 2), 'RegistryUnreachable', path=UPLOAD)

    def test_failures(self):
        self.strike(faults.FailUpload(SIZE // 2, 500), 'RegistryError', '500', path=UPLOAD)

    def test_lost_sessions(self):
        self.strike(faults.LostSession(), 'RegistryError', 'unknown', path=UPLOAD,
                    method='PATCH|PUT')

    def test_refused_manifest(self):
        self.strike(faults.Status(400), 'RegistryError', '400|the test wants it so',
                    path='/manifests/', method='PUT')


class Memory(FaultTestCase):
    """A registry that keeps what arrived of an upload, and has room for so much."""

    def new_registry(self):
        return MemoryRegistry()

    def test_goes_on(self):
        image, repository = self.another()
        self.assertArrives(image, repository, faults.CutUpload(SIZE // 2),
                           path=image.layers[0].digest)
        self.assertLess(self.registry.received(path=UPLOAD), SIZE + SIZE // 4 + 100000)

    def test_cut_and_the_session_lost(self):
        image, repository = self.another()
        self.proxy.fault(faults.LostSession(), method='GET', path=UPLOAD)
        self.assertArrives(image, repository, faults.CutUpload(SIZE // 2),
                           path=image.layers[0].digest)

    def test_disk_full(self):
        self.set_retries(1)
        image, repository = self.another()
        self.registry.room = SIZE // 2
        self.assertFails(image, repository, 'RegistryError', '507|no space left on device')
        self.registry.room = None
        self.push(image, self.to(repository))
        self.assertThere(image, repository)

    def test_disk_full_for_the_last_layer(self):
        self.set_retries(1)
        image, repository = self.another()
        self.registry.room = SIZE
        self.assertFails(image, repository, 'RegistryError', '507|no space left on device')


class Tokens(FaultTestCase):
    def new_registry(self):
        self.tokens = self.serve(TokenServer(anonymous={'*': ['pull', 'push']}))
        return Registry(auth=self.tokens)

    def test_ends_in_mid_upload(self):
        image, repository = self.another()
        challenge = (f'Bearer realm="{self.tokens.realm}",service="{self.tokens.service}",'
                     f'scope="repository:{repository}:pull,push",error="invalid_token"')
        fault = faults.FailUpload(SIZE // 2, 401, {'WWW-Authenticate': challenge})
        self.assertArrives(image, repository, fault, path=image.layers[0].digest)
        used = [record.headers.get('Authorization') for record
                in self.proxy.requests('PUT', image.layers[0].digest)]
        self.assertEqual(len(set(used)), 2, 'a token that had ended was used again')
