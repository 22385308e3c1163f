# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images and transfers as bus clients see them, with workers that do what the test says."""

import contextlib
import mmap
import os
import time
import unittest

import dbus
import dbus.types

from berthtest import (ALICE, BOB, CAROL, FakeStoreTestCase, IF_IMAGES, IF_TRANSFER, ROOT_PATH, digest,
                       memfd, vardict)

FAILED = 'org.freedesktop.DBus.Error.Failed'
INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs'
OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager'
PROPERTIES = 'org.freedesktop.DBus.Properties'

A = digest('a')


class Pull(FakeStoreTestCase):
    def test_a_pull(self):
        script = self.script('docker.io/library/busybox:latest')
        before = time.time_ns() // 1000
        path = self.pull('busybox')
        self.assertEqual(path, '/org/berthd/Berth1/transfer/1')
        self.assertEqual(self.images('GetTransfer', 'u', dbus.UInt32(1)), path)
        properties = self.wait_state(path, 'running')
        self.assertEqual({key: properties[key] for key in ('Id', 'Kind', 'Owner')},
                         {'Id': 1, 'Kind': 'pull', 'Owner': 0})
        self.assertGreaterEqual(properties['StartedUSec'], before)
        self.assertEqual(set(properties), {'Id', 'Kind', 'Owner', 'State', 'BytesDone', 'BytesTotal',
                                           'Rate', 'StartedUSec'})
        script.say(f'progress 10 40 0 {A} running 10 30 registry 1 {digest("b")} waiting 0 10 -')
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'BytesDone') == 10)
        description = self.transfer(path, 'Describe')
        self.assertEqual(description['Reference'], 'docker.io/library/busybox:latest')
        self.assertEqual(description['BytesTotal'], 40)
        self.assertEqual((description['Digest'], description['ErrorName']), ('', ''))
        self.assertEqual(description['Layers'], [
            {'Digest': A, 'State': 'running', 'Done': 10, 'Total': 30, 'Source': 'registry'},
            {'Digest': digest('b'), 'State': 'waiting', 'Done': 0, 'Total': 10, 'Source': ''}])
        script.say(f'progress 40 40 0 {A} done 30 30 registry', f'done {digest("c")}')
        properties = self.wait_state(path)
        self.assertEqual((properties['State'], properties['BytesDone'], properties['Rate']),
                         ('done', 40, 0))
        self.assertEqual(self.transfer(path, 'Describe')['Digest'], digest('c'))

    def test_what_the_worker_is_told(self):
        self.instance.write_settings('berth.conf.d/x.conf', '[Transfers]\nMaxBandwidth=1M\n'
                                     'MaxDownloadsPerTransfer=3\n[Store]\nMinFree=4k\n')
        self.instance.manager('Reload')
        for options, expected in (
                ({}, {'Platform': '', 'AllPlatforms': '0', 'MaxBandwidth': '1048576',
                      'ForeignLayers': 'registry-first'}),
                ({'Platform': 'linux/arm64/v8', 'MaxBandwidth': 1000, 'ForeignLayers': 'skip'},
                 {'Platform': 'linux/arm64/v8', 'MaxBandwidth': '1000', 'ForeignLayers': 'skip'}),
                ({'AllPlatforms': True, 'MaxBandwidth': 1 << 40},
                 {'AllPlatforms': '1', 'MaxBandwidth': '1048576'})):
            with self.subTest(options=options):
                self.forget_log()
                self.wait_state(self.pull('127.0.0.1:5000/a/b:1', **options), 'done')
                [(kind, job)] = self.asked()
                self.assertEqual(kind, 'pull')
                self.assertEqual({key: job[key] for key in expected}, expected)
                self.assertEqual((job['Reference'], job['Uid'], job['MinFree'], job['MaxDownloads'],
                                  job['ForeignUrlHosts']), ('127.0.0.1:5000/a/b:1', '0', '4096', '3',
                                                            ''))
                self.assertIn('127.0.0.1:5000/a/b', job['Endpoints'])

    def test_references_and_options_that_cannot_be(self):
        for reference in ('', 'a b', 'https://x/y', 'x@sha256:12', 'UPPER', 'x:' + 'y' * 129):
            with self.subTest(reference=reference), self.assertError('InvalidReference'):
                self.pull(reference)
        for options in ({'Platform': 'linux'}, {'Platform': 'a/b/c/d'}, {'Platform': 'linux/'},
                        {'Platform': 'linux/am d'}, {'Platform': 'x/' + 'y' * 65},
                        {'Platform': 'linux/amd64', 'AllPlatforms': True},
                        {'ForeignLayers': 'sometimes'}, {'ForeignLayers': ''}):
            with self.subTest(options=options), self.assertError('InvalidOption', next(iter(options))):
                self.pull('busybox', **options)
        for options in ({'Colour': 'red'}, {'Platform': 1}, {'MaxBandwidth': 'much'}):
            with self.subTest(options=options), self.assertError(INVALID_ARGS, next(iter(options))):
                self.pull('busybox', **options)
        self.assertEqual(self.images('ListTransfers', 'a{sv}', vardict({})), [])

    def test_credentials_must_be_sealed_memory(self):
        def plain_file():
            with open('/proc/self/status', encoding='ascii') as file:
                return dbus.types.UnixFd(file)
        for what, fd in (('a file', plain_file()), ('unsealed', memfd(b'{}', seals=0)),
                         ('nearly sealed', memfd(b'{}', seals=0xe)),
                         ('too large', memfd(b' ' * 65537))):
            with self.subTest(what), self.assertError('InvalidOption', 'Credentials'):
                self.pull('127.0.0.1:5000/x', Credentials=fd)
        self.wait_state(self.pull('127.0.0.1:5000/x', Credentials=memfd(b'{"auths": {}}')), 'done')
        [(_, job)] = self.asked('pull')
        self.assertIn('{"auths": {}}', job['Endpoints'])
        self.assertNotIn('auths', self.instance.logs())

    def test_without_room_for_a_store(self):
        """It fails, and says what to do; nothing else of the service does."""
        os.rename(self.store, self.store + '.away')
        with open(self.store, 'w', encoding='ascii'):
            pass
        name, message = self.failure(self.pull('busybox'))
        self.assertEqual(name, FAILED)
        self.assertRegex(message, 'store')
        with self.assertError(FAILED, 'store'):
            self.images('List', 'a{sv}', vardict({}))
        os.unlink(self.store)
        os.rename(self.store + '.away', self.store)
        self.wait_state(self.pull('busybox'), 'done')


