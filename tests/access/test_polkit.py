# SPDX-License-Identifier: LGPL-2.1-or-later
"""polkit, as a mock: every method is in the access table, and what is asked is what is done."""

import os
import signal
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import dbus

from berthtest import (ALICE, BOB, ERROR, FakeStoreTestCase, IF_IMAGES, IF_MANAGER, IF_REGISTRIES, IF_SANDBOX,
                       IF_SANDBOXES, IF_TRANSFER, ROOT_PATH, UserTestCase, digest, vardict)

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
CHALLENGE = 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'

STANDARD = {'org.freedesktop.DBus.Peer', 'org.freedesktop.DBus.Introspectable',
            'org.freedesktop.DBus.Properties', 'org.freedesktop.DBus.ObjectManager'}

EMPTY = vardict({})

# The access table: the action that a stranger needs, None: open to everybody; and arguments that are
# in order, so that nothing but the access can be what is wrong.
TABLE = {
    (IF_SANDBOXES, 'Create'): ('create-sandbox', lambda: ('new', EMPTY)),
    (IF_SANDBOXES, 'Join'): ('join-sandbox', lambda: ('0/demo', EMPTY)),
    (IF_SANDBOXES, 'Get'): (None, lambda: ('0/demo',)),
    (IF_SANDBOXES, 'List'): (None, lambda: (EMPTY,)),
    (IF_SANDBOX, 'Describe'): ('manage-sandbox', lambda: ()),
    (IF_SANDBOX, 'Join'): ('join-sandbox', lambda: (EMPTY,)),
    (IF_SANDBOX, 'Attach'): ('join-sandbox', lambda: (own_pidfd(), EMPTY)),
    (IF_SANDBOX, 'Resize'): ('manage-sandbox', lambda: (dbus.UInt64(1 << 20), EMPTY)),
    (IF_SANDBOX, 'SetSysctls'): ('manage-sandbox', lambda: (
        dbus.Dictionary({'kernel.msgmnb': '32768'}, signature='ss'),)),
    (IF_SANDBOX, 'Snapshot'): ('manage-sandbox', lambda: (archive(), EMPTY)),
    (IF_SANDBOX, 'Restore'): ('manage-sandbox', lambda: (archive(), EMPTY)),
    (IF_SANDBOX, 'Publish'): ('publish-sandbox', lambda: ()),
    (IF_SANDBOX, 'Unpublish'): ('publish-sandbox', lambda: ()),
    (IF_SANDBOX, 'Remove'): ('manage-sandbox', lambda: (EMPTY,)),
    (IF_IMAGES, 'Pull'): ('pull', lambda: ('busybox', EMPTY)),
    (IF_IMAGES, 'Push'): ('push', lambda: ('a:1', '', EMPTY)),
    (IF_IMAGES, 'Copy'): ('pull', lambda: ('a:1', 'b:1', EMPTY)),
    (IF_IMAGES, 'List'): (None, lambda: (EMPTY,)),
    (IF_IMAGES, 'Import'): ('import', lambda: (archive(), EMPTY)),
    (IF_IMAGES, 'ImportBlob'): ('import', lambda: (digest('b'), archive(), EMPTY)),
    (IF_IMAGES, 'Export'): ('read-image', lambda: (['a:1'], archive(), EMPTY)),
    (IF_IMAGES, 'Inspect'): ('read-image', lambda: ('a:1', EMPTY)),
    (IF_IMAGES, 'Tag'): ('manage-images', lambda: ('a:1', 'b:1', EMPTY)),
    (IF_IMAGES, 'Remove'): ('manage-images', lambda: ('a:1', EMPTY)),
    (IF_IMAGES, 'Prune'): ('manage-images', lambda: (EMPTY,)),
    (IF_IMAGES, 'OpenBlob'): ('read-image', lambda: (digest('a'), EMPTY)),
    (IF_IMAGES, 'ListTransfers'): (None, lambda: (EMPTY,)),
    (IF_IMAGES, 'GetTransfer'): (None, lambda: (dbus.UInt32(1),)),
    (IF_TRANSFER, 'Describe'): ('manage-transfer', lambda: ()),
    (IF_TRANSFER, 'Subscribe'): ('manage-transfer', lambda: ()),
    (IF_TRANSFER, 'Cancel'): ('manage-transfer', lambda: ()),
    (IF_REGISTRIES, 'List'): (None, lambda: (EMPTY,)),
    (IF_REGISTRIES, 'GetSettings'): (None, lambda: ('docker.io',)),
    (IF_MANAGER, 'Reload'): ('reload', lambda: ()),
    (IF_MANAGER, 'GetSettings'): (None, lambda: (EMPTY,)),
}


