# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other users than root: who they are, and connections to the bus that are theirs.

The bus driver notes who connects when it happens, so the test's own process can open connections
for any number of users. What a user may do to the kernel needs a process: Member(uid=…).
"""

import contextlib
import grp
import os
import pwd
import threading

import dbus
import dbus.lowlevel
import dbus.types

from .calls import BUS_NAME, Calls, IF_SANDBOX, IF_SANDBOXES, ROOT_PATH, vardict

# Users that every Debian has; the bus lets in only users that exist.
ALICE, BOB, CAROL = (pwd.getpwnam(name).pw_uid for name in ('games', 'man', 'news'))


def name_of_uid(uid):
    return pwd.getpwuid(uid).pw_name


def gid_of_name(name):
    return grp.getgrnam(name).gr_gid


@contextlib.contextmanager
def effective(uid, groups=()):
    """This process as uid, with its primary group and the supplementary groups."""
    gid = pwd.getpwuid(uid).pw_gid
    before = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


class User(Calls):
    """with User(instance, ALICE, groups=[…]) as alice: alice.create('demo')"""

    def __init__(self, instance, uid, groups=(), mainloop=None):
        self.instance = instance
        self.uid = uid
        with effective(uid, groups):
            self.bus = instance.connect(mainloop)

    @property
    def name(self):
        """The unique name on the bus."""
        return str(self.bus.get_unique_name())

    def begin(self, path, interface, method, signature, *args, interactive=False):
        """Sends a call. Returns: a Pending."""
        message = dbus.lowlevel.MethodCallMessage(BUS_NAME, path, interface, method)
        if args:
            message.append(*args, signature=signature)
        message.set_allow_interactive_authorization(interactive)
        return Pending(self.bus, message)

    def begin_create(self, name='', **options):
        return self.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', name, vardict(options))

    def begin_attach(self, path, pidfd):
        return self.begin(path, IF_SANDBOX, 'Attach', 'ha{sv}', dbus.types.UnixFd(pidfd),
                          vardict({}))

    def begin_snapshot(self, path, fd, **options):
        return self.begin(path, IF_SANDBOX, 'Snapshot', 'ha{sv}', dbus.types.UnixFd(fd),
                          vardict(options))

    def begin_restore(self, path, fd, **options):
        return self.begin(path, IF_SANDBOX, 'Restore', 'ha{sv}', dbus.types.UnixFd(fd),
                          vardict(options))

    def close(self):
        if self.bus:
            self.bus.close()
            self.bus = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


class Pending:
    """A call whose reply is not there yet."""

    def __init__(self, bus, message, seconds=120):
        self._replies = []
        self._pending = bus.send_message_with_reply(message, self._replies.append, seconds)
        bus.flush()

    def result(self):
        """Waits. Returns: the first argument of the reply, or raises its error."""
        self._pending.block()
        reply = self._replies[0]
        if reply.get_error_name():
            arguments = reply.get_args_list()
            raise dbus.DBusException(*arguments[:1], name=reply.get_error_name())
        arguments = reply.get_args_list(byte_arrays=True)
        return arguments[0] if arguments else None


class Race:
    """Calls functions again and again, each in a thread of its own, until the block ends."""

    def __init__(self, *functions):
        self._end = threading.Event()
        self._errors = []
        self._threads = [threading.Thread(target=self._run, args=[function])
                         for function in functions]

    def _run(self, function):
        try:
            while not self._end.is_set():
                function()
        except BaseException as error:  # raised again where the block ends
            self._errors.append(error)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception):
        self._end.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
