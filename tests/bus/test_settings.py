# SPDX-License-Identifier: LGPL-2.1-or-later
"""Settings of a running service: defaults, Reload() all or nothing, origins, the command line."""

import os
import re
import unittest

import dbus

from berthtest import BerthTestCase, IF_MANAGER, IF_SANDBOX, Instance, InstanceTestCase, ROOT_PATH, \
    vardict


def rows(instance):
    """Returns: {(group, key): (value, origin)} of GetSettings."""
    return {(str(row['Group']), str(row['Key'])): (str(row['Value']), str(row['Origin']))
            for row in instance.manager('GetSettings', 'a{sv}', vardict({}))}


class Defaults(InstanceTestCase):
    def test_built_in(self):
        found = rows(self.instance)
        self.assertEqual(found['Sandboxes', 'DefaultIpcMode'], ('shareable', 'built-in'))
        self.assertEqual(found['Sandboxes', 'DefaultShmSize'], ('64M', 'built-in'))
        self.assertEqual({origin for _, origin in found.values()}, {'built-in'})
        self.assertEqual({group for group, _ in found}, {'Sandboxes', 'Transfers', 'Store'})

    def test_every_key_has_one_row(self):
        listed = self.instance.manager('GetSettings', 'a{sv}', vardict({}))
        self.assertEqual(len(listed), len(rows(self.instance)))
        for row in listed:
            self.assertEqual(set(row), {'Group', 'Key', 'Value', 'Origin'})


class FromFiles(InstanceTestCase):
    settings = '# a comment\n[Sandboxes]\nDefaultIpcMode=private\nDefaultShmSize=1m\nMaxShmSize=1G\n'

    def test_values_and_origins(self):
        found = rows(self.instance)
        path = os.path.join(self.instance.configuration, 'berth.conf')
        self.assertEqual(found['Sandboxes', 'DefaultIpcMode'], ('private', f'{path}:3'))
        self.assertEqual(found['Sandboxes', 'DefaultShmSize'][1], f'{path}:4')
        self.assertEqual(found['Sandboxes', 'DefaultShmInodes'][1], 'built-in')

    def test_they_take_effect(self):
        sandbox = self.instance.create()
        self.assertEqual(self.instance.get(sandbox, IF_SANDBOX, 'Mode'), 'private')
        self.assertEqual(self.instance.get(sandbox, IF_SANDBOX, 'ShmSize'), 1 << 20)
        properties = self.instance.properties(ROOT_PATH, IF_MANAGER)
        self.assertEqual(properties['DefaultIpcMode'], 'private')
        self.assertEqual(properties['DefaultShmSize'], 1 << 20)

    def test_the_largest_size(self):
        self.instance.create(ShmSize=1 << 30)
        with self.assertError('InvalidSize', str((1 << 30) + 1)):
            self.instance.create(ShmSize=(1 << 30) + 1)

    def test_drop_ins(self):
        self.instance.write_settings('berth.conf.d/10-a.conf', '[Sandboxes]\nDefaultShmSize=2m\n')
        last = self.instance.write_settings('berth.conf.d/20-b.conf',
                                            '\n[Sandboxes]\nDefaultShmSize=4M\n')
        self.instance.manager('Reload')
        self.assertEqual(rows(self.instance)['Sandboxes', 'DefaultShmSize'][1], f'{last}:3')
        self.assertEqual(self.instance.get(ROOT_PATH, IF_MANAGER, 'DefaultShmSize'), 4 << 20)
        os.unlink(last)
        os.symlink('/dev/null', last)
        self.instance.manager('Reload')
        self.assertEqual(self.instance.get(ROOT_PATH, IF_MANAGER, 'DefaultShmSize'), 2 << 20)


