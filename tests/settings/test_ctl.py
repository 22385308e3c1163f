# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl: what is in force for a registry, and settings made from Docker's daemon.json."""

import json
import os
import re
import unittest

from berthtest import CtlTestCase


class Registry(CtlTestCase):
    registries = '[registry h.example:5000]\nInsecure=yes\nMirrors=a.example b.example\n' \
                 'ConnectTimeout=1500ms\nStallTimeout=1min\nMaxBandwidth=1000001\n' \
                 'Proxy=http://u:p@proxy.example\n[registry *.corp.example]\nMaxBandwidth=1.5M\n'

    def test_list(self):
        lines = self.ctl('registry').splitlines()
        path = os.path.join(self.instance.configuration, 'registries.d/test.conf')
        self.assertEqual([line.split() for line in lines[:3]],
                         [['REGISTRY', 'ORIGIN'], ['h.example:5000', f'{path}:1'],
                          ['*.corp.example', f'{path}:8']])
        self.assertEqual(lines[3:], ['', '2 registries listed.'])
        self.assertEqual(self.ctl_json('registry')[0],
                         {'Registry': 'h.example:5000', 'Origin': f'{path}:1'})

    def test_one(self):
        path = os.path.join(self.instance.configuration, 'registries.d/test.conf')
        rows = {}
        for line in self.ctl('registry', 'h.example:5000/x', '--no-legend').splitlines():
            key, value, origin = re.match(r'(\w+) +(\S.*\S|\S) +(\S+)\Z', line).groups()
            rows[key] = [value.strip(), origin]
        self.assertEqual(rows['Insecure'], ['yes', f'{path}:2'])
        self.assertEqual(rows['Mirrors'], ['a.example b.example', f'{path}:3'])
        for key, value in (('Blocked', 'no'), ('Location', '-'), ('ConnectTimeout', '1500ms'),
                           ('StallTimeout', '60s'), ('Retries', '5'), ('MaxBandwidth', '1000001'),
                           ('ForeignLayers', 'registry-first'),
                           ('Proxy', 'http://u:p@proxy.example')):
            self.assertEqual(rows[key][0], value)
        self.assertEqual(rows['Blocked'][1], 'built-in')
        self.assertNotIn('Origins', rows)
        self.assertRegex(self.ctl('registry', 'a.corp.example'), r'MaxBandwidth +1\.5M ')

    def test_config(self):
        """What the files say, behind what berth.conf says, with where it stands."""
        path = os.path.join(self.instance.configuration, 'registries.d/test.conf')
        rows = [row for row in self.ctl_json('config')
                if row['Group'] not in ('Sandboxes', 'Transfers', 'Store')]
        self.assertEqual([(row['Group'], row['Key'], row['Value'], row['Origin']) for row in rows], [
            ('registry h.example:5000', 'Insecure', 'yes', f'{path}:2'),
            ('registry h.example:5000', 'Mirrors', 'a.example b.example', f'{path}:3'),
            ('registry h.example:5000', 'Proxy', 'http://u:p@proxy.example', f'{path}:7'),
            ('registry h.example:5000', 'ConnectTimeout', '1500ms', f'{path}:4'),
            ('registry h.example:5000', 'StallTimeout', '1min', f'{path}:5'),
            ('registry h.example:5000', 'MaxBandwidth', '1000001', f'{path}:6'),
            ('registry *.corp.example', 'MaxBandwidth', '1.5M', f'{path}:9')])
        self.instance.write_settings('registries.d/test.conf', '[defaults]\nRetries=3\n'
                                     '[registry x]\nRetries=2\nRetries=\n')
        self.ctl('reload')
        self.assertEqual([row for row in self.ctl_json('config') if row['Key'] == 'Retries'], [
            {'Group': 'defaults', 'Key': 'Retries', 'Value': '3', 'Origin': f'{path}:2'}])

    def test_json_has_the_answer_as_it_is(self):
        self.assertEqual(self.ctl_json('registry', 'h.example:5000'),
                         json.loads(json.dumps(self.instance.registry('h.example:5000'))))

    def test_bad(self):
        self.assertFails('InvalidReference', 'registry', 'h.example:x')
        self.ctl('registry', 'a', 'b', status=2)


