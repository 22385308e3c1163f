# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL at random points under load, again and again: what was promised is there, and no more.

Clients of root and of two users create, join, publish, resize, tune and remove without a pause; the
service is killed somewhere in between and started again. Then everything is looked at. How often:
BERTH_SURVIVE_KILLS (tests/run --survive-kills=N; 200 by default). BERTH_SURVIVE_SEED repeats a run,
as far as the machine's timing lets it.
"""

import collections
import os
import random
import threading
import time
import unittest

from gi.repository import GLib

from berthtest import ALICE, BOB, DEADLINE, Race, UserTestCase, look_into_vault, mounts_below

from load import Client

KILLS = int(os.environ.get('BERTH_SURVIVE_KILLS') or 200)
LONGEST = 0.06  # seconds of load before an end


class LoadTestCase(UserTestCase):
    settings = ('[Sandboxes]\nDefaultShmSize=1M\nDefaultShmInodes=64\nMaxShmPerUser=128M\n'
                'MaxSandboxesPerUser=100\n')

    def setUp(self):
        super().setUp()
        self.authority.answer(publish_sandbox='yes')
        self.seed = os.environ.get('BERTH_SURVIVE_SEED') or str(random.randrange(1 << 32))
        self.random = random.Random(self.seed)
        self.counts = collections.Counter()
        self.problems = []
        self.loading = False
        self.anchor = self.instance.create('anchor', Publish=True, ShmSize=3 << 20)
        with self.joined('anchor') as member:
            member.write('/dev/shm/text', 'anchored')
        self.namespace = self.instance.describe(self.anchor)['NamespaceId']
        self.clients = [Client(self, number, uid)
                        for number, uid in enumerate((0, 0, ALICE, BOB))]
        for client in self.clients:
            self.addCleanup(client.user.close)

    def watch_anchor(self):
        """Its published paths are valid all the time."""
        place = os.path.join(self.instance.runtime, 'sandbox', 'by-name', 'anchor')
        self.assertEqual(os.stat(os.path.join(place, 'ipc')).st_ino, self.namespace)
        with open(os.path.join(place, 'shm', 'text'), encoding='ascii') as file:
            self.assertEqual(file.read(), 'anchored')
        time.sleep(0.002)  # leaves the processor to the load; nothing is waited for

    def burst(self, stop, longest=LONGEST):
        """Load, for a while of random length, then stop(), and what comes after it."""
        daemon = self.instance.daemon

        def end():
            time.sleep(self.random.uniform(0, longest))  # at any moment: that is the test
            if daemon.poll() is not None:
                self.problems.append(f'berthd ended with {daemon.returncode} under load')
            stop()
            self.loading = False
        thread = threading.Thread(target=end)
        context = GLib.MainContext.default()
        tick = GLib.timeout_add(5, lambda: True)  # so that iteration() returns
        self.loading = True
        for client in self.clients:
            client.load()
        thread.start()
        deadline = time.monotonic() + DEADLINE
        while self.loading or any(client.under_way for client in self.clients):
            context.iteration(True)
            self.assertLess(time.monotonic(), deadline, 'calls without an answer')
        thread.join()
        GLib.source_remove(tick)
        self.assertEqual(self.problems, [])

    def look(self):
        """Everything that was promised is there, and nothing else."""
        rows = {str(row['Path']): row for row in self.instance.list()}
        anchor = rows.pop(self.anchor)
        self.assertEqual((anchor['NamespaceId'], anchor['ShmSize']), (self.namespace, 3 << 20))
        for client in self.clients:
            client.check(rows)
        # what was handed over goes when its memory does
        for row in rows.values():
            self.assertEqual(row['State'], 'handed-over', f'{row["Name"]} was never asked for')
        for client in self.clients:
            client.check_contents()
            client.check_paths()
        self.eventually(self.is_clean)

    def is_clean(self):
        """Whether vault, mount table and directories have what List says, and nothing else."""
        rows = self.instance.list()
        published = [row for row in rows if row['PublishedPath']]
        sandbox = os.path.join(self.instance.runtime, 'sandbox')
        held = {f'/slot/{row["Id"]}': row for row in rows}
        _, files = look_into_vault(self.instance.pin)
        expected = {'/berth-vault', '/slot', '/record', '/template', '/template/ipc',
                    '/template/shm'}
        for slot, row in held.items():
            expected.add(f'/record/{row["Id"]}')
            if row['State'] == 'ready':
                expected |= {slot, f'{slot}/ipc', f'{slot}/shm'}
        for row in rows:  # a user's donor that was removed is paid for while somebody shares it
            donor = f'/slot/{str(row.get("Donor", "")).rsplit("/", 1)[-1]}'
            if 'Donor' in row and row['Owner'] != 0 and donor not in held:
                expected.add(donor.replace('/slot/', '/record/'))
        mounts = {os.path.join(self.instance.runtime, 'vault'), self.instance.pin}
        mounts |= {f'{sandbox}/{row["Id"]}/{name}' for row in published
                   for name in ('ipc', 'shm', 'mqueue')}
        links = {str(row['Name']) for row in published if row['Owner'] == 0}
        seen = (set(files), {row['target'] for row in mounts_below(self.instance.directory)},
                set(os.listdir(sandbox)), set(os.listdir(f'{sandbox}/by-name')))
        wanted = (expected, mounts, {'by-name'} | {str(row['Id']) for row in published}, links)
        self.difference = [sorted(one ^ other) for one, other in zip(seen, wanted)]
        return seen == wanted

    def finish(self):
        """Everything can still be removed, and then the users pay for nothing."""
        for client in self.clients:
            for path in list(client.sandboxes):
                client.user.remove(path)
        self.eventually(lambda: len(self.instance.list()) == 1)
        self.eventually(self.is_clean)
        for uid in (ALICE, BOB):
            user = self.user(uid)
            user.remove(user.create(ShmSize=128 << 20))
        print(f'seed {self.seed}:', ', '.join(f'{count} {name}' for name, count
                                              in sorted(self.counts.items())))

    def rounds(self, count, stop):
        try:
            for self.round in range(count):
                self.burst(stop)
                for client in self.clients:
                    client.check_paths()  # while nobody is there
                self.instance.start()
                self.look()
        except BaseException as error:
            error.add_note(f'seed {self.seed}, round {self.round}, {dict(self.counts)}, '
                           f'{getattr(self, "difference", None)}\n{self.instance.logs()[-5000:]}')
            raise


class Kills(LoadTestCase):
    def test_sigkill(self):
        with Race(self.watch_anchor):
            self.rounds(KILLS, lambda: self.instance.kill())
        self.finish()

    def test_sigterm(self):
        with Race(self.watch_anchor):
            self.rounds(max(1, KILLS // 10), lambda: self.instance.terminate())
        self.finish()

    def test_sigkill_while_it_starts(self):
        """Before it is ready: recovery is interrupted, and begins anew."""
        self.burst(lambda: None, longest=0.5)
        for self.round in range(max(1, KILLS // 10)):
            self.instance.kill()
            for _ in range(3):
                self.instance.begin_start()
                time.sleep(self.random.uniform(0, 0.03))
                self.instance.kill()
            self.instance.start()
            self.look()
        self.finish()


if __name__ == '__main__':
    unittest.main()