# What is found to be wrong with them after the access, if anything, and what was asked for by then: the
# target is in the host's mount namespace; nothing is in the archive.
MORE = {
    'Push': (None, ['push', 'read-image']),
    'Copy': (None, ['pull', 'push']),
    'Attach': ('NotSupported', ['join-sandbox', 'attach']),
    'Restore': ('ArchiveInvalid', ['manage-sandbox']),
}


def archive():
    with tempfile.TemporaryFile() as file:
        return dbus.types.UnixFd(file)


def own_pidfd():
    fd = os.pidfd_open(os.getpid())
    try:
        return dbus.types.UnixFd(fd)
    finally:
        os.close(fd)


def error_name(call):
    """Returns: the name of the D-Bus error that call ends with, None without one."""
    try:
        call()
    except dbus.DBusException as error:
        return error.get_dbus_name()
    return None


class EveryMethod(FakeStoreTestCase):
    """Calls whatever the introspection data shows, as a user who has nothing to do with it."""

    polkit_answers = None

    def setUp(self):
        super().setUp()
        self.path = self.instance.create('demo')
        self.write_images(('docker.io/library/a:1', digest('a'), 4, 0))
        self.write(f'blobs/sha256/{"a" * 64}', 'blob')
        self.script('docker.io/library/held:latest')
        self.wait_state(self.pull('held'), 'running')
        self.alice = self.user(ALICE)

    def walk(self, path='/'):
        """Yields: (object path, interface, method, in-signature) of everything that is there."""
        text = self.alice.call(path, 'org.freedesktop.DBus.Introspectable', 'Introspect', '')
        root = ElementTree.fromstring(text)
        for interface in root.findall('interface'):
            for method in interface.findall('method'):
                yield (path, interface.get('name'), method.get('name'),
                       ''.join(arg.get('type') for arg in method.findall('arg')
                               if arg.get('direction', 'in') == 'in'))
        for node in root.findall('node'):
            yield from self.walk(f'{path.rstrip("/")}/{node.get("name")}')

    def methods(self):
        """Yields: (object path, interface, method, in-signature, action, arguments)."""
        found = [row for row in self.walk() if row[1] not in STANDARD]
        self.assertEqual({row[1:3] for row in found}, set(TABLE),
                         'the table of this test must have a row for each method')
        for path, interface, method, signature in found:
            action, arguments = TABLE[interface, method]
            yield path, interface, method, signature, action, arguments()

    def each(self, polkit, expected):
        """Calls each; expected: the error of those that are not everybody's."""
        description, trace = self.instance.describe(self.path), self.quiet_trace()
        seen = 0
        for path, interface, method, signature, action, arguments in self.methods():
            with self.subTest(interface=interface, method=method):
                if polkit:
                    polkit.forget()
                name = error_name(lambda: self.alice.call(path, interface, method, signature,
                                                          *arguments))
                self.assertEqual(name, expected if action else None)
                if polkit:
                    self.assertEqual([check.action for check in polkit.checks()],
                                     [action] if action else [])
                seen += 1
        self.assertGreaterEqual(seen, len(TABLE))
        self.assertEqual(self.instance.describe(self.path), description)
        self.assertEqual(len(self.instance.list()), 1)
        self.assertTrace(trace)

    def test_denied(self):
        self.each(self.polkit(all='no'), DENIED)

    def test_challenged(self):
        self.each(self.polkit(all='challenge'), CHALLENGE)

    def test_without_polkit(self):
        self.each(None, DENIED)

    def test_an_answer_that_makes_no_sense(self):
        self.each(self.polkit(all='nonsense'), DENIED)

    def test_granted(self):
        """The same calls, so that it was polkit that made the difference."""
        polkit = self.polkit(all='yes')
        methods = list(self.methods())
        methods.sort(key=lambda row: row[2] == 'Remove')
        for path, interface, method, signature, action, arguments in methods:
            with self.subTest(interface=interface, method=method):
                polkit.forget()
                name = error_name(lambda: self.alice.call(path, interface, method, signature,
                                                          *arguments))
                error, asked = MORE.get(method, (None, [action] if action else []))
                self.assertEqual(name, error and ERROR + error)
                self.assertEqual([check.action for check in polkit.checks()], asked)
        self.assertEqual([row['Name'] for row in self.instance.list()], ['new'])

    def test_root_is_not_asked_for(self):
        polkit = self.polkit(all='no')
        self.instance.describe(self.path)
        self.instance.manager('Reload')
        self.instance.set_sysctls(self.path, {'kernel.msgmnb': '32768'})
        self.instance.remove(self.path)
        self.instance.create('host', Mode='host', Publish=True)
        self.assertEqual(polkit.checks(), [])

    def test_nothing_can_be_written(self):
        """Properties, by whichever interface has some."""
        polkit = self.polkit(all='yes')
        written = 0
        for path in {row[0] for row in self.walk()}:
            text = self.alice.call(path, 'org.freedesktop.DBus.Introspectable', 'Introspect', '')
            for interface in ElementTree.fromstring(text).findall('interface'):
                for item in interface.findall('property'):
                    name = item.get('name')
                    if item.get('type') != 's':
                        continue
                    with self.subTest(path=path, property=name):
                        error = error_name(lambda: self.alice.call(
                            path, 'org.freedesktop.DBus.Properties', 'Set', 'ssv',
                            interface.get('name'), name, dbus.String('debug', variant_level=1)))
                        written += item.get('access') != 'read'
                        self.assertIn(error, (DENIED, 'org.freedesktop.DBus.Error.PropertyReadOnly'))
        self.assertGreater(written, 0, 'LogControl1 has properties that root may write')
        self.assertEqual(polkit.checks(), [])

    def test_what_is_not_everybodys_business_is_no_property(self):
        path = self.instance.create('secret', Labels={'word': 'secret-label'},
                                    Users=[str(BOB)], Groups=['4711'])
        texts = [str(self.alice.managed_objects()), str(self.alice.properties(path)),
                 str(self.alice.list())]
        with self.instance.signals('org.freedesktop.DBus.ObjectManager', 'InterfacesAdded') as added:
            self.instance.create('other', Labels={'word': 'secret-label'}, Groups=['4711'])
            texts.append(str(added()))
        for text in texts:
            for word in ('secret-label', '4711', 'Users', 'Lifetime', 'NamespaceId', 'Sysctls'):
                self.assertNotIn(word, text)
        self.assertEqual(self.alice.list(Labels={'word': 'secret-label'}), [])


