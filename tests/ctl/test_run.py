# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl run and enter: what a command finds around itself, and what is left behind."""

import os
import re
import unittest

from berthtest import CtlTestCase, IF_SANDBOX

SHM_MOUNTS = 'grep -c " /dev/shm " /proc/self/mountinfo'
PUT = 'echo text > /dev/shm/x; ipcmk -Q -p 0600 >/dev/null'
GET = 'cat /dev/shm/x; ipcs -q | grep -c 0x'


def host_mounts():
    """What is mounted in /dev; elsewhere other tests come and go."""
    with open('/proc/self/mountinfo', encoding='utf-8') as file:
        return [line for line in file if line.split()[4].startswith('/dev')]


class Commands(CtlTestCase):
    """What does not depend on the mode."""

    def assertNothingLeft(self):
        self.assertEqual(self.instance.list(), [])

    def test_exit_status(self):
        self.ctl('run', 'true')
        self.ctl('run', '--', 'sh', '-c', 'exit 7', status=7)
        self.ctl('run', '--', 'sh', '-c', 'kill -KILL $$', status=128 + 9)
        self.ctl('run', '/nonexistent', status=127)
        self.assertRegex(self.error, r'\Aberthctl: [^\n]+\n\Z')
        self.ctl('run', 'nonexistent-command', status=127)
        self.ctl('run', '/etc', status=126)
        self.ctl('run', '/etc/passwd', status=126)
        self.assertNothingLeft()
        self.instance.create('demo')
        self.ctl('enter', 'demo', 'sh', '-c', 'exit 8', status=8)
        self.ctl('enter', 'demo', '/nonexistent', status=127)
        self.ctl('enter', 'demo', '/etc/passwd', status=126)
        self.assertFails('NoSuchSandbox', 'enter', 'nobody', 'true')

    def test_failures(self):
        self.assertFails('InvalidMode', 'run', '--ipc=bad', 'true')
        self.assertFails('NoSuchSandbox', 'run', '--ipc=container:nobody', 'true')
        self.assertNothingLeft()

    def test_streams(self):
        done = self.instance.run('berthctl', 'run', '--', 'sh', '-c', 'cat; echo error >&2',
                                 input='text')
        self.assertEqual((done.stdout, done.stderr), ('text', 'error\n'))

    def test_descriptors(self):
        program = 'import os; print(*sorted(map(int, os.listdir("/proc/self/fd"))))'
        plain = self.instance.run('/usr/bin/python3', '-c', program).stdout
        self.assertEqual(self.ctl('run', '/usr/bin/python3', '-c', program), plain)
        self.instance.create('demo')
        self.assertEqual(self.ctl('enter', 'demo', '/usr/bin/python3', '-c', program), plain)

    def test_inherited_descriptors_stay(self):
        read = 'exec 9<<<text; "$0" run -- cat /proc/self/fd/9'
        done = self.instance.run('bash', '-c', read, self.instance.tool('berthctl'))
        self.assertEqual(done.stdout, 'text\n')

    def test_signal_state(self):
        command = ('grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status')
        ignoring = ('env', '--ignore-signal=CHLD,USR1', '--block-signal=USR2')
        berthctl = self.instance.tool('berthctl')
        self.instance.create('demo')
        for before in ((), ignoring):
            plain = self.instance.run(*before, *command).stdout
            for arguments in (('run',), ('enter', 'demo'), ('run', '-q', '--keep',
                                                            '--ipc=shareable')):
                done = self.instance.run(*before, berthctl, *arguments, *command)
                self.assertEqual(done.stdout, plain)
        self.assertEqual(self.instance.run(*ignoring, berthctl, 'run', '--', 'sh', '-c', 'exit 5',
                                           check=False).returncode, 5)

    def test_enter_becomes_the_command(self):
        self.instance.create('demo')
        process = self.instance.popen([self.instance.tool('berthctl'), 'enter', 'demo', 'sh', '-c',
                                       'echo $$'])
        output, _ = process.communicate()
        self.assertEqual(output, f'{process.pid}\n')

    def test_name(self):
        program = '"$0" show --json=short me'
        output = self.ctl('run', '--name=me', '--shm-size=3m', '--', 'sh', '-c', program,
                          self.instance.tool('berthctl'))
        self.assertIn('"Name":"me"', output)
        self.assertIn(f'"ShmSize":{3 << 20}', output)
        self.assertNothingLeft()

    def test_keep(self):
        self.instance.run('berthctl', 'run', '--keep', '--name=kept', '--ipc=shareable', '--', 'sh',
                          '-c', 'echo text > /dev/shm/x')
        self.assertEqual(self.ctl('enter', 'kept', 'cat', '/dev/shm/x'), 'text\n')
        done = self.instance.run('berthctl', 'run', '--keep', '--ipc=shareable', 'sh', '-c',
                                 'exit 3', check=False)
        self.assertEqual(done.returncode, 3)
        identifier = re.search('[0-9a-f]{32}', done.stderr).group()
        self.instance.remove(self.instance.sandboxes('Get', 's', identifier))
        self.instance.run('berthctl', 'run', '-q', '--keep', '--name=quiet', 'true')
        self.assertEqual(sorted(str(row['Name']) for row in self.instance.list()),
                         ['kept', 'quiet'])


