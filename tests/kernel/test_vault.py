# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing is left behind, and nothing is lost: counts before and after, restarts, SIGKILL, purge."""

import ctypes
import itertools
import os
import select
import signal
import time
import unittest

from berthtest import (BerthTestCase, DEADLINE, IF_SANDBOX, InstanceTestCase, mounts_below,
                       namespace_references, syscalls)

KEY = 0x4266


class ShmWatch:
    """Tells when a tmpfs is really gone: its superblock dies with the last clone anywhere."""

    IN_UNMOUNT = 0x2000

    def __init__(self, directory_fd):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_CLOEXEC)
        if self._libc.inotify_add_watch(self.fd, b'/proc/self/fd/%d' % directory_fd,
                                        self.IN_UNMOUNT) < 0:
            raise OSError(ctypes.get_errno(), 'inotify_add_watch')

    def gone(self, seconds):
        return bool(select.select([self.fd], [], [], seconds)[0])

    def close(self):
        os.close(self.fd)


class NothingIsLeft(InstanceTestCase):
    def assertNamespaceGone(self, handle, inode):
        deadline = time.monotonic() + DEADLINE
        # the kernel frees in the background; without handles, references are all that can be seen
        while handle.supported and handle.alive():
            self.assertLess(time.monotonic(), deadline, 'the IPC namespace lives on: ' + ', '.join(
                namespace_references('ipc', inode, [('the vault', self.instance.vault_mountinfo())])))
            select.select([], [], [], 0.01)
        self.assertEqual(namespace_references(
            'ipc', inode, [('the vault', self.instance.vault_mountinfo())]), [])

    def remove_and_look(self, **options):
        before = self.instance.trace()
        path = self.instance.create('demo', **options)
        if options.get('Mode') == 'private':
            inode = self.instance.describe(path)['NamespaceId']
        fds = self.instance.join('demo')
        handle = syscalls.NamespaceHandle(fds['ipc'])
        inode = os.fstat(fds['ipc']).st_ino
        watch = ShmWatch(fds['shm']) if 'shm' in fds else None
        for fd in fds.values():
            os.close(fd)
        if options.get('Mode') in (None, 'shareable') and watch:
            self.assertFalse(watch.gone(0), 'the shm went although the sandbox is there')
        if self.instance.list(Name='demo'):  # a private one's record goes with its tmpfs
            try:
                self.instance.remove(path)
            except Exception:
                self.assertEqual(len(self.instance.list(Name='demo')), 0)
        if watch:
            self.assertTrue(watch.gone(DEADLINE), 'the shm was not freed')
            watch.close()
        self.assertNamespaceGone(handle, inode)
        self.assertTrace(before)

    def test_shareable(self):
        self.remove_and_look(Mode='shareable')

    def test_private(self):
        self.remove_and_look(Mode='private')

    def test_none(self):
        self.remove_and_look(Mode='none')

    def test_published(self):
        self.remove_and_look(Publish=True)

    def test_every_option(self):
        self.remove_and_look(ShmSize=1 << 20, ShmInodes=10, Labels={'a': 'b'},
                             Sysctls={'kernel.msgmnb': '32768'}, Publish=True)

    def test_host(self):
        before = self.instance.trace()
        path = self.instance.create(Mode='host')
        self.instance.remove(path)
        self.assertTrace(before)

    def test_container(self):
        before = self.instance.trace()
        donor = self.instance.create('donor', Publish=True)
        joiner = self.instance.create('joiner', Mode='container:donor', Publish=True)
        fds = self.instance.join('joiner')
        handle = syscalls.NamespaceHandle(fds['ipc'])
        inode = os.fstat(fds['ipc']).st_ino
        watch = ShmWatch(fds['shm'])
        self.addCleanup(watch.close)
        for fd in fds.values():
            os.close(fd)
        self.instance.remove(donor)
        self.assertFalse(watch.gone(0))
        self.instance.remove(joiner)
        self.assertTrue(watch.gone(DEADLINE))
        self.assertNamespaceGone(handle, inode)
        self.assertTrace(before)

    def test_never_joined(self):
        before = self.instance.trace()
        for mode in ('private', 'none', 'shareable'):
            path = self.instance.create(Mode=mode)
            inode = self.instance.describe(path)['NamespaceId']
            self.instance.remove(path)
            self.assertEqual(namespace_references(
                'ipc', inode, [('the vault', self.instance.vault_mountinfo())]), [])
        self.assertTrace(before)

    def test_a_hundred(self):
        before = self.instance.trace()
        paths = [self.instance.create(Publish=number % 2 == 0) for number in range(100)]
        during = self.instance.trace()
        self.assertEqual(during['descriptors'], before['descriptors'], 'no fd per sandbox')
        for path in paths:
            self.instance.remove(path)
        self.assertTrace(before)

    def test_the_host_s_mount_table_has_only_what_is_published(self):
        before = len(mounts_below(self.instance.directory))
        self.instance.create('quiet')
        self.instance.create('once', Mode='private')
        self.assertEqual(len(mounts_below(self.instance.directory)), before)


