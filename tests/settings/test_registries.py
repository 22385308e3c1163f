# SPDX-License-Identifier: LGPL-2.1-or-later
"""registries.d as the service has it: every key, what matches, origins, reloads, secrets."""

import os
import re
import unittest

import dbus

from berthtest import ALICE, BerthTestCase, ERROR, IF_MANAGER, InstanceTestCase, vardict

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Every key: its D-Bus type, what is built in, a value in a file and what that becomes.
KEYS = {
    'AllowNondistributable': ('b', False, 'yes', True),
    'Insecure': ('b', False, 'true', True),
    'Blocked': ('b', False, 'on', True),
    'Location': ('s', '', 'Other.Example:05000/x', 'other.example:5000/x'),
    'Mirrors': ('as', [], 'm.example  m2.example:5000/cache', ['m.example', 'm2.example:5000/cache']),
    'MirrorsFor': ('s', 'all', 'digests', 'digests'),
    'CAFile': ('s', '', '/etc/ca.pem', '/etc/ca.pem'),
    'ClientCertificate': ('s', '', '/etc/c.pem', '/etc/c.pem'),
    'ClientKey': ('s', '', '/etc/k.pem', '/etc/k.pem'),
    'CredentialsFile': ('s', '', '/etc/auth.json', '/etc/auth.json'),
    'Proxy': ('s', '', 'http://proxy.example:3128', 'http://proxy.example:3128'),
    'ConnectTimeout': ('t', 10_000_000, '500ms', 500_000),
    'StallTimeout': ('t', 30_000_000, '1min 30s', 90_000_000),
    'Retries': ('u', 5, '0', 0),
    'MaxConnections': ('u', 6, '256', 256),
    'MaxBandwidth': ('t', 0, '1.5M', 3 << 19),
    'ForeignLayers': ('s', 'registry-first', 'url-only', 'url-only'),
    'ForeignUrlHosts': ('as', [], '*.Cdn.Example 10.1.2.3/8', ['*.cdn.example', '10.0.0.0/8']),
}

TYPES = {dbus.Boolean: 'b', dbus.String: 's', dbus.Array: 'as', dbus.UInt32: 'u', dbus.UInt64: 't'}


def group(name, **keys):
    return f'[registry {name}]\n' + ''.join(f'{key}={value}\n' for key, value in keys.items())


class Keys(InstanceTestCase):
    registries = group('full.example', **{key: row[2] for key, row in KEYS.items()})

    def test_built_in(self):
        found = self.instance.registry('other.example')
        self.assertEqual(set(found), {*KEYS, 'Origins'})
        for key, (kind, builtin, _, _) in KEYS.items():
            with self.subTest(key=key):
                self.assertEqual(TYPES[type(found[key])], kind)
                self.assertEqual(found[key], builtin)
        self.assertEqual(dict(found['Origins']), dict.fromkeys(KEYS, 'built-in'))

    def test_set(self):
        found = self.instance.registry('full.example')
        path = os.path.join(self.instance.configuration, 'registries.d/test.conf')
        for line, (key, (kind, _, _, value)) in enumerate(KEYS.items(), 2):
            with self.subTest(key=key):
                self.assertEqual(TYPES[type(found[key])], kind)
                self.assertEqual(found[key], value)
                self.assertEqual(found['Origins'][key], f'{path}:{line}')

    def test_lists_have_their_signature_when_empty(self):
        for key in ('Mirrors', 'ForeignUrlHosts'):
            self.assertEqual(self.instance.registry('other.example')[key].signature, 's')