class Ends(FakeStoreTestCase):
    reference = 'docker.io/library/x:latest'

    def begin(self):
        """Returns: (path, script), running."""
        script = self.script(self.reference)
        path = self.pull('x')
        self.wait_state(path, 'running')
        return path, script

    def test_an_error_of_the_worker(self):
        path, script = self.begin()
        script.say('error org.berthd.Berth1.Error.ManifestUnknown there is no x\x1b[31m here')
        name, message = self.failure(path)
        self.assertEqual(name, 'org.berthd.Berth1.Error.ManifestUnknown')
        self.assertRegex(message, r'there is no x.*here')
        self.assertNotIn('\x1b', message)
        self.assertEqual(self.state(path), 'failed')
        self.assertIn(message, self.instance.logs())

    def test_workers_that_die_or_lie(self):
        """It fails its transfer, with a word why, and nothing else."""
        good = self.script('docker.io/library/good:latest')
        script = self.script(self.reference)
        other = self.pull('good')
        self.wait_state(other, 'running')
        for line, message in (('kill 9', 'signal|KILL'), ('kill 6', 'signal|ABRT'),
                              ('exit 0', 'exit'), ('exit 7', '7'),
                              ('garbage', 'D-Bus|message'), ('strange', 'nobody expects'), ('ask', 'ask'),
                              ('result x', 'Nonsense|result'), ('done sha256:12', 'what the transfer led to'), ('done ', 'what the transfer led to'),
                              ('flood 10000', 'more than it may'),
                              ('progress 3 2', 'cannot be'),
                              (f'progress 1 2 0 {A} lost 1 2 registry', 'cannot be'),
                              (f'progress 1 2 0 {A} done 1 2 thin-air', 'cannot be'),
                              ('progress 1 2 0 sha256:12 done 1 2 store', 'cannot be'),
                              (f'progress 1 2 0 {A} done 3 2 store', 'cannot be'),
                              (f'progress 1 2 99999999 {A} done 1 2 store', 'cannot be'),
                              ('error org.example.Error.Mine hello', 'org.example'),
                              ('error org.berthd.Berth1.Error.Cancelled no', 'cancelled')):
            with self.subTest(line=line):
                path = self.pull('x')
                self.wait_state(path, 'running')
                script.say(line)
                name, text = self.failure(path)
                self.assertEqual(self.state(path), 'failed')
                self.assertEqual(name, FAILED)
                self.assertRegex(text, message)
        self.assertEqual(self.state(other), 'running')
        good.say('done ' + A)
        self.wait_state(other, 'done')

    def test_cancel(self):
        path, _ = self.begin()
        self.eventually(lambda: len(self.workers()) == 1)
        self.transfer(path, 'Cancel')
        self.assertEqual(self.state(path), 'cancelled')
        self.assertEqual(self.failure(path)[0], 'org.berthd.Berth1.Error.Cancelled')
        self.eventually(lambda: not self.workers())
        self.transfer(path, 'Cancel')  # once more changes nothing
        self.assertEqual(self.state(path), 'cancelled')

    def workers(self):
        """Returns: the PIDs of this instance's workers."""
        program = os.path.realpath(self.instance.tool('bus/fake-transfer'))
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.readlink(f'/proc/{pid}/exe') != program:
                    continue
                with open(f'/proc/{pid}/environ', encoding='utf-8', errors='replace') as file:
                    if self.instance.directory in file.read():
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def test_sigterm_ends_workers(self):
        self.begin()
        self.eventually(self.workers)
        self.instance.terminate()
        self.eventually(lambda: not self.workers())
        self.instance.start()
        self.assertEqual(self.images('ListTransfers', 'a{sv}', vardict({})), [])

    def test_a_killed_service_leaves_no_worker(self):
        self.begin()
        self.eventually(self.workers)
        self.instance.kill()
        self.eventually(lambda: not self.workers())
        self.instance.start()

    def test_a_caller_that_leaves_changes_nothing(self):
        script = self.script(self.reference)
        alice = self.user(ALICE)
        path = self.pull('x', who=alice)
        self.wait_state(path, 'running')
        self.transfer(path, 'Subscribe', who=alice)
        alice.close()
        script.say('progress 1 2', 'done ' + A)
        self.wait_state(path, 'done')

    def test_not_idle_while_there_is_one(self):
        self.instance.terminate()
        self.instance.start(['--idle-timeout=1'])
        path, script = self.begin()
        time.sleep(1.5)  # longer than the idle time-out: nothing happens that could be waited for
        self.assertEqual(self.state(path), 'running')
        script.say('done ' + A)
        self.wait_state(path, 'done')


