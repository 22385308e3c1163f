# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a user may have: counted until the memory is really gone, and never for root."""

import os
import signal
import unittest

import dbus

from berthtest import ALICE, BOB, BUS_NAME, IF_SANDBOX, UserTestCase, vardict

MIB = 1 << 20

SETTINGS = '''[Sandboxes]
DefaultShmSize=1M
DefaultShmInodes=100
MaxSandboxesPerUser={sandboxes}
MaxShmPerUser={shm}
MaxInodesPerUser={inodes}
MaxPendingCallsPerUser={calls}
MaxSandboxes={all}
'''


class QuotaTestCase(UserTestCase):
    limits = {}

    def setUp(self):
        # limits that a test is not about are out of the way
        self.settings = SETTINGS.format(**{'sandboxes': 64, 'shm': '1G', 'inodes': '1M',
                                           'calls': 64, 'all': 1000, **self.limits})
        super().setUp()
        self.alice, self.bob = self.user(ALICE), self.user(BOB)

    def assertQuota(self, *words):
        """Asserts QuotaExceeded; the message has all these words: limit, usage, the setting."""
        return self.assertError('QuotaExceeded',
                                ''.join(fr'(?=.*\b{word}\b)' for word in (str(ALICE), *words)))

    def is_full(self, **options):
        """Returns: whether a Create ends in QuotaExceeded; what it made else is removed."""
        try:
            path = self.alice.create(**options)
        except dbus.DBusException as error:
            self.assertEqual(error.get_dbus_name(), 'org.berthd.Berth1.Error.QuotaExceeded',
                             error.get_dbus_message())
            return True
        self.alice.remove(path)
        return False

    def fill(self, **options):
        """Creates until QuotaExceeded. Returns: how many fitted."""
        for number in range(200):
            try:
                self.alice.create(**options)
            except dbus.DBusException as error:
                self.assertEqual(error.get_dbus_name(),
                                 'org.berthd.Berth1.Error.QuotaExceeded', error)
                return number
        return self.fail('there is no limit')


class Sandboxes(QuotaTestCase):
    limits = {'sandboxes': 3}

    def test_the_limit(self):
        paths = [self.alice.create(f'demo-{number}') for number in range(3)]
        with self.assertQuota('3 sandboxes', 'at most 3', 'MaxSandboxesPerUser'):
            self.alice.create()
        self.bob.create()
        self.instance.create()
        self.alice.remove(paths[1])
        self.alice.create()
        with self.assertQuota():
            self.alice.create()

    def test_every_mode_counts(self):
        self.authority.answer(host_ipc='yes')
        self.alice.create('donor')
        self.alice.create(Mode='none')
        self.alice.create(Mode='host')
        for mode in ('private', 'shareable', 'none', 'host', 'container:donor'):
            with self.assertQuota('3 sandboxes'):
                self.alice.create(Mode=mode)

    def test_a_failed_one_does_not_count(self):
        for _ in range(5):
            for options in ({'Users': ['no-such-name']}, {'Mode': 'container:nobody'},
                            {'ShmSize': 1 << 40}, {'ShmHuge': 'x'}):
                with self.assertRaises(dbus.DBusException):
                    self.alice.create(**options)
        self.assertEqual(self.fill(), 3)

    def test_many_at_once(self):
        """Each is checked again when it is its turn."""
        pending = [self.alice.begin_create() for _ in range(20)]
        good = 0
        for call in pending:
            try:
                call.result()
                good += 1
            except dbus.DBusException as error:
                self.assertEqual(error.get_dbus_name(),
                                 'org.berthd.Berth1.Error.QuotaExceeded')
        self.assertEqual(good, 3)
        self.assertEqual(len(self.alice.list()), 3)

    def test_root_is_exempt(self):
        for _ in range(10):
            self.instance.create()

    def test_after_a_restart(self):
        self.fill()
        for stop in (self.instance.terminate, self.instance.kill):
            stop()
            self.instance.start()
            with self.assertQuota('3 sandboxes'):
                self.alice.create()
        self.alice.remove(self.alice.list()[0]['Path'])
        self.alice.create()

    def test_a_lower_limit_leaves_what_is_there(self):
        self.fill()
        self.instance.write_settings('berth.conf', self.settings.replace('PerUser=3', 'PerUser=1'))
        self.instance.manager('Reload')
        self.assertEqual(len(self.alice.list()), 3)
        with self.assertQuota('3 sandboxes', 'at most 1'):
            self.alice.create()
        self.keep(self.alice.join(self.alice.list()[0]['Id']))