class Names(InstanceTestCase):
    registries = {
        '10-a.conf': group('h.example', Retries=1) + group('h.example:5000', Retries=2)
        + group('h.example/team', Retries=3) + group('h.example/team/app', MaxConnections=3)
        + group('*.corp.example', Retries=4, Insecure='yes'),
        '20-b.conf': group('*.lab.corp.example', Retries=5)
        + group('*.port.example:5000', Retries=6)
        + group('docker.io', Retries=7) + group('docker.io/library/one', Retries=8)
        + '[defaults]\nRetries=20\nStallTimeout=5s\n',
    }

    def test_names(self):
        for name, retries in {
                'h.example': 1, 'H.Example': 1, 'h.example/other': 1, 'h.example/teams': 1,
                'h.example:5000': 2, 'h.example:05000/team': 2, 'h.example:443': 20,
                'h.example/team': 3, 'h.example/team/x': 3, 'h.example/team/app/x': 3,
                'x.h.example': 20,
                'a.corp.example': 4, 'a.b.corp.example:80/x': 4, 'corp.example': 20,
                'xcorp.example': 20, 'a.lab.corp.example': 5, 'lab.corp.example': 4,
                'a.port.example:5000': 6, 'a.port.example': 20,
                'docker.io': 7, 'index.docker.io/team/x': 7, 'docker.io/one': 8,
                'registry-1.docker.io': 20,
        }.items():
            with self.subTest(name=name):
                found = self.instance.registry(name)
                self.assertEqual(found['Retries'], retries)
                self.assertEqual(found['StallTimeout'], 5_000_000)
        self.assertEqual(self.instance.registry('h.example/team/app')['MaxConnections'], 3)
        self.assertEqual(self.instance.registry('h.example/team')['MaxConnections'], 6)

    def test_each_key_has_its_own_origin(self):
        origins = self.instance.registry('a.lab.corp.example')['Origins']
        directory = os.path.join(self.instance.configuration, 'registries.d')
        self.assertEqual(origins['Retries'], f'{directory}/20-b.conf:2')
        self.assertEqual(origins['Insecure'], f'{directory}/10-a.conf:11')
        self.assertEqual(origins['StallTimeout'], f'{directory}/20-b.conf:11')
        self.assertEqual(origins['MaxConnections'], 'built-in')

    def test_list(self):
        directory = os.path.join(self.instance.configuration, 'registries.d')
        rows = self.instance.registries('List', 'a{sv}', vardict({}))
        self.assertEqual({frozenset(row) for row in rows}, {frozenset(('Registry', 'Origin'))})
        found = {str(row['Registry']): str(row['Origin']) for row in rows}
        self.assertEqual(found['h.example'], f'{directory}/10-a.conf:1')
        self.assertEqual(found['*.lab.corp.example'], f'{directory}/20-b.conf:1')
        self.assertEqual(len(found), 9)
        order = [str(row['Registry']) for row in rows]
        for before, after in (('h.example/team/app', 'h.example/team'), ('h.example', '*.corp.example'),
                              ('*.lab.corp.example', '*.corp.example')):
            self.assertLess(order.index(before), order.index(after))

    def test_bad_names(self):
        for name in ('', 'h.example:65536', '-h.example', 'h.example-', 'h.example?x', 'u@h.example',
                     'h.example/..', 'h example', '*.corp.example', '"h"'):
            with self.subTest(name=name), self.assertError('InvalidReference'):
                self.instance.registry(name)
        with self.assertError('InvalidReference', "registry https://h.example should not contain "
                                                  "'://'"):
            self.instance.registry('https://h.example')

    def test_bad_options(self):
        with self.assertError('org.freedesktop.DBus.Error.InvalidArgs', 'Colour'):
            self.instance.registries('List', 'a{sv}', vardict({'Colour': 'red'}))


class Addresses(InstanceTestCase):
    registries = group('10.0.0.0/8', Retries=10, Insecure='yes') \
        + group('10.1.2.3/16', Retries=16) + group('[::1]:5000', Retries=17) \
        + group('2001:db8::/32', Retries=18) + group('10.1.1.1', Retries=19) \
        + group('192.168.0.0/16', AllowNondistributable='yes', Blocked='no') \
        + group('192.168.7.0/24', AllowNondistributable='no', Blocked='yes') \
        + '[defaults]\nRetries=20\n'

    def test_literal_addresses(self):
        for name, retries in {
                '10.9.9.9': 10, '10.9.9.9:5000/x': 10, '10.1.9.9': 16, '10.1.1.1': 19,
                '10.1.1.1:5000': 16, '11.0.0.1': 20, '[::1]:5000': 17, '[::1]': 20,
                '[2001:db8::5]:1': 18, '[::ffff:10.9.9.9]:5000': 10, '[2001:db9::]': 20,
                '10.0.0.0/8': 10,  # a repository called 8
        }.items():
            with self.subTest(name=name):
                self.assertEqual(self.instance.registry(name)['Retries'], retries)
        self.assertTrue(self.instance.registry('10.1.1.1')['Insecure'])
        outer, inner = (self.instance.registry(f'192.168.{n}.1') for n in (1, 7))
        self.assertTrue(outer['AllowNondistributable'] and not outer['Blocked'])
        self.assertTrue(inner['Blocked'] and not inner['AllowNondistributable'])

    def test_host_bits_are_masked(self):
        rows = self.instance.registries('List', 'a{sv}', vardict({}))
        names = [str(row['Registry']) for row in rows]
        self.assertIn('10.1.0.0/16', names)
        self.assertLess(names.index('10.1.0.0/16'), names.index('10.0.0.0/8'))


