# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what with images and transfers, and what polkit is asked; workers do what the test says."""

import os
import unittest

from berthtest import (ALICE, BOB, CAROL, FakeStoreTestCase, IF_TRANSFER, digest, memfd, vardict)

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
CHALLENGE = 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'

A, B, C = digest('a'), digest('b'), digest('c')
EMPTY = vardict({})

ABOUT_X = {'registry': 'docker.io', 'repository': 'library/x', 'reference': 'docker.io/library/x:latest'}
ABOUT_A = {'registry': 'docker.io', 'repository': 'library/a', 'reference': 'docker.io/library/a:1'}
ABOUT_B = {'registry': 'docker.io', 'repository': 'library/b', 'reference': 'docker.io/library/b:1'}


class AccessTestCase(FakeStoreTestCase):
    polkit_answers = {}

    def setUp(self):
        super().setUp()
        self.alice, self.bob, self.carol = (self.user(uid) for uid in (ALICE, BOB, CAROL))

    def assertAsked(self, *expected):
        """expected: (action, details that are not empty) since the last time."""
        checks = self.authority.checks()
        self.authority.forget()
        self.assertEqual(
            [(check.action, {key: value for key, value in check.details.items()
                             if value and not key.startswith('polkit.')}) for check in checks],
            list(expected))


class Pull(AccessTestCase):
    def write_registries(self):
        path = self.instance.write_settings('auth.json', '{"machine": "secret"}')
        self.instance.write_settings('registries.d/x.conf', f'''
[registry private.example]
CredentialsFile={path}
ForeignLayers=registry-only
[registry blocked.example]
Blocked=yes
''')

    def test_pull(self):
        with self.assertError(DENIED, r'org\.berthd\.berth1\.pull'):
            self.pull('x', who=self.alice)
        self.assertAsked(('pull', ABOUT_X))
        self.authority.answer(pull='challenge')
        with self.assertError(CHALLENGE):
            self.pull('x', who=self.alice)
        self.authority.answer(pull='yes')
        self.authority.forget()
        path = self.pull('x', who=self.alice)
        self.assertAsked(('pull', ABOUT_X))
        self.assertEqual(self.instance.get(path, IF_TRANSFER, 'Owner'), ALICE)
        self.wait_state(path, 'done')
        self.assertEqual(self.asked('pull')[-1][1]['Uid'], str(ALICE))

    def test_root_is_not_asked_for(self):
        self.wait_state(self.pull('private.example/x'), 'done')
        self.assertAsked()

    def test_what_is_wrong_is_found_before_anybody_is_asked(self):
        for error, reference, options in (
                ('InvalidReference', 'a b', {}), ('InvalidOption', 'x', {'Platform': 'x'}),
                ('InvalidOption', 'x', {'Credentials': memfd(b'', seals=0)})):
            with self.subTest(reference=reference), self.assertError(error):
                self.pull(reference, who=self.alice, **options)
        self.assertAsked()

    def test_what_the_settings_forbid(self):
        self.authority.answer(pull='yes')
        for who in (self.alice, None):
            with self.assertError('RegistryBlocked', 'blocked.example'):
                self.pull('blocked.example/x', who=who)
            with self.assertError('InvalidOption', 'narrow'):
                self.pull('private.example/x', who=who, ForeignLayers='registry-first')
            self.wait_state(self.pull('private.example/x', who=who, ForeignLayers='skip'), 'done')
        self.assertEqual({job['ForeignLayers'] for _, job in self.asked('pull')}, {'skip'})

    def machine_credentials(self, answer, who=None, **options):
        """Returns: whether they were used."""
        self.authority.answer(pull='yes', use_machine_credentials=answer)
        self.authority.forget()
        self.forget_log()
        self.wait_state(self.pull('private.example/x', who=who, **options), 'done')
        return 'secret' in self.asked('pull')[0][1]['Endpoints']

    def test_the_credentials_of_the_machine(self):
        about = {'registry': 'private.example', 'repository': 'x',
                 'reference': 'private.example/x:latest'}
        asked = (('pull', about), ('use-machine-credentials', about))
        self.assertTrue(self.machine_credentials('yes', self.alice))
        self.assertAsked(*asked)
        for answer in ('no', 'challenge', 'nonsense'):
            with self.subTest(answer=answer):
                self.assertFalse(self.machine_credentials(answer, self.alice))
                self.assertAsked(*asked)
        self.assertTrue(self.machine_credentials('no'), 'root may')
        self.assertAsked()

    def test_who_brings_some_needs_no_others(self):
        own = memfd(b'{"own": 1}')
        self.assertFalse(self.machine_credentials('yes', self.alice, Credentials=own))
        self.assertEqual([check.action for check in self.authority.checks()], ['pull'])
        self.assertIn('"own"', self.asked('pull')[0][1]['Endpoints'])

    def test_a_registry_without_needs_none(self):
        self.authority.answer(pull='yes')
        self.wait_state(self.pull('x', who=self.alice), 'done')
        self.assertAsked(('pull', ABOUT_X))

    def test_who_left_while_polkit_was_asked(self):
        """Nobody is there to be asked; nothing was promised."""
        self.authority.hang()
        self.alice.begin('/org/berthd/Berth1', 'org.berthd.Berth1.Images', 'Pull', 'sa{sv}', 'x', EMPTY)
        self.authority.wait_checks()
        self.alice.close()
        self.assertEqual(len(self.authority.wait_cancelled()), 1)
        self.assertEqual(self.images('ListTransfers', 'a{sv}', EMPTY), [])