class Everybody(QuotaTestCase):
    limits = {'all': 3}

    def test_all_sandboxes_together(self):
        for user in (self.alice, self.bob, self.instance):
            user.create()
        for user in (self.alice, self.instance):
            with self.assertError('QuotaExceeded', 'MaxSandboxes='):
                user.create()


class Shm(QuotaTestCase):
    limits = {'shm': '8M'}

    def test_the_limit(self):
        path = self.alice.create(ShmSize=6 * MIB)
        with self.assertQuota(str(6 * MIB), str(3 * MIB), str(8 * MIB), 'MaxShmPerUser'):
            self.alice.create(ShmSize=3 * MIB)
        self.bob.create(ShmSize=6 * MIB)
        self.instance.create(ShmSize=64 * MIB)
        self.alice.create(ShmSize=2 * MIB)
        with self.assertQuota():
            self.alice.create(ShmSize=4096)
        self.alice.remove(path)
        self.alice.create(ShmSize=6 * MIB)

    def test_resize_counts(self):
        one, two = self.alice.create(), self.alice.create()
        self.alice.resize(one, 7 * MIB)
        with self.assertQuota(str(8 * MIB), 'MaxShmPerUser'):
            self.alice.resize(two, 2 * MIB)
        self.assertEqual(self.alice.get(two, IF_SANDBOX, 'ShmSize'), MIB)
        self.alice.resize(one, MIB)
        self.alice.resize(two, 7 * MIB)
        with self.assertQuota():
            self.alice.create()
        for stop in (self.instance.terminate, self.instance.kill):
            stop()
            self.instance.start()
            with self.assertQuota(str(8 * MIB)):
                self.alice.create()
        self.alice.resize(two, 6 * MIB)
        self.alice.create()

    def test_resize_of_a_joiner_counts_for_the_donors_owner(self):
        self.alice.create('demo', Users=[str(BOB)])
        joiner = self.bob.create(Mode=f'container:{ALICE}/demo')
        self.alice.resize(joiner, 8 * MIB)
        with self.assertQuota():
            self.alice.create()
        self.bob.create(ShmSize=8 * MIB)

    def test_a_joiner_costs_no_memory(self):
        self.alice.create('demo', ShmSize=8 * MIB)
        for _ in range(5):
            self.alice.create(Mode='container:demo')

    def test_joiners_keep_the_memory_of_a_donor_that_went(self):
        donor = self.alice.create('demo', ShmSize=8 * MIB)
        joiner = self.alice.create(Mode='container:demo')
        self.alice.remove(donor)
        with self.assertQuota():
            self.alice.create()
        for stop in (self.instance.terminate, self.instance.kill):
            stop()
            self.instance.start()
            with self.assertQuota():
                self.alice.create()
        self.alice.resize(joiner, 7 * MIB)
        self.alice.remove(self.alice.create())
        self.instance.restart()
        self.alice.remove(self.alice.create())
        self.alice.remove(joiner)
        self.eventually(lambda: not self.is_full(ShmSize=8 * MIB))

    def test_root_is_exempt(self):
        path = self.instance.create(ShmSize=64 * MIB)
        self.instance.resize(path, 128 * MIB)

    def test_odd_sizes(self):
        """What is charged is what the kernel gives: whole pages."""
        page = os.sysconf('SC_PAGESIZE')
        path = self.alice.create(ShmSize=1)
        self.assertEqual(self.alice.get(path, IF_SANDBOX, 'ShmSize'), page)
        self.alice.create(ShmSize=8 * MIB - page)
        with self.assertQuota():
            self.alice.create(ShmSize=1)


class Inodes(QuotaTestCase):
    limits = {'inodes': '1000'}

    def test_the_limit(self):
        path = self.alice.create(ShmInodes=900)
        with self.assertQuota('900', '101', '1000', 'MaxInodesPerUser'):
            self.alice.create(ShmInodes=101)
        self.alice.create(ShmInodes=100)
        self.bob.create(ShmInodes=1000)
        self.instance.create(ShmInodes=100000)
        with self.assertQuota():
            self.alice.resize(path, MIB, Inodes=901)
        self.alice.resize(path, MIB, Inodes=800)
        self.alice.create(ShmInodes=100)
        with self.assertQuota():
            self.alice.create(ShmInodes=1)
        self.instance.restart()
        with self.assertQuota('1000'):
            self.alice.create(ShmInodes=1)


