# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl: the verbs that ask or change something, their output and their failures."""

import os
import re
import unittest

from berthtest import CtlTestCase, ROOT_PATH

ID = r'[0-9a-f]{32}'


class Sandboxes(CtlTestCase):

    def test_create_prints_the_id(self):
        output = self.ctl('create', 'demo')
        self.assertRegex(output, rf'\A{ID}\n\Z')
        self.assertEqual(self.instance.sandboxes('Get', 's', 'demo'),
                         f'{ROOT_PATH}/sandbox/{output.strip()}')
        answer = self.ctl_json('create')
        self.assertRegex(answer['Id'], rf'\A{ID}\Z')
        self.assertEqual(answer['Path'], f'{ROOT_PATH}/sandbox/{answer["Id"]}')

    def test_create_options(self):
        self.ctl('create', '--ipc=shareable', '--shm-size=1.5m', 'demo', '--shm-inodes=2k',
                 '--huge=never', '--sysctl=kernel.shmmni=63', '--sysctl=kernel.shmmni=64',
                 '--sysctl=kernel.msgmni=5', '--label=a=b=c', '--label=empty=', '--publish')
        answer = self.ctl_json('show', 'demo')
        self.assertEqual(answer['Mode'], 'shareable')
        self.assertEqual(answer['ShmSize'], 1536 * 1024)
        self.assertEqual(answer['ShmInodes'], 2048)
        self.assertEqual(answer['Labels'], {'a': 'b=c', 'empty': ''})
        self.assertEqual({key: answer['Sysctls'].get(key)
                          for key in ('kernel.shmmni', 'kernel.msgmni')},
                         {'kernel.shmmni': '64', 'kernel.msgmni': '5'})
        self.assertTrue(os.path.isdir(answer['PublishedPath']))

    def test_zero_is_the_default(self):
        self.ctl('create', '--shm-size=0', '--shm-inodes=0', 'demo')
        self.assertEqual(self.ctl_json('show', 'demo')['ShmSize'], 64 << 20)

    def test_errors_of_the_service(self):
        self.assertEqual(self.assertFails('InvalidMode', 'create', '--ipc=host:x'),
                         'invalid IPC mode: host:x')
        self.assertFails('InvalidOption', 'create', '--huge=sometimes')
        self.assertFails('InvalidOption', 'create', '--sysctl=kernel.hostname=x')
        self.assertFails('InvalidName', 'create', 'a b')
        self.assertFails('NoSuchSandbox', 'show', 'nobody')
        self.assertFails('NoSuchSandbox', 'create', '--ipc=container:nobody')
        self.ctl('create', 'demo')
        self.assertFails('SandboxExists', 'create', 'demo')

    def test_control_characters_do_not_reach_the_terminal(self):
        self.ctl('create', '--label=x=\x1b[2J\n\x9b', 'demo')
        line = re.search('^Labels:.*$', self.ctl('show', 'demo'), re.MULTILINE).group()
        self.assertRegex(line, r'x=\\x1b\[2J\\x0a\\x9b\Z')

    def test_show(self):
        self.ctl('create', 'demo', '--shm-size=2m')
        rows = dict(re.match(r'(\w+): *(.*)\Z', line).groups()
                    for line in self.ctl('show', 'demo').splitlines())
        self.assertEqual(rows['Name'], 'demo')
        self.assertEqual(rows['Mode'], 'shareable')
        self.assertEqual(rows['Owner'], 'root (0)')
        self.assertEqual(rows['ShmSize'], '2M')
        self.assertEqual(rows['Labels'], '-')
        self.assertRegex(rows['CreatedUSec'], r'\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z')
        self.assertEqual(self.ctl('show', rows['Id']), self.ctl('show', 'demo'))
        self.assertEqual(self.ctl('show', '0/demo'), self.ctl('show', 'demo'))
        self.assertEqual(self.ctl_json('show', 'demo')['Owner'], 0)

    def test_list(self):
        self.assertEqual(self.ctl('list').splitlines()[1:], ['', '0 sandboxes listed.'])
        self.assertEqual(self.ctl('list', '--no-legend'), '')
        self.assertEqual(self.ctl_json('list'), [])
        ids = {name: self.ctl('create', *[name] * bool(name), '--ipc=' + mode).strip()
               for name, mode in (('zoo', 'private'), ('', 'none'), ('bar', 'shareable'))}
        lines = self.ctl('list').splitlines()
        self.assertEqual(lines[0].split(), 'NAME MODE OWNER STATE SIZE USED CREATED ID'.split())
        self.assertEqual([line.split()[0] for line in lines[1:4]], ['bar', 'zoo', '-'])
        self.assertEqual([line.split()[-1] for line in lines[1:4]],
                         [ids['bar'], ids['zoo'], ids['']])
        self.assertEqual(lines[4:], ['', '3 sandboxes listed.'])
        self.assertEqual({line.index(ids[line.split()[0].strip('-')]) for line in lines[1:4]},
                         {lines[0].index('ID')})
        self.assertEqual([line.split() for line in self.ctl('--no-legend', 'list').splitlines()],
                         [line.split() for line in lines[1:4]])
        self.assertEqual([row['Name'] for row in self.ctl_json('list')], ['bar', 'zoo', ''])

    def test_remove(self):
        self.ctl('create', 'a')
        self.ctl('create', 'b')
        identifier = self.ctl('create').strip()
        self.assertEqual(self.ctl('remove', 'a', 'nobody', identifier, status=1), '')
        self.assertRegex(self.error, r'\Aberthctl: [^\n]*nobody[^\n]*\n\Z')
        self.assertEqual([row['Name'] for row in self.ctl_json('list')], ['b'])
        self.assertEqual(self.ctl('remove', 'b'), '')

    def test_resize(self):
        self.ctl('create', 'demo')
        self.ctl('resize', 'demo', '3m', '--shm-inodes=100')
        answer = self.ctl_json('show', 'demo')
        self.assertEqual((answer['ShmSize'], answer['ShmInodes']), (3 << 20, 100))
        self.ctl('resize', 'demo', '0')
        self.assertEqual(self.ctl_json('show', 'demo')['ShmSize'], 64 << 20)
        self.assertFails('InvalidSize', 'resize', 'demo', '1000p')

    def test_publish(self):
        identifier = self.ctl('create', 'demo').strip()
        path = self.ctl('publish', 'demo').strip()
        self.assertEqual(os.path.basename(path), identifier)
        self.assertEqual(sorted(os.listdir(path)), ['ipc', 'mqueue', 'shm'])
        self.assertEqual(self.ctl_json('publish', identifier), {'PublishedPath': path})
        self.assertEqual(self.ctl('unpublish', 'demo'), '')
        self.assertFalse(os.path.exists(path))
        self.ctl('create', '--ipc=private', 'secret')
        self.assertFails('NotShareable', 'publish', 'secret')

    def test_attach(self):
        self.ctl('create', 'demo')
        member = self.member(plain_dev=True)
        self.ctl('attach', 'demo', str(member.pid))
        member.write('/dev/shm/x', 'text')
        with self.joined('demo') as other:
            self.assertEqual(other.read('/dev/shm/x'), 'text')
        dead = self.member()
        dead.close()
        self.assertFails('org.freedesktop.DBus.Error.UnixProcessIdUnknown', 'attach', 'demo',
                         str(2 ** 22 + 1))
        self.assertFails('NotSupported', 'attach', 'demo', str(os.getpid()))


