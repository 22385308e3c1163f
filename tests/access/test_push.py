# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may push and copy what where, and what polkit is asked, before and in the middle."""

import unittest

from berthtest import ALICE, BOB, FakeStoreTestCase, IF_TRANSFER, digest, memfd, vardict

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs'
CHALLENGE = 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'
IMAGES = '/org/berthd/Berth1', 'org.berthd.Berth1.Images'
REFUSED = 'org.berthd.Berth1.Error.NondistributableRefused'

A, B = digest('a'), digest('b')


def about(registry, repository, tag='latest'):
    return {'registry': registry, 'repository': repository,
            'reference': f'{registry}/{repository}:{tag}'}


HERE = about('here.example', 'a', '1')
THERE = about('there.example', 'b', '2')
ALLOWED = about('allowed.example', 'b', '2')


class PushTestCase(FakeStoreTestCase):
    polkit_answers = {'push': 'yes', 'pull': 'yes'}

    def setUp(self):
        super().setUp()
        self.alice, self.bob = self.user(ALICE), self.user(BOB)
        self.write_images((HERE['reference'], A, 4, ALICE), ('there.example/b:1', B, 4, BOB))

    def write_registries(self):
        one, two = (self.instance.write_settings(f'{name}.json', f'{{"machine": "secret {name}"}}')
                    for name in ('one', 'two'))
        self.instance.write_settings('registries.d/x.conf', f'''
[registry private.example]
CredentialsFile={one}
[registry other.example]
CredentialsFile={two}
ForeignLayers=registry-only
ForeignUrlHosts=urls.example
[registry blocked.example]
Blocked=yes
[registry allowed.example]
AllowNondistributable=yes
Mirrors=mirror.example
''')

    def push(self, image, reference='', who=None, **options):
        return str(self.images('Push', 'ssa{sv}', image, reference, vardict(options),
                               who=who or self.alice))

    def copy(self, source, destination, who=None, **options):
        return str(self.images('Copy', 'ssa{sv}', source, destination, vardict(options),
                               who=who or self.alice))

    def checks(self):
        """Returns: [(action, details that are not empty)] since the last time."""
        checks = self.authority.checks()
        self.authority.forget()
        return [(check.action, {key: value for key, value in check.details.items()
                                if value and not key.startswith('polkit.')}) for check in checks]

    def assertAsked(self, *expected):
        self.assertEqual(self.checks(), list(expected))

    def job(self, kind):
        [(_, job)] = self.asked(kind)
        self.forget_log()
        return job


