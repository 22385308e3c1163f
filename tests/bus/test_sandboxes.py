# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sandboxes as bus clients see them: creation, names, listing, properties, signals, errors' texts."""

import re
import subprocess
import sys
import time
import unittest

import dbus

from berthtest import IF_MANAGER, IF_SANDBOX, InstanceTestCase, ROOT_PATH, vardict

HINT = 'non-shareable IPC (hint: use mode shareable for the donor sandbox)'


class Create(InstanceTestCase):
    def test_defaults(self):
        before = time.time_ns() // 1000
        path = self.instance.create('demo')
        properties = self.instance.properties(path)
        self.assertRegex(path, '^/org/berthd/Berth1/sandbox/[0-9a-f]{32}$')
        self.assertEqual(properties['Id'], path.rsplit('/', 1)[1])
        self.assertEqual(properties['Name'], 'demo')
        self.assertEqual(properties['Mode'], 'shareable')
        self.assertEqual(properties['Owner'], 0)
        self.assertEqual(properties['State'], 'ready')
        self.assertEqual(properties['ShmSize'], 67108864)
        self.assertGreaterEqual(properties['CreatedUSec'], before)
        self.assertLessEqual(properties['CreatedUSec'], time.time_ns() // 1000)
        self.assertEqual(set(properties), {'Id', 'Name', 'Mode', 'Owner', 'State', 'ShmSize',
                                           'CreatedUSec'})

    def test_every_mode(self):
        donor = self.instance.create('donor', Mode='shareable')
        donor_id = donor.rsplit('/', 1)[1]
        for given, resolved in (('', 'shareable'), ('shareable', 'shareable'),
                                ('private', 'private'), ('none', 'none'), ('host', 'host'),
                                ('container:donor', f'container:{donor_id}'),
                                (f'container:{donor_id}', f'container:{donor_id}'),
                                ('container:0/donor', f'container:{donor_id}')):
            with self.subTest(mode=given):
                path = self.instance.create(Mode=given)
                self.assertEqual(self.instance.get(path, IF_SANDBOX, 'Mode'), resolved)

    def test_without_a_name(self):
        path = self.instance.create()
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'Name'), '')
        identifier = path.rsplit('/', 1)[1]
        self.assertEqual(self.instance.sandboxes('Get', 's', identifier), path)

    def test_zero_means_the_default(self):
        path = self.instance.create(ShmSize=0, ShmInodes=0)
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'ShmSize'), 67108864)
        self.assertEqual(self.instance.describe(path)['ShmInodes'], 16384)

    def test_a_name_twice(self):
        self.instance.create('demo')
        with self.assertError('SandboxExists', 'demo'):
            self.instance.create('demo')
        self.assertEqual(len(self.instance.list()), 1)

    def test_a_name_is_free_after_remove(self):
        first = self.instance.create('demo')
        self.instance.remove(first)
        second = self.instance.create('demo')
        self.assertNotEqual(first, second)

    def test_every_name_that_is_allowed(self):
        for name in ('a', 'A', '0', 'a' * 63, 'a.b-c_d', '0' * 31, '0' * 33, 'F' * 32):
            with self.subTest(name=name):
                path = self.instance.create(name)
                self.assertEqual(self.instance.sandboxes('Get', 's', name), path)

    def test_describe(self):
        path = self.instance.create('demo', Labels={'purpose': 'test'}, ShmInodes=100,
                                    Sysctls={'kernel.msgmnb': '32768'})
        description = self.instance.describe(path)
        self.assertEqual(description['Labels'], {'purpose': 'test'})
        self.assertEqual(description['Lifetime'], 'explicit')
        self.assertEqual(description['ShmInodes'], 100)
        self.assertEqual(description['Sysctls']['kernel.msgmnb'], '32768')
        self.assertRegex(description['ShmDevice'], '^[0-9]+:[0-9]+$')
        self.assertEqual(description['PublishedPath'], '')
        self.assertEqual(list(description['Users']), [])
        self.assertEqual(list(description['Groups']), [])
        for key in ('ShmUsed', 'SysvShmUsed', 'SysvMessages', 'Semaphores', 'MessageQueues'):
            self.assertEqual(description[key], 0, key)
        self.assertNotIn('Donor', description)
        joiner = self.instance.create(Mode='container:demo')
        self.assertEqual(self.instance.describe(joiner)['Donor'], path)
        self.assertEqual(self.instance.describe(joiner)['NamespaceId'], description['NamespaceId'])