class Held(QuotaTestCase):
    """The loop create, join, remove, with what was handed out kept."""

    limits = {'sandboxes': 1000, 'shm': '8M'}

    def loop(self, limit, keep=('ipc', 'shm', 'mqueue'), **options):
        """Returns: {number: fds} of all that could be had."""
        held = {}
        for number in range(limit + 50):
            try:
                path = self.alice.create('demo', **options)
            except dbus.DBusException as error:
                self.assertEqual(error.get_dbus_name(),
                                 'org.berthd.Berth1.Error.QuotaExceeded', error)
                return held
            fds = self.keep(self.alice.join('demo'))
            for name in set(fds) - set(keep):
                os.close(fds.pop(name))
            held[number] = fds
            if self.alice.list():
                self.alice.remove(path)
            self.assertEqual(self.alice.list(), [])
        return self.fail(f'{limit + 50} could be had')

    def release(self, fds):
        while fds:
            os.close(fds.popitem()[1])

    def test_shareable(self):
        held = self.loop(8)
        self.assertEqual(len(held), 8)
        with self.assertQuota(str(8 * MIB), str(MIB), 'MaxShmPerUser'):
            self.alice.create()
        self.bob.create()
        self.release(held[3])
        self.eventually(lambda: not self.is_full())
        path = self.alice.create()
        with self.assertQuota(str(8 * MIB)):
            self.alice.create()
        self.alice.remove(path)
        for fds in held.values():
            self.release(fds)
        self.eventually(lambda: not self.is_full(ShmSize=8 * MIB))

    def test_private(self):
        held = self.loop(8, Mode='private')
        self.assertEqual(len(held), 8)
        self.release(held[0])
        self.eventually(lambda: not self.is_full())

    def test_private_without_removing(self):
        held = []
        for _ in range(8):
            path = self.alice.create(Mode='private')
            held.append(self.keep(self.alice.join(path.rsplit('/', 1)[1])))
        with self.assertQuota(str(8 * MIB)):
            self.alice.create()
        self.release(held[0])
        self.eventually(lambda: not self.is_full())
        self.assertEqual(len(self.alice.list()), 7)

    def test_the_shm_alone(self):
        held = self.loop(8, keep=['shm'])
        self.release(held[0])
        self.eventually(lambda: not self.is_full())

    def test_a_directory_in_it(self):
        """Any open file keeps the memory, not just what was handed out."""
        held = self.loop(8)
        inside = {}
        for number, fds in held.items():
            inside[number] = os.open('.', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fds['shm'])
            self.release(fds)
        with self.assertQuota(str(8 * MIB)):
            self.alice.create()
        for fd in inside.values():
            os.close(fd)
        self.eventually(lambda: not self.is_full(ShmSize=8 * MIB))

    def test_a_process_in_it(self):
        path = self.alice.create('demo', ShmSize=8 * MIB)
        member = self.member(uid=ALICE, **self.alice.join('demo'))
        self.alice.remove(path)
        with self.assertQuota(str(8 * MIB)):
            self.alice.create()
        member.write('/dev/shm/file', 'text')
        member.close()
        self.eventually(lambda: not self.is_full(ShmSize=8 * MIB))

    def test_a_member_that_keeps_it(self):
        path = self.alice.create('demo', ShmSize=8 * MIB, Users=[str(BOB)])
        fds = self.keep(self.bob.join(f'{ALICE}/demo'))
        self.alice.remove(path)
        with self.assertQuota(str(8 * MIB)):
            self.alice.create()
        self.release(fds)
        self.eventually(lambda: not self.is_full(ShmSize=8 * MIB))

    def test_across_restarts(self):
        held = self.loop(8)
        for stop in (self.instance.terminate, self.instance.kill):
            stop()
            self.instance.start()
            self.assertEqual(self.alice.list(), [])
            with self.assertQuota(str(8 * MIB)):
                self.alice.create()
        self.release(held[0])
        self.eventually(lambda: not self.is_full())
        self.instance.kill()
        for fds in held.values():
            self.release(fds)
        self.instance.start()
        self.eventually(lambda: not self.is_full(ShmSize=8 * MIB))

    def test_nothing_is_left_of_them(self):
        before = self.instance.trace()
        for fds in self.loop(8).values():
            self.release(fds)
        self.assertTrace(before)

    def test_root_is_exempt(self):
        for _ in range(20):
            path = self.instance.create(ShmSize=64 * MIB)
            self.keep(self.instance.join(path.rsplit('/', 1)[1]))
            self.instance.remove(path)