class Interaction(UserTestCase):
    def test_the_flag_of_the_call_is_passed_on(self):
        path = self.instance.create('demo')
        alice = self.user(ALICE)
        for interactive in (False, True):
            self.authority.forget()
            alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', '', EMPTY,
                        interactive=interactive).result()
            pending = alice.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', EMPTY,
                                  interactive=interactive)
            with self.assertError(DENIED):
                pending.result()
            self.assertEqual([check.flags for check in self.authority.checks()],
                             [int(interactive)] * 2)

    def test_the_message_says_what_is_missing(self):
        path = self.instance.create('demo')
        self.authority.answer(manage_sandbox='challenge')
        alice = self.user(ALICE)
        with self.assertError(CHALLENGE, r'org\.berthd\.berth1\.manage-sandbox'):
            alice.remove(path)
        self.authority.answer(manage_sandbox='no')
        with self.assertError(DENIED, fr'user {ALICE} .*org\.berthd\.berth1\.manage-sandbox'):
            alice.remove(path)

    def test_arguments_are_read_before_anybody_is_asked(self):
        alice = self.user(ALICE)
        path = self.instance.create('demo')
        for error, call in (
                ('InvalidMode', lambda: alice.create(Mode='bad')),
                ('org.freedesktop.DBus.Error.InvalidArgs', lambda: alice.create(Colour='red')),
                ('InvalidOption', lambda: alice.create(Lifetime='long')),
                ('InvalidName', lambda: alice.join('a b')),
                ('InvalidSize', lambda: alice.resize(path, 1 << 60))):
            with self.assertError(error):
                call()
        self.assertEqual(self.authority.checks(), [])

    def test_a_name_that_is_not_there_looks_like_one_that_is_refused(self):
        alice = self.user(ALICE)
        self.instance.create('demo', Mode='private')
        for name in ('0/demo', '0/missing', f'{BOB}/missing', '0' * 32):
            with self.subTest(name=name), self.assertError(DENIED):
                alice.join(name)

    def test_polkit_that_dies_while_it_is_asked(self):
        alice = self.user(ALICE)
        path = self.instance.create('demo')
        self.authority.hang()
        pending = alice.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', EMPTY)
        self.authority.wait_checks()
        self.authority.close()
        with self.assertError(DENIED):
            pending.result()
        self.assertEqual(len(self.instance.list()), 1)

    def test_others_are_served_while_polkit_is_asked(self):
        alice, bob = self.user(ALICE), self.user(BOB)
        self.authority.hang()
        pending = alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'slow', EMPTY)
        self.authority.wait_checks()
        self.instance.create('meanwhile')
        self.assertEqual([row['Name'] for row in bob.list()], ['meanwhile'])
        self.assertEqual([row['Name'] for row in alice.list()], ['meanwhile'])
        self.authority.release()
        pending.result()

    def test_sigterm_while_polkit_is_asked(self):
        alice = self.user(ALICE)
        self.authority.hang()
        alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'slow', EMPTY)
        self.authority.wait_checks()
        self.instance.restart()
        self.authority.release()
        self.assertEqual(self.instance.list(), [])


