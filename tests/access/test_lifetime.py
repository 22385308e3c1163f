# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lifetimes: explicit, connection, process; while the service runs, and while it does not."""

import os
import signal
import socket
import unittest

import dbus

from berthtest import ALICE, IF_SANDBOX, Member, UserTestCase

class LifetimeTestCase(UserTestCase):
    def setUp(self):
        super().setUp()
        self.alice = self.user(ALICE)
        self.before = self.instance.trace()

    def assertGone(self, path=None):
        """At once or soon, and without a trace."""
        if path:
            self.eventually(lambda: path not in self.paths())
        else:
            self.eventually(lambda: not self.instance.list())
        if not self.instance.list():
            self.assertTrace(self.before)

    def paths(self):
        return [str(row['Path']) for row in self.instance.list()]

    def restarts(self):
        """Yields: a function that stops the service, in each way there is."""
        for stop in (self.instance.terminate, self.instance.kill):
            with self.subTest(stop=stop.__name__):
                yield stop

    def with_process(self, user, process, **options):
        """Returns: the path of a sandbox that lives with a Member."""
        pidfd = process.pidfd()
        try:
            return user.create(Lifetime='process', Process=dbus.types.UnixFd(pidfd), **options)
        finally:
            os.close(pidfd)


class Explicit(LifetimeTestCase):
    def test_it_stays(self):
        path = self.alice.create('demo', Lifetime='explicit')
        self.alice.close()
        self.assertEqual(self.paths(), [path])
        for stop in self.restarts():
            stop()
            self.instance.start()
            self.assertEqual(self.paths(), [path])
        self.assertEqual(self.instance.describe(path)['Lifetime'], 'explicit')