class Modes(InstanceTestCase):
    def test_invalid_modes(self):
        for mode in ('Shareable', ' private', 'private ', 'host:name', 'private:x', 'container',
                     'SHAREABLE', 'default', 'ns:/run/x', 'x' * 150, ':', 'container '):
            with self.subTest(mode=mode):
                with self.assertError('InvalidMode', '^invalid IPC mode: ' + re.escape(mode)):
                    self.instance.create(Mode=mode)
        self.assertEqual(len(self.instance.list()), 0)

    def test_donors_that_do_not_exist(self):
        for donor in ('missing', '0' * 32, '0/missing', '4711/missing'):
            with self.subTest(donor=donor):
                with self.assertError('NoSuchSandbox', re.escape(donor)):
                    self.instance.create(Mode=f'container:{donor}')

    def test_donor_names_that_cannot_be(self):
        for donor in ('', 'a:b', 'a/b', ' a'):
            with self.subTest(donor=donor):
                with self.assertRaises(dbus.DBusException) as caught:
                    self.instance.create(Mode=f'container:{donor}')
                self.assertIn(caught.exception.get_dbus_name().rsplit('.', 1)[1],
                              ('NoSuchSandbox', 'InvalidName', 'InvalidMode'))

    def test_private_and_none_cannot_be_donors(self):
        for mode in ('private', 'none'):
            with self.subTest(mode=mode):
                self.instance.create(mode, Mode=mode)
                with self.assertError('NotShareable', re.escape(f'sandbox {mode}: {HINT}')):
                    self.instance.create(Mode=f'container:{mode}')

    def test_a_joiner_and_a_host_sandbox_can_be_donors(self):
        donor = self.instance.create('donor')
        first = self.instance.create('first', Mode='container:donor')
        second = self.instance.create('second', Mode='container:first')
        ids = {self.instance.describe(path)['NamespaceId'] for path in (donor, first, second)}
        self.assertEqual(len(ids), 1)
        self.instance.create('host', Mode='host')
        self.instance.create('with-host', Mode='container:host')

    def test_a_joiner_keeps_what_it_joined(self):
        donor = self.instance.create('donor', ShmSize=1 << 20)
        joiner = self.instance.create('joiner', Mode='container:donor', ShmSize=1 << 30)
        namespace = self.instance.describe(donor)['NamespaceId']
        self.assertEqual(self.instance.get(joiner, IF_SANDBOX, 'ShmSize'), 1 << 20)
        with self.joined('joiner') as member:
            member.write('/dev/shm/x', 'kept')
        self.instance.remove(donor)
        self.assertEqual(self.instance.describe(joiner)['NamespaceId'], namespace)
        self.assertEqual(self.joined('joiner').read('/dev/shm/x'), 'kept')
        again = self.instance.create('donor')
        self.assertNotEqual(self.instance.describe(again)['NamespaceId'], namespace)

    def test_allowed_modes(self):
        instance = self.new_instance(settings='[Sandboxes]\nAllowedModes=shareable none\n')
        instance.create(Mode='none')
        for mode in ('private', 'host'):
            with self.subTest(mode=mode), self.assertError('NotSupported', mode, instance):
                instance.create(Mode=mode)


class HandOver(InstanceTestCase):
    def test_private_and_none_are_handed_over_once(self):
        for mode in ('private', 'none'):
            with self.subTest(mode=mode):
                path = self.instance.create(mode, Mode=mode)
                fds = self.join(mode)
                self.assertEqual(set(fds), {'ipc', 'mqueue'} if mode == 'none'
                                 else {'ipc', 'shm', 'mqueue'})
                self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'handed-over')
                text = re.escape(f'sandbox {mode}: {HINT}')
                with self.assertError('NotShareable', text):
                    self.instance.join(mode)
                sysctls = dbus.Dictionary({'kernel.msgmnb': '32768'}, signature='ss')
                for method, signature, args in (
                        ('Join', 'a{sv}', (vardict({}),)), ('Publish', '', ()),
                        ('Unpublish', '', ()), ('SetSysctls', 'a{ss}', (sysctls,)),
                        ('Resize', 'ta{sv}', (1 << 20, vardict({})))):
                    with self.subTest(method=method), self.assertError('NotShareable'):
                        self.instance.sandbox(path, method, signature, *args)
                self.assertNotIn('ShmUsed', self.instance.describe(path))
                self.instance.remove(path)
                self.assertEqual(len(self.instance.list()), 0)

    def test_the_record_goes_with_the_last_user(self):
        path = self.instance.create('once', Mode='private')
        with self.instance.signals('org.freedesktop.DBus.ObjectManager',
                                   'InterfacesRemoved') as removed:
            with self.joined('once') as member:
                member.write('/dev/shm/x', 'text')
                self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'handed-over')
            _, (gone, names) = removed()
        self.assertEqual(gone, path)
        self.assertIn(IF_SANDBOX, names)
        self.assertEqual(len(self.instance.list()), 0)

    def test_none_has_no_shm_and_still_mqueue(self):
        self.instance.create('none', Mode='none')
        self.assertEqual(set(self.join('none')), {'ipc', 'mqueue'})

    def test_joining_as_often_as_one_likes(self):
        self.instance.create('demo')
        for _ in range(3):
            self.assertEqual(set(self.join('demo')), {'ipc', 'shm', 'mqueue'})


