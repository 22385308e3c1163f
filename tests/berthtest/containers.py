# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's podman and docker, each with places of its own, for what they write and read.

    with Podman(directory) as podman:
        podman('load', '--input', path)
    with Docker(directory) as docker:              # a dockerd and a containerd that nobody else sees
        docker('load', '--input', path)

directory: exists, with a short path, since sockets lie below it; whoever made it removes it.
"""

import contextlib
import glob
import os
import subprocess
import time

from . import syscalls

PATIENCE = 120  # seconds

# What dockerd and containerd leave in fixed places goes with a mount namespace.
PRIVATE_PLACES = '''
for place in /run /var/lib /opt /etc/docker; do
    [ ! -d $place ] || mount -t tmpfs tmpfs $place || exit
done
exec "$@"
'''


def _run(command, environment, check, **kwargs):
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=PATIENCE,
                          preexec_fn=syscalls.die_with_parent, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f'{" ".join(command)} ended with {done.returncode}:\n'
                             f'{done.stdout}{done.stderr}')
    return done.stdout


class _Tool:
    def __init__(self, directory):
        self.directory = directory
        self._environment = {'PATH': os.environ['PATH'], 'HOME': directory, 'TMPDIR': directory,
                             'LC_ALL': 'C.UTF-8'}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        pass

    def __call__(self, *arguments, check=True):
        """Returns: what the tool prints."""
        return _run([*self.command, *arguments], self._environment, check)

    def path(self, name):
        return os.path.join(self.directory, name)


class Podman(_Tool):
    """No process stays between calls."""

    def __init__(self, directory):
        super().__init__(directory)
        self.command = ['podman', '--root', self.path('root'), '--runroot', self.path('run'),
                        '--tmpdir', self.path('tmp'), '--storage-driver', 'vfs',
                        '--cgroup-manager', 'cgroupfs', '--events-backend', 'none']

    @contextlib.contextmanager
    def mounted(self, image):
        """Yields: the directory with the files of image."""
        try:
            yield self('image', 'mount', image).strip()
        finally:
            self('image', 'umount', image)


class Docker(_Tool):
    """command: of the client, for those who start it themselves."""

    def __init__(self, directory, driver='vfs'):
        super().__init__(directory)
        self._socket, self._group = self.path('sock'), f'berth-{os.path.basename(directory)}'
        # the distribution's: another one on the path may be too new for its dockerd
        self.command = ['/usr/bin/docker', '--config', directory, '--host',
                        f'unix://{self._socket}']
        with open(self.path('log'), 'wb') as log:
            self._process = subprocess.Popen(
                ['unshare', '--mount', 'sh', '-c', PRIVATE_PLACES, 'sh', 'dockerd',
                 '--iptables=false', '--bridge=none', f'--storage-driver={driver}',
                 '--data-root', self.path('data'), '--exec-root', self.path('exec'),
                 '--pidfile', self.path('pid'), '--cgroup-parent', f'/{self._group}',
                 '--host', f'unix://{self._socket}'],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=syscalls.die_with_parent)
        try:
            self._await()
        except BaseException:
            self.close()
            raise

    def _await(self):
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(self._socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                with open(self.path('log'), encoding='utf-8', errors='replace') as file:
                    raise RuntimeError(f'dockerd did not start:\n{file.read()}')
            time.sleep(0.02)

    def close(self):
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self._process.kill()
        self._process.wait()
        for directory in glob.glob(f'/sys/fs/cgroup/**/{self._group}', recursive=True):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