class Service(CtlTestCase):

    settings = '[Sandboxes]\nDefaultIpcMode=private\n'

    def test_config(self):
        rows = self.ctl_json('config')
        self.assertEqual(set(rows[0]), {'Group', 'Key', 'Value', 'Origin'})
        row = next(row for row in rows if row['Key'] == 'DefaultIpcMode')
        self.assertEqual(row, {'Group': 'Sandboxes', 'Key': 'DefaultIpcMode', 'Value': 'private',
                               'Origin': f'{self.instance.configuration}/berth.conf:2'})
        self.assertEqual(next(row for row in rows if row['Key'] == 'MaxSandboxes')['Origin'],
                         'built-in')
        lines = self.ctl('config').splitlines()
        self.assertEqual(lines[0].split(), ['GROUP', 'KEY', 'VALUE', 'ORIGIN'])
        self.assertEqual(lines[-1], f'{len(rows)} settings listed.')
        self.assertEqual([line.split()[1] for line in lines[1:-2]], [row['Key'] for row in rows])

    def test_reload(self):
        path = self.instance.write_settings('berth.conf',
                                            '[Sandboxes]\nDefaultIpcMode=shareable\n')
        self.assertEqual(self.ctl('reload'), '')
        self.assertEqual(self.ctl_json('show', self.ctl('create').strip())['Mode'], 'shareable')
        self.instance.write_settings('berth.conf', '[Sandboxes]\nDefaultIpcMode=host\n')
        message = self.assertFails('SettingsInvalid', 'reload')
        self.assertIn(f'{path}:2', message)
        self.assertEqual(self.ctl_json('show', self.ctl('create').strip())['Mode'], 'shareable')

    def test_address(self):
        environment = {'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'}
        done = self.instance.run('berthctl', '--address=' + self.instance.address, 'list',
                                 **environment)
        self.assertIn('0 sandboxes listed.', done.stdout)
        done = self.instance.run('berthctl', 'list', check=False, **environment)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'\Aberthctl: cannot connect to the bus[^\n]*\n\Z')

    def test_no_service(self):
        self.instance.terminate()
        message = self.assertFails('org.freedesktop.DBus.Error.ServiceUnknown', 'list')
        self.assertIn('berthd', message)