class Push(PushTestCase):
    def test_ones_own_image(self):
        path = self.push(HERE['reference'], 'there.example/b:2')
        self.assertAsked(('push', THERE))
        self.wait_state(path, 'done')
        properties = self.instance.properties(path, IF_TRANSFER)
        self.assertEqual((properties['Kind'], properties['Owner']), ('push', ALICE))
        self.assertEqual(self.transfer(path, 'Describe')['Reference'], THERE['reference'])
        job = self.job('push')
        self.assertEqual((job['Image'], job['Reference'], job['Uid'], job['Authorized']),
                         (HERE['reference'], THERE['reference'], str(ALICE), '0'))
        self.wait_state(self.push(HERE['reference']), 'done')
        self.assertAsked(('push', HERE))
        self.assertEqual(self.job('push')['Reference'], HERE['reference'])
        self.wait_state(self.push(A, 'there.example/b:2'), 'done')
        self.assertEqual(self.job('push')['Image'], A)

    def test_the_destination_is_not_for_everybody(self):
        for answer, error in (('no', DENIED), ('challenge', CHALLENGE), ('nonsense', DENIED)):
            self.authority.answer(push=answer)
            with self.assertError(error, r'berth1\.push\b'):
                self.push(HERE['reference'], 'there.example/b:2')
            self.assertAsked(('push', THERE))
        self.assertEqual(self.asked(), [], 'not even the store was asked')

    def test_an_image_of_somebody_else(self):
        image = ('read-image', {**about('there.example', 'b', '1'), 'owner': str(BOB)})
        with self.assertError(DENIED, 'read-image'):
            self.push('there.example/b:1', 'there.example/b:2')
        self.assertAsked(('push', THERE), image)
        self.assertEqual(self.asked('push'), [])
        self.authority.answer(read_image='yes')
        self.wait_state(self.push('there.example/b:1', 'there.example/b:2'), 'done')
        self.assertAsked(('push', THERE), image)
        job = self.job('push')
        self.assertEqual((job['Image'], job['Authorized']), (B, '1'), 'what polkit was asked about')

    def test_what_is_not_there_looks_like_what_is_refused(self):
        with self.assertError(DENIED, 'read-image'):
            self.push('missing', 'there.example/b:2')
        self.authority.answer(read_image='yes')
        for who in (self.alice, self.instance):
            with self.assertError('NoSuchImage'):
                self.push('missing', 'there.example/b:2', who=who)

    def test_root_is_not_asked_for(self):
        self.wait_state(self.push(HERE['reference'], 'private.example/x', who=self.instance), 'done')
        self.wait_state(self.copy('other.example/x', 'private.example/x', who=self.instance), 'done')
        self.assertAsked()
        self.assertIn('secret one', self.job('push')['Endpoints'])

    def test_what_is_wrong_is_found_before_anybody_is_asked(self):
        for error, image, reference, options in (
                ('InvalidReference', 'a b', '', {}), ('InvalidReference', 'a', 'a b', {}),
                ('InvalidReference', A, '', {}), ('InvalidReference', '', '', {}),
                ('InvalidOption', 'a', '', {'Platform': 'x'}),
                ('InvalidOption', 'a', '', {'Platform': 'x/y', 'AllPlatforms': True}),
                (INVALID_ARGS, 'a', '', {'ForeignLayers': 'skip'}),
                (INVALID_ARGS, 'a', '', {'SourceCredentials': memfd(b'{}')}),
                ('InvalidOption', 'a', '', {'Credentials': memfd(b'{}', seals=0)})):
            with self.subTest(image=image, reference=reference, options=list(options)), \
                    self.assertError(error):
                self.push(image, reference, **options)
        for error, source, destination, options in (
                ('InvalidReference', '', 'a', {}), ('InvalidReference', 'a', '', {}),
                ('InvalidOption', 'a', 'b', {'ForeignLayers': 'x'}),
                ('InvalidOption', 'a', 'b', {'SourceCredentials': memfd(b'{}', seals=0)})):
            with self.subTest(source=source, destination=destination, options=list(options)), \
                    self.assertError(error):
                self.copy(source, destination, **options)
        self.assertAsked()

    def test_blocked(self):
        for who in (self.alice, self.instance):
            with self.assertError('RegistryBlocked', 'blocked.example'):
                self.push(HERE['reference'], 'blocked.example/x', who=who)
            for source, destination in (('blocked.example/x', 'there.example/y'),
                                        ('there.example/y', 'blocked.example/x')):
                with self.assertError('RegistryBlocked', 'blocked.example'):
                    self.copy(source, destination, who=who)
        self.assertEqual(self.asked('push') + self.asked('copy'), [])

    def test_what_the_worker_is_told(self):
        self.instance.write_settings('berth.conf.d/x.conf', '[Transfers]\nMaxBandwidth=1M\n'
                                     'MaxUploadsPerTransfer=3\n')
        self.instance.manager('Reload')
        for options, expected in (
                ({}, {'Platform': '', 'AllPlatforms': '0', 'MaxBandwidth': '1048576', 'Referrers': '0'}),
                ({'Platform': 'linux/arm64', 'MaxBandwidth': 1000, 'Referrers': True},
                 {'Platform': 'linux/arm64', 'MaxBandwidth': '1000', 'Referrers': '1'}),
                ({'AllPlatforms': True, 'MaxBandwidth': 1 << 40},
                 {'AllPlatforms': '1', 'MaxBandwidth': '1048576'})):
            with self.subTest(options=options):
                self.wait_state(self.push(HERE['reference'], 'there.example/b:2', **options), 'done')
                job = self.job('push')
                self.assertEqual({key: job[key] for key in expected}, expected)
                self.assertEqual((job['MaxUploads'], job['AllowNondistributable']), ('3', '0'))
        self.wait_state(self.push(HERE['reference'], 'allowed.example/b:2'), 'done')
        job = self.job('push')
        self.assertEqual(job['AllowNondistributable'], '1')
        self.assertNotIn('mirror.example', job['Endpoints'], 'mirrors are for reading')
        self.assertEqual(self.images_of_endpoints(job['Endpoints']), ['allowed.example/b'])

    @staticmethod
    def images_of_endpoints(text):
        words = text.split()
        return [words[i + 1] for i, word in enumerate(words) if word == 'Name']