class KeepByDefault(CtlTestCase):
    settings = '[Sandboxes]\nDefaultIpcMode=private\n'

    def test_private_cannot_be_kept(self):
        self.ctl('run', '--keep', 'true', status=2)
        self.assertIn('private', self.error)
        self.assertEqual(self.instance.list(), [])


class Modes(CtlTestCase):

    def run_script(self, mode, script, **kwargs):
        return self.ctl('run', f'--ipc={mode}', '--', 'sh', '-c', script, **kwargs)

    def setUp(self):
        super().setUp()
        self.host = host_mounts()

    def tearDown(self):
        self.assertEqual(host_mounts(), self.host)
        super().tearDown()

    def test_own_namespace(self):
        for mode in ('private', 'shareable'):
            with self.subTest(mode):
                output = self.run_script(mode, f'{SHM_MOUNTS}; ls -A /dev/shm | wc -l; '
                                               'readlink /proc/self/ns/ipc; '
                                               'stat -fc %T /dev/mqueue; '
                                               'echo > /dev/shm/berth-test')
                mounts, files, namespace, mqueue = output.splitlines()
                self.assertEqual((mounts, files, mqueue), ('1', '0', 'mqueue'))
                self.assertNotEqual(namespace, os.readlink('/proc/self/ns/ipc'))
                self.assertFalse(os.path.exists('/dev/shm/berth-test'))
                self.assertEqual(self.instance.list(), [])

    def test_mount_options(self):
        output = self.ctl('run', '--shm-size=3m', '--shm-inodes=50', '--', 'sh', '-c',
                          'findmnt -no OPTIONS,SIZE /dev/shm; stat -fc %c /dev/shm; '
                          'findmnt -no OPTIONS /dev/mqueue')
        shm, inodes, mqueue = output.splitlines()
        for options in (shm, mqueue):
            for flag in ('nosuid', 'nodev', 'noexec'):
                self.assertIn(flag, options)
        self.assertRegex(shm, ' 3M$')
        self.assertEqual(inodes, '50')

    def test_none(self):
        script = f'{SHM_MOUNTS}; readlink /proc/self/ns/ipc; stat -fc %T /dev/mqueue'
        mounts, namespace, mqueue = self.run_script('none', script).splitlines()
        self.assertEqual((mounts, mqueue), ('0', 'mqueue'))
        self.assertNotEqual(namespace, os.readlink('/proc/self/ns/ipc'))
        self.assertEqual(self.instance.list(), [])

    def test_none_below_several_mounts(self):
        script = ('mount -t tmpfs one /dev/shm; mount -t tmpfs two /dev/shm; cd /dev/shm; '
                  '"$0" run --ipc="$1" -- grep -c " /dev/shm " /proc/self/mountinfo; '
                  'grep -c " /dev/shm .* \\(one\\|two\\) " /proc/self/mountinfo')
        for mode, expected in (('none', '0'), ('private', '1')):
            done = self.instance.run('unshare', '--mount', 'sh', '-c', script,
                                     self.instance.tool('berthctl'), mode)
            self.assertEqual(done.stdout.split(), [expected, '2'])

    def test_working_directory(self):
        """It does not keep a mount in view that was taken away."""
        script = ('mount -t tmpfs one /dev/shm; mkdir /dev/shm/x; touch /dev/shm/x/y; '
                  'cd /dev/shm/x; "$0" run -- sh -c "pwd -P; ls -A; ls -A /dev/shm"; '
                  'cd /usr; "$0" run pwd')
        done = self.instance.run('unshare', '--mount', 'sh', '-c', script,
                                 self.instance.tool('berthctl'))
        self.assertEqual(done.stdout.splitlines()[-1], '/usr')
        self.assertEqual(done.stdout.splitlines()[0], '/')
        self.assertNotIn('y', done.stdout.split())

    def test_host(self):
        script = 'readlink /proc/self/ns/ipc; stat -c %d:%i /dev/shm'
        self.assertEqual(self.run_script('host', script),
                         self.instance.run('sh', '-c', script).stdout)

    def test_container(self):
        donor = self.instance.create('donor')
        self.ctl('enter', 'donor', 'sh', '-c', PUT)
        self.assertEqual(self.run_script('container:donor', GET), 'text\n1\n')
        self.assertEqual([str(row['Path']) for row in self.instance.list()], [donor])

    def test_enter_shares(self):
        path = self.instance.create('demo')
        self.ctl('enter', 'demo', 'sh', '-c', PUT)
        self.assertEqual(self.ctl('enter', 'demo', 'sh', '-c', GET), 'text\n1\n')
        self.assertEqual(self.joined('demo').read('/dev/shm/x'), 'text\n')
        namespace = self.ctl('enter', 'demo', 'stat', '-Lc', '%i', '/proc/self/ns/ipc').strip()
        self.assertEqual(namespace, str(self.instance.describe(path)['NamespaceId']))

    def test_private_is_handed_over(self):
        self.instance.create('demo', Mode='private')
        process = self.instance.popen([self.instance.tool('berthctl'), 'enter', 'demo', 'sh', '-c',
                                       'echo ready; exec sleep 1000'])
        try:
            self.assertEqual(process.stdout.readline(), 'ready\n')
            path = self.instance.sandboxes('Get', 's', 'demo')
            self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'handed-over')
            self.assertFails('NotShareable', 'enter', 'demo', 'true')
        finally:
            process.kill()
            process.communicate()


