# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything a caller can get wrong has its named error, says what was wrong, and leaves no trace."""

import os
import re
import socket
import struct
import tempfile
import unittest

import dbus
import dbus.lowlevel

from berthtest import BUS_NAME, IF_SANDBOX, IF_SANDBOXES, InstanceTestCase, ROOT_PATH, vardict

INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs'

# A value of each D-Bus type, none of which is the right one for more than some options.
SAMPLES = {
    's': dbus.String('text'), 't': dbus.UInt64(1), 'u': dbus.UInt32(1), 'i': dbus.Int32(1),
    'x': dbus.Int64(1), 'b': dbus.Boolean(True), 'd': dbus.Double(1), 'y': dbus.Byte(1),
    'o': dbus.ObjectPath('/'), 'as': dbus.Array(['text'], signature='s'),
    'a{ss}': dbus.Dictionary({'a': 'b'}, signature='ss'),
    'a{sv}': dbus.Dictionary({'a': 'b'}, signature='sv'),
    'v': dbus.String('text', variant_level=2), '(s)': dbus.Struct(['text'], signature='s'),
}

CREATE_TYPES = {
    'Mode': 's', 'ShmSize': 't', 'ShmInodes': 't', 'ShmHuge': 's', 'ShmNuma': 's',
    'Sysctls': 'a{ss}', 'Publish': 'b', 'Labels': 'a{ss}', 'Lifetime': 's', 'Process': 'h',
    'Users': 'as', 'Groups': 'as',
}


class NoTrace(InstanceTestCase):
    """Asserts at the end of each test that the service holds what it held at its beginning."""

    def setUp(self):
        super().setUp()
        self.instance.list()  # the connection's part of the daemon's descriptors, if any
        self.before = self.instance.trace()

    def tearDown(self):
        self.assertTrace(self.before)
        self.assertEqual(len(self.instance.list()), 0)
        super().tearDown()


class Types(NoTrace):
    def test_every_option_of_create_with_every_wrong_type(self):
        for option, right in CREATE_TYPES.items():
            for signature, value in SAMPLES.items():
                if signature == right:
                    continue
                with self.subTest(option=option, type=signature):
                    with self.assertError(INVALID_ARGS, re.escape(option)):
                        self.instance.create('demo', **{option: value})

    def test_unknown_options(self):
        for option in ('Colour', 'mode', 'MODE', 'Mode ', '', 'x' * 10000, 'Mode\n'):
            with self.subTest(option=option[:20]):
                with self.assertError(INVALID_ARGS, re.escape(repr(option[:20].strip())[:-1])):
                    self.instance.create('demo', **{option: 'text'})

    def test_options_where_there_are_none(self):
        path = self.instance.create('demo')
        options = vardict({'Colour': 'red'})
        try:
            for call in (lambda: self.instance.sandboxes('Join', 'sa{sv}', 'demo', options),
                         lambda: self.instance.sandbox(path, 'Join', 'a{sv}', options),
                         lambda: self.instance.sandbox(path, 'Remove', 'a{sv}', options),
                         lambda: self.instance.sandbox(path, 'Resize', 'ta{sv}',
                                                       dbus.UInt64(1 << 20), options),
                         lambda: self.instance.manager('GetSettings', 'a{sv}', options)):
                with self.assertError(INVALID_ARGS, 'Colour'):
                    call()
            with self.assertError(INVALID_ARGS, 'Inodes'):
                self.instance.sandbox(path, 'Resize', 'ta{sv}', dbus.UInt64(1 << 20),
                                      vardict({'Inodes': 'many'}))
        finally:
            self.instance.remove(path)

    def test_wrong_signatures(self):
        for interface, method, signature, args in (
                (IF_SANDBOXES, 'Create', 's', ('demo',)), (IF_SANDBOXES, 'Create', '', ()),
                (IF_SANDBOXES, 'Create', 'sas', ('demo', ['x'])), (IF_SANDBOXES, 'Join', 's', ('x',)),
                (IF_SANDBOXES, 'Get', 'u', (1,)), (IF_SANDBOXES, 'List', '', ())):
            with self.subTest(method=method, signature=signature), self.assertError(INVALID_ARGS):
                self.instance.call(ROOT_PATH, interface, method, signature, *args)
        for interface, method in ((IF_SANDBOXES, 'Nothing'), ('org.example', 'Create')):
            with self.assertRaises(dbus.DBusException) as caught:
                self.instance.call(ROOT_PATH, interface, method, '')
            self.assertIn(caught.exception.get_dbus_name().rsplit('.', 1)[1],
                          ('UnknownMethod', 'UnknownInterface'))

    def test_the_same_option_twice(self):
        # dictionaries of Python cannot repeat a key, so this goes by the raw protocol
        reply = Raw(self.instance).call('sa{sv}', string('demo') + dictionary(
            [('Mode', 'none'), ('Mode', 'private')]))
        self.assertIn(INVALID_ARGS.encode(), reply)