class HostNamespace(BerthTestCase):
    """The numbers by which the kernel tells which namespace is older depend on the CPU."""

    def start_on(self, instance, cpu):
        """berthd begins on that CPU, although it may use all."""
        script = instance.path('berthd')
        usable = ','.join(map(str, sorted(os.sched_getaffinity(0))))
        with open(script, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\nexec taskset -c {usable} {instance.tool("berthd")} "$@"\n')
        os.chmod(script, 0o755)
        instance.tool = lambda _name: script
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpu})
        try:
            instance.start()
        finally:
            os.sched_setaffinity(0, before)

    def test_made_on_any_cpu(self):
        cpus = sorted(os.sched_getaffinity(0))[:4]
        for host_cpu, cpu in itertools.product(cpus, cpus):
            with self.subTest(host=host_cpu, berthd=cpu):
                host = self.member()
                host.run_on(host_cpu)
                host.new_mounts()
                instance = self.new_instance(
                    start=False, args=[f'--host-mount-namespace=/proc/{host.pid}/ns/mnt'])
                self.start_on(instance, cpu)
                path = instance.create('demo', Publish=True)
                published = str(instance.describe(path)['PublishedPath'])
                self.assertEqual(host.listdir(published), ['ipc', 'mqueue', 'shm'])
                self.assertEqual(mounts_below(instance.directory), [])
                instance.restart()
                self.assertEqual(len(instance.list()), 1)
                instance.close()
                self.assertEqual([line for line in host.mountinfo().splitlines()
                                  if instance.directory in line], [])
                host.close()


class Purge(InstanceTestCase):
    def test_purge(self):
        fds = []
        for options in ({'Publish': True}, {'Mode': 'none'}, {'Mode': 'private'}, {'Mode': 'host'}):
            self.instance.create(**options)
        self.instance.create('demo', Publish=True)
        fds = self.instance.join('demo')
        handle = syscalls.NamespaceHandle(fds['ipc'])
        inode = os.fstat(fds['ipc']).st_ino
        watch = ShmWatch(fds['shm'])
        self.addCleanup(watch.close)
        for fd in fds.values():
            os.close(fd)
        self.instance.terminate()
        self.instance.purge()
        self.assertEqual(self.instance.leftovers(), [])
        self.assertTrue(watch.gone(DEADLINE))
        self.assertEqual(namespace_references('ipc', inode), [])
        if handle.supported:
            deadline = time.monotonic() + DEADLINE
            while handle.alive():
                self.assertLess(time.monotonic(), deadline)
                select.select([], [], [], 0.01)
        self.instance.start()
        self.assertEqual(len(self.instance.list()), 0)

    def test_purge_of_nothing(self):
        self.instance.terminate()
        self.instance.purge()
        self.instance.purge()
        self.instance.start()

    def test_purge_after_a_crash(self):
        self.instance.create('demo', Publish=True)
        self.instance.kill()
        self.instance.purge()
        self.assertEqual(self.instance.leftovers(), [])
        self.instance.start()

    def test_purge_while_a_program_uses_a_sandbox(self):
        self.instance.create('demo', Publish=True)
        member = self.joined('demo')
        self.instance.terminate()
        self.instance.purge()
        self.assertEqual(self.instance.leftovers(), [])
        member.write('/dev/shm/file', 'text')
        self.assertEqual(member.read('/dev/shm/file'), 'text')
        self.instance.start()