class ImportDocker(CtlTestCase):
    def write(self, document):
        path = self.instance.path('daemon.json')
        with open(path, 'w', encoding='utf-8') as file:
            if isinstance(document, str):
                file.write(document)
            else:
                json.dump(document, file)
        return path

    def import_(self, document, **kwargs):
        """Returns: the paths that were written."""
        done = self.instance.run('berthctl', 'config', 'import-docker', self.write(document),
                                 **kwargs)
        self.error = done.stderr
        return done.stdout.splitlines()

    def places(self):
        return [os.path.join(self.instance.configuration, directory, '50-docker.conf')
                for directory in ('berth.conf.d', 'registries.d')]

    def assertRefused(self, document, *parts):
        message = self.assertFails('SettingsInvalid', 'config', 'import-docker',
                                   self.write(document))
        for part in parts:
            self.assertIn(part, message)
        for path in self.places():
            self.assertFalse(os.path.exists(path))
        return message

    def test_everything(self):
        written = self.import_({
            'insecure-registries': ['Plain.Example:5000', 'https://scheme.example', '10.9.8.7/8'],
            'registry-mirrors': ['https://m1.example', 'http://m2.example:5000/cache/'],
            'allow-nondistributable-artifacts': ['plain.example:5000', '192.168.0.0/16'],
            'default-ipc-mode': 'private', 'default-shm-size': '128M', 'log-driver': 'journald'})
        self.assertEqual(written, self.places())
        self.assertRegex(self.error, 'scheme of .https://scheme.example.')
        self.assertIn('berthctl reload', self.error)
        self.instance.manager('Reload')
        plain = self.instance.registry('plain.example:5000')
        self.assertTrue(plain['Insecure'] and plain['AllowNondistributable'])
        self.assertTrue(self.instance.registry('scheme.example')['Insecure'])
        self.assertTrue(self.instance.registry('10.1.1.1')['Insecure'])
        self.assertTrue(self.instance.registry('192.168.1.1')['AllowNondistributable'])
        self.assertTrue(self.instance.registry('m2.example:5000')['Insecure'])
        self.assertFalse(self.instance.registry('m1.example')['Insecure'])
        self.assertEqual(self.instance.registry('docker.io/library/busybox')['Mirrors'],
                         ['m1.example', 'm2.example:5000/cache'])
        settings = {(str(row['Group']), str(row['Key'])): str(row['Value'])
                    for row in self.ctl_json('config')}
        self.assertEqual(settings['Sandboxes', 'DefaultIpcMode'], 'private')
        self.assertEqual(settings['Sandboxes', 'DefaultShmSize'], '128M')

    def test_older_and_other_forms(self):
        self.import_({'default-shm-mode': 'private', 'default-shm-size': 1048576})
        with open(self.places()[0], encoding='utf-8') as file:
            self.assertEqual(file.read().split('\n', 2)[2],
                             '[Sandboxes]\nDefaultIpcMode=private\nDefaultShmSize=1048576\n')
        self.assertFalse(os.path.exists(self.places()[1]))

    def test_again(self):
        self.import_({'insecure-registries': ['a.example'], 'default-ipc-mode': 'private'})
        self.assertEqual(self.import_({'insecure-registries': ['b.example']}), self.places()[1:])
        self.assertFalse(os.path.exists(self.places()[0]))
        self.instance.manager('Reload')
        self.assertFalse(self.instance.registry('a.example')['Insecure'])
        self.assertTrue(self.instance.registry('b.example')['Insecure'])
        self.assertEqual(self.import_({}), [])
        self.assertFalse(os.path.exists(self.places()[1]))

    def test_what_others_wrote_is_kept(self):
        path = self.instance.write_settings('registries.d/50-docker.conf', '# mine\n')
        self.assertIn(path, self.assertFails('org.freedesktop.DBus.Error.Failed', 'config',
                                             'import-docker', self.write(
                                                 {'insecure-registries': ['a.example']})))
        with open(path, encoding='utf-8') as file:
            self.assertEqual(file.read(), '# mine\n')

    def test_json(self):
        self.write({'insecure-registries': ['a.example']})
        answer = json.loads(self.instance.run('berthctl', '-j', 'config', 'import-docker',
                                              self.instance.path('daemon.json')).stdout)
        self.assertEqual(answer, {'Files': self.places()[1:]})

    def test_fixed_texts(self):
        self.assertEqual(
            self.assertRefused({'allow-nondistributable-artifacts': ['https://a.example']}),
            "allow-nondistributable-artifacts registry https://a.example should not contain '://'")
        for key in ('default-ipc-mode', 'default-shm-mode'):
            self.assertEqual(
                self.assertRefused({key: 'host', 'insecure-registries': ['a.example']}),
                'default IPC mode setting (host) is invalid; use "shareable" or "private"')

    def test_refused(self):
        for document, *parts in (
                ('nonsense', 'daemon.json'), ('[]', 'daemon.json'),
                ({'insecure-registries': ['ok.example', '-bad.example']}, 'insecure-registries', '-bad'),
                ({'insecure-registries': 'a.example'}, 'insecure-registries', 'list'),
                ({'insecure-registries': [1]}, 'insecure-registries'),
                ({'insecure-registries': ['a.example:70000']}, '70000'),
                ({'insecure-registries': ['a"b']}, 'insecure-registries'),
                ({'allow-nondistributable-artifacts': ['10.0.0.0/33']}, '10.0.0.0/33'),
                ({'registry-mirrors': ['m.example']}, 'registry-mirrors', 'm.example'),
                ({'registry-mirrors': ['ftp://m.example']}, 'registry-mirrors'),
                ({'registry-mirrors': ['https://m.example?x=1']}, 'registry-mirrors'),
                ({'default-shm-size': 'big'}, 'default-shm-size', 'big'),
                ({'default-shm-size': 0}, 'default-shm-size'),
                ({'default-shm-size': True}, 'default-shm-size'),
                ({'default-ipc-mode': 1}, 'default-ipc-mode'),
                ({'default-ipc-mode': 'private', 'default-shm-mode': 'private'}, 'same')):
            with self.subTest(document=document):
                self.assertRefused(document, *parts)

    def test_no_secret_is_repeated(self):
        message = self.assertRefused({'registry-mirrors': ['https://u:hunter2@m.example']})
        self.assertNotIn('hunter2', message)

    def test_usage(self):
        self.ctl('config', 'import-docker', status=2)
        self.ctl('config', 'import-moby', 'x', status=2)
        self.assertFails('InvalidOption', 'config', 'import-docker', self.instance.path('none'))


if __name__ == '__main__':
    unittest.main()
