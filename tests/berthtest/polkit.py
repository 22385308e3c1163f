# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mock polkit: answers as told, remembers what it was asked, and can keep everybody waiting.

A process of its own on the bus of an instance. A test sets answers per action, lets questions hang,
waits until one has arrived, and releases them. Nothing is granted that was not said.
"""

import json
import os
import sys

import dbus
import dbus.bus
import dbus.lowlevel

NAME = 'org.freedesktop.PolicyKit1'
INTERFACE = 'org.freedesktop.PolicyKit1.Authority'
PATH = '/org/freedesktop/PolicyKit1/Authority'
CONTROL = 'org.berthd.Test.Polkit'
PREFIX = 'org.berthd.berth1.'

DETAILS = ('sandbox', 'sandbox-id', 'mode', 'donor', 'owner', 'registry', 'repository', 'reference',
           'polkit.message')


class Check(dict):
    """One question: subject, name, action (without prefix), details, flags, id; as attributes."""

    __getattr__ = dict.__getitem__


class Polkit:
    """Start it before the call that shall ask it; close() ends it."""

    def __init__(self, instance):
        self._process = instance.popen([sys.executable, os.path.abspath(__file__),
                                        instance.address])
        if self._process.stdout.readline() != 'ready\n':
            raise AssertionError(f'the mock polkit does not start: {self._process.stderr.read()}')
        self._bus = instance.connect()

    def _call(self, method, signature='', *args):
        return self._bus.call_blocking(NAME, PATH, CONTROL, method, signature, args, timeout=60)

    def answer(self, **answers):
        """yes, no or challenge for each action, its name written with _ for -; all=… for the rest."""
        self._call('Answer', 's', json.dumps(
            {action.replace('_', '-'): answer for action, answer in answers.items()}))

    def hang(self, *actions):
        """Questions about these actions wait for release(); none given: all do."""
        self._call('Hang', 'as', dbus.Array(actions or ['*'], signature='s'))

    def release(self, again=False):
        """Answers what hangs, by the answers that are in force now.

        again: later questions hang too; else nothing does from here on.
        """
        self._call('Release', 'b', again)

    def checks(self):
        """Returns: every question so far, as Check."""
        return [Check(row) for row in json.loads(self._call('Checks'))]

    def cancelled(self):
        """Returns: the cancellation IDs of what was withdrawn."""
        return json.loads(self._call('Cancelled'))

    def forget(self):
        self._call('Forget')

    def wait_checks(self, count=1):
        """Waits until so many questions have arrived. Returns: all of them."""
        self._call('WaitChecks', 'u', count)
        return self.checks()

    def wait_cancelled(self, count=1):
        self._call('WaitCancelled', 'u', count)
        return self.cancelled()

    def close(self):
        if self._process:
            self._bus.close()
            self._process.kill()
            self._process.communicate()
            self._process = None


class _Server:
    def __init__(self, bus):
        self.bus = bus
        self.answers = {}
        self.hanging = []
        self.waiting = []  # messages of hanging questions
        self.checks = []
        self.cancelled = []
        self.waiters = []  # (list, count, message)

    def reply(self, message, signature='', *values):
        reply = dbus.lowlevel.MethodReturnMessage(message)
        if values:
            reply.append(*values, signature=signature)
        self.bus.send_message(reply)

    def decide(self, message):
        action = str(message.get_args_list()[1])
        word = self.answers.get(action[len(PREFIX):], self.answers.get('all', 'no'))
        details = dbus.Dictionary({}, signature='ss')
        if word == 'nonsense':
            self.reply(message, 's', 'nonsense')
            return
        self.reply(message, '(bba{ss})', (word == 'yes', word == 'challenge', details))

    def tell_waiters(self):
        for waiter in list(self.waiters):
            what, count, message = waiter
            if len(what) >= count:
                self.waiters.remove(waiter)
                self.reply(message)

    def check(self, message):
        (kind, subject), action, details, flags, identifier = message.get_args_list()
        self.checks.append({
            'sender': message.get_sender(), 'kind': kind, 'subject': dict(subject),
            'name': subject.get('name', ''), 'action': action[len(PREFIX):],
            'details': dict(details), 'flags': int(flags), 'id': identifier})
        if action[len(PREFIX):] in self.hanging or '*' in self.hanging:
            self.waiting.append(message)
        else:
            self.decide(message)
        self.tell_waiters()

    def cancel(self, message):
        self.cancelled.append(str(message.get_args_list()[0]))
        self.reply(message)
        self.tell_waiters()

    def release(self, again):
        if not again:
            self.hanging = []
        waiting, self.waiting = self.waiting, []
        for message in waiting:
            self.decide(message)

    def control(self, message):
        """A method of the test's."""
        member, args = message.get_member(), message.get_args_list()
        if member == 'Answer':
            self.answers.update(json.loads(args[0]))
        elif member == 'Hang':
            self.hanging = [str(action) for action in args[0]]
        elif member == 'Release':
            self.release(args[0])
        elif member == 'Forget':
            self.checks.clear()
            self.cancelled.clear()
        elif member in ('Checks', 'Cancelled'):
            self.reply(message, 's', json.dumps(getattr(self, member.lower())))
            return
        elif member in ('WaitChecks', 'WaitCancelled'):
            self.waiters.append((getattr(self, member[len('Wait'):].lower()), args[0], message))
            self.tell_waiters()
            return
        self.reply(message)

    def take(self, _bus, message):
        if message.is_method_call(INTERFACE, 'CheckAuthorization'):
            self.check(message)
        elif message.is_method_call(INTERFACE, 'CancelCheckAuthorization'):
            self.cancel(message)
        elif message.get_interface() == CONTROL:
            self.control(message)
        else:
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
        return dbus.lowlevel.HANDLER_RESULT_HANDLED


def _serve(address):
    from dbus.mainloop.glib import DBusGMainLoop
    from gi.repository import GLib

    bus = dbus.bus.BusConnection(address, mainloop=DBusGMainLoop())
    server = _Server(bus)
    bus.add_message_filter(server.take)
    bus.request_name(NAME)
    print('ready', flush=True)
    GLib.MainLoop().run()


if __name__ == '__main__':
    _serve(sys.argv[1])