class Details(UserTestCase):
    """Exactly those of the contract."""

    def setUp(self):
        super().setUp()
        self.alice = self.user(ALICE)
        self.bob = self.user(BOB)
        self.authority.answer(all='yes')

    def assertAsked(self, *expected):
        """expected: (action, details that are not empty) of what was asked since the last time."""
        checks = self.authority.checks()
        self.authority.forget()
        for check in checks:
            message = check.details.pop('polkit.message')
            self.assertEqual(check.details.pop('polkit.gettext_domain'), 'berth')
            self.assertNotEqual(message, '')
            self.assertEqual(check.kind, 'system-bus-name')
            self.assertEqual(set(check.subject), {'name'})
            self.assertNotEqual(check.id, '')
        empty = dict.fromkeys(('sandbox', 'sandbox-id', 'mode', 'donor', 'owner', 'registry',
                               'repository', 'reference'), '')
        self.assertEqual([(check.action, check.details) for check in checks],
                         [(action, {**empty, **details}) for action, details in expected])
        self.assertEqual(len({check.id for check in checks}), len(checks))
        return checks

    def about(self, user, path, **other):
        """Returns: the details of a sandbox that is there."""
        return {'sandbox': str(user.get(path, IF_SANDBOX, 'Name')),
                'sandbox-id': path.rsplit('/', 1)[1], 'mode': 'shareable',
                'owner': str(user.get(path, IF_SANDBOX, 'Owner')), **other}

    def test_create(self):
        alice = {'owner': str(ALICE)}
        self.alice.create('named', ShmSize=1 << 20)
        checks = self.assertAsked(('create-sandbox', {'sandbox': 'named', 'mode': 'shareable',
                                                      **alice}))
        self.assertEqual(checks[0].name, self.alice.name)
        for mode in ('private', 'none', 'shareable'):
            self.alice.create(Mode=mode)
            self.assertAsked(('create-sandbox', {'mode': mode, **alice}))
        host = {'sandbox': 'host', 'mode': 'host', **alice}
        self.alice.create('host', Mode='host', Publish=True)
        self.assertAsked(('create-sandbox', host), ('host-ipc', host), ('publish-sandbox', host))

    def test_create_with_a_donor(self):
        theirs = self.bob.create('theirs')
        mine = self.alice.create('mine')
        self.authority.forget()
        donor = theirs.rsplit('/', 1)[1]
        self.alice.create('joiner', Mode=f'container:{BOB}/theirs')
        self.assertAsked(
            ('create-sandbox', {'sandbox': 'joiner', 'mode': 'container', 'donor': donor,
                                'owner': str(ALICE)}),
            ('join-sandbox', self.about(self.bob, theirs)))
        self.alice.create('other', Mode='container:mine')
        self.assertAsked(
            ('create-sandbox', {'sandbox': 'other', 'mode': 'container',
                                'donor': mine.rsplit('/', 1)[1], 'owner': str(ALICE)}))

    def test_what_acts_on_a_sandbox(self):
        path = self.bob.create('theirs')
        about = self.about(self.bob, path)
        self.authority.forget()
        for action, call in (
                ('join-sandbox', lambda: self.keep(self.alice.join(f'{BOB}/theirs'))),
                ('join-sandbox', lambda: self.keep(self.alice.join(path.rsplit('/', 1)[1]))),
                ('join-sandbox', lambda: self.alice.sandbox(path, 'Join', 'a{sv}', EMPTY)),
                ('manage-sandbox', lambda: self.alice.describe(path)),
                ('manage-sandbox', lambda: self.alice.resize(path, 1 << 20)),
                ('manage-sandbox', lambda: self.alice.set_sysctls(path, {'kernel.msgmnb': '4096'})),
                ('publish-sandbox', lambda: self.alice.sandbox(path, 'Publish')),
                ('publish-sandbox', lambda: self.alice.sandbox(path, 'Unpublish')),
                ('publish-sandbox', lambda: self.bob.sandbox(path, 'Publish')),
                ('manage-sandbox', lambda: self.alice.remove(path))):
            call()
            self.assertAsked((action, about))

    def test_an_owner_is_not_asked(self):
        path = self.bob.create('theirs')
        self.authority.forget()
        self.keep(self.bob.join('theirs'))
        self.bob.describe(path)
        self.bob.resize(path, 1 << 20)
        self.bob.set_sysctls(path, {'kernel.msgmnb': '4096'})
        self.bob.remove(path)
        self.assertAsked()

    def test_what_changes_a_donor_is_about_the_donor(self):
        """A rule that looks at owner must not take the joiner's for it."""
        donor = self.bob.create('theirs')
        joiner = self.alice.create('mine', Mode=f'container:{BOB}/theirs')
        self.authority.forget()
        about = self.about(self.alice, joiner, mode='container', owner=str(BOB),
                           donor=donor.rsplit('/', 1)[1])
        self.alice.resize(joiner, 1 << 20)
        self.assertAsked(('manage-sandbox', about))
        self.alice.set_sysctls(joiner, {'kernel.msgmnb': '4096'})
        self.assertAsked(('manage-sandbox', about))
        self.bob.resize(joiner, 1 << 20)
        self.assertAsked()

    def test_reload(self):
        self.alice.manager('Reload')
        self.assertAsked(('reload', {}))


