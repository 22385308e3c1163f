# SPDX-License-Identifier: LGPL-2.1-or-later
"""A sandbox and what people run: both sides see one shm file, SysV segment and message queue."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
import unittest

from berthtest import DEADLINE, InstanceTestCase

HERE = os.path.dirname(os.path.abspath(__file__))

# crun and podman want a pure cgroup 2 tree, as every current distribution has.
PURE_CGROUP2 = '''
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit
fi
exec "$@"
'''


class Peers(InstanceTestCase):
    def setUp(self):
        super().setUp()
        if not os.path.isdir('/dev/mqueue'):  # systemd or the kernel make it on ordinary machines
            os.makedirs('/dev/mqueue', exist_ok=True)
        self.object = self.instance.create('demo', Publish=True)
        self.published = str(self.instance.describe(self.object)['PublishedPath'])
        self.probe = self.instance.tool('peers/probe')

    def command(self, *command, **kwargs):
        done = self.instance.run(*command, check=False, **kwargs)
        self.assertEqual(done.returncode, 0,
                         f'{" ".join(command)}\n{done.stdout}{done.stderr}\n{self.instance.logs()}')
        return done

    def outside(self, *arguments):
        """Runs the probe as another member."""
        self.command('berthctl', 'enter', 'demo', '--', self.probe, *arguments)

    def exchange(self, *command, probe=None):
        """command runs the probe in the peer."""
        self.outside('put', 'from outside')
        done = self.command(*command, probe or self.probe, 'exchange', 'from outside', 'from the peer')
        self.assertIn("the message queue holds 'from outside'", done.stdout)
        self.outside('get', 'from the peer')
        with self.joined('demo') as member:
            self.assertEqual(member.read('/dev/shm/probe').rstrip('\0'), 'from the peer')
        self.assertFalse(os.path.exists('/dev/shm/probe'))

    def test_berthctl(self):
        self.exchange('berthctl', 'enter', 'demo', '--')

    def test_nsenter(self):
        self.exchange('nsenter', f'--ipc={self.published}/ipc', 'unshare', '--mount', 'sh', '-ec',
                      'mount --bind "$0/shm" /dev/shm; mount --bind "$0/mqueue" /dev/mqueue;'
                      'exec "$@"', self.published)

    def test_c_program(self):
        self.exchange(self.instance.tool('peers/join'), 'demo')

    def test_python_program(self):
        self.exchange(sys.executable, os.path.join(HERE, 'join.py'), 'demo')

    def test_bwrap(self):
        self.exchange('nsenter', f'--ipc={self.published}/ipc', 'bwrap', '--bind', '/', '/',
                      '--dev', '/dev', '--bind', f'{self.published}/shm', '/dev/shm',
                      '--bind', f'{self.published}/mqueue', '/dev/mqueue')

    def wait_for_read(self, process, fd):
        """Until process waits in read() for fd: bwrap tells its PID before its mounts are there."""
        deadline = time.monotonic() + DEADLINE
        while True:
            with open(f'/proc/{process}/syscall', encoding='ascii') as file:
                if file.read().split()[1:2] == [hex(fd)]:
                    return
            self.assertLess(time.monotonic(), deadline)
            select.select([], [], [], 0.01)

    def test_bwrap_by_attach(self):
        """bwrap waits while Berth mounts into what it has set up."""
        self.outside('put', 'from outside')
        info, tell = os.pipe()
        block, go = os.pipe()
        process = subprocess.Popen(
            ['nsenter', f'--ipc={self.published}/ipc', 'bwrap', '--bind', '/', '/', '--dev', '/dev',
             '--unshare-pid', '--info-fd', str(tell), '--block-fd', str(block), self.probe,
             'exchange', 'from outside', 'from the peer'], env=self.instance.environment(),
            pass_fds=[tell, block], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.close(tell)
        os.close(block)
        with os.fdopen(info) as stream:
            child = json.load(stream)['child-pid']
        pidfd = os.pidfd_open(child)
        self.wait_for_read(child, block)
        self.instance.attach(self.object, pidfd)
        os.close(pidfd)
        os.write(go, b'x')
        os.close(go)
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 0, output)
        self.outside('get', 'from the peer')

    def bundle(self):
        """Returns: the directory of an OCI bundle that shares the sandbox and holds only the probe."""
        directory = self.instance.path('bundle')
        root = os.path.join(directory, 'rootfs')
        os.makedirs(root)
        for name in ('dev', 'proc', 'sys'):
            os.mkdir(os.path.join(root, name))
        shutil.copy(self.probe, os.path.join(root, 'probe'))
        capabilities = ['CAP_IPC_OWNER']

        def bind(name):
            return {'destination': f'/dev/{name}', 'type': 'bind',
                    'source': f'{self.published}/{name}',
                    'options': ['bind', 'nosuid', 'nodev', 'noexec']}
        config = {
            'ociVersion': '1.0.2',
            'process': {
                'terminal': False, 'cwd': '/', 'user': {'uid': 0, 'gid': 0},
                'args': ['/probe', 'exchange', 'from outside', 'from the peer'],
                'env': ['PATH=/'],
                'capabilities': {kind: capabilities
                                 for kind in ('bounding', 'effective', 'permitted')},
            },
            'root': {'path': 'rootfs'},
            'mounts': [
                {'destination': '/proc', 'type': 'proc', 'source': 'proc'},
                {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs',
                 'options': ['nosuid', 'mode=755', 'size=65536k']},
                bind('shm'), bind('mqueue'),
            ],
            'linux': {'namespaces': [{'type': 'pid'}, {'type': 'mount'},
                                     {'type': 'ipc', 'path': f'{self.published}/ipc'}]},
        }
        with open(os.path.join(directory, 'config.json'), 'w', encoding='utf-8') as file:
            json.dump(config, file)
        return directory

    def run_bundle(self, *command):
        bundle = self.bundle()
        self.outside('put', 'from outside')
        done = self.command(*command, 'run', '--bundle', bundle,
                            'berth-' + os.path.basename(self.instance.directory).replace('_', '-'))
        self.assertIn("the message queue holds 'from outside'", done.stdout)
        self.outside('get', 'from the peer')

    def test_runc(self):
        self.run_bundle('runc', '--root', self.instance.path('runc'))

    def test_crun(self):
        self.run_bundle('unshare', '--mount', 'sh', '-c', PURE_CGROUP2, 'sh', 'crun', '--root',
                        self.instance.path('crun'), '--cgroup-manager=disabled')

    def test_podman(self):
        root = os.path.join(self.bundle(), 'rootfs')
        self.outside('put', 'from outside')
        done = self.command(
            'unshare', '--mount', 'sh', '-c', PURE_CGROUP2, 'sh', 'podman',
            '--root', self.instance.path('podman'), '--runroot', self.instance.path('podman-run'),
            '--tmpdir', self.instance.path('podman-tmp'), '--storage-driver=vfs',
            '--cgroup-manager=cgroupfs', '--events-backend=none', 'run', '--rm',
            '--cgroups=disabled', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024',
            '--network=none', f'--ipc=ns:{self.published}/ipc',
            '--volume', f'{self.published}/shm:/dev/shm',
            '--volume', f'{self.published}/mqueue:/dev/mqueue',
            '--rootfs', root, '/probe', 'exchange', 'from outside', 'from the peer', timeout=180)
        self.assertIn("the message queue holds 'from outside'", done.stdout)
        self.outside('get', 'from the peer')


class Unpublished(InstanceTestCase):
    def test_what_a_peer_mounted_stays_after_unpublish(self):
        path = self.instance.create('demo', Publish=True)
        published = str(self.instance.describe(path)['PublishedPath'])
        with self.member() as member:
            member.new_mounts()
            member.bind(f'{published}/shm', '/dev/shm')
            self.instance.sandbox(path, 'Unpublish')
            self.assertFalse(os.path.exists(published))
            member.write('/dev/shm/file', 'text')
        self.assertEqual(self.joined('demo').read('/dev/shm/file'), 'text')
        self.instance.sandboxes('Get', 's', 'demo')

    def test_by_name(self):
        path = self.instance.create('demo', Publish=True)
        published = str(self.instance.describe(path)['PublishedPath'])
        link = os.path.join(self.instance.runtime, 'sandbox', 'by-name', 'demo')
        self.assertEqual(os.path.realpath(link), published)
        self.assertEqual(os.readlink(link), f'../{path.rsplit("/", 1)[1]}')
        self.assertEqual(sorted(os.listdir(published)), ['ipc', 'mqueue', 'shm'])
        self.assertEqual(os.stat(os.path.join(self.instance.runtime, 'sandbox')).st_mode & 0o7777,
                         0o700)
        self.assertEqual(os.stat(f'{published}/ipc').st_ino,
                         self.instance.describe(path)['NamespaceId'])
        self.assertEqual(str(self.instance.sandbox(path, 'Publish')), published)
        self.instance.sandbox(path, 'Unpublish')
        self.assertFalse(os.path.lexists(link))
        self.instance.sandbox(path, 'Unpublish')
        self.assertEqual(self.instance.describe(path)['PublishedPath'], '')
        self.assertEqual(set(self.join('demo')), {'ipc', 'shm', 'mqueue'})


if __name__ == '__main__':
    unittest.main()