class Lookup(InstanceTestCase):
    def test_get(self):
        path = self.instance.create('demo')
        identifier = path.rsplit('/', 1)[1]
        for text in ('demo', identifier, '0/demo'):
            self.assertEqual(self.instance.sandboxes('Get', 's', text), path)
        for text in ('missing', '1/demo', 'f' * 32):
            with self.subTest(text=text), self.assertError('NoSuchSandbox', re.escape(text)):
                self.instance.sandboxes('Get', 's', text)

    def test_list(self):
        one = self.instance.create('one', Labels={'a': '1', 'b': '2'})
        two = self.instance.create('two', Mode='none', Labels={'a': '1'})
        three = self.instance.create(Mode='container:one')

        def paths(**filters):
            return {str(row['Path']) for row in self.instance.list(**filters)}
        self.assertEqual(paths(), {one, two, three})
        self.assertEqual(paths(Name='one'), {one})
        self.assertEqual(paths(Mode='none'), {two})
        self.assertEqual(paths(Owner=dbus.UInt32(0)), {one, two, three})
        self.assertEqual(paths(Owner=dbus.UInt32(1)), set())
        self.assertEqual(paths(Labels={'a': '1'}), {one, two})
        self.assertEqual(paths(Labels={'a': '1', 'b': '2'}), {one})
        self.assertEqual(paths(Labels={'a': '2'}), set())
        row = self.instance.list(Name='one')[0]
        self.assertLessEqual({'Id', 'Name', 'Mode', 'Owner', 'State', 'CreatedUSec', 'ShmSize',
                              'Path', 'NamespaceId', 'Labels'}, set(row))
        for filters in ({'Colour': 'red'}, {'Name': 1}, {'Owner': 'root'}, {'Labels': 'a'}):
            with self.subTest(filters=filters):
                with self.assertError('org.freedesktop.DBus.Error.InvalidArgs', next(iter(filters))):
                    self.instance.list(**filters)

    def test_an_object_that_is_gone(self):
        path = self.instance.create('demo')
        self.instance.remove(path)
        for call in (lambda: self.instance.describe(path), lambda: self.instance.remove(path),
                     lambda: self.instance.properties(path)):
            with self.assertRaises(dbus.DBusException) as caught:
                call()
            self.assertIn(caught.exception.get_dbus_name(),
                          ('org.freedesktop.DBus.Error.UnknownObject',
                           'org.freedesktop.DBus.Error.UnknownInterface',
                           'org.berthd.Berth1.Error.NoSuchSandbox'))
        with self.assertError('NoSuchSandbox', 'demo'):
            self.instance.join('demo')


class Signals(InstanceTestCase):
    def test_object_manager(self):
        self.assertEqual(len(self.instance.managed_objects()), 0)
        manager = 'org.freedesktop.DBus.ObjectManager'
        with self.instance.signals(manager, 'InterfacesAdded') as added, \
                self.instance.signals(manager, 'InterfacesRemoved') as removed:
            path = self.instance.create('demo')
            where, (object_path, names) = added()
            self.assertEqual((where, object_path), (ROOT_PATH, path))
            self.assertEqual(names[IF_SANDBOX], self.instance.properties(path))
            self.assertEqual(self.instance.managed_objects()[path][IF_SANDBOX],
                             self.instance.properties(path))
            self.instance.remove(path)
            where, (object_path, names) = removed()
            self.assertEqual((where, object_path), (ROOT_PATH, path))
            self.assertIn(IF_SANDBOX, names)
        self.assertEqual(len(self.instance.managed_objects()), 0)

    def test_properties_changed(self):
        path = self.instance.create('demo')
        with self.instance.signals('org.freedesktop.DBus.Properties',
                                   'PropertiesChanged') as changed:
            self.instance.sandbox(path, 'Resize', 'ta{sv}', dbus.UInt64(1 << 20), vardict({}))
            where, (interface, values, invalidated) = changed()
        self.assertEqual((where, interface), (path, IF_SANDBOX))
        self.assertEqual(values, {'ShmSize': 1 << 20})
        self.assertEqual(list(invalidated), [])

    def test_hand_over_changes_the_state(self):
        path = self.instance.create('once', Mode='private')
        with self.instance.signals('org.freedesktop.DBus.Properties',
                                   'PropertiesChanged') as changed:
            self.join('once')
            where, (_, values, _) = changed()
        self.assertEqual(where, path)
        self.assertEqual(values, {'State': 'handed-over'})