class Signals(FakeStoreTestCase):
    def test_coming_and_going(self):
        script = self.script('docker.io/library/x:latest')
        recorder = self.recorder(OBJECT_MANAGER)
        path = self.pull('x')
        [(member, _, arguments)] = recorder.got()
        self.assertEqual((member, arguments[0]), ('InterfacesAdded', path))
        self.assertEqual(arguments[1][IF_TRANSFER]['State'], 'queued')
        self.assertIn(path, self.instance.managed_objects())
        script.say('done ' + A)
        self.wait_state(path, 'done')
        self.assertIn(path, self.instance.managed_objects(), 'it can be looked at for a while')

    def test_progress_is_told_ten_times_a_second_at_most(self):
        script = self.script('docker.io/library/x:latest')
        recorder = self.recorder(PROPERTIES)
        path = self.pull('x')
        self.wait_state(path, 'running')
        begin = time.monotonic()
        for i in range(60):
            script.say(f'progress {i} 1000')
            time.sleep(0.02)  # a little more than what is told at once
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'BytesDone') == 59)
        script.say('done ' + A)
        self.wait_state(path, 'done')
        seconds = time.monotonic() - begin
        told = [arguments[1] for _, _, arguments in recorder.got()]
        self.assertLessEqual(len(told), 10 * (seconds + 1))
        self.assertEqual([row['State'] for row in told if 'State' in row], ['running', 'done'])
        self.assertEqual([row['BytesDone'] for row in told if 'BytesDone' in row][-1], 59)

    def test_subscribers_and_nobody_else(self):
        script = self.script('docker.io/library/x:latest')
        alice, bob, root, carol = (self.recorder(IF_TRANSFER, uid) for uid in (ALICE, BOB, 0, CAROL))
        path = self.pull('x', who=alice.user)
        self.transfer(path, 'Subscribe')
        self.transfer(path, 'Subscribe', who=root.user)
        self.transfer(path, 'Subscribe', who=root.user)  # twice is once
        self.authority.answer(manage_transfer='yes')
        self.transfer(path, 'Subscribe', who=carol.user)
        carol.close()
        self.wait_state(path, 'running')
        script.say(f'progress 5 10 0 {A} running 5 10 url 1 {digest("b")} waiting 0 0 -')
        self.eventually(lambda: len(root.got()) == 2)
        script.say(f'progress 10 10 0 {A} done 10 10 url', 'done ' + digest('d'))
        self.wait_state(path, 'done')
        finished = ('Finished', path, ['done', digest('d'), '', ''])
        self.assertEqual(root.got(), [
            ('LayerProgress', path, [0, A, 'running', 5, 10]),
            ('LayerProgress', path, [1, digest('b'), 'waiting', 0, 0]),
            ('LayerProgress', path, [0, A, 'done', 10, 10]), finished])
        self.assertEqual(alice.got(), [finished], 'who asked hears of the end, and no more')
        self.assertEqual(bob.got(), [])

    def test_a_failure_is_told(self):
        script = self.script('docker.io/library/x:latest')
        root = self.recorder(IF_TRANSFER)
        path = self.pull('x', who=root.user)
        script.say('error org.berthd.Berth1.Error.RegistryUnreachable no route')
        self.wait_state(path, 'failed')
        self.assertEqual(root.got(), [('Finished', path, [
            'failed', '', 'org.berthd.Berth1.Error.RegistryUnreachable', 'no route'])])

    def test_subscribing_to_what_is_over(self):
        path = self.pull('x')
        self.wait_state(path, 'done')
        root = self.recorder(IF_TRANSFER)
        self.transfer(path, 'Subscribe', who=root.user)
        self.assertEqual(root.got(), [])

    def test_so_many_subscribers(self):
        self.script('docker.io/library/x:latest')
        path = self.pull('x')
        for _ in range(32):
            self.transfer(path, 'Subscribe', who=self.user(0))
        with self.assertError('org.freedesktop.DBus.Error.LimitsExceeded', '32'):
            self.transfer(path, 'Subscribe', who=self.user(0))