class Values(NoTrace):
    def refuse(self, error, pattern=None, **options):
        with self.subTest(options={key: repr(value)[:60] for key, value in options.items()}):
            with self.assertError(error, pattern):
                self.instance.create('demo', **options)

    def test_sizes(self):
        for size in ((1 << 64) - 1, 1 << 63, 1 << 60, (1 << 64) - 4096):
            self.refuse('InvalidSize', str(size), ShmSize=size)

    def test_inodes(self):
        for inodes in ((1 << 64) - 1, 1 << 63, 1 << 60):
            self.refuse('InvalidOption', str(inodes), ShmInodes=inodes)

    def test_huge_pages(self):
        for word in ('', 'yes', 'Always', 'always ', 'deny', 'force', 'always,size=1', 'x' * 10000):
            self.refuse('InvalidOption', 'ShmHuge', ShmHuge=word)

    def test_numa(self):
        for word in ('', 'nonsense', 'bind', 'bind:4000', 'bind:', 'bind:0-', 'bind:0,size=1',
                     'bind:-1', 'bind:99999999999999999999', 'interleave:x', 'x' * 10000, '\n'):
            with self.assertRaises(dbus.DBusException) as caught:
                self.instance.create(ShmNuma=word)
            # a kernel without NUMA says so instead
            self.assertIn(caught.exception.get_dbus_name().rsplit('.', 1)[1],
                          ('InvalidOption', 'NotSupported'), word)
            self.assertIn('ShmNuma', caught.exception.get_dbus_message())

    def test_sysctls_that_are_not_of_the_namespace(self):
        for name in ('kernel.hostname', 'vm.swappiness', 'kernel.shm/../hostname', 'kernel.shm',
                     '', '.', '/', '../kernel/hostname', 'kernel/shmmax', 'net.ipv4.ip_forward',
                     'kernel.shmmax\n', 'kernel.sem.', 'fs.mqueue.', 'fs.mqueue.nothing',
                     'fs.mqueue.../../kernel/hostname', 'kernel.msg' + 'x' * 10000):
            self.refuse('InvalidOption', None, Sysctls={name: '1'})

    def test_values_that_sysctls_refuse(self):
        for name, value in (('kernel.shmmax', 'many'), ('kernel.msgmnb', '-1'),
                            ('kernel.msgmax', ''), ('kernel.sem', '1 2'),
                            ('fs.mqueue.msg_max', '99999999999999999999999'),
                            ('kernel.msgmni', '1\n2'), ('kernel.shmall', str(1 << 50)),
                            ('kernel.shmmni', 'x' * 10000)):
            self.refuse('InvalidOption', re.escape(name), Sysctls={name: value})

    def test_one_bad_sysctl_among_good_ones(self):
        self.refuse('InvalidOption', 'kernel.hostname',
                    Sysctls={'kernel.msgmnb': '32768', 'kernel.hostname': 'x'})

    def test_labels(self):
        self.refuse('InvalidOption', 'Labels', Labels={str(i): '' for i in range(65)})
        self.refuse('InvalidOption', 'label', Labels={'key': 'x' * 1025})
        self.refuse('InvalidOption', 'label', Labels={'k' * 1025: 'x'})

    def test_publish_with_what_cannot_be_published(self):
        for mode in ('private', 'none'):
            self.refuse('InvalidOption', 'Publish', Mode=mode, Publish=True)

    def test_lifetimes(self):
        null = os.open('/dev/null', os.O_RDONLY)
        self.addCleanup(os.close, null)
        self.refuse('InvalidOption', 'sometimes', Lifetime='sometimes')
        self.refuse('InvalidOption', 'Process', Lifetime='process')
        for lifetime in ('explicit', 'connection'):
            self.refuse('InvalidOption', 'Process', Lifetime=lifetime,
                        Process=dbus.types.UnixFd(null))
        self.refuse('InvalidOption', 'Process', Process=dbus.types.UnixFd(null))
        self.refuse(INVALID_ARGS, 'pidfd', Lifetime='process', Process=dbus.types.UnixFd(null))

    def test_users_and_groups(self):
        for option in ('Users', 'Groups'):
            for word in ('no such one', '', '-1', '4294967295', '4294967296', 'root\n', 'x' * 10000):
                self.refuse('InvalidOption', '(?i)' + option[:-1], **{option: [word]})
            for mode in ('private', 'none'):
                self.refuse('InvalidOption', option, Mode=mode, **{option: ['root']})

    def test_names(self):
        for name in (' ', 'a b', 'a/b', '.a', '-a', '_a', 'a\n', '\x01', 'a\x7f', 'ä', 'a' * 64,
                     'a' * 10000, '0' * 32, 'abcdef0123456789' * 2, '../x', '..', 'a\u202eb',
                     'a%sb', '\t'):
            with self.subTest(name=name[:20]), self.assertError('InvalidName') as _:
                self.instance.create(name)
            for method, signature, args in (('Get', 's', ()), ('Join', 'sa{sv}', (vardict({}),))):
                if name == 'a/b':
                    continue
                with self.subTest(name=name[:20], method=method):
                    with self.assertRaises(dbus.DBusException) as caught:
                        self.instance.sandboxes(method, signature, name, *args)
                    self.assertIn(caught.exception.get_dbus_name().rsplit('.', 1)[1],
                                  ('InvalidName', 'NoSuchSandbox'))

    def test_references(self):
        for text in ('', '/', 'a/b', '0/', '-1/a', '4294967295/a', '4294967296/a', '0/a/b',
                     '00000000000000000000000/', '0x0/a', ' 0/a', '+0/a', '0/' + '0' * 32):
            with self.subTest(text=text), self.assertError('InvalidName'):
                self.instance.sandboxes('Get', 's', text)

    def test_messages_are_short_and_printable(self):
        escape = '\x1b]0;x\x07' + 'y' * 100000
        for options in ({'ShmHuge': escape}, {'ShmNuma': escape}, {'Lifetime': escape},
                        {'Sysctls': {'\n' * 9999: ''}}, {'Sysctls': {'kernel.sem': escape}},
                        {'Labels': {escape: escape}}, {escape: 'x'},
                        {'Mode': 'container:' + escape}):
            with self.subTest(options=str(options)[:30]):
                with self.assertRaises(dbus.DBusException) as caught:
                    self.instance.create(**options)
                message = caught.exception.get_dbus_message()
                self.assertLess(len(message), 2000)
                self.assertNotRegex(message, r'[\x00-\x1f\x7f]')

    def test_an_empty_and_a_full_dictionary(self):
        path = self.instance.create('full', Mode='shareable', ShmSize=1 << 20, ShmInodes=50,
                                    ShmHuge='never', Sysctls={'kernel.msgmnb': '32768'},
                                    Publish=True, Lifetime='explicit',
                                    Labels={str(i): 'x' * 1022 for i in range(64)})
        self.assertEqual(len(self.instance.describe(path)['Labels']), 64)
        self.instance.remove(path)


