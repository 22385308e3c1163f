# SPDX-License-Identifier: LGPL-2.1-or-later
"""The processes that save and restore: what they may do, and what they need.

BERTH_SNAPSHOT_SIZE: MiB that are saved and restored to see what memory that takes.
"""

import concurrent.futures
import contextlib
import io
import json
import os
import socket
import tarfile
import time
import unittest

from berthtest import ALICE, Member, contents
from test_kills import KillTestCase, children

MB = 1 << 20
SIZE = int(os.environ.get('BERTH_SNAPSHOT_SIZE') or 256) * MB
LIMIT = 100 * 1024  # KiB; a sanitizer's own included

# linux/capability.h
CHOWN, DAC_READ_SEARCH, FOWNER, SETGID, SETUID, IPC_OWNER, SYS_ADMIN, SETFCAP, CHECKPOINT_RESTORE = \
    (1 << number for number in (0, 2, 3, 6, 7, 15, 21, 31, 40))
READS = DAC_READ_SEARCH | IPC_OWNER | CHECKPOINT_RESTORE | SYS_ADMIN | SETUID | SETGID
FILLS = CHOWN | FOWNER | IPC_OWNER | CHECKPOINT_RESTORE | SYS_ADMIN | SETUID | SETGID | SETFCAP


def status(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        return {key: value.split() for key, _, value in (line.partition(':') for line in file)}


class Helpers(KillTestCase):
    def confined(self):
        """Waits until the helper has given up what it does not need. Returns: its status."""
        def found():
            helpers = self.helpers()
            if len(helpers) < 2:
                return None
            one = status(helpers[1])
            return one if int(one['Seccomp_filters'][0]) > filters else None
        filters = int(status(self.instance.daemon.pid)['Seccomp_filters'][0])
        return self.eventually(found)  # it has one more than the service

    def assertConfined(self, uid, capabilities):
        found = self.confined()
        self.assertEqual(found['NoNewPrivs'], ['1'])
        self.assertEqual(found['Uid'], [str(uid)] * 4)
        for name in ('CapEff', 'CapPrm'):
            self.assertEqual(int(found[name][0], 16), capabilities, name)
        self.assertEqual((int(found['CapInh'][0], 16), int(found['CapAmb'][0], 16)), (0, 0))
        # and no directory but those of the sandbox
        pid = self.helpers()[1]
        devices = {os.stat(f'/proc/{self.inside.pid}/root/dev/{name}').st_dev
                   for name in ('shm', 'mqueue')}
        directories = [f'/proc/{pid}/fd/{fd}' for fd in os.listdir(f'/proc/{pid}/fd')]
        directories = [path for path in directories if os.path.isdir(path)]
        self.assertTrue(directories)
        for path in [*directories, f'/proc/{pid}/root/', f'/proc/{pid}/cwd/']:
            self.assertIn(os.stat(path).st_dev, devices, os.readlink(path.rstrip('/')))

    def begin_load(self, user, path, data):
        """Returns: (the pending call, where the rest of the archive goes)."""
        ours, theirs = socket.socketpair()
        pending = user.begin_restore(path, theirs.fileno())
        theirs.close()
        self.addCleanup(ours.close)
        ours.sendall(data)
        return pending, ours

    def check(self, user, uid, reads, fills):
        path = user.create('mine')
        fds = {str(key): fd.take() for key, fd in
               user.sandbox(path, 'Join', 'a{sv}', {}).items()}
        self.inside = self.member_of(uid, fds)
        self.inside.fill('/dev/shm/file', 4 * MB)
        ours, theirs = socket.socketpair()
        pending = user.begin_snapshot(path, theirs.fileno())
        theirs.close()
        self.assertConfined(uid, reads)
        data = b''
        while got := ours.recv(MB):
            data += got
        ours.close()
        pending.result()
        self.eventually(lambda: not self.helpers())
        self.inside.unlink('/dev/shm/file')
        pending, ours = self.begin_load(user, path, data[:-5000])
        self.assertConfined(uid, fills)
        ours.sendall(data[-5000:])
        ours.close()
        pending.result()
        self.eventually(lambda: not self.helpers())

    def member_of(self, uid, fds):
        member = Member(uid=uid, **fds) if uid else Member(**fds)
        self.addCleanup(member.close)
        return member

    def test_confinement_for_root(self):
        self.check(self.user(0), 0, READS, FILLS)

    def test_confinement_for_a_user(self):
        self.polkit(create_sandbox='yes')
        self.idle = children(self.instance.daemon.pid)
        self.check(self.user(ALICE), ALICE, CHECKPOINT_RESTORE, CHECKPOINT_RESTORE)

    def watch(self, work):
        """Runs work() beside, and looks at the helpers meanwhile. Returns: KiB that one had at most."""
        most, longest = {}, 0
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            while not future.done():
                for pid in self.helpers():
                    with contextlib.suppress(OSError, KeyError):  # it has ended
                        most[pid] = max(most.get(pid, 0), int(status(pid)['VmHWM'][0]))
                began = time.monotonic()
                self.instance.describe(self.path)
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.002)
            future.result()
        self.assertGreaterEqual(len(most), 2)  # supervisor and helper
        self.assertLess(longest, 5)  # the service goes on
        return max(most.values())

    def test_memory_to_save(self):
        self.instance.resize(self.path, SIZE + MB)
        self.inside.fill('/dev/shm/file', SIZE)
        user = self.user(0)
        reader, writer = os.pipe()
        pending = user.begin_snapshot(self.path, writer)
        os.close(writer)
        self.assertLess(self.watch(lambda: self.drain(reader)), LIMIT)
        pending.result()

    def drain(self, reader):
        count = 0
        while data := os.read(reader, MB):
            count += len(data)
        os.close(reader)
        self.assertGreater(count, SIZE)

    def test_memory_to_restore(self):
        self.save(self.path)
        index = json.dumps(self.index()).encode()
        self.instance.resize(self.path, SIZE + MB)
        user = self.user(0)
        reader, writer = os.pipe()
        pending = user.begin_restore(self.path, reader)
        os.close(reader)
        self.assertLess(self.watch(lambda: self.feed(writer, index)), LIMIT)
        pending.result()
        self.assertEqual(self.inside.do(contents.parts, '/dev/shm/file', [(SIZE - 1, b'x')]),
                         (SIZE, SIZE // 512, [(SIZE - 1, b'x')]))

    @staticmethod
    def feed(writer, index):
        class Data:
            @staticmethod
            def read(size):
                return b'x' * size
        with open(writer, 'wb') as file, tarfile.open(fileobj=file, mode='w|') as archive:
            for name, size, data in (('berth-snapshot.json', len(index), io.BytesIO(index)),
                                     ('shm/file', SIZE, Data),
                                     ('berth-snapshot-end.json', 2, io.BytesIO(b'{}'))):
                info = tarfile.TarInfo(name)
                info.size = size
                archive.addfile(info, data)


if __name__ == '__main__':
    unittest.main()