class Reload(InstanceTestCase):
    settings = '[Sandboxes]\nDefaultShmSize=1M\nDefaultShmInodes=100\n'

    def test_changes_and_announces(self):
        self.instance.write_settings('berth.conf',
                                     '[Sandboxes]\nDefaultIpcMode=private\nDefaultShmSize=2M\n')
        with self.instance.signals(IF_MANAGER, 'SettingsChanged') as settings_changed, \
                self.instance.signals('org.freedesktop.DBus.Properties',
                                      'PropertiesChanged') as properties_changed:
            self.instance.manager('Reload')
            where, (values,) = settings_changed()
            self.assertEqual(where, ROOT_PATH)
            self.assertEqual(values['DefaultIpcMode'], 'private')
            self.assertEqual(values['DefaultShmSize'], 2 << 20)
            where, (interface, values, _) = properties_changed()
            self.assertEqual((where, interface), (ROOT_PATH, IF_MANAGER))
            self.assertEqual(values, {'DefaultIpcMode': 'private', 'DefaultShmSize': 2 << 20})
        self.assertEqual(rows(self.instance)['Sandboxes', 'DefaultShmInodes'][1], 'built-in')

    def test_sandboxes_keep_what_they_were_made_with(self):
        sandbox = self.instance.create('demo')
        self.instance.write_settings('berth.conf',
                                     '[Sandboxes]\nDefaultIpcMode=private\nDefaultShmSize=2M\n')
        self.instance.manager('Reload')
        self.assertEqual(self.instance.get(sandbox, IF_SANDBOX, 'Mode'), 'shareable')
        self.assertEqual(self.instance.get(sandbox, IF_SANDBOX, 'ShmSize'), 1 << 20)
        self.assertEqual(self.instance.get(self.instance.create(), IF_SANDBOX, 'Mode'), 'private')

    def test_all_or_nothing(self):
        before = rows(self.instance)
        for line, value in (('DefaultShmInodes=many', 'many'), ('DefaultIpcMode=host', 'host'),
                            ('DefaultIpcMode=', None), ('MaxSandboxes=-1', '-1'),
                            ('DefaultShmSize=0', '0'), ('AllowedModes=private container:x',
                                                        'container:x')):
            with self.subTest(line=line):
                # the good line comes first: it must not take effect either
                path = self.instance.write_settings('berth.conf',
                                                    f'[Sandboxes]\nDefaultShmSize=8M\n{line}\n')
                if value is None:
                    self.instance.manager('Reload')  # an empty assignment clears
                    self.instance.write_settings('berth.conf', self.settings)
                    self.instance.manager('Reload')
                    continue
                with self.assertError('SettingsInvalid'):
                    try:
                        self.instance.manager('Reload')
                    except dbus.DBusException as error:
                        for part in (f'{path}:3', value):
                            self.assertIn(part, error.get_dbus_message())
                        raise
                self.assertEqual(rows(self.instance), before)
                self.assertEqual(self.instance.get(ROOT_PATH, IF_MANAGER, 'DefaultShmSize'),
                                 1 << 20)

    def test_the_text_of_a_bad_default(self):
        self.instance.write_settings('berth.conf', '[Sandboxes]\nDefaultIpcMode=none\n')
        with self.assertError('SettingsInvalid', re.escape(
                'default IPC mode setting (none) is invalid; use "shareable" or "private"')):
            self.instance.manager('Reload')

    def test_unknown_keys_are_warnings(self):
        path = self.instance.write_settings(
            'berth.conf', '[Sandboxes]\nDefaultShmSize=2M\nColour=red\n[Garden]\nRoses=yes\n')
        self.instance.manager('Reload')
        self.assertEqual(self.instance.get(ROOT_PATH, IF_MANAGER, 'DefaultShmSize'), 2 << 20)
        log = self.instance.text('berthd.log')
        self.assertIn(f'{path}:3', log)
        self.assertIn('Colour', log)
        self.assertIn(f'{path}:4', log)
        self.assertIn('Garden', log)