class Descriptors(NoTrace):
    def test_attach_to_what_is_no_live_process(self):
        path = self.instance.create('demo')
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        dead = os.pidfd_open(pid)
        os.waitpid(pid, 0)
        read_end, write_end = os.pipe()
        with tempfile.TemporaryFile() as file:
            descriptors = {'a dead process': dead, 'a pipe': read_end, 'a file': file.fileno(),
                           'a directory': os.open('/proc/self', os.O_RDONLY),
                           'a path': os.open('/', os.O_PATH),
                           'a namespace': os.open('/proc/self/ns/mnt', os.O_RDONLY),
                           'a socket': socket.socket(socket.AF_UNIX).detach()}
            for what, fd in descriptors.items():
                with self.subTest(what=what), self.assertError(INVALID_ARGS):
                    self.instance.attach(path, fd)
            for what, fd in descriptors.items():
                if what != 'a file':
                    os.close(fd)
        os.close(write_end)
        self.instance.remove(path)

    def test_join_of_something_removed_in_between(self):
        path = self.instance.create('demo')
        # both calls are on the wire before either is answered
        pending = []
        bus = self.instance.bus
        for method, signature, args in (('Remove', 'a{sv}', (vardict({}),)),
                                        ('Join', 'a{sv}', (vardict({}),))):
            message = dbus.lowlevel.MethodCallMessage(BUS_NAME, path, IF_SANDBOX, method)
            message.append(*args, signature=signature)
            pending.append(bus.send_message_with_reply(message, lambda _message: None, 60))
        pending[1].block()
        with self.assertError('NoSuchSandbox', 'demo'):
            self.instance.join('demo')
        with self.assertError('NoSuchSandbox', path.rsplit('/', 1)[1]):
            self.instance.join(path.rsplit('/', 1)[1])