class Propagation(CtlTestCase):
    """Shared mounts outside, as systemd makes them."""

    def outside(self, script):
        """Runs script in a mount namespace with a shared /dev of its own."""
        prepare = ('set -e; mount --rbind /dev /dev; mount --make-rshared /; '
                   'mount -t tmpfs outer /dev/shm; cd "$1"; mkfifo ready go')
        return self.instance.run('unshare', '--mount', 'sh', '-c', f'{prepare}; {script}',
                                 self.instance.tool('berthctl'), self.instance.directory).stdout

    def test_nothing_comes_out(self):
        output = self.outside(
            '"$0" run -- sh -c "mkdir mnt; mount -t tmpfs inner mnt; echo >ready; read x <go" & '
            'read x <ready; grep -c "\\(inner\\|/dev/shm .* shm\\) " /proc/self/mountinfo || true; '
            'echo >go; wait $!; rmdir mnt')
        self.assertEqual(output, '0\n')

    def test_mounts_come_in(self):
        output = self.outside(
            'mkdir mnt; "$0" run -- sh -c "echo >ready; read x <go; '
            'findmnt -no SOURCE $1/mnt" & '
            'read x <ready; mount -t tmpfs later mnt; echo >go; wait $!; umount mnt; rmdir mnt')
        self.assertEqual(output, 'later\n')

    def test_unmounting_outside_leaves_the_sandbox(self):
        output = self.outside(
            '"$0" run --shm-size=3m -- sh -c "echo >ready; read x <go; '
            'df -m --output=size /dev/shm" & '
            'read x <ready; umount /dev/shm; echo >go; wait $!')
        self.assertEqual(output.split()[-1], '3')


if __name__ == '__main__':
    unittest.main()