class Loopback(InstanceTestCase):
    registries = group('localhost:7', Insecure='no') + '[defaults]\nBlocked=no\n'

    def test_insecure_by_default(self):
        for name in ('localhost', 'localhost:5000/x', '127.0.0.1:5000', '127.9.9.9', '[::1]:5000',
                     '[::ffff:127.0.0.1]'):
            with self.subTest(name=name):
                found = self.instance.registry(name)
                self.assertTrue(found['Insecure'])
                self.assertEqual(found['Origins']['Insecure'], 'built-in')
                self.assertFalse(found['AllowNondistributable'])
        for name in ('localhost:7', 'localhost.example', '128.0.0.1', '[::2]'):
            with self.subTest(name=name):
                self.assertFalse(self.instance.registry(name)['Insecure'])


class ReloadTestCase(InstanceTestCase):
    def refused(self):
        """Returns: the message of a Reload that fails as it should."""
        with self.assertRaises(dbus.DBusException) as raised:
            self.instance.manager('Reload')
        self.assertEqual(raised.exception.get_dbus_name(), ERROR + 'SettingsInvalid')
        return raised.exception.get_dbus_message()


class Secrets(ReloadTestCase):
    registries = group('h.example', Proxy='http://me:hunter2@proxy.example:3128')

    def test_root_alone_sees_them(self):
        self.assertEqual(self.instance.registry('h.example')['Proxy'],
                         'http://me:hunter2@proxy.example:3128')
        self.assertEqual(self.user(ALICE).registry('h.example')['Proxy'],
                         'http://***@proxy.example:3128')
        for who, value in ((self.instance, 'http://me:hunter2@proxy.example:3128'),
                           (self.user(ALICE), 'http://***@proxy.example:3128')):
            rows = who.manager('GetSettings', 'a{sv}', vardict({}))
            self.assertEqual([row['Value'] for row in rows if row['Key'] == 'Proxy'], [value])

    def test_no_message_has_them(self):
        self.instance.write_settings(
            'registries.d/test.conf', group('h.example', Proxy='http://me:hunter2@proxy.example:x'))
        self.assertNotIn('hunter2', self.refused())
        self.assertNotIn('hunter2', self.instance.text('berthd.log'))