class Copy(PushTestCase):
    def test_both_sides(self):
        path = self.copy('here.example/a:1', 'there.example/b:2')
        self.assertAsked(('pull', HERE), ('push', THERE))
        self.wait_state(path, 'done')
        self.assertEqual(self.instance.get(path, IF_TRANSFER, 'Kind'), 'copy')
        self.assertEqual(self.transfer(path, 'Describe')['Reference'], THERE['reference'])
        job = self.job('copy')
        self.assertEqual((job['Source'], job['Destination'], job['Uid'], job['ForeignLayers'],
                          job['AllowNondistributable']),
                         (HERE['reference'], THERE['reference'], str(ALICE), 'registry-first', '0'))

    def test_either_side_can_be_refused(self):
        self.authority.answer(pull='no')
        with self.assertError(DENIED, r'berth1\.pull\b'):
            self.copy('here.example/a:1', 'there.example/b:2')
        self.authority.answer(pull='yes', push='no')
        with self.assertError(DENIED, r'berth1\.push\b'):
            self.copy('here.example/a:1', 'there.example/b:2')
        self.assertAsked(('pull', HERE), ('pull', HERE), ('push', THERE))
        self.assertEqual(self.asked('copy'), [])

    def test_mirrors_and_foreign_layers_are_the_sources(self):
        self.wait_state(self.copy('allowed.example/x', 'other.example/y'), 'done')
        job = self.job('copy')
        self.assertEqual(('mirror.example/x' in job['From'], 'mirror.example' in job['To']),
                         (True, False))
        self.assertEqual((job['ForeignLayers'], job['ForeignUrlHosts'], job['AllowNondistributable']),
                         ('registry-first', '', '0'))
        self.wait_state(self.copy('other.example/y', 'allowed.example/x'), 'done')
        job = self.job('copy')
        self.assertEqual((job['ForeignLayers'], job['ForeignUrlHosts'], job['AllowNondistributable']),
                         ('registry-only', 'urls.example', '1'))
        self.assertNotIn('mirror.example', job['To'])
        with self.assertError('InvalidOption', 'narrow'):
            self.copy('other.example/y', 'there.example/x', ForeignLayers='registry-first')
        self.wait_state(self.copy('other.example/y', 'there.example/x', ForeignLayers='skip'), 'done')
        self.assertEqual(self.job('copy')['ForeignLayers'], 'skip')