class ManyLayers(FakeStoreTestCase):
    """Whoever runs a registry says how many layers there are."""

    LAYERS = 16384

    def tell(self, script, count):
        for first in range(0, count, 1000):
            rows = ' '.join(f'{i} {A} done 5 5 registry'
                            for i in range(first, min(count, first + 1000)))
            script.say(f'progress 1 0 {rows}')
        script.say(f'done {A}')

    def test_told_bit_by_bit(self):
        """However many listen: all layers, a few of them at a time, and the end behind them."""
        recorder = self.recorder(IF_TRANSFER)
        script = self.script('docker.io/library/a:1')
        path = self.pull('a:1')
        others = [self.user(0) for _ in range(31)]
        for listener in others + [recorder.user]:
            self.transfer(path, 'Subscribe', who=listener)
        self.tell(script, 3000)  # which will take 23 seconds
        self.wait_state(path, 'done')
        told = [member for member, _, _ in recorder.got()]
        self.assertLess(len(told), 2500)
        self.assertNotIn('Finished', told)
        for listener in others:
            listener.close()
        self.eventually(lambda: recorder.got()[-1][0] == 'Finished')
        self.assertEqual(sorted(int(arguments[0]) for _, _, arguments in recorder.got()[:-1]),
                         list(range(3000)))

    def test_a_place_until_all_is_told(self):
        self.instance.write_settings('berth.conf', '[Transfers]\nMaxTransfers=1\n')
        self.instance.manager('Reload')
        script = self.script('docker.io/library/a:1')
        path = self.pull('a:1')
        listeners = [self.user(0) for _ in range(32)]
        for listener in listeners:
            self.transfer(path, 'Subscribe', who=listener)
        self.tell(script, 3000)
        self.wait_state(path, 'done')
        self.script('docker.io/library/a:2').say(f'done {A}')
        other = self.pull('a:2')
        self.assertEqual(self.state(other), 'queued')
        for listener in listeners:
            listener.close()  # nobody is left to tell
        self.wait_state(other, 'done')

    def test_older_ones_go(self):
        """What is kept of those that are over is bounded by what there is to keep of them."""
        paths = []
        for i in range(6):
            script = self.script(f'docker.io/library/a:{i}')
            paths.append(self.pull(f'a:{i}'))
            self.tell(script, self.LAYERS)
            self.wait_state(paths[-1], 'done')
        self.assertEqual(len(self.transfer(paths[-1], 'Describe')['Layers']), self.LAYERS)
        for path in paths[:2]:
            with self.assertError('NoSuchTransfer'):
                self.transfer(path, 'Describe')
        for path in paths[2:]:
            self.assertEqual(self.state(path), 'done')