class CommandLine(BerthTestCase):
    def test_default_modes(self):
        for option in ('--default-ipc-mode', '--default-shm-mode'):
            with self.subTest(option=option):
                instance = self.new_instance(args=[f'{option}=private'])
                self.assertEqual(instance.get(ROOT_PATH, IF_MANAGER, 'DefaultIpcMode'), 'private')
                value, origin = rows(instance)['Sandboxes', 'DefaultIpcMode']
                self.assertEqual((value, origin), ('private', option))
                self.assertEqual(instance.get(instance.create(), IF_SANDBOX, 'Mode'), 'private')

    def refused(self, *args, settings=None):
        """Returns: what berthd says when it does not start."""
        instance = self.new_instance(settings=settings, start=False)
        done = instance.run('berthd', *args, check=False)
        self.assertNotEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_given_twice(self):
        message = self.refused('--default-ipc-mode=private',
                               settings='[Sandboxes]\nDefaultIpcMode=private\n')
        self.assertIn('--default-ipc-mode', message)
        self.assertIn('berth.conf:2', message)
        self.refused('--default-ipc-mode=private', '--default-shm-mode=private')

    def test_given_twice_by_a_reload(self):
        instance = self.new_instance(args=['--default-ipc-mode=private'])
        instance.write_settings('berth.conf', '[Sandboxes]\nDefaultIpcMode=shareable\n')
        with self.assertError('SettingsInvalid', instance=instance):
            instance.manager('Reload')
        self.assertEqual(instance.get(ROOT_PATH, IF_MANAGER, 'DefaultIpcMode'), 'private')

    def test_a_bad_default(self):
        for mode in ('none', 'host', 'container:x', '', 'Private'):
            with self.subTest(mode=mode):
                self.assertIn(
                    f'default IPC mode setting ({mode}) is invalid; use "shareable" or "private"',
                    self.refused(f'--default-ipc-mode={mode}'))

    def test_bad_usage(self):
        for args in (('--colour',), ('--idle-timeout=soon',), ('--idle-timeout=-1',),
                     ('--log-level=loud',), ('--log-target=paper',), ('operand',)):
            with self.subTest(args=args):
                self.assertIn(args[0].lstrip('-').split('=')[0], self.refused(*args))

    def test_help_and_version(self):
        instance = self.new_instance(start=False)
        text = instance.run('berthd', '--help').stdout
        for option in ('--version', '--help', '--check-config', '--purge', '--default-ipc-mode',
                       '--idle-timeout', '--host-mount-namespace', '--log-level', '--log-target'):
            self.assertIn(option, text)
        self.assertRegex(instance.run('berthd', '--version').stdout, r'\b[0-9]+')


class CheckConfig(BerthTestCase):
    def check(self, settings, *args):
        instance = Instance(settings=settings, start=False)
        self.addCleanup(instance.close)
        return instance, instance.run('berthd', '--check-config', *args, check=False)

    def test_good(self):
        instance, done = self.check('[Sandboxes]\nDefaultShmSize=1M\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.listdir(instance.runtime), [])

    def test_bad(self):
        instance, done = self.check('[Sandboxes]\n\nDefaultShmSize=big\n')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f'{instance.configuration}/berth.conf:3', done.stderr)
        self.assertIn('big', done.stderr)

    def test_a_service_with_bad_settings_does_not_start(self):
        instance = self.new_instance(settings='[Sandboxes]\nDefaultShmSize=big\n', start=False)
        with self.assertRaisesRegex(RuntimeError, 'berth.conf:2'):
            instance.start()

    def test_warnings_are_shown_and_pass(self):
        _, done = self.check('[Sandboxes]\nColour=red\n')
        self.assertEqual(done.returncode, 0)
        self.assertIn('Colour', done.stderr)

    def test_with_a_running_service(self):
        instance = self.new_instance()
        instance.write_settings('berth.conf', '[Sandboxes]\nDefaultShmSize=big\n')
        self.assertNotEqual(instance.run('berthd', '--check-config', check=False).returncode, 0)
        instance.create('still-here')


if __name__ == '__main__':
    unittest.main()