class Small(QuotaTestCase):
    """Sandboxes that cost next to no memory by their limits cost the kernel some all the same."""

    limits = {'sandboxes': 5}

    def loop(self, **options):
        for _ in range(5):
            path = self.alice.create('demo', **options)
            self.keep(self.alice.join('demo'))
            if self.alice.list():
                self.alice.remove(path)

    def assertFull(self, **options):
        with self.assertQuota('at most 5', 'MaxSandboxesPerUser'):
            self.alice.create('demo', **options)

    def test_tiny_ones(self):
        self.loop(ShmSize=4096, ShmInodes=2)
        self.assertFull()
        for stop in (self.instance.terminate, self.instance.kill):
            stop()
            self.instance.start()
            self.assertFull()

    def test_none(self):
        """No shm, but an IPC namespace with as much System V memory as the size allows."""
        self.loop(Mode='none')
        self.assertFull()


class PendingCalls(QuotaTestCase):
    limits = {'calls': 10}

    def test_the_limit(self):
        self.authority.hang('create-sandbox')
        pending = [self.alice.begin_create() for _ in range(10)]
        self.authority.wait_checks(10)
        for call in (lambda: self.alice.create(), lambda: self.alice.list(),
                     lambda: self.user(ALICE).list()):
            with self.assertError('org.freedesktop.DBus.Error.LimitsExceeded',
                                  f'{ALICE} has 10 calls .*MaxPendingCallsPerUser='):
                call()
        self.assertEqual(len(self.authority.checks()), 10)
        self.assertEqual(self.bob.list(), [])
        self.assertEqual(self.instance.list(), [])
        self.authority.release()
        for call in pending:
            call.result()
        self.assertEqual(len(self.alice.list()), 10)

    def test_calls_of_who_left_do_not_count(self):
        self.authority.hang('create-sandbox')
        other = self.user(ALICE)
        for _ in range(10):
            other.begin_create()
        self.authority.wait_checks(10)
        other.close()
        self.authority.wait_cancelled(10)
        self.assertEqual(self.alice.list(), [])

    def test_root_is_exempt(self):
        self.authority.hang()
        for _ in range(10):
            self.alice.begin_create()
        self.authority.wait_checks(10)
        root = self.user(0)
        for call in [root.begin_create() for _ in range(20)]:
            call.result()


class Turns(QuotaTestCase):
    """Who sends many calls does not hold up who sends few."""

    def test_users_take_turns(self):
        mine, theirs = self.alice.create(), self.bob.create()
        order = []
        with self.instance.signals('org.freedesktop.DBus.Properties',
                                   'PropertiesChanged') as changed:
            os.kill(self.instance.daemon.pid, signal.SIGSTOP)  # so that all is there at once
            try:
                many = [self.alice.begin(mine, IF_SANDBOX, 'Resize', 'ta{sv}',
                                         dbus.UInt64(number * MIB), vardict({}))
                        for number in range(2, 52)]
                self.alice.bus.get_name_owner(BUS_NAME)  # the bus has them
                few = self.bob.begin(theirs, IF_SANDBOX, 'Resize', 'ta{sv}', dbus.UInt64(2 * MIB),
                                     vardict({}))
                self.bob.bus.get_name_owner(BUS_NAME)
            finally:
                os.kill(self.instance.daemon.pid, signal.SIGCONT)
            while len(order) < 51:
                path, (_, values, _) = changed()
                order.append((path, values['ShmSize']))
        for call in [*many, few]:
            call.result()
        self.assertLessEqual(order.index((theirs, 2 * MIB)), 2)
        # and each one's own are done in the order in which they were sent
        self.assertEqual([size for path, size in order if path == mine],
                         [number * MIB for number in range(2, 52)])

    def test_what_was_sent_is_done_although_the_sender_left(self):
        """As dbus-send does, which does not wait for a reply."""
        path = self.alice.create()
        for _ in range(5):
            self.alice.begin(path, IF_SANDBOX, 'Resize', 'ta{sv}', dbus.UInt64(2 * MIB),
                             vardict({}))
        self.alice.begin(path, IF_SANDBOX, 'Remove', 'a{sv}', vardict({}))
        self.alice.close()
        self.eventually(lambda: not self.instance.list())


if __name__ == '__main__':
    unittest.main()