class Connection(LifetimeTestCase):
    def test_it_goes_with_the_connection(self):
        other = self.user(ALICE)
        path = self.alice.create('demo', Lifetime='connection')
        self.assertEqual(self.alice.describe(path)['Lifetime'], 'connection')
        other.close()
        self.assertEqual(self.paths(), [path])
        with self.instance.signals('org.freedesktop.DBus.ObjectManager',
                                   'InterfacesRemoved') as removed:
            self.alice.close()
            _, (gone, names) = removed()
        self.assertEqual((gone, IF_SANDBOX in names), (path, True))
        self.assertGone()

    def test_every_mode(self):
        self.authority.answer(host_ipc='yes')
        self.instance.create('donor')
        self.before = self.instance.trace()
        for mode in ('private', 'shareable', 'none', 'host', 'container:0/donor'):
            self.authority.answer(join_sandbox='yes')
            with self.subTest(mode=mode):
                alice = self.user(ALICE)
                alice.create(Mode=mode, Lifetime='connection')
                alice.close()
                self.eventually(lambda: len(self.instance.list()) == 1)
                self.assertTrace(self.before)

    def test_of_root_and_published(self):
        root = self.user(0)
        path = root.create('demo', Lifetime='connection', Publish=True)
        where = self.instance.path('run', 'sandbox', 'by-name', 'demo', 'ipc')
        self.assertTrue(os.path.exists(where))
        root.close()
        self.assertGone(path)
        self.assertFalse(os.path.lexists(where))

    def test_many(self):
        for _ in range(20):
            self.alice.create(Lifetime='connection')
        kept = self.alice.create(Lifetime='explicit')
        self.alice.close()
        self.eventually(lambda: self.paths() == [kept])

    def test_what_was_handed_out_stays(self):
        self.alice.create('demo', Lifetime='connection')
        member = self.member(uid=ALICE, **self.alice.join('demo'))
        self.alice.close()
        self.eventually(lambda: not self.instance.list())
        member.write('/dev/shm/file', 'text')

    def test_a_joiner_stays(self):
        donor = self.alice.create('demo', Lifetime='connection')
        other = self.user(ALICE)
        joiner = other.create(Mode='container:demo')
        self.alice.close()
        self.assertGone(donor)
        self.assertEqual(self.paths(), [joiner])
        self.assertEqual(set(self.keep(other.join(joiner.rsplit('/', 1)[1]))),
                         {'ipc', 'shm', 'mqueue'})

    def test_removed_before_its_end(self):
        path = self.alice.create('demo', Lifetime='connection')
        self.alice.remove(path)
        again = self.alice.create('demo')
        self.alice.close()
        self.assertEqual(self.paths(), [again])

    def test_a_killed_process(self):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self.user(ALICE).create('demo', Lifetime='connection')
                os.write(writer, b'x')
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        self.assertEqual(os.read(reader, 1), b'x')
        os.close(reader)
        self.assertEqual(len(self.instance.list()), 1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.assertGone()

    def test_a_restart_in_between(self):
        path = self.alice.create('demo', Lifetime='connection')
        for stop in self.restarts():
            stop()
            self.instance.start()
            self.assertEqual(self.paths(), [path])
            self.assertEqual(self.alice.describe(path)['Lifetime'], 'connection')
        self.alice.close()
        self.assertGone()

    def test_it_leaves_while_the_service_is_down(self):
        for stop in self.restarts():
            alice = self.user(ALICE)
            alice.create('demo', Lifetime='connection')
            kept = self.instance.create('kept')
            stop()
            alice.close()
            self.instance.start()
            self.eventually(lambda: self.paths() == [kept])
            self.instance.remove(kept)
            self.assertTrace(self.before)

    def test_another_bus_gives_the_same_name_again(self):
        """A unique name means something on its own bus only."""
        for stop in self.restarts():
            self.alice = self.user(ALICE)
            name = self.alice.name
            self.alice.create('demo', Lifetime='connection')
            stop()
            self.authority.close()
            self.instance.restart_bus()
            self.authority = self.polkit(create_sandbox='yes')
            others = [self.user(ALICE)]
            while others[-1].name != name:
                self.assertLess(len(others), 1000)
                others.append(self.user(ALICE))
            self.instance.start()
            self.assertGone()

    def test_the_well_known_name_of_a_caller_means_nothing(self):
        self.alice.bus.request_name('org.example.Demo')
        path = self.alice.create('demo', Lifetime='connection')
        self.alice.bus.release_name('org.example.Demo')
        self.assertEqual(self.paths(), [path])
        heir = self.user(ALICE)
        heir.bus.request_name('org.example.Demo')
        self.alice.close()
        self.assertGone()


class Process(LifetimeTestCase):
    def test_it_goes_with_the_process(self):
        process = self.member()
        path = self.with_process(self.alice, process)
        self.assertEqual(self.alice.describe(path)['Lifetime'], 'process')
        self.alice.close()
        self.assertEqual(self.paths(), [path])
        process.close()
        self.assertGone()

    def test_a_zombie_has_ended(self):
        process = self.member()
        self.with_process(self.alice, process)
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertGone()

    def test_anybodys_process(self):
        """A pidfd says when a process ends, to everybody; so there is no secret in it."""
        process = self.member()
        process.setuid(ALICE)
        path = self.with_process(self.instance, process)
        process.close()
        self.assertGone(path)

    def test_several_with_one(self):
        process, other = self.member(), self.member()
        paths = [self.with_process(self.alice, process) for _ in range(5)]
        kept = self.with_process(self.alice, other)
        process.close()
        self.eventually(lambda: self.paths() == [kept])
        self.assertNotIn(kept, paths)

    def test_a_restart_in_between(self):
        process = self.member()
        path = self.with_process(self.alice, process)
        for stop in self.restarts():
            stop()
            self.instance.start()
            self.assertEqual(self.paths(), [path])
            self.assertEqual(self.alice.describe(path)['Lifetime'], 'process')
        process.close()
        self.assertGone()

    def test_it_ends_while_the_service_is_down(self):
        for stop in self.restarts():
            process = self.member()
            self.with_process(self.alice, process)
            stop()
            process.close()
            self.instance.start()
            self.assertGone()

    @unittest.skipUnless(Member.can_reuse(), 'this kernel cannot be told which PID is next')
    def test_its_pid_is_another_process_when_the_service_starts(self):
        for stop in self.restarts():
            process = self.member()
            pid = process.pid
            self.with_process(self.alice, process)
            stop()
            process.close()
            heir = Member.reuse(pid)
            self.addCleanup(heir.close)
            self.instance.start()
            self.assertGone()
            heir.close()

    @unittest.skipUnless(Member.can_reuse(), 'this kernel cannot be told which PID is next')
    def test_its_pid_is_another_process_when_it_is_created(self):
        process = self.member()
        pid, pidfd = process.pid, process.pidfd()
        self.addCleanup(os.close, pidfd)
        process.close()
        heir = Member.reuse(pid)
        self.addCleanup(heir.close)
        with self.assertError('org.freedesktop.DBus.Error.InvalidArgs', 'ended'):
            self.alice.create(Lifetime='process', Process=dbus.types.UnixFd(pidfd))
        self.assertTrace(self.before)

    def test_it_ends_while_polkit_is_asked(self):
        process = self.member()
        pidfd = process.pidfd()
        self.addCleanup(os.close, pidfd)
        self.authority.hang()
        pending = self.alice.begin_create(Lifetime='process', Process=dbus.types.UnixFd(pidfd))
        self.authority.wait_checks()
        process.close()
        self.authority.release()
        with self.assertError('org.freedesktop.DBus.Error.InvalidArgs', 'ended'):
            pending.result()
        self.assertTrace(self.before)

    def test_a_private_one_that_was_handed_over(self):
        process = self.member()
        path = self.with_process(self.alice, process, Mode='private')
        self.keep(self.alice.join(path.rsplit('/', 1)[1]))
        self.assertEqual(self.alice.get(path, IF_SANDBOX, 'State'), 'handed-over')
        process.close()
        self.eventually(lambda: not self.instance.list())


class Combinations(LifetimeTestCase):
    def refuse(self, error, pattern, **options):
        with self.subTest(options=list(options)), self.assertError(error, pattern):
            self.alice.create('demo', **options)

    def test_bad_ones(self):
        pidfd = os.pidfd_open(os.getpid())
        self.addCleanup(os.close, pidfd)

        def process():
            return dbus.types.UnixFd(pidfd)
        for word in ('', 'Explicit', 'forever', 'connection ', 'session', 'x' * 1000):
            self.refuse('InvalidOption', 'Lifetime', Lifetime=word)
        self.refuse('InvalidOption', 'Process', Lifetime='process')
        for word in ('explicit', 'connection'):
            self.refuse('InvalidOption', 'Process', Lifetime=word, Process=process())
        self.refuse('InvalidOption', 'Process', Process=process())
        self.assertEqual(self.authority.checks(), [])
        self.assertTrace(self.before)

    def test_what_is_no_process(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        descriptors = [os.open(path, os.O_RDONLY) for path in ('/dev/null', '/proc/self',
                                                               '/proc/self/ns/pid', '/etc/passwd')]
        descriptors += [os.open('/', os.O_PATH), ours.detach()]
        for fd in descriptors:
            self.refuse('org.freedesktop.DBus.Error.InvalidArgs', 'pidfd', Lifetime='process',
                        Process=dbus.types.UnixFd(fd))
            os.close(fd)
        self.assertTrace(self.before)

    def test_an_ended_process(self):
        process = self.member()
        pidfd = process.pidfd()
        self.addCleanup(os.close, pidfd)
        process.close()
        self.refuse('org.freedesktop.DBus.Error.InvalidArgs', 'ended', Lifetime='process',
                    Process=dbus.types.UnixFd(pidfd))
        self.assertTrace(self.before)


if __name__ == '__main__':
    unittest.main()