class Restart(InstanceTestCase):
    def state(self):
        return {str(row['Id']): {key: row[key] for key in (
            'Name', 'Mode', 'Owner', 'State', 'CreatedUSec', 'ShmSize', 'Path', 'NamespaceId',
            'ShmDevice', 'ShmInodes', 'Labels', 'Sysctls', 'PublishedPath', 'Lifetime', 'Donor')
            if key in row} for row in self.instance.list()}

    def populate(self):
        self.instance.create('demo', Publish=True, ShmSize=1 << 20, Labels={'a': 'b'},
                             Sysctls={'kernel.msgmnb': '32768'})
        self.instance.create('joiner', Mode='container:demo')
        self.instance.create('quiet', ShmInodes=10)
        self.instance.create('none', Mode='none')
        self.instance.create('private', Mode='private')
        self.instance.create('host', Mode='host')
        self.instance.create()

    def check(self, restart):
        self.populate()
        self.assertEqual(len(self.instance.list()), 7)
        member = self.joined('demo')
        member.write('/dev/shm/file', 'text')
        member.shm_put(KEY, b'segment')
        member.mq_put('/queue', b'message')
        before, published = self.state(), mounts_below(self.instance.directory)
        restart()
        self.assertEqual(self.state(), before)
        self.assertEqual(mounts_below(self.instance.directory), published)
        other = self.joined('joiner')
        self.assertEqual(other.read('/dev/shm/file'), 'text')
        self.assertEqual(other.shm_get(KEY, 7), b'segment')
        self.assertEqual(other.mq_get('/queue'), b'message')
        for row in self.instance.list():
            self.instance.remove(str(row['Path']))
        self.assertEqual([row['target'] for row in mounts_below(self.instance.directory)
                          if '/sandbox/' in row['target']], [])

    def test_sigterm(self):
        self.check(self.instance.restart)

    def test_sigkill(self):
        def restart():
            self.instance.kill()
            self.instance.start()
        self.check(restart)

    def test_often(self):
        def restart():
            for _ in range(5):
                self.instance.restart()
        self.check(restart)

    def test_a_handed_over_sandbox_stays_so(self):
        path = self.instance.create('once', Mode='private')
        member = self.joined('once')
        self.instance.restart()
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'handed-over')
        with self.assertError('NotShareable', 'once'):
            self.instance.join('once')
        with self.instance.signals('org.freedesktop.DBus.ObjectManager',
                                   'InterfacesRemoved') as removed:
            member.close()
            self.assertEqual(removed()[1][0], path)

    def test_one_that_ended_while_the_service_was_away(self):
        self.instance.create('once', Mode='private')
        member = self.joined('once')
        self.instance.terminate()
        member.close()
        self.instance.start()
        deadline = time.monotonic() + DEADLINE
        while self.instance.list():
            self.assertLess(time.monotonic(), deadline)
            select.select([], [], [], 0.01)

    def test_names_stay_taken(self):
        self.instance.create('demo')
        self.instance.restart()
        with self.assertError('SandboxExists', 'demo'):
            self.instance.create('demo')

    def test_killed_in_the_middle_of_work(self):
        """Whatever was half done is undone or finished by the next start, and never in the way."""
        for delay in (0, 0.001, 0.002, 0.005, 0.01):
            child = os.fork()
            if child == 0:
                try:
                    # its own connection: the parent's is the parent's
                    bus = self.instance.connect()
                    from berthtest import BUS_NAME, IF_SANDBOXES, ROOT_PATH, vardict
                    while True:
                        path = bus.call_blocking(BUS_NAME, ROOT_PATH, IF_SANDBOXES, 'Create',
                                                 'sa{sv}', ('', vardict({'Publish': True})))
                        bus.call_blocking(BUS_NAME, path, IF_SANDBOX, 'Remove', 'a{sv}',
                                          (vardict({}),))
                finally:
                    os._exit(0)
            select.select([], [], [], 0.05 + delay)
            self.instance.kill()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.instance.start()
            for row in self.instance.list():
                path = str(row['Path'])
                with self.joined(str(row['Id'])) as member:
                    member.write('/dev/shm/file', 'text')
                self.instance.sandbox(path, 'Publish')
                self.instance.remove(path)
            trace = self.instance.trace()
            self.assertEqual([name for name in trace['vault files']
                              if name.startswith(('/slot/', '/record/'))], [])
            self.assertEqual([row['target'] for row in mounts_below(self.instance.directory)
                              if '/sandbox/' in row['target']], [])


if __name__ == '__main__':
    unittest.main()