class Queue(FakeStoreTestCase):
    settings = '[Transfers]\nMaxTransfers=3\nMaxTransfersPerUser=2\n'

    def begin(self, name, who=None):
        """Returns: (path, script)."""
        script = self.script(f'docker.io/library/{name}:latest')
        return self.pull(name, who=who), script

    def test_each_waits_for_its_turn(self):
        alice, bob = self.user(ALICE), self.user(BOB)
        a1, s1 = self.begin('a1', alice)
        a2, _ = self.begin('a2', alice)
        a3, _ = self.begin('a3', alice)
        b1, _ = self.begin('b1', bob)
        b2, _ = self.begin('b2', bob)
        for path in (a1, a2, b1):
            self.wait_state(path, 'running')
        self.assertEqual([self.state(path) for path in (a3, b2)], ['queued'] * 2)
        self.assertEqual(self.instance.get(a3, IF_TRANSFER, 'StartedUSec'), 0)
        s1.say('done ' + A)
        self.wait_state(a1, 'done')
        self.wait_state(a3, 'running')
        self.assertEqual(self.state(b2), 'queued')
        self.transfer(a2, 'Cancel', who=alice)
        self.wait_state(b2, 'running')

    def test_root_has_no_share(self):
        paths = [self.begin(f'r{i}')[0] for i in range(4)]
        for path in paths[:3]:
            self.wait_state(path, 'running')
        self.assertEqual(self.state(paths[3]), 'queued')
        self.transfer(paths[3], 'Cancel')
        self.assertEqual(self.state(paths[3]), 'cancelled')
        self.eventually(lambda: len(self.asked('pull')) == 3)

    def test_more_may_run_after_a_reload(self):
        paths = [self.begin(f'r{i}')[0] for i in range(4)]
        self.wait_state(paths[2], 'running')
        self.instance.write_settings('berth.conf', '[Transfers]\nMaxTransfers=4\n')
        self.instance.manager('Reload')
        self.wait_state(paths[3], 'running')

    def test_they_share_the_bandwidth(self):
        """Who runs is told when others come, go, and when the settings change; others are not."""
        self.instance.write_settings('berth.conf', '[Transfers]\nMaxBandwidth=1000\n')
        self.instance.manager('Reload')
        reference = 'docker.io/library/{}:latest'.format

        def told():
            """Returns: [(name, rate)] since the last time, those of one round in no order."""
            rows = [(row['Reference'].split('/')[2].split(':')[0], int(row['Rate']))
                    for _, row in self.asked('bandwidth')]
            return sorted(rows)

        def begin(name, rate, **options):
            script = self.script(reference(name))
            path = self.pull(name, **options)
            [job] = self.eventually(lambda: [job for _, job in self.asked('pull')
                                             if job['Reference'] == reference(name)])
            self.assertEqual(job['MaxBandwidth'], str(rate))
            self.wait_state(path, 'running')
            return path, script

        a, script = begin('a', 1000)
        b, _ = begin('b', 500)
        self.eventually(lambda: told() == [('a', 500)])
        begin('c', 100, MaxBandwidth=100)
        self.eventually(lambda: told() == [('a', 450), ('a', 500), ('b', 450)])
        self.forget_log()
        script.say('done ' + A)
        self.wait_state(a, 'done')
        self.eventually(lambda: told() == [('b', 900)])
        self.instance.write_settings('berth.conf', '')
        self.instance.manager('Reload')
        self.eventually(lambda: told() == [('b', 0), ('b', 900)])
        self.transfer(b, 'Cancel')

    def test_too_many_in_line(self):
        alice = self.user(ALICE)
        self.begin('hold1', alice)
        self.begin('hold2', alice)
        for i in range(64):
            self.pull('hold1', who=alice)
        with self.assertError('QuotaExceeded', str(ALICE)):
            self.pull('hold1', who=alice)
        self.pull('hold1', who=self.user(BOB))
        rows = self.images('ListTransfers', 'a{sv}', vardict({}))
        self.assertEqual([row['Id'] for row in rows], list(range(1, 68)))
        self.assertEqual(sum(row['State'] == 'running' for row in rows), 3)

    def test_so_many_that_are_over(self):
        """Old ones of the same user go, those of others stay."""
        os.rename(self.store, self.store + '.away')  # each fails at once
        os.mkfifo(self.store)
        mine, alice = self.pull('mine'), self.user(ALICE)
        for i in range(300):
            self.wait_state(self.pull(f'x{i}', who=alice), 'failed')
        rows = self.images('ListTransfers', 'a{sv}', vardict({}))
        self.assertEqual([row['Id'] for row in rows], [1, *range(301 - 255, 302)])
        self.assertEqual(self.state(mine), 'failed')
        with self.assertError('NoSuchTransfer'):
            self.transfer('/org/berthd/Berth1/transfer/2', 'Describe')
        os.unlink(self.store)
        os.rename(self.store + '.away', self.store)

    def test_lists_tell_others_no_more_than_properties(self):
        self.begin('secret', self.user(ALICE))
        [row] = self.images('ListTransfers', 'a{sv}', vardict({}), who=self.user(BOB))
        self.assertEqual(set(row), {'Id', 'Kind', 'Owner', 'State', 'BytesDone', 'BytesTotal', 'Rate',
                                    'StartedUSec', 'Path'})
        self.assertNotIn('secret', str(row))
        for who in (None, self.user(ALICE)):
            [row] = self.images('ListTransfers', 'a{sv}', vardict({}), who=who)
            self.assertEqual(row['Reference'], 'docker.io/library/secret:latest')

    def test_transfers_that_are_not_there(self):
        self.transfer(self.pull('x'), 'Describe')
        with self.assertError('NoSuchTransfer', '7'):
            self.images('GetTransfer', 'u', dbus.UInt32(7))
        for name in ('7', '0', '01', '1x', '4294967297', '99999999999'):
            with self.subTest(name=name), self.assertError('NoSuchTransfer'):
                self.transfer(f'/org/berthd/Berth1/transfer/{name}', 'Describe')


