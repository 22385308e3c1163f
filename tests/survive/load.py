# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that keep the service busy, and know what it promised them.

A client is a connection with several calls under way. What was answered has happened; what was lost
because the service ended may have happened or not, but as a whole: each value that a lost call would
have changed is then one of two, until check() has seen which.
"""

import os
import random

import dbus
import dbus.lowlevel
from dbus.mainloop.glib import DBusGMainLoop

from berthtest import (ALICE, BOB, BUS_NAME, DEADLINE, IF_SANDBOX, IF_SANDBOXES, ROOT_PATH, User,
                       vardict)

PIPELINE = 3  # calls of a client that are under way at the same time
SANDBOXES = 6  # about so many for each client
SHARED = ('shareable', 'container')
OWN_SHM = ('shareable', 'private')

# What the end of the service leaves of a call: no reply, or nobody to send it to.
LOST = ('org.freedesktop.DBus.Error.NoReply', 'org.freedesktop.DBus.Error.ServiceUnknown',
        'org.freedesktop.DBus.Error.NameHasNoOwner')
# What a client brings upon itself: it uses what it is just removing.
HARMLESS = ('NoSuchSandbox', 'NotShareable')


class Sandbox:
    """One that was promised, or may be there."""

    def __init__(self, path, name, options):
        self.path, self.name, self.options = path, name, options
        self.identifier = path.rsplit('/', 1)[1]
        self.mode = options['Mode'].split(':')[0]
        self.sizes = {options['ShmSize']}  # what each may be
        self.queues = {options.get('Sysctls', {}).get('kernel.msgmnb')}
        self.published = {options.get('Publish', False)}
        self.namespace = None  # inode, when it is known
        self.device = None
        self.created = None
        self.text = None  # in a file of the same name
        self.changing = False
        self.going = False  # its end was asked for


class Client:
    """test: has instance, loading, counts, problems and seed."""

    def __init__(self, test, number, uid):
        self.test, self.number, self.uid = test, number, uid
        self.user = User(test.instance, uid, mainloop=DBusGMainLoop())
        self.random = random.Random(f'{test.seed} {number}')
        self.sandboxes = {}  # path → Sandbox
        self.creating = {}  # name → options of a Create without an answer
        self.under_way = 0
        self._counter = 0

    def load(self):
        """Sends calls until enough are under way."""
        while self.test.loading and self.under_way < PIPELINE:
            there = [sandbox for sandbox in self.sandboxes.values() if not sandbox.going]
            idle = [sandbox for sandbox in there if not sandbox.changing]
            if len(there) + len(self.creating) < SANDBOXES:
                self._create(there)
            elif idle:
                self.random.choice((self._join, self._join, self._resize, self._tune, self._publish,
                                    self._unpublish, self._remove))(self.random.choice(idle))
            else:
                self._send(ROOT_PATH, IF_SANDBOXES, 'List', 'a{sv}', vardict({}))

    def _send(self, path, interface, method, signature, *args, done=None, lost=None, failed=None,
              harmless=HARMLESS):
        """done: called with the arguments of the reply; lost: when it is not known what happened;
        failed: when nothing did, with one of the errors that are harmless."""
        message = dbus.lowlevel.MethodCallMessage(BUS_NAME, path, interface, method)
        if args:
            message.append(*args, signature=signature)
        self.under_way += 1
        self.test.counts[method] += 1

        def reply(answer):
            self.under_way -= 1
            error = answer.get_error_name()
            if error is None:
                if done:
                    done(*answer.get_args_list())
            else:
                undo = failed
                if error in LOST:
                    self.test.counts['lost'] += 1
                    undo = lost
                elif error.rsplit('.', 1)[1] not in harmless:
                    self.test.problems.append(f'{method}: {error}: {answer.get_args_list()}')
                if undo:
                    undo()
            self.load()
        self.user.bus.send_message_with_reply(message, reply, DEADLINE)

    def _create(self, there):
        self._counter += 1
        name = f's{self.number}-{self._counter}'
        donors = [sandbox for sandbox in there if sandbox.mode == 'shareable']
        mode = self.random.choice(('shareable',) * 4 + ('private', 'none', 'container'))
        if mode == 'container':
            mode = f'container:{self.random.choice(donors).identifier}' if donors else 'shareable'
        options = {'Mode': mode, 'Labels': {'client': str(self.number), 'name': name},
                   'ShmSize': self.random.randrange(1, 5) << 20,
                   'ShmInodes': self.random.randrange(20, 100)}
        if mode == 'shareable':
            options['Users'] = [str(self.random.choice((ALICE, BOB)))]
            options['Publish'] = self.random.random() < 0.3
            options['Sysctls'] = {'kernel.msgmnb': str(self.random.randrange(20000, 60000))}
        self.creating[name] = options

        def done(path):
            del self.creating[name]
            self.sandboxes[str(path)] = Sandbox(str(path), name, options)

        # a donor that is gone is one that polkit is asked for
        self._send(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', name, vardict(options), done=done,
                   failed=lambda: self.creating.pop(name), harmless=(*HARMLESS, 'AccessDenied'))

    def _join(self, sandbox):
        """Writes into it the first time; what is handed over once is let go at once."""
        if sandbox.mode not in SHARED:
            sandbox.going = True

        def done(dictionary):
            fds = {str(key): value.take() for key, value in dictionary.items()}
            if 'ipc' in fds:
                self.test.assertIn(sandbox.namespace, (None, os.fstat(fds['ipc']).st_ino))
                sandbox.namespace = os.fstat(fds['ipc']).st_ino
            if sandbox.mode == 'shareable' and sandbox.text is None:
                sandbox.text = f'text of {sandbox.name}'
                with open(os.open('text', os.O_CREAT | os.O_WRONLY, 0o666, dir_fd=fds['shm']),
                          'w', encoding='ascii') as file:
                    file.write(sandbox.text)
            for fd in fds.values():
                os.close(fd)
        self._send(sandbox.path, IF_SANDBOX, 'Join', 'a{sv}', vardict({}), done=done)

    def _change(self, sandbox, values, value, method, signature='', *args):
        """A call that makes value the only one of values; when lost, it is one of them."""
        values.add(value)
        sandbox.changing = True

        def done(*_answer):
            values.clear()
            values.add(value)
            sandbox.changing = False

        def lost():
            sandbox.changing = False
        self._send(sandbox.path, IF_SANDBOX, method, signature, *args, done=done, lost=lost,
                   failed=lost)

    def _resize(self, sandbox):
        size = self.random.randrange(1, 9) << 20
        if sandbox.mode in OWN_SHM:
            self._change(sandbox, sandbox.sizes, size, 'Resize', 'ta{sv}', dbus.UInt64(size),
                         vardict({}))
        else:
            self._join(sandbox)

    def _tune(self, sandbox):
        value = str(self.random.randrange(20000, 60000))
        if sandbox.mode == 'shareable':
            self._change(sandbox, sandbox.queues, value, 'SetSysctls', 'a{ss}',
                         dbus.Dictionary({'kernel.msgmnb': value}, signature='ss'))
        else:
            self._join(sandbox)

    def _publish(self, sandbox):
        if sandbox.mode in SHARED:
            self._change(sandbox, sandbox.published, True, 'Publish')
        else:
            self._remove(sandbox)

    def _unpublish(self, sandbox):
        if sandbox.mode in SHARED:
            self._change(sandbox, sandbox.published, False, 'Unpublish')
        else:
            self._remove(sandbox)

    def _remove(self, sandbox):
        sandbox.going = True

        def done():
            self.sandboxes.pop(sandbox.path, None)
        self._send(sandbox.path, IF_SANDBOX, 'Remove', 'a{sv}', vardict({}), done=done)

    # Looking after a start

    def check(self, rows):
        """rows: {path: row of List, as root sees it}, of which those of this client are taken."""
        test = self.test
        for path, sandbox in list(self.sandboxes.items()):
            row = rows.pop(path, None)
            if row and row['State'] == 'ready':
                self._compare(sandbox, row)
                sandbox.going = False
            else:
                test.assertTrue(sandbox.going, f'{sandbox.name} ({sandbox.mode}) is lost')
                del self.sandboxes[path]
        for path, row in list(rows.items()):
            if row['Owner'] == self.uid and str(row['Name']) in self.creating:
                name = str(row['Name'])
                self.sandboxes[path] = Sandbox(path, name, self.creating.pop(name))
                self._compare(self.sandboxes[path], rows.pop(path))
        self.creating.clear()

    def _compare(self, sandbox, row):
        test, options = self.test, sandbox.options
        mode = str(row['Mode']).split(':')[0]
        test.assertEqual((str(row['Name']), row['Owner'], mode, row['Lifetime']),
                         (sandbox.name, self.uid, sandbox.mode, 'explicit'))
        test.assertEqual(dict(row['Labels']), options['Labels'])
        test.assertEqual([str(uid) for uid in row['Users']], options.get('Users', []))
        test.assertIn(sandbox.namespace, (None, row['NamespaceId']))
        test.assertIn(sandbox.device, (None, row.get('ShmDevice')))
        test.assertIn(sandbox.created, (None, row['CreatedUSec']))
        sandbox.namespace, sandbox.device = row['NamespaceId'], row.get('ShmDevice')
        sandbox.created = row['CreatedUSec']
        published = bool(row['PublishedPath'])
        test.assertIn(published, sandbox.published)
        sandbox.published = {published}
        if sandbox.mode in OWN_SHM:
            test.assertIn(row['ShmSize'], sandbox.sizes)
            test.assertEqual(row['ShmInodes'], options['ShmInodes'])
            sandbox.sizes = {int(row['ShmSize'])}
        if sandbox.mode == 'shareable':
            test.assertIn(row['Sysctls']['kernel.msgmnb'], sandbox.queues)
            sandbox.queues = {str(row['Sysctls']['kernel.msgmnb'])}
        if sandbox.mode == 'container':
            test.assertEqual(str(row['Donor']).rsplit('/', 1)[1], options['Mode'].split(':')[1])

    def check_contents(self):
        """By a Join as root, who may everywhere."""
        test = self.test
        for sandbox in self.sandboxes.values():
            if sandbox.mode not in SHARED:
                continue
            fds = test.instance.join(sandbox.identifier)
            try:
                test.assertEqual(os.fstat(fds['ipc']).st_ino, sandbox.namespace)
                if sandbox.text:
                    with open(os.open('text', os.O_RDONLY, dir_fd=fds['shm']),
                              encoding='ascii') as file:
                        test.assertEqual(file.read(), sandbox.text)
            finally:
                for fd in fds.values():
                    os.close(fd)

    def check_paths(self):
        """What was published, and was not being withdrawn, is there whether the service runs or not."""
        test = self.test
        for sandbox in self.sandboxes.values():
            if sandbox.published != {True} or sandbox.going:
                continue
            places = [os.path.join(test.instance.runtime, 'sandbox', sandbox.identifier)]
            if self.uid == 0:
                places.append(os.path.join(test.instance.runtime, 'sandbox', 'by-name',
                                           sandbox.name))
            for place in places:
                inode = os.stat(os.path.join(place, 'ipc')).st_ino
                test.assertIn(sandbox.namespace, (None, inode))
                test.assertTrue(os.path.ismount(os.path.join(place, 'mqueue')))
                if sandbox.text:
                    with open(os.path.join(place, 'shm', 'text'), encoding='ascii') as file:
                        test.assertEqual(file.read(), sandbox.text)
