# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines on networks of their own: network namespaces with cables between them.

    with Machine() as laptop, Machine() as server:
        cable = laptop.plug('10.20.0.2/24', server, '10.20.0.1/24')
        with server.entered():
            registry = Registry(address='10.20.0.1')    # listens there, whoever uses it
        with laptop.entered():
            instance = Instance()                       # all its processes are there
        cable.pull_out()

A thread that is inside starts its processes, threads and sockets there, and they stay there; files
and the buses of instances, which are files, are everybody's. A machine has a loopback, and only what
was plugged in besides: nothing of the machine that the tests run on is reached from it. It relies on
root and on ip(8).
"""

import contextlib
import itertools
import os
import socket
import subprocess

from . import syscalls

REACHED = 5  # seconds for a connection that nothing delays

_numbers = itertools.count(1)


def _ip(*arguments):
    done = subprocess.run(['ip', *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f'ip {" ".join(arguments)}: {done.stderr}')


class Cable:
    """Between two machines; see Machine.plug()."""

    def __init__(self, machine, name):
        self._machine, self._name = machine, name

    def pull_out(self):
        """Neither end is there any more, nor are the addresses and routes that came with it."""
        with self._machine.entered():
            _ip('link', 'delete', self._name)


class Machine:
    """A network namespace."""

    def __init__(self):
        def prepare():
            syscalls.die_with_parent()
            syscalls.unshare(syscalls.CLONE_NEWNET)

        # ip(8) names a namespace by a process in it
        self._process = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                         preexec_fn=prepare)
        self._namespace = os.open(f'/proc/{self._process.pid}/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        with self.entered():
            _ip('link', 'set', 'lo', 'up')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The namespace goes when nothing that was started inside is left."""
        if self._process:
            self._process.stdin.close()
            self._process.wait()
            self._process = None
            os.close(self._namespace)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside as long as this lasts."""
        outside = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(self._namespace, syscalls.CLONE_NEWNET)
            try:
                yield
            finally:
                syscalls.setns(outside, syscalls.CLONE_NEWNET)
        finally:
            os.close(outside)

    def plug(self, address, other, other_address):
        """address, other_address: IPv4 with the length of the prefix, of the two ends.

        Returns: a Cable.
        """
        number = next(_numbers)
        near, far = f'near{number}', f'far{number}'
        with self.entered():
            _ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns',
                str(other._process.pid))
            self._up(near, address)
        with other.entered():
            self._up(far, other_address)
        return Cable(self, near)

    @staticmethod
    def _up(name, address):
        _ip('address', 'add', address, 'dev', name)
        _ip('link', 'set', name, 'up')

    def reaches(self, host):
        """host: `ADDRESS:PORT`. Returns: whether somebody listens there, as seen from here."""
        address, _, port = host.rpartition(':')
        with self.entered():
            try:
                socket.create_connection((address, int(port)), REACHED).close()
            except OSError:
                return False
        return True