class Queries(FakeStoreTestCase):
    def setUp(self):
        super().setUp()
        self.write_images(('docker.io/library/a:1', A, 100, ALICE),
                          ('docker.io/library/b:1', digest('b'), 5, ALICE, BOB))

    def test_list(self):
        rows = self.images('List', 'a{sv}', vardict({}), who=self.user(BOB))
        self.assertEqual(rows[0], {'Reference': 'docker.io/library/a:1', 'Digest': A,
                                   'MediaType': 'type', 'Size': 100, 'Platform': 'linux/amd64',
                                   'PulledUSec': 17, 'Owner': ALICE})
        self.assertEqual(len(rows), 2)
        rows = self.images('List', 'a{sv}', vardict({'Reference': 'docker.io/library/b'}))
        self.assertEqual([row['Reference'] for row in rows], ['docker.io/library/b:1'])

    def test_a_long_list(self):
        self.write_images(*((f'docker.io/library/i{i:05}:1', A, 1, 0) for i in range(3000)))
        rows = self.images('List', 'a{sv}', vardict({}))
        self.assertEqual([row['Reference'] for row in rows],
                         [f'docker.io/library/i{i:05}:1' for i in range(3000)])

    def test_others_are_served_while_a_list_is_made(self):
        self.write_images(*((f'docker.io/library/i{i:05}:1', A, 1, 0) for i in range(10000)))
        pending = self.user(ALICE).begin(ROOT_PATH, IF_IMAGES, 'List', 'a{sv}', vardict({}))
        slowest = 0
        self.eventually(lambda: self.asked('list'))
        for _ in range(200):
            begin = time.monotonic()
            self.instance.manager('GetSettings', 'a{sv}', vardict({}))
            slowest = max(slowest, time.monotonic() - begin)
        self.assertEqual(len(pending.result()), 10000)
        self.assertLess(slowest, 1)

    def test_inspect(self):
        for image in ('a:1', 'docker.io/a:1', 'docker.io/library/a:1', A):
            with self.subTest(image=image):
                row = self.images('Inspect', 'sa{sv}', image, vardict({}))
                self.assertEqual(row['Reference'], 'docker.io/library/a:1')
                self.assertEqual(row['Manifest'], '{"a": 1}')
                self.assertEqual(row['Layers'], [{'Digest': A, 'MediaType': 'layer', 'Size': 7,
                                                  'Present': True, 'Urls': ['https://example.com/l']}])
                self.assertNotIn('Readers', row)
        with self.assertError('NoSuchImage'):
            self.images('Inspect', 'sa{sv}', 'missing', vardict({}))
        with self.assertError('InvalidReference'):
            self.images('Inspect', 'sa{sv}', 'not good', vardict({}))

    def test_changes(self):
        self.images('Tag', 'ssa{sv}', 'a:1', 'team/a', vardict({}))
        self.images('Remove', 'sa{sv}', 'b:1', vardict({}))
        self.assertEqual([row for row in self.asked() if row[0] in ('tag', 'remove')], [
            ('tag', {'Store': '', 'MinFree': '1073741824', 'Uid': '0', 'Expect': A,
                     'Image': 'docker.io/library/a:1', 'NewReference': 'docker.io/team/a:latest'}),
            ('remove', {'Store': '', 'MinFree': '1073741824', 'Uid': '0', 'Expect': digest('b'),
                        'Image': 'docker.io/library/b:1'})])
        with self.assertError('InvalidReference', 'digest'):
            self.images('Tag', 'ssa{sv}', 'a:1', 'b@' + A, vardict({}))
        with self.assertError('NoSuchImage'):
            self.images('Tag', 'ssa{sv}', 'missing', 'b', vardict({}))

    def test_prune(self):
        self.assertEqual(self.images('Prune', 'a{sv}', vardict({})), (4096, 3))

    def test_a_small_blob_is_sealed_memory(self):
        import fcntl
        text = 'x' * 100
        self.write(f'blobs/sha256/{A[7:]}', text)
        blob, sealed = self.images('OpenBlob', 'sa{sv}', A, vardict({}))
        with os.fdopen(blob.take(), 'rb') as file:
            self.assertTrue(sealed)
            self.assertEqual(fcntl.fcntl(file.fileno(), fcntl.F_GET_SEALS), 0xf)
            self.assertEqual(file.read(), text.encode())

    def test_so_many_copies(self):
        """Memory is the machine's: a user has so much of it, until the last descriptor is closed."""
        def held():
            place, found = f'/proc/{self.instance.daemon.pid}/fd', 0
            for name in os.listdir(place):
                with contextlib.suppress(FileNotFoundError):  # it has just been closed
                    found += 'berth-blob' in os.readlink(os.path.join(place, name))
            return found

        def open_one(who=None):
            blob, sealed = self.images('OpenBlob', 'sa{sv}', A, vardict({}), who=who or alice)
            self.assertTrue(sealed)
            return blob.take()

        self.write_images(('docker.io/library/a:1', A, 64 << 20, ALICE))
        self.write(f'blobs/sha256/{A[7:]}', 'x')
        alice = self.user(ALICE)
        fds = [open_one() for _ in range(16)]
        with self.assertError('QuotaExceeded', 'close some'):
            open_one()
        for _ in range(2):
            fds.append(open_one(self.instance))  # root
        other = os.dup(fds[0])
        os.close(fds.pop(0))
        with self.assertError('QuotaExceeded'):
            open_one()
        with mmap.mmap(other, 4096, prot=mmap.PROT_READ):
            os.close(other)
            with self.assertError('QuotaExceeded'):
                open_one()
        fds.append(open_one())
        for fd in fds:
            os.close(fd)
        self.eventually(lambda: held() == 0)

    def large(self):
        """Returns: (path, where OpenBlob looks) of a blob that is not copied."""
        self.write_images(('docker.io/library/a:1', A, 65 << 20, ALICE))
        path = os.path.join(self.store, 'blobs', 'sha256', A[7:])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def open_large(self):
        blob, sealed = self.images('OpenBlob', 'sa{sv}', A, vardict({}))
        self.assertFalse(sealed)
        return blob.take()

    def test_a_large_blob_is_the_file(self):
        path = self.large()
        with open(path, 'wb') as file:
            file.truncate(65 << 20)
            os.chown(path, os.stat(self.store).st_uid, 0)
        os.chmod(path, 0o600)
        fd = self.open_large()
        self.assertEqual(os.fstat(fd).st_ino, os.stat(path).st_ino)
        with self.assertRaises(OSError):
            os.write(fd, b'x')
        os.close(fd)

    def test_a_store_that_was_prepared_for_us(self):
        """Whatever a worker in somebody else's hands leaves at the place of a blob."""
        path = self.large()
        owner = os.stat(self.store).st_uid
        secret = self.instance.path('secret')
        with open(secret, 'w', encoding='ascii') as file:
            file.write('secret')

        def link():
            os.symlink(secret, path)

        def upwards():
            os.symlink('../../../../secret', path)

        def hard_link():
            os.link(secret, path)

        def fifo():
            os.mkfifo(path)
            os.chown(path, owner, 0)

        def directory():
            os.mkdir(path)
            os.chown(path, owner, 0)

        for prepare in (link, upwards, hard_link, fifo, directory):
            with self.subTest(prepare.__name__):
                prepare()
                with self.assertError('StoreCorrupt'):
                    self.open_large()
                (os.rmdir if prepare is directory else os.unlink)(path)
        with self.assertError('NoSuchImage'):
            self.open_large()
        directory = os.path.dirname(path)
        os.rename(directory, directory + '.away')
        os.symlink(directory + '.away', directory)
        with self.assertError('StoreCorrupt'):
            self.open_large()

    def test_workers_that_lie(self):
        for kind, call in (
                ('list', lambda: self.images('List', 'a{sv}', vardict({}))),
                ('inspect', lambda: self.images('Inspect', 'sa{sv}', 'a:1', vardict({}))),
                ('blob', lambda: self.images('OpenBlob', 'sa{sv}', A, vardict({}))),
                ('prune', lambda: self.images('Prune', 'a{sv}', vardict({})))):
            for line in ('result x', 'kill 9', 'exit 0', 'garbage', 'strange', 'progress 3 2',
                         'error org.example.Error.Mine hello'):
                with self.subTest(kind=kind, line=line):
                    self.write(f'query-{kind}', line)
                    with self.assertError(FAILED, 'worker'):
                        call()
            os.unlink(os.path.join(self.store, f'query-{kind}'))
            call() if kind != 'blob' else None

    def test_rows_that_make_no_sense(self):
        for row in (('docker.io/library/a:1', 'sha256:12', 1, 0), ('docker.io/a:1', 'nonsense', 1, 0)):
            self.write_images(row)
            with self.assertError(FAILED, 'Digest'):
                self.images('List', 'a{sv}', vardict({}))

    def test_more_than_belongs_there(self):
        self.write('extra', '')
        with self.assertError(FAILED, 'Extra'):
            self.images('List', 'a{sv}', vardict({}))
        with self.assertError(FAILED, 'Extra'):
            self.images('Inspect', 'sa{sv}', 'a:1', vardict({}))

    def test_queries_wait_in_line(self):
        self.write('query-list', 'hang')
        alice = self.user(ALICE)
        pending = [alice.begin(ROOT_PATH, IF_IMAGES, 'List', 'a{sv}', vardict({}))
                   for _ in range(10)]
        self.eventually(lambda: len(self.asked('list')) == 2)
        self.images('Prune', 'a{sv}', vardict({}))
        self.user(BOB).begin(ROOT_PATH, IF_IMAGES, 'List', 'a{sv}', vardict({}))
        self.eventually(lambda: len(self.asked('list')) == 3)
        self.assertEqual(len(pending), 10)


if __name__ == '__main__':
    unittest.main()
