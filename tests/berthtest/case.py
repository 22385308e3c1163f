# SPDX-License-Identifier: LGPL-2.1-or-later
"""Base classes of test cases."""

import contextlib
import os
import select
import time
import unittest

import dbus

from .calls import DEADLINE, ERROR
from .instance import Instance
from .member import Member
from .polkit import Polkit
from .user import User


class BerthTestCase(unittest.TestCase):
    """Assertions on errors, and instances that are closed, and checked, at the end of the test."""

    maxDiff = None

    @contextlib.contextmanager
    def assertError(self, name, message=None, instance=None):
        """name: the last part of one of our errors, or a full D-Bus error name; message: a regex."""
        full = name if '.' in name else ERROR + name
        try:
            yield
        except dbus.DBusException as error:
            self.assertEqual(error.get_dbus_name(), full,
                             f'{error.get_dbus_message()}\n{instance.logs() if instance else ""}')
            if message is not None:
                self.assertRegex(error.get_dbus_message(), message)
        else:
            self.fail(f'no error, {full} expected')

    def new_instance(self, *args, **kwargs):
        """Returns: an Instance; that it closes without a trace is part of the test."""
        instance = Instance(*args, **kwargs)
        self.addCleanup(instance.close)
        return instance

    def serve(self, server):
        """server: a Registry, FaultProxy, UrlServer, TokenServer, CA, … that is closed at the end of
        the test, the last made first. Returns: it.
        """
        self.addCleanup(server.close)
        return server

    def eventually(self, function, seconds=DEADLINE):
        """Waits until function returns something true. Returns: that."""
        deadline = time.monotonic() + seconds
        while True:
            result = function()
            if result:
                return result
            self.assertLess(time.monotonic(), deadline, f'still not: {function}')
            select.select([], [], [], 0.005)

    def member(self, *args, **kwargs):
        member = Member(*args, **kwargs)
        self.addCleanup(member.close)
        return member


class InstanceTestCase(BerthTestCase):
    """self.instance: one instance per test, with the settings of the class."""

    settings = None
    registries = None
    args = ()

    def setUp(self):
        self.instance = self.new_instance(settings=self.settings, registries=self.registries,
                                          args=self.args)
        self._children = len(self.instance.children())

    def settled(self):
        """Returns: a trace to compare with, taken when no helper of the service runs."""
        self.eventually(lambda: len(self.instance.children()) == self._children)
        return self.instance.trace()

    def assertError(self, name, message=None, instance=None):
        return super().assertError(name, message, instance or self.instance)

    def assertTrace(self, before):
        """What the service holds is what it held: at once, but for a helper that is just ending."""
        deadline = time.monotonic() + 10
        while True:
            now = self.instance.trace()
            if now == before or time.monotonic() > deadline:
                self.assertEqual(now, before)
                return
            select.select([], [], [], 0.01)

    def join(self, sandbox, **options):
        """Returns: the fds of Join, closed at the end of the test unless taken with pop()."""
        fds = self.instance.join(sandbox, **options)

        def close():
            for fd in fds.values():
                os.close(fd)
        self.addCleanup(close)
        return fds

    def joined(self, sandbox):
        """Returns: a Member inside the sandbox."""
        return self.member(**self.instance.join(sandbox))

    def user(self, uid, groups=(), instance=None):
        """Returns: a User of the instance, closed at the end of the test."""
        user = User(instance or self.instance, uid, groups)
        self.addCleanup(user.close)
        return user

    def keep(self, fds):
        """Closes fds at the end of the test, as far as it did not. Returns: fds."""
        def close():
            for fd in fds.values():
                with contextlib.suppress(OSError):
                    os.close(fd)
            fds.clear()
        self.addCleanup(close)
        return fds

    def polkit(self, **answers):
        """Starts a mock polkit. Returns: it, with the answers set; action names with _ for -."""
        polkit = Polkit(self.instance)
        self.addCleanup(polkit.close)
        polkit.answer(**answers)
        return polkit


class UserTestCase(InstanceTestCase):
    """self.authority: a mock polkit that lets everybody create sandboxes, and refuses all else."""

    def setUp(self):
        super().setUp()
        self.authority = self.polkit(create_sandbox='yes')