class Manager(InstanceTestCase):
    def test_properties(self):
        properties = self.instance.properties(ROOT_PATH, IF_MANAGER)
        self.assertEqual(set(properties), {'Version', 'DefaultIpcMode', 'DefaultShmSize'})
        self.assertEqual(properties['DefaultIpcMode'], 'shareable')
        self.assertEqual(properties['DefaultShmSize'], 67108864)
        version = self.instance.run('berthd', '--version').stdout
        self.assertIn(str(properties['Version']), version)

    def test_log_control(self):
        where, interface = '/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1'

        def put(name, value):
            self.instance.call(where, 'org.freedesktop.DBus.Properties', 'Set', 'ssv', interface,
                               name, value)
        self.assertEqual(self.instance.get(where, interface, 'SyslogIdentifier'), 'berthd')
        put('LogLevel', 'debug')
        self.assertEqual(self.instance.get(where, interface, 'LogLevel'), 'debug')
        put('LogTarget', 'console')
        self.assertEqual(self.instance.get(where, interface, 'LogTarget'), 'console')
        for name in ('LogLevel', 'LogTarget'):
            with self.assertRaises(dbus.DBusException):
                put(name, 'nonsense')

    def test_a_second_daemon_does_not_take_the_name(self):
        path = self.instance.create('demo')
        done = self.instance.run('berthd', check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(self.instance.runtime, done.stderr)
        with self.joined('demo') as member:
            member.write('/dev/shm/x', 'text')
        self.instance.remove(path)


class OtherUsers(InstanceTestCase):
    """Until polkit comes in, everybody but root may look and may not touch."""

    SCRIPT = '''
import os, pwd, sys, dbus, dbus.bus
uid = pwd.getpwnam('daemon').pw_uid  # the bus lets in only users that exist
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
bus = dbus.bus.BusConnection(sys.argv[1])
path, interface, method, signature = sys.argv[2:6]
empty = dbus.Dictionary({}, signature='sv')
args = {'s': ('demo',), 'sa{sv}': (sys.argv[6] if len(sys.argv) > 6 else 'demo', empty),
        'a{sv}': (empty,), '': (), 'ta{sv}': (1, empty),
        'a{ss}': (dbus.Dictionary({}, signature='ss'),), 'ss': tuple(sys.argv[6:8])}[signature]
try:
    print(bus.call_blocking('org.berthd.Berth1', path, interface, method, signature, args))
except dbus.DBusException as error:
    print(error.get_dbus_name())
    sys.exit(1)
'''

    def as_user(self, path, interface, method, signature, *args):
        """Returns: (whether it succeeded, what it printed)."""
        done = subprocess.run([sys.executable, '-c', self.SCRIPT, self.instance.address, path,
                               interface, method, signature, *args], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=60)
        return done.returncode == 0, done.stdout.strip()

    def test_refused(self):
        path = self.instance.create('demo')
        root = ROOT_PATH, 'org.berthd.Berth1.Sandboxes'
        one = path, IF_SANDBOX
        for where, method, signature in (
                (root, 'Create', 'sa{sv}'), (root, 'Join', 'sa{sv}'), (one, 'Join', 'a{sv}'),
                (one, 'Remove', 'a{sv}'), (one, 'Publish', ''), (one, 'Unpublish', ''),
                (one, 'Resize', 'ta{sv}'), (one, 'SetSysctls', 'a{ss}'), (one, 'Describe', ''),
                ((ROOT_PATH, IF_MANAGER), 'Reload', '')):
            with self.subTest(method=method):
                good, output = self.as_user(*where, method, signature,
                                            *(['0/demo'] if method == 'Join' else []))
                self.assertFalse(good, output)
                self.assertIn(output, (
                    'org.freedesktop.DBus.Error.AccessDenied',
                    'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'))
        self.assertEqual(len(self.instance.list()), 1)

    def test_allowed(self):
        path = self.instance.create('demo', Labels={'secret': 'label'})
        good, output = self.as_user(ROOT_PATH, 'org.berthd.Berth1.Sandboxes', 'Get', 's')
        self.assertEqual((good, output), (True, path))
        good, output = self.as_user(ROOT_PATH, 'org.berthd.Berth1.Sandboxes', 'List', 'a{sv}')
        self.assertTrue(good, output)
        self.assertIn('demo', output)
        self.assertNotIn('secret', output)
        self.assertNotIn('NamespaceId', output)
        good, output = self.as_user(path, 'org.freedesktop.DBus.Properties', 'Get', 'ss',
                                    IF_SANDBOX, 'Mode')
        self.assertEqual((good, output), (True, 'shareable'))


if __name__ == '__main__':
    unittest.main()
