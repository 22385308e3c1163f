# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service that is none: answers calls of Images as told, and lets a test play a transfer.

For what the real one does too fast, or only when something goes wrong: progress that stands still, a
layer that fails, a service that goes away. A thread of the test's process serves it on a connection
of its own, which owns the service's name.
"""

import fcntl
import os
import threading

import dbus
import dbus.lowlevel
from dbus.mainloop.glib import DBusGMainLoop, threads_init
from gi.repository import GLib

from .calls import BUS_NAME, DEADLINE, ROOT_PATH

IF_IMAGES = BUS_NAME + '.Images'
IF_TRANSFER = BUS_NAME + '.Transfer'
IF_PROPERTIES = 'org.freedesktop.DBus.Properties'


class Fail(Exception):
    """Answer a call with an error: the error's full name, its message."""


class Call:
    """One that arrived: interface, member, path, args.

    files and seals: of the memfds among the args; fds: the other descriptors, until close().
    """

    def __init__(self, message):
        self.interface = message.get_interface()
        self.member = message.get_member()
        self.path = message.get_path()
        self.files = []
        self.seals = []
        self.fds = []
        self.args = [self._plain(value) for value in message.get_args_list()]

    def _plain(self, value):
        if isinstance(value, dbus.types.UnixFd):
            fd = value.take()
            try:
                self.seals.append(fcntl.fcntl(fd, fcntl.F_GET_SEALS))
            except OSError:  # no memfd
                self.fds.append(fd)
                return f'fd {len(self.fds) - 1}'
            with os.fdopen(fd, 'rb') as file:
                self.files.append(file.read())
            return f'file {len(self.files) - 1}'
        if isinstance(value, dbus.Dictionary):
            return {str(key): self._plain(item) for key, item in value.items()}
        if isinstance(value, dbus.Array):
            return [self._plain(item) for item in value]
        if isinstance(value, dbus.Boolean):
            return bool(value)
        if isinstance(value, str):
            return str(value)
        return int(value)

    def close(self):
        while self.fds:
            os.close(self.fds.pop())


class FakeImages:
    """answers: {member: (signature, values…) or a function of the Call that returns them}."""

    def __init__(self, instance):
        threads_init()
        self.answers = {}
        self.calls = []
        self.transfers = {}
        self._subscribers = {}
        self._changed = threading.Condition()
        self._bus = instance.connect(DBusGMainLoop())
        self._bus.add_message_filter(self._take)
        self._bus.request_name(BUS_NAME)
        self._loop = GLib.MainLoop()
        self._thread = threading.Thread(target=self._loop.run, daemon=True)
        self._thread.start()

    def close(self):
        if self._bus:
            GLib.idle_add(self._loop.quit)
            self._thread.join(DEADLINE)
            self._bus.close()
            self._bus = None
        for call in self.calls:
            call.close()

    # What a test plays

    def transfer(self, number=1, **properties):
        """A transfer that is there, owned by root and running. Returns: its path."""
        path = f'{ROOT_PATH}/transfer/{number}'
        values = {'Id': dbus.UInt32(number), 'Kind': 'pull', 'Owner': dbus.UInt32(0),
                  'State': 'running', 'BytesDone': dbus.UInt64(0), 'BytesTotal': dbus.UInt64(0),
                  'Rate': dbus.UInt64(0), 'StartedUSec': dbus.UInt64(1700000000000000)}
        values.update(properties)
        self.transfers[path] = {'properties': values, 'description': {}, 'layers': []}
        return path

    def wait_call(self, member, count=1):
        """Waits until so many calls of member have arrived. Returns: the last of them."""
        with self._changed:
            found = []

            def arrived():
                found[:] = [call for call in self.calls if call.member == member]
                return len(found) >= count
            if not self._changed.wait_for(arrived, DEADLINE):
                raise AssertionError(f'no call of {member}, only '
                                     f'{[call.member for call in self.calls]}')
            return found[count - 1]

    def layer(self, path, index, digest, state, done, total, source=''):
        layers = self.transfers[path]['layers']
        while len(layers) <= index:
            layers.append({'Digest': '', 'State': 'waiting', 'Done': dbus.UInt64(0),
                           'Total': dbus.UInt64(0), 'Source': ''})
        layers[index] = {'Digest': digest, 'State': state, 'Done': dbus.UInt64(done),
                         'Total': dbus.UInt64(total), 'Source': source}
        self._tell(path, 'LayerProgress', 'usstt', index, digest, state, done, total)

    def change(self, path, **properties):
        values = {key: dbus.UInt64(value) if isinstance(value, int) else value
                  for key, value in properties.items()}
        self.transfers[path]['properties'].update(values)
        self._send(path, IF_PROPERTIES, 'PropertiesChanged', None, 'sa{sv}as', IF_TRANSFER,
                   dbus.Dictionary(values, signature='sv'), dbus.Array([], signature='s'))

    def finish(self, path, state='done', digest='', error='', message=''):
        self.transfers[path]['properties']['State'] = state
        self.transfers[path]['description'].update(Digest=digest, ErrorName=error,
                                                   ErrorMessage=message)
        self._tell(path, 'Finished', 'ssss', state, digest, error, message)

    # The bus

    def _send(self, path, interface, member, destination, signature, *args):
        message = dbus.lowlevel.SignalMessage(path, interface, member)
        if destination:
            message.set_destination(destination)
        message.append(*args, signature=signature)
        self._bus.send_message(message)
        self._bus.flush()

    def _tell(self, path, member, signature, *args):
        for name in self._subscribers.get(path, []):
            self._send(path, IF_TRANSFER, member, name, signature, *args)

    def _take(self, _bus, message):
        if not isinstance(message, dbus.lowlevel.MethodCallMessage) or \
                message.get_interface() not in (IF_IMAGES, IF_TRANSFER, IF_PROPERTIES):
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
        call = Call(message)
        try:
            answer = self._answer(call, message.get_sender())
            reply = dbus.lowlevel.MethodReturnMessage(message)
            if answer:
                reply.append(*answer[1:], signature=answer[0])
        except Fail as error:
            reply = dbus.lowlevel.ErrorMessage(message, *error.args)
        except BaseException as error:  # a test sees what went wrong in berthctl's output
            reply = dbus.lowlevel.ErrorMessage(message, 'org.berthd.Test.Error', repr(error))
        if not message.get_no_reply():
            self._bus.send_message(reply)
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        return dbus.lowlevel.HANDLER_RESULT_HANDLED

    def _answer(self, call, sender):
        if call.member in self.answers:
            answer = self.answers[call.member]
            return answer(call) if callable(answer) else answer
        transfer = self.transfers.get(call.path)
        if call.member == 'Subscribe':
            self._subscribers.setdefault(call.path, set()).add(sender)
            return None
        if call.member == 'GetAll':
            return 'a{sv}', dbus.Dictionary(transfer['properties'], signature='sv')
        if call.member == 'Describe':
            layers = dbus.Array([dbus.Dictionary(row, signature='sv')
                                 for row in transfer['layers']], signature='a{sv}')
            return 'a{sv}', dbus.Dictionary({**transfer['properties'], **transfer['description'],
                                             'Layers': layers}, signature='sv')
        if call.member == 'GetTransfer':
            path = f'{ROOT_PATH}/transfer/{call.args[0]}'
            if path not in self.transfers:
                raise Fail('org.berthd.Berth1.Error.NoSuchTransfer',
                           f'there is no transfer {call.args[0]}')
            return 'o', path
        raise Fail('org.freedesktop.DBus.Error.UnknownMethod', f'no answer for {call.member}')