class Credentials(PushTestCase):
    """Of the machine, and of the caller; each where it belongs."""

    ONE, OTHER = about('private.example', 'x'), about('other.example', 'y')

    def test_push(self):
        for answer, used in (('yes', True), ('no', False), ('challenge', False)):
            self.authority.answer(use_machine_credentials=answer)
            self.wait_state(self.push(HERE['reference'], 'private.example/x'), 'done')
            self.assertAsked(('push', self.ONE), ('use-machine-credentials', self.ONE))
            self.assertEqual('secret one' in self.job('push')['Endpoints'], used, answer)
        self.wait_state(self.push(HERE['reference'], 'private.example/x',
                                  Credentials=memfd(b'{"own": 1}')), 'done')
        self.assertAsked(('push', self.ONE))
        endpoints = self.job('push')['Endpoints']
        self.assertEqual(('"own"' in endpoints, 'secret' in endpoints), (True, False))

    def test_copy(self):
        self.authority.answer(use_machine_credentials='yes')
        self.wait_state(self.copy('private.example/x', 'other.example/y'), 'done')
        self.assertEqual(sorted(self.checks(), key=str), sorted([
            ('pull', self.ONE), ('push', self.OTHER), ('use-machine-credentials', self.ONE),
            ('use-machine-credentials', self.OTHER)], key=str))
        job = self.job('copy')
        self.assertIn('secret one', job['From'])
        self.assertIn('secret two', job['To'])
        self.assertNotIn('secret two', job['From'])
        self.assertNotIn('secret one', job['To'])

    def test_each_side_is_a_question_of_its_own(self):
        """Whoever may use those of one does not get those of the other."""
        self.authority.answer(use_machine_credentials='yes')
        self.authority.hang('use-machine-credentials')
        pending = self.alice.begin(*IMAGES, 'Copy', 'ssa{sv}', 'private.example/x', 'other.example/y',
                                   vardict({}))
        self.authority.wait_checks(2)
        for check in self.authority.checks():
            if check.action == 'use-machine-credentials':
                self.assertEqual(check.details['registry'], 'private.example')
        self.authority.release(again=True)
        self.authority.wait_checks(4)
        self.authority.answer(use_machine_credentials='no')
        self.authority.release()
        self.wait_state(str(pending.result()), 'done')
        job = self.job('copy')
        self.assertEqual(('secret one' in job['From'], 'secret two' in job['To']), (True, False))

    def test_the_callers_are_for_both_sides_or_one(self):
        given = memfd(b'{"own": "one"}'), memfd(b'{"own": "two"}')
        for options, source, destination in (
                ({'Credentials': given[0]}, '"one"', '"one"'),
                ({'SourceCredentials': given[0], 'Credentials': given[1]}, '"one"', '"two"'),
                ({'SourceCredentials': given[0]}, '"one"', 'secret two')):
            self.authority.answer(use_machine_credentials='yes')
            self.wait_state(self.copy('private.example/x', 'other.example/y', **options), 'done')
            job = self.job('copy')
            self.assertIn(source, job['From'])
            self.assertIn(destination, job['To'])
            self.assertNotIn('secret one', job['From'])