class Usage(CtlTestCase):

    def test_bad_usage(self):
        for line in ('', 'unknown', 'list x', 'show', 'show a b', 'resize a', 'attach a',
                     'create a b', 'list --ipc=none', 'create --keep',
                     'enter --name=x a true', 'run', 'run --', 'enter a', 'enter a --',
                     '--json=xml list', '--unknown list', '-x list',
                     'create --shm-size=-1', 'create --shm-size=1q', 'create --shm-inodes=many',
                     'create --sysctl=kernel.sem', 'create --label', 'create --label==x',
                     'list --quiet=no', 'resize a 1x', 'attach a 0', 'attach a 1x',
                     'run --keep --ipc=private true', 'run --keep --ipc=none true'):
            with self.subTest(line):
                self.assertEqual(self.ctl(*line.split(), status=2), '')
                self.assertRegex(self.error, r'\Aberthctl: [^\n]+\n\Z')
        self.assertEqual(self.ctl_json('nonsense', status=2)['error'],
                         'org.freedesktop.DBus.Error.InvalidArgs')
        self.assertEqual(self.instance.list(), [])

    def test_not_utf8(self):
        for line in ((b'create', b'\xff'), (b'create', b'--label=a=\xff'), (b'show', b'\xc3')):
            done = self.instance.run('berthctl', *map(os.fsdecode, line), check=False)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r'\Aberthctl: [^\n]+UTF-8\n\Z')

    def test_options_anywhere(self):
        self.ctl('--json=short', 'create', '--shm-size=1m', 'demo')
        self.ctl('create', '--', 'other')
        self.assertEqual(self.ctl_json('--', 'show', 'demo')['ShmSize'], 1 << 20)
        self.assertEqual(self.ctl('run', 'echo', '--json=short', '-q'), '--json=short -q\n')
        self.assertEqual(self.ctl('enter', '-q', 'demo', 'echo', '--json=short'), '--json=short\n')
        self.assertEqual(self.ctl('run', '--', 'echo', '--', '-x'), '-- -x\n')

    def test_help_and_version(self):
        help_text = self.ctl('help')
        for option in ('--help', '-h'):
            self.assertEqual(self.ctl(option), help_text)
        for verb in ('create', 'run', 'enter', 'attach', 'list', 'show', 'remove', 'resize',
                     'publish', 'unpublish', 'pull', 'push', 'copy', 'import', 'import-blob',
                     'export', 'images', 'inspect', 'tag', 'remove-image',
                     'prune', 'cat-blob', 'transfers', 'wait', 'cancel', 'config', 'reload',
                     'monitor'):
            self.assertRegex(help_text, rf'(?m)^  {verb} ')
        self.assertRegex(self.ctl('--version'), r'\Aberthctl \S+\n\Z')


if __name__ == '__main__':
    unittest.main()