class Reload(ReloadTestCase):
    registries = group('a.example', Retries=1) + group('b.example', Retries=1) \
        + group('c.example', Retries=1)

    def write(self, text):
        return self.instance.write_settings('registries.d/test.conf', text)

    def test_replaces_and_announces(self):
        self.write(group('a.example', Retries=1) + group('b.example', Retries=2)
                   + group('d.example', Retries=1) + '[defaults]\nMaxConnections=2\n')
        with self.instance.signals(IF_MANAGER, 'SettingsChanged') as changed:
            self.instance.manager('Reload')
            _, (values,) = changed()
        self.assertEqual(values['Registries'].signature, 's')
        self.assertEqual(set(values['Registries']),
                         {'b.example', 'c.example', 'd.example', '[defaults]'})
        self.assertEqual(self.instance.registry('b.example')['Retries'], 2)
        self.assertEqual(self.instance.registry('c.example')['Retries'], 5)
        self.assertEqual(self.instance.registry('c.example')['MaxConnections'], 2)
        with self.instance.signals(IF_MANAGER, 'SettingsChanged') as changed:
            self.instance.manager('Reload')
            _, (values,) = changed()
        self.assertEqual(list(values['Registries']), [])

    def test_all_or_nothing(self):
        for line, part in (('Retries=many', 'many'), ('Insecure=perhaps', 'perhaps'),
                           ('CAFile=relative', 'relative'), ('MaxConnections=0', '0'),
                           ('ForeignLayers=maybe', 'maybe'), ('ConnectTimeout=0', '0'),
                           ('Proxy=nonsense', 'nonsense'), ('MirrorsFor=some', 'some'),
                           ('[registry http://d.example]', '://'), ('[registry -d]', '-d'),
                           ('[registry d.example:70000]', '70000'), ('[registry "d"]', 'd'),
                           ('[registry u@d.example]', '@'), ('[registry d?x]', 'd?x'),
                           ('[registry ]', 'registry'), ('nonsense', 'nonsense'),
                           ('Mirrors=' + ' '.join(f'm{n}.example' for n in range(33)), '32')):
            with self.subTest(line=line):
                # what is good stands before, in this file and in others, and takes no effect either
                path = self.write(group('a.example', Retries=2) + line + '\n')
                self.instance.write_settings('berth.conf', '[Sandboxes]\nDefaultShmSize=8M\n')
                message = self.refused()
                self.assertIn(f'{path}:3: ', message)
                self.assertIn(part, message)
                self.assertEqual(self.instance.registry('a.example')['Retries'], 1)
                self.assertEqual(self.instance.properties(
                    '/org/berthd/Berth1', IF_MANAGER)['DefaultShmSize'], 64 << 20)

    def test_the_text_for_a_scheme(self):
        self.write(group('https://a.example'))
        with self.assertError('SettingsInvalid', "allow-nondistributable-artifacts registry "
                                                 "https://a.example should not contain '://'"):
            self.instance.manager('Reload')

    def test_a_bad_berth_conf_keeps_registries(self):
        self.write(group('a.example', Retries=2))
        self.instance.write_settings('berth.conf', '[Sandboxes]\nDefaultShmSize=big\n')
        with self.assertError('SettingsInvalid'):
            self.instance.manager('Reload')
        self.assertEqual(self.instance.registry('a.example')['Retries'], 1)

    def test_warnings(self):
        path = self.write('[registry a.example]\nColour=red\nRetries=3\n[garden]\nRoses=yes\n')
        self.instance.manager('Reload')
        self.assertEqual(self.instance.registry('a.example')['Retries'], 3)
        log = self.instance.text('berthd.log')
        self.assertIn(f'{path}:2', log)
        self.assertIn(f'{path}:4', log)

    def test_files(self):
        # later files win, a link to /dev/null masks, hidden files do not count
        later = self.instance.write_settings('registries.d/zz.conf', group('a.example', Retries=7))
        self.instance.write_settings('registries.d/.zzz.conf', group('a.example', Retries=8))
        lower = os.path.join(self.instance.runtime, 'conf', 'registries.d')
        os.makedirs(lower)
        for name, retries in (('test.conf', 9), ('aa.conf', 10)):
            with open(os.path.join(lower, name), 'w', encoding='ascii') as file:
                file.write(group('e.example' if name == 'aa.conf' else 'a.example', Retries=retries))
        self.addCleanup(os.rmdir, os.path.dirname(lower))
        self.addCleanup(os.rmdir, lower)
        for name in ('test.conf', 'aa.conf'):
            self.addCleanup(os.unlink, os.path.join(lower, name))
        self.instance.manager('Reload')
        self.assertEqual(self.instance.registry('a.example')['Retries'], 7)
        self.assertEqual(self.instance.registry('e.example')['Retries'], 10)
        os.unlink(later)
        os.symlink('/dev/null', later)
        self.instance.manager('Reload')
        self.assertEqual(self.instance.registry('a.example')['Retries'], 1)


class Documentation(BerthTestCase):
    def test_the_example_has_every_key_as_it_is_built_in(self):
        with open(os.path.join(TREE, 'data/examples/registries.d/example.conf'),
                  encoding='utf-8') as file:
            text = re.sub('^#([A-Z])', r'\1', file.read(), flags=re.MULTILINE)
        instance = self.new_instance(registries=text)
        self.assertEqual(instance.text('berthd.log'), '')
        found = instance.registry('registry.example.com:5000')
        for key, (_, builtin, _, _) in KEYS.items():
            with self.subTest(key=key):
                self.assertEqual(found[key], builtin)
                self.assertIn(f'{key}=', text)

    def test_the_page_has_every_key(self):
        with open(os.path.join(TREE, 'data/man/berth.registries.d.5'), encoding='utf-8') as file:
            keys = re.findall(r'^\.It Va ([A-Za-z]+)=$', file.read(), re.MULTILINE)
        self.assertEqual(keys, list(KEYS))


class CheckConfig(BerthTestCase):
    def check(self, text):
        instance = self.new_instance(registries=text, start=False)
        return instance, instance.run('berthd', '--check-config', check=False)

    def test_good(self):
        _, done = self.check(group('a.example', Retries=1))
        self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_bad(self):
        instance, done = self.check(group('a.example', Retries='many'))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f'{instance.configuration}/registries.d/test.conf:2: ', done.stderr)
        self.assertIn('many', done.stderr)
        with self.assertRaisesRegex(RuntimeError, 'test.conf:2'):
            instance.start()


if __name__ == '__main__':
    unittest.main()