class Transfers(AccessTestCase):
    polkit_answers = {'pull': 'yes'}

    def test_owner_root_and_others(self):
        self.script('docker.io/library/x:latest')
        path = self.pull('x', who=self.alice)
        self.authority.forget()
        for who in (None, self.alice, self.user(ALICE)):
            self.transfer(path, 'Describe', who=who)
            self.transfer(path, 'Subscribe', who=who)
        self.assertAsked()
        for method in ('Describe', 'Subscribe', 'Cancel'):
            with self.assertError(DENIED, 'manage-transfer'):
                self.transfer(path, method, who=self.bob)
            self.assertAsked(('manage-transfer', {**ABOUT_X, 'owner': str(ALICE)}))
        self.assertIn(self.state(path), ('queued', 'running'))
        self.authority.answer(manage_transfer='yes')
        self.transfer(path, 'Cancel', who=self.bob)
        self.assertEqual(self.state(path), 'cancelled')

    def test_properties_are_everybodys(self):
        path = self.pull('x', who=self.alice)
        self.authority.forget()
        self.assertEqual(self.bob.get(path, IF_TRANSFER, 'Owner'), ALICE)
        self.assertNotIn('library', str(self.bob.managed_objects()[path]))
        self.assertAsked()


class Images(AccessTestCase):
    def setUp(self):
        super().setUp()
        self.write_images(('docker.io/library/a:1', A, 4, ALICE),
                          ('docker.io/library/b:1', B, 4, BOB),
                          ('docker.io/library/both:1', C, 4, ALICE, BOB))
        for letter in 'abc':
            self.write(f'blobs/sha256/{letter * 64}', 'blob')

    def inspect(self, image, who):
        return self.images('Inspect', 'sa{sv}', image, EMPTY, who=who)

    def open_blob(self, value, who):
        blob, _ = self.images('OpenBlob', 'sa{sv}', value, EMPTY, who=who)
        os.close(blob.take())

    def tag(self, image, reference, who):
        return self.images('Tag', 'ssa{sv}', image, reference, EMPTY, who=who)

    def remove(self, image, who):
        return self.images('Remove', 'sa{sv}', image, EMPTY, who=who)

    def test_who_pulled_it_reads_it(self):
        for image, who in (('a:1', self.alice), ('b:1', self.bob), ('both:1', self.alice),
                           ('both:1', self.bob), (A, self.alice), (C, self.bob), ('a:1', None)):
            self.inspect(image, who)
        for value, who in ((A, self.alice), (C, self.alice), (C, self.bob), (B, None)):
            self.open_blob(value, who)
        self.assertAsked()

    def test_others_do_not(self):
        for image in ('a:1', 'docker.io/library/a:1'):
            with self.assertError(DENIED, 'read-image'):
                self.inspect(image, self.bob)
            self.assertAsked(('read-image', {**ABOUT_A, 'owner': str(ALICE)}))
        with self.assertError(DENIED, 'read-image'):
            self.inspect(A, self.bob)
        self.assertAsked(('read-image', {'reference': A, 'owner': str(ALICE)}))
        self.forget_log()
        with self.assertError(DENIED, 'read-image'):
            self.open_blob(A, self.bob)
        self.assertAsked(('read-image', {'reference': A, 'owner': str(ALICE)}))
        self.assertEqual([set(job) for _, job in self.asked('blob')],
                         [{'Store', 'MinFree', 'Uid', 'Digest'}], 'nothing was copied')
        self.authority.answer(read_image='yes')
        self.inspect('a:1', self.bob)
        self.open_blob(A, self.bob)

    def test_what_is_not_there_looks_like_what_is_refused(self):
        with self.assertError(DENIED, 'read-image'):
            self.inspect('missing', self.alice)
        with self.assertError(DENIED, 'read-image'):
            self.open_blob(digest('d'), self.alice)
        with self.assertError(DENIED, 'manage-images'):
            self.remove('missing', self.alice)
        with self.assertError(DENIED, 'manage-images'):
            self.tag('missing', 'x', self.alice)
        self.authority.answer(all='yes')
        for call in (lambda: self.inspect('missing', self.alice),
                     lambda: self.open_blob(digest('d'), self.alice),
                     lambda: self.remove('missing', self.alice),
                     lambda: self.tag('missing', 'x', self.alice)):
            with self.assertError('NoSuchImage'):
                call()

    def changes(self):
        """Returns: [(kind, Uid, Image, Expect)] of what was changed in the store."""
        return [(kind, job['Uid'], job['Image'], job['Expect']) for kind, job in self.asked()
                if kind in ('tag', 'remove')]

    def test_owners_change_what_is_theirs(self):
        self.remove('a:1', self.alice)
        self.tag('both:1', 'mine', self.bob)
        self.assertAsked()
        self.assertEqual(self.changes(), [
            ('remove', str(ALICE), 'docker.io/library/a:1', A),
            ('tag', str(BOB), 'docker.io/library/both:1', C)])

    def test_others_do_not_change_it(self):
        about = ('manage-images', {**ABOUT_A, 'owner': str(ALICE)})
        with self.assertError(DENIED, 'manage-images'):
            self.remove('a:1', self.bob)
        self.assertAsked(about)
        with self.assertError(DENIED, 'manage-images'):
            self.tag('a:1', 'x', self.bob)
        self.assertAsked(about)
        self.assertEqual(self.changes(), [])
        self.authority.answer(manage_images='yes')
        self.remove('a:1', self.bob)
        self.assertEqual(self.changes(), [('remove', '0', 'docker.io/library/a:1', A)])

    def test_a_name_that_others_use(self):
        """An owner must not make it mean an image of its own."""
        for name in ('b:1', 'both:1'):
            with self.assertError(DENIED, 'manage-images'):
                self.tag('a:1', name, self.alice)
        checks = [check.details['reference'] for check in self.authority.checks()]
        self.assertEqual(checks, ['docker.io/library/b:1', 'docker.io/library/both:1'])
        self.assertEqual(self.changes(), [])
        self.authority.answer(manage_images='yes')
        self.authority.forget()
        self.tag('a:1', 'b:1', self.alice)
        self.assertAsked(('manage-images', ABOUT_B))
        self.assertEqual(self.changes(), [('tag', '0', 'docker.io/library/a:1', A)])

    def test_one_name_of_ones_own_for_another(self):
        self.write_images(('docker.io/library/a:1', A, 4, ALICE),
                          ('docker.io/library/b:1', B, 4, ALICE))
        self.tag('a:1', 'b:1', self.alice)
        self.assertAsked()
        self.assertEqual(self.changes(), [('tag', str(ALICE), 'docker.io/library/a:1', A)])

    def test_prune(self):
        with self.assertError(DENIED, 'manage-images'):
            self.images('Prune', 'a{sv}', EMPTY, who=self.alice)
        self.assertAsked(('manage-images', {}))
        self.assertEqual(self.asked('prune'), [])

    def test_it_became_somebody_elses_while_polkit_was_asked(self):
        """What the worker is told to change is what was looked at."""
        self.authority.hang()
        pending = self.bob.begin('/org/berthd/Berth1', 'org.berthd.Berth1.Images', 'Remove', 'sa{sv}',
                                 'a:1', EMPTY)
        self.authority.wait_checks()
        self.write_images(('docker.io/library/a:1', B, 4, CAROL))
        self.authority.answer(manage_images='yes')
        self.authority.release()
        pending.result()
        self.assertEqual(self.changes(), [('remove', '0', 'docker.io/library/a:1', A)])

    def test_a_worker_that_says_nothing_of_owners(self):
        for kind, call in (('inspect', lambda who: self.inspect('a:1', who)),
                           ('blob', lambda who: self.open_blob(A, who))):
            self.write(f'query-{kind}', 'result x')
            with self.assertError('org.freedesktop.DBus.Error.Failed'):
                call(self.alice)
            self.assertAsked()


if __name__ == '__main__':
    unittest.main()