class Withdrawn(UserTestCase):
    """A caller that leaves."""

    def test_the_question_is_withdrawn(self):
        path = self.instance.create('demo')
        alice = self.user(ALICE)
        self.authority.hang()
        alice.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', EMPTY, interactive=True)
        check, = self.authority.wait_checks()
        alice.close()
        self.assertEqual(self.authority.wait_cancelled(), [check.id])
        self.authority.answer(all='yes')
        self.authority.release()
        self.assertEqual(len(self.instance.list()), 1)

    def test_others_are_not(self):
        path = self.instance.create('demo')
        alice, bob = self.user(ALICE), self.user(BOB)
        self.authority.hang()
        alice.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', EMPTY)
        pending = bob.begin(path, IF_SANDBOX, 'Describe', '')
        self.authority.wait_checks(2)
        alice.close()
        self.authority.wait_cancelled()
        self.authority.answer(all='yes')
        self.authority.release()
        self.assertEqual(pending.result()['Lifetime'], 'explicit')
        self.assertEqual(len(self.authority.cancelled()), 1)
        self.assertEqual(len(self.instance.list()), 1)

    def test_its_sandbox_is_not_created(self):
        """Even if polkit grants it, and never mind the withdrawal."""
        trace = self.instance.trace()
        for lifetime in ('explicit', 'connection'):
            alice = self.user(ALICE)
            self.authority.forget()
            self.authority.hang()
            alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'demo',
                        vardict({'Lifetime': lifetime}))
            self.authority.wait_checks()
            alice.close()
            self.authority.wait_cancelled()
            self.authority.release()
            self.instance.create('later')
            self.assertEqual([row['Name'] for row in self.instance.list()], ['later'])
            self.instance.remove(self.instance.find('later'))
        self.assertTrace(trace)

    def test_who_leaves_while_its_namespace_is_made(self):
        """Sent and gone: the service finds out at some point of the way."""
        trace = self.instance.trace()
        for _ in range(20):
            alice = self.user(ALICE)
            for _ in range(3):
                alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', '',
                            vardict({'Lifetime': 'connection'}))
            alice.close()
        self.eventually(lambda: not self.instance.list())
        self.assertTrace(trace)

    def test_nobody_is_asked_for_who_left(self):
        """Sent and gone before its turn: there would be nothing to withdraw the question later."""
        path = self.instance.create('demo')
        for _ in range(20):
            alice = self.user(ALICE)
            self.authority.hang()
            for _ in range(3):
                alice.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', EMPTY)
            alice.close()
            self.eventually(lambda: len(self.authority.cancelled()) ==
                            len(self.authority.checks()))
        self.assertEqual(len(self.user(ALICE).list()), 1)
        self.assertEqual(len(self.authority.checks()), len(self.authority.cancelled()))

    def test_a_process_that_is_killed(self):
        self.authority.hang()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                alice = self.user(ALICE)
                alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'demo', EMPTY)
                os.close(writer)
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        check, = self.authority.wait_checks()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.assertEqual(self.authority.wait_cancelled(), [check.id])
        self.authority.release()
        self.assertEqual(self.instance.list(), [])


