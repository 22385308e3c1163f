# SPDX-License-Identifier: LGPL-2.1-or-later
"""However a snapshot or restore ends, at whatever moment, the sandbox is as it was.

The kernel is asked to hold a helper process at a certain call (strace), where it is killed, alone
or with its supervisor and the service; and the service is killed at random moments, how often says
BERTH_SNAPSHOT_KILLS.
"""

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import time
import unittest

import dbus

from berthtest import MemberError, SnapshotTestCase, contents, syscalls

MB = 1 << 20
KILLS = int(os.environ.get('BERTH_SNAPSHOT_KILLS') or 15)


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as file:
            return file.read().rpartition(')')[2].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


class KillTestCase(SnapshotTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.instance.create('demo')
        self.inside = self.joined('demo')
        self.idle = children(self.instance.daemon.pid)

    def helpers(self):
        """Returns: (supervisor, helper) of what goes on, as far as there are any."""
        mine = [pid for pid in children(self.instance.daemon.pid) if pid not in self.idle]
        return (mine + [child for pid in mine for child in children(pid)])[:2]

    def drained(self):
        """Returns: all messages of all queues, which stay there."""
        found = {}
        for name in self.inside.listdir('/dev/mqueue'):
            found[name] = self.inside.do(contents.mq_drain, name)
            for priority, data in found[name]:
                self.inside.do(contents.mq_send, name, priority, data)
        return found

    def make_queues(self, count=3, each=60):
        for number in range(count):
            messages = [(n * 7 % 5, f'{n}'.encode() * (n % 4)) for n in range(each)]
            self.instance.set_sysctls(self.path, {'fs.mqueue.msg_max': str(each)})
            self.inside.do(contents.mq_make, f'queue{number}', messages, most=each, size=16)

    @contextlib.contextmanager
    def held(self, call, when, moment):
        """Whatever the service forks is held for long at its when-th call, at `enter` or `exit`.

        Yields: a function that waits until it is. Other modules' calls of the same do not count:
        only this service and its children are watched.
        """
        log = self.instance.path('strace.log')
        with open(log, 'wb') as file:
            strace = subprocess.Popen(
                ['strace', '-f', '-q', '-p', str(self.instance.daemon.pid), '-e', f'trace={call}',
                 '-e', f'inject={call}:delay_{moment}=60000000:when={when}'],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file)

        def begun():
            with open(f'/proc/{self.instance.daemon.pid}/status', encoding='ascii') as status:
                return f'TracerPid:\t{strace.pid}' in status.read()

        def reached():
            with open(log, encoding='utf-8', errors='replace') as text:
                lines = [line for line in text.read().splitlines() if f'{call}(' in line]
            return len(lines) >= when
        try:
            self.eventually(begun)
            yield lambda: self.eventually(reached)
        finally:
            strace.kill()
            strace.wait()
            os.unlink(log)

    def begin(self, **options):
        """Returns: (the pending call, where its archive comes out)."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        pending = self.user(0).begin_snapshot(self.path, theirs.fileno(), **options)
        theirs.close()
        self.addCleanup(ours.close)
        return pending, ours


class Held(KillTestCase):
    """Every moment of taking messages out and putting them back."""

    def kill_at(self, call, when, moment, victims):
        before = self.drained()
        with self.held(call, when, moment) as reached:
            pending, _ = self.begin(Stopped=True)
            reached()
            supervisor, helper = self.eventually(lambda: len(self.helpers()) == 2
                                                 and self.helpers())
            for name in victims:
                if name == 'service':
                    self.instance.kill()
                else:
                    os.kill({'helper': helper, 'supervisor': supervisor}[name], signal.SIGKILL)
        if 'service' in victims:
            self.eventually(lambda: not alive(supervisor))
            self.eventually(lambda: not alive(helper))
            if 'supervisor' not in victims:  # it has put them back by itself
                self.assertEqual(self.drained(), before)
            self.instance.start()
            self.idle = children(self.instance.daemon.pid)
        else:
            with self.assertRaises(dbus.DBusException):
                pending.result()
            self.eventually(lambda: not self.helpers())
        self.assertEqual(self.drained(), before)
        self.save(self.path, Stopped=True)
        self.assertEqual(self.drained(), before)

    def test_helper(self):
        self.make_queues()
        for call in ('mq_timedreceive', 'mq_timedsend'):
            for when in (1, 2, 30, 60):
                for moment in ('enter', 'exit'):
                    with self.subTest(call=call, when=when, moment=moment):
                        self.kill_at(call, when, moment, ['helper'])

    def test_service(self):
        self.make_queues()
        for call, when, moment in (('mq_timedreceive', 20, 'exit'), ('mq_timedsend', 100, 'exit')):
            with self.subTest(call=call):
                self.kill_at(call, when, moment, ['service'])

    def test_all(self):
        self.make_queues()
        for call, when, moment in (('mq_timedreceive', 1, 'exit'), ('mq_timedreceive', 61, 'enter'),
                                   ('mq_timedreceive', 90, 'exit'), ('mq_timedsend', 1, 'enter'),
                                   ('mq_timedsend', 1, 'exit'), ('mq_timedsend', 60, 'exit'),
                                   ('mq_timedsend', 125, 'exit')):
            with self.subTest(call=call, when=when, moment=moment):
                self.kill_at(call, when, moment, ['supervisor', 'helper', 'service'])

    def test_queue_that_is_removed_meanwhile(self):
        self.make_queues(2)
        with self.held('mq_timedreceive', 10, 'exit') as reached:
            self.begin(Stopped=True)
            reached()
            self.inside.do(contents.call, 'unlink', '/dev/mqueue/queue0')
            self.inside.do(contents.call, 'unlink', '/dev/mqueue/queue1')
            supervisor, helper = self.helpers()
            for pid in (supervisor, helper):
                os.kill(pid, signal.SIGKILL)
            self.instance.kill()
        self.instance.start()
        self.assertEqual(self.drained(), {})
        self.save(self.path)

    def test_sandbox_that_is_removed_meanwhile(self):
        self.make_queues(1)
        with self.held('mq_timedreceive', 10, 'exit') as reached:
            pending, _ = self.begin(Stopped=True)
            reached()
            self.instance.remove(self.path)
            os.kill(self.helpers()[1], signal.SIGKILL)
        with self.assertRaises(dbus.DBusException):
            pending.result()
        self.assertEqual(len(self.inside.do(contents.mq_drain, 'queue0')), 60)

    def test_sender_that_was_not_stopped(self):
        """Its message is kept, and comes when there is room; the others stay in their order."""
        self.instance.set_sysctls(self.path, {'fs.mqueue.msg_max': '20'})
        messages = [(5, b'%d' % number) for number in range(20)]
        self.inside.do(contents.mq_make, 'queue', messages, most=20, size=16)
        with self.held('mq_timedreceive', 3, 'enter') as reached:
            pending, _ = self.begin(Stopped=True)
            reached()
            self.inside.do(contents.mq_send, 'queue', 4, b'sneaked in')
            self.inside.do(contents.mq_send, 'queue', 6, b'sneaked in too')
            sender = self.inside.do(contents.mq_send_later, 'queue', 0, b'waits')
        with self.assertError('SandboxBusy', 'a program sent'):
            pending.result()
        self.assertEqual(self.inside.do(contents.reap, sender), 0)
        found = []
        queue = []
        while len(found) < 23:
            queue = self.inside.do(contents.mq_drain, 'queue')
            found += queue
            if not queue:
                time.sleep(0.01)
        self.assertEqual(sorted(found), sorted(messages + [(4, b'sneaked in'),
                                                           (6, b'sneaked in too'), (0, b'waits')]))
        self.assertEqual([message for message in found if message[0] == 5], messages)
        self.eventually(lambda: not self.helpers())


class Random(KillTestCase):
    def test_snapshots(self):
        self.make_queues(5, 100)
        self.inside.do(contents.write_many, '/dev/shm', 200, 1000)
        self.inside.do(contents.shm_make, 0x42, MB, b'segment')
        before, messages = self.inside.do(contents.describe), self.drained()
        generator = random.Random()
        for _ in range(KILLS):
            _, ours = self.begin(Stopped=True)
            deadline = time.monotonic() + generator.random() * 0.08
            while (left := deadline - time.monotonic()) > 0:
                if select.select([ours], [], [], left)[0] and not ours.recv(1 << 16):
                    break
            self.instance.kill()
            ours.close()
            self.instance.start()
            self.assertEqual(self.drained(), messages)
            self.assertEqual(self.inside.do(contents.describe), before)
            self.idle = children(self.instance.daemon.pid)
        self.save(self.path, Stopped=True)

    def test_restores(self):
        self.inside.do(contents.fill)
        self.inside.do(contents.write_many, '/dev/shm', 200, 100)
        full = self.inside.do(contents.describe)
        self.save(self.path, Stopped=True)
        target = self.instance.create('target')
        victim = self.joined('target')
        empty = victim.do(contents.describe)
        generator = random.Random()
        ends = {'empty': 0, 'full': 0}
        for _ in range(KILLS):
            with open(self.file, 'rb') as file:
                self.user(0).begin_restore(target, file.fileno())
            select.select([], [], [], generator.random() * 0.1)
            supervisor = self.helpers()[:1] if generator.random() < 0.5 else []
            for pid in supervisor:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.instance.kill()
            self.eventually(lambda: not any(map(alive, supervisor)))
            self.instance.start()

            def end():
                try:
                    found = victim.do(contents.describe)
                except MemberError:  # of a file that goes
                    return None
                return 'empty' if found == empty else 'full' if found == full else None
            kind = self.eventually(end)
            ends[kind] += 1
            self.idle = children(self.instance.daemon.pid)
            if kind == 'full':
                self.instance.remove(target)
                target = self.instance.create('target')
                victim = self.joined('target')
        self.load(target) if not ends['full'] else None


class Ends(KillTestCase):
    def test_reader_that_leaves(self):
        self.make_queues(1)
        self.inside.fill('/dev/shm/file', 10 * MB)
        before, messages = self.inside.do(contents.describe), self.drained()
        for size in (0, 1, 100000):
            pending, ours = self.begin(Stopped=True)
            while size > 0:
                size -= len(ours.recv(size))
            ours.close()
            with self.assertError('org.freedesktop.DBus.Error.Failed', 'nobody reads it|reset'):
                pending.result()
            self.assertEqual(self.inside.do(contents.describe), before)
            self.assertEqual(self.drained(), messages)

    def test_full_disk(self):
        self.make_queues(1)
        self.inside.fill('/dev/shm/file', 2 * MB)
        messages = self.drained()
        disk = syscalls.new_mount('tmpfs', size='1m')
        self.addCleanup(os.close, disk)
        fd = os.open('archive', os.O_CREAT | os.O_RDWR, 0o600, dir_fd=disk)
        self.addCleanup(os.close, fd)
        with self.assertError('org.freedesktop.DBus.Error.Failed', 'No space left'):
            self.instance.snapshot(self.path, fd, Stopped=True)
        self.assertEqual(self.drained(), messages)

    def test_caller_that_leaves(self):
        self.inside.fill('/dev/shm/file', 10 * MB)
        user = self.user(0)
        ours, theirs = socket.socketpair()
        user.begin_snapshot(self.path, theirs.fileno())
        theirs.close()
        ours.recv(1)
        user.close()
        while ours.recv(MB):
            pass
        ours.close()
        self.eventually(lambda: not self.helpers())
        self.save(self.path)

    def test_end_of_the_service(self):
        """Also when it is asked to end."""
        self.make_queues(1)
        self.inside.fill('/dev/shm/file', 20 * MB)
        messages = self.drained()
        _, ours = self.begin(Stopped=True)
        ours.recv(1)
        helpers = self.eventually(lambda: len(self.helpers()) == 2 and self.helpers())
        self.instance.terminate()
        for pid in helpers:
            self.eventually(lambda pid=pid: not alive(pid))
        self.instance.start()
        self.assertEqual(self.drained(), messages)


if __name__ == '__main__':
    unittest.main()