def align(data, size):
    return data + bytes(-len(data) % size)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack('<I', len(data)) + data + b'\0'


def dictionary(entries):
    """a{sv} of strings, to stand behind `string('demo')`, which ends at 9: aligned from 16 on."""
    body = b''
    for key, value in entries:
        body = align(body, 8) + string(key) + b'\x01s\0'
        body = align(body, 4) + string(value)
    return align(bytes(9), 4)[9:] + struct.pack('<I', len(body)) + body


class Raw:
    """A client that sends bytes: libdbus refuses to send what a hostile one would."""

    def __init__(self, instance):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(instance.path('bus'))
        self.socket.sendall(b'\0AUTH EXTERNAL ' + str(os.getuid()).encode().hex().encode() +
                            b'\r\n')
        while self._exactly(1) not in (b'\n', b''):
            pass
        self.socket.sendall(b'BEGIN\r\n')
        self.send('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'Hello')
        self.reply()

    def reply(self):
        """Returns: the next return or error, empty when the connection was closed."""
        kind = 0
        while kind not in (2, 3):  # signals may come before it
            head = self._exactly(16)
            if not head:
                return b''
            kind, = struct.unpack_from('<xB', head)
            body_length, _serial, fields_length = struct.unpack_from('<4xIII', head)
            message = self._exactly(fields_length + -fields_length % 8 + body_length)
        return message

    def send(self, destination, path, interface, member, signature='', body=b''):
        fields = b''
        for code, kind, value in ((1, 'o', path), (6, 's', destination), (2, 's', interface),
                                  (3, 's', member), (8, 'g', signature)):
            fields = align(fields, 8)
            fields += bytes([code, 1]) + kind.encode() + b'\0'
            if kind == 'g':
                fields += bytes([len(value)]) + value.encode() + b'\0'
            else:
                fields += string(value)
        head = struct.pack('<cBBBII', b'l', 1, 0, 1, len(body), 1)
        self.socket.sendall(align(head + struct.pack('<I', len(fields)) + fields, 8) + body)

    def _exactly(self, length):
        data = b''
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                return b''
            data += part
        return data

    def call(self, signature, body):
        """Create with these bytes. Returns: the reply, empty when the connection was closed."""
        self.send(BUS_NAME, ROOT_PATH, IF_SANDBOXES, 'Create', signature, body)
        message = self.reply()
        self.socket.close()
        return message


class Bytes(NoTrace):
    def test_the_raw_client_is_understood(self):
        reply = Raw(self.instance).call('sa{sv}', string('demo') + dictionary([('Mode', 'x')]))
        self.assertIn(b'invalid IPC mode: x', reply)

    def test_names_and_options_that_are_not_utf8(self):
        for body in (string(b'\xff\xfe') + bytes(5) + struct.pack('<I', 0),
                     string('demo') + dictionary([('Mode', b'\xc3\x28')]),
                     string('demo') + dictionary([(b'\xff', 'x')])):
            with self.subTest(body=body):
                # the bus itself throws out who sends such a thing
                self.assertNotIn(b'/sandbox/', Raw(self.instance).call('sa{sv}', body))
        self.assertEqual(len(self.instance.list()), 0)


if __name__ == '__main__':
    unittest.main()