class Reevaluation(UserTestCase):
    """What was authorized is what is done: the world may change while polkit is asked."""

    def setUp(self):
        super().setUp()
        self.alice = self.user(ALICE)
        self.authority.answer(all='yes')

    def begin(self, *args):
        """Sends the call and waits until polkit has it."""
        self.authority.forget()
        self.authority.hang()
        pending = self.alice.begin(*args)
        self.authority.wait_checks()
        return pending

    def test_removed_meanwhile(self):
        for method, signature, args in (('Join', 'a{sv}', (EMPTY,)), ('Describe', '', ()),
                                        ('Remove', 'a{sv}', (EMPTY,)), ('Publish', '', ()),
                                        ('Resize', 'ta{sv}', (dbus.UInt64(1 << 20), EMPTY))):
            with self.subTest(method=method):
                path = self.instance.create('demo')
                pending = self.begin(path, IF_SANDBOX, method, signature, *args)
                self.instance.remove(path)
                self.authority.release()
                with self.assertRaises(dbus.DBusException) as caught:
                    pending.result()
                self.assertIn(caught.exception.get_dbus_name(),
                              (DENIED, 'org.berthd.Berth1.Error.NoSuchSandbox'))

    def test_replaced_under_the_same_name(self):
        """The grant was for another object: the new one is asked for, and may be refused."""
        first = self.instance.create('demo')
        pending = self.begin(ROOT_PATH, IF_SANDBOXES, 'Join', 'sa{sv}', '0/demo', EMPTY)
        self.instance.remove(first)
        second = self.instance.create('demo')
        self.authority.release()
        os.close(pending.result()['shm'].take())
        self.assertEqual([check.details['sandbox-id'] for check in self.authority.checks()],
                         [path.rsplit('/', 1)[1] for path in (first, second)])

    def test_replaced_and_refused(self):
        first = self.instance.create('demo')
        pending = self.begin(ROOT_PATH, IF_SANDBOXES, 'Join', 'sa{sv}', '0/demo', EMPTY)
        self.instance.remove(first)
        second = self.instance.create('demo', Mode='private')
        self.authority.release(again=True)
        self.authority.wait_checks(2)
        self.authority.answer(join_sandbox='no')
        self.authority.release()
        with self.assertError(DENIED):
            pending.result()
        self.assertEqual(self.instance.get(second, IF_SANDBOX, 'State'), 'ready')

    def test_a_donor_that_was_replaced(self):
        first = self.instance.create('demo')
        pending = self.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'joiner',
                             vardict({'Mode': 'container:0/demo'}))
        self.instance.remove(first)
        second = self.instance.create('demo')
        self.authority.release()
        joiner = str(pending.result())
        self.assertEqual(self.instance.describe(joiner)['Donor'], second)
        asked = [(check.action, check.details['donor'] or check.details['sandbox-id'])
                 for check in self.authority.checks()]
        identifier = second.rsplit('/', 1)[1]
        for action in ('create-sandbox', 'join-sandbox'):
            self.assertIn((action, identifier), asked)

    def test_replaced_again_and_again(self):
        """It ends: nobody can keep the service asking for ever."""
        path = self.instance.create('demo')
        pending = self.begin(ROOT_PATH, IF_SANDBOXES, 'Join', 'sa{sv}', '0/demo', EMPTY)
        for count in range(1, 20):
            self.instance.remove(path)
            path = self.instance.create('demo')
            self.authority.release(again=True)
            self.instance.list()  # answered after what polkit's answer led to
            if len(self.authority.checks()) == count:
                break
        with self.assertError(DENIED, 'changed'):
            pending.result()
        self.assertLess(len(self.authority.checks()), 10)

    def test_the_name_that_is_to_be_made_was_taken(self):
        pending = self.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'demo', EMPTY)
        other = self.user(ALICE).begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'demo', EMPTY)
        self.authority.wait_checks(2)
        self.authority.release()
        results = [error_name(call.result) for call in (pending, other)]
        self.assertEqual(sorted(results, key=str),
                         [None, 'org.berthd.Berth1.Error.SandboxExists'])
        self.assertEqual(len(self.instance.list()), 1)

    def test_the_settings_changed(self):
        """What is allowed on the machine is looked at when it is done."""
        pending = self.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'demo', EMPTY)
        self.instance.write_settings('berth.conf', '[Sandboxes]\nMaxSandboxesPerUser=0\n')
        self.instance.manager('Reload')
        self.authority.release()
        with self.assertError('QuotaExceeded'):
            pending.result()


if __name__ == '__main__':
    unittest.main()
