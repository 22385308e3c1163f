# SPDX-License-Identifier: LGPL-2.1-or-later
"""An instance whose workers do what the test says, see tests/bus/fake-transfer.c; no store behind it.

A test drives each pull through a FIFO, line by line, and reads what the workers were asked.
"""

import contextlib
import os
import re
import select

import dbus
import dbus.lowlevel
import dbus.types
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

from .calls import IF_IMAGES, IF_TRANSFER, ROOT_PATH, vardict
from .case import InstanceTestCase
from .user import User

FINAL = ('done', 'failed', 'cancelled')


def digest(letter):
    """Returns: a digest that belongs to nothing."""
    return 'sha256:' + letter * 64


class Script:
    """What one pull does: say('progress 1 2'), say('done ' + digest('a'))."""

    def __init__(self, path):
        os.mkfifo(path)
        os.chmod(path, 0o666)
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def say(self, *lines):
        os.write(self._fd, ''.join(line + '\n' for line in lines).encode())

    def close(self):
        os.close(self._fd)


class Recorder:
    """Every signal of an interface that one connection gets, its own and those of everybody."""

    def __init__(self, instance, interface, uid=0):
        self.user = User(instance, uid, mainloop=DBusGMainLoop())
        self._interface = interface
        self._got = []
        self.user.bus.add_message_filter(self._take)
        self.user.bus.add_match_string(f"type='signal',interface='{interface}'")
        self.got()  # the match is in force

    def _take(self, _connection, message):
        if message.get_interface() == self._interface:
            self._got.append((str(message.get_member()), str(message.get_path()),
                              message.get_args_list()))
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED

    def got(self):
        """Returns: [(member, path, arguments)] of all that the service has sent so far."""
        self.user.call(ROOT_PATH, 'org.freedesktop.DBus.Peer', 'Ping', '')
        context = GLib.MainContext.default()
        while context.pending():
            context.iteration(False)
        return list(self._got)

    def close(self):
        self.user.close()


class FakeStoreTestCase(InstanceTestCase):
    """self.store: the directory; self.authority: polkit, unless its answers are None."""

    polkit_answers = {'pull': 'yes'}

    def setUp(self):
        self.instance = self.new_instance(start=False, settings=self.settings)
        self.instance.extra_environment['BERTH_TRANSFER'] = self.instance.tool('bus/fake-transfer')
        self.write_registries()
        self.instance.start()
        self._children = len(self.instance.children())
        if self.polkit_answers is not None:
            self.authority = self.polkit(**self.polkit_answers)
        self.store = os.path.join(self.instance.state, 'store')
        self.images('List', 'a{sv}', vardict({}))  # makes the directory
        os.mkdir(os.path.join(self.store, 'control'))
        os.chmod(os.path.join(self.store, 'control'), 0o755)
        self.forget_log()

    def write_registries(self):
        """Before the service starts."""

    def quiet_trace(self):
        """Returns: a trace to compare with, taken when no worker begins or ends any more."""
        def same():
            before = self.instance.trace()
            for _ in range(5):
                select.select([], [], [], 0.02)
                if self.instance.trace() != before:
                    return None
            return before
        return self.eventually(same)

    # Files of the store

    def write(self, name, text):
        path = os.path.join(self.store, name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, 0o644)

    def write_images(self, *rows):
        """rows: (reference, digest, owners…), or (reference, digest, size, owners…)."""
        self.write('images', ''.join(
            f'{reference} {value} type {size} linux/amd64 17 {",".join(map(str, owners))}\n'
            for reference, value, size, *owners in rows))

    def script(self, reference):
        """reference: as the worker gets it. Returns: a Script for pulls of it."""
        name = re.sub('[/:@]', '_', reference)
        script = Script(os.path.join(self.store, 'control', name))
        self.addCleanup(script.close)
        return script

    def asked(self, kind=None):
        """Returns: [(kind, {key: value as text})] of what workers were asked, in order."""
        try:
            with open(os.path.join(self.store, 'log'), encoding='utf-8') as file:
                rows = [line.rstrip('\n').split('\t') for line in file]
        except FileNotFoundError:
            rows = []
        asked = [(row[0], dict(item.split('=', 1) for item in row[1:])) for row in rows]
        return [row for row in asked if kind in (None, row[0])]

    def forget_log(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.store, 'log'))

    def recorder(self, interface, uid=0):
        """Returns: a Recorder, closed at the end of the test."""
        recorder = Recorder(self.instance, interface, uid)
        self.addCleanup(recorder.close)
        return recorder

    # Calls

    def images(self, method, signature, *args, who=None):
        return (who or self.instance).call(ROOT_PATH, IF_IMAGES, method, signature, *args)

    def pull(self, reference, who=None, **options):
        """Returns: the object path."""
        return str(self.images('Pull', 'sa{sv}', reference, vardict(options), who=who))

    def transfer(self, path, method, who=None):
        return (who or self.instance).call(path, IF_TRANSFER, method, '')

    def state(self, path):
        return str(self.instance.get(path, IF_TRANSFER, 'State'))

    def wait_state(self, path, *states):
        """Returns: the properties, once the state is one of those; none given: an end."""
        def look():
            properties = self.instance.properties(path, IF_TRANSFER)
            return properties if properties['State'] in (states or FINAL) else None
        return self.eventually(look)

    def failure(self, path):
        """Waits for its end. Returns: (error name, message)."""
        self.wait_state(path)
        description = self.transfer(path, 'Describe')
        return str(description['ErrorName']), str(description['ErrorMessage'])


def memfd(data, seals=0xf):
    """Returns: a D-Bus descriptor of a memfd with these seals, F_SEAL_SEAL and so on."""
    import fcntl
    fd = os.memfd_create('test', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return dbus.types.UnixFd(fd)
    finally:
        os.close(fd)