class Nondistributable(PushTestCase):
    """The worker asks in the middle; an answer comes from polkit, for who asked for the transfer."""

    QUESTION = ('push-nondistributable', ALLOWED)

    def setUp(self):
        super().setUp()
        self.worker = self.script(ALLOWED['reference'])

    def start(self, who=None, method='Push', interactive=False):
        """Returns: the transfer, whose worker has asked."""
        pending = (who or self.alice).begin(*IMAGES, method, 'ssa{sv}', HERE['reference'],
                                            ALLOWED['reference'], vardict({}), interactive=interactive)
        path = str(pending.result())
        self.wait_state(path, 'running')
        self.authority.forget()
        self.worker.say('ask push-nondistributable')
        return path

    def answer(self):
        """Returns: what the worker was told."""
        self.eventually(lambda: self.asked('answer'))
        [(_, row)] = self.asked('answer')
        return row['Yes'] == '1'

    def test_yes(self):
        for method in ('Push', 'Copy'):
            with self.subTest(method=method):
                self.forget_log()
                self.authority.answer(push_nondistributable='yes')
                path = self.start(method=method)
                self.assertTrue(self.answer())
                self.assertAsked(self.QUESTION)
                self.worker.say('done ' + A)
                self.wait_state(path, 'done')

    def test_no(self):
        for answer, why in (('no', r'needs the action org\.berthd\.berth1\.push-nondistributable'),
                            ('challenge', 'authenticate'), ('nonsense', 'polkit rule')):
            with self.subTest(answer=answer):
                self.forget_log()
                self.authority.answer(push_nondistributable=answer)
                path = self.start()
                self.assertFalse(self.answer())
                self.assertAsked(self.QUESTION)
                self.worker.say(f'error {REFUSED} nothing was pushed')
                name, message = self.failure(path)
                self.assertEqual(name, REFUSED)
                self.assertRegex(message, r'\Anothing was pushed: .*' + why)

    def test_root_may(self):
        path = self.start(who=self.user(0))
        self.assertTrue(self.answer())
        self.assertAsked()
        self.worker.say('done ' + A)
        self.wait_state(path, 'done')

    def test_who_is_asked_about(self):
        """The connection that asked for the transfer, with a prompt only if it allows one."""
        for interactive in (False, True):
            self.forget_log()
            path = self.start(interactive=interactive)
            self.answer()
            [check] = self.authority.checks()
            self.assertEqual((check.kind, check.name, check.flags),
                             ('system-bus-name', self.alice.name, int(interactive)))
            self.transfer(path, 'Cancel')

    def test_it_takes_time(self):
        self.authority.hang('push-nondistributable')
        self.authority.answer(push_nondistributable='yes')
        path = self.start()
        self.authority.wait_checks()
        self.assertEqual((self.state(path), self.asked('answer')), ('running', []))
        self.authority.release()
        self.assertTrue(self.answer())

    def test_withdrawn_with_the_transfer(self):
        self.authority.hang('push-nondistributable')
        path = self.start()
        [check] = self.authority.wait_checks()
        self.transfer(path, 'Cancel', who=self.alice)
        self.assertEqual(self.authority.wait_cancelled(), [check.id])
        self.assertEqual(self.state(path), 'cancelled')

    def test_withdrawn_when_the_worker_ends(self):
        self.authority.hang('push-nondistributable')
        path = self.start()
        [check] = self.authority.wait_checks()
        self.worker.say('exit 1')
        self.assertEqual(self.authority.wait_cancelled(), [check.id])
        self.assertIn('push', self.failure(path)[1])

    def test_the_caller_leaves_while_polkit_is_asked(self):
        self.authority.hang('push-nondistributable')
        path = self.start()
        [check] = self.authority.wait_checks()
        self.alice.close()
        self.assertEqual(self.authority.wait_cancelled(), [check.id])
        self.assertFalse(self.answer())
        self.worker.say(f'error {REFUSED} nothing was pushed')
        self.assertRegex(self.failure(path)[1], 'nothing was pushed: .* left the message bus')

    def test_the_caller_has_left(self):
        self.authority.answer(push_nondistributable='yes')
        path = self.push(HERE['reference'], ALLOWED['reference'])
        self.wait_state(path, 'running')
        self.authority.forget()
        name = self.alice.name
        self.alice.close()
        self.eventually(lambda: not self.instance.bus.name_has_owner(name))
        self.instance.manager('Reload')  # the service has heard of it too
        self.worker.say('ask push-nondistributable')
        self.assertFalse(self.answer())
        self.assertAsked()
        self.worker.say('done ' + A)
        self.wait_state(path, 'done')

    def test_one_question_each(self):
        """A worker that was taken over must not make anybody click again and again."""
        self.authority.answer(push_nondistributable='no')
        path = self.start()
        self.assertFalse(self.answer())
        self.worker.say('ask push-nondistributable')
        self.assertIn('may not ask', self.failure(path)[1])
        self.assertAsked(self.QUESTION)

    def test_what_it_may_not_ask(self):
        self.authority.answer(all='yes')
        other = self.script(THERE['reference'])
        for worker, question, begin in (
                (other, 'push-nondistributable', lambda: self.push(HERE['reference'],
                                                                   THERE['reference'])),
                (other, 'push-nondistributable', lambda: self.pull(THERE['reference'],
                                                                   who=self.alice)),
                (self.worker, 'reload', lambda: self.push(HERE['reference'],
                                                          ALLOWED['reference'])),
                (self.worker, '', lambda: self.push(HERE['reference'], ALLOWED['reference']))):
            with self.subTest(question=question):
                path = begin()
                self.wait_state(path, 'running')
                self.authority.forget()
                worker.say('ask ' + question)
                self.assertIn('may not ask', self.failure(path)[1])
                self.assertAsked()


if __name__ == '__main__':
    unittest.main()
