# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a sandbox can hold: made, and described, by a member of it: member.do(contents.describe).

Every function runs in the member and returns plain values.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import signal
import stat
import struct
import time

from . import syscalls

IPC_CREAT, IPC_EXCL, IPC_RMID, IPC_SET, IPC_STAT, IPC_NOWAIT = 0o1000, 0o2000, 0, 1, 2, 0o4000
GETVAL, GETALL, SETALL, SHM_LOCK = 12, 13, 17, 11
MSG_COPY = 0o40000
SHM_HUGETLB, SHM_NORESERVE = 0o4000, 0o10000
SEM_UNDO = 0x1000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
_libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_libc.shmdt.argtypes = [ctypes.c_void_p]
_libc.msgsnd.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
_libc.msgrcv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long,
                         ctypes.c_int]
_libc.msgrcv.restype = ctypes.c_ssize_t
_libc.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
_libc.mq_send.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint]
_libc.mq_receive.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
_libc.mq_receive.restype = ctypes.c_ssize_t


class _Attr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ('flags', 'most', 'size', 'current')] \
        + [('reserved', ctypes.c_long * 4)]


class _Sembuf(ctypes.Structure):
    _fields_ = [('number', ctypes.c_ushort), ('change', ctypes.c_short), ('flags', ctypes.c_short)]


def _check(result):
    if result == -1:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err))
    return result


# SysV

def shm_make(key, size, data=b'', mode=0o600, offset=0):
    """Returns: the ID."""
    segment = _check(_libc.shmget(key, size, IPC_CREAT | IPC_EXCL | mode))
    if data:
        shm_write(segment, data, offset)
    return segment


def shm_write(segment, data, offset=0):
    address = _libc.shmat(segment, None, 0)
    assert address != ctypes.c_void_p(-1).value
    ctypes.memmove(address + offset, data, len(data))
    _check(_libc.shmdt(address))


def shm_read(segment, size):
    address = _libc.shmat(segment, None, 0o10000)
    assert address != ctypes.c_void_p(-1).value
    try:
        return ctypes.string_at(address, size)
    finally:
        _check(_libc.shmdt(address))


def shm_attach(segment):
    """For the life of the member."""
    return _libc.shmat(segment, None, 0)


def shm_remove(segment):
    _check(_libc.shmctl(segment, IPC_RMID, None))


def shm_lock(segment):
    _check(_libc.shmctl(segment, SHM_LOCK, None))


def shm_make_huge(key, size):
    """A segment in huge pages, none of which is there yet."""
    return _check(_libc.shmget(key, size, IPC_CREAT | IPC_EXCL | SHM_HUGETLB | SHM_NORESERVE | 0o600))


def shm_rss():
    """Returns: the pages that all segments take."""
    class Info(ctypes.Structure):
        _fields_ = [('used', ctypes.c_int), ('total', ctypes.c_ulong), ('rss', ctypes.c_ulong),
                    ('swapped', ctypes.c_ulong), ('x', ctypes.c_ulong), ('y', ctypes.c_ulong)]
    info = Info()
    _check(_libc.shmctl(0, 14, ctypes.byref(info)))
    return info.rss


def sem_make(key, values, mode=0o600):
    semaphores = _check(_libc.semget(key, len(values), IPC_CREAT | IPC_EXCL | mode))
    _check(_libc.semctl(semaphores, 0, SETALL, (ctypes.c_ushort * len(values))(*values)))
    return semaphores


def sem_undo(semaphores, change):
    _check(_libc.semop(semaphores, ctypes.byref(_Sembuf(0, change, SEM_UNDO)), 1))


def sem_values(semaphores, count):
    values = (ctypes.c_ushort * count)()
    _check(_libc.semctl(semaphores, 0, GETALL, values))
    return list(values)


def msg_make(key, messages=(), mode=0o600):
    """messages: (type, data)."""
    queue = _check(_libc.msgget(key, IPC_CREAT | IPC_EXCL | mode))
    for kind, data in messages:
        msg_send(queue, kind, data)
    return queue


def msg_send(queue, kind, data):
    _check(_libc.msgsnd(queue, ctypes.c_long(kind).value.to_bytes(8, 'little') + data, len(data),
                        IPC_NOWAIT))


def msg_list(queue):
    """Returns: [(type, data)], leaving them there."""
    found = []
    size = 1 << 20
    buffer = ctypes.create_string_buffer(8 + size)
    while True:
        length = _libc.msgrcv(queue, buffer, size, len(found), MSG_COPY | IPC_NOWAIT)
        if length < 0:
            return found
        found.append((int.from_bytes(buffer.raw[:8], 'little'), buffer.raw[8:8 + length]))


# POSIX

def mq_make(name, messages=(), most=10, size=512, mode=0o600):
    """messages: (priority, data). The kernel counts the queues of a user in all namespaces, so of all
    tests that run beside this one: waits for room."""
    attr = _Attr(0, most, size, 0)
    deadline = time.monotonic() + 60
    while True:
        try:
            queue = _check(_libc.mq_open(os.fsencode('/' + name),
                                         os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NONBLOCK, mode,
                                         ctypes.byref(attr)))
            break
        except OSError as error:
            if error.errno != errno.EMFILE or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        os.fchmod(queue, mode)
        for priority, data in messages:
            _check(_libc.mq_send(queue, data, len(data), priority))
    finally:
        os.close(queue)


def mq_open(name, flags=os.O_RDWR | os.O_NONBLOCK):
    return _check(_libc.mq_open(os.fsencode('/' + name), flags, 0, None))


def mq_send(name, priority, data):
    """Waits for room."""
    queue = mq_open(name, os.O_RDWR)
    try:
        _check(_libc.mq_send(queue, data, len(data), priority))
    finally:
        os.close(queue)


def mq_send_later(name, priority, data):
    """From a child that waits for room. Returns: its PID, once it waits."""
    child = os.fork()
    if child == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
            mq_send(name, priority, data)
            os._exit(0)
        finally:
            os._exit(1)
    while True:
        with open(f'/proc/{child}/syscall', encoding='ascii') as file:
            if file.read().split()[0] == '242':
                return child


def reap(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def mq_state(name):
    """Returns: (limits, messages waiting, mode, uid, gid)."""
    queue = mq_open(name)
    try:
        attr = _Attr()
        _check(_libc.mq_getattr(queue, ctypes.byref(attr)))
        status = os.fstat(queue)
        return ((attr.most, attr.size), attr.current, stat.S_IMODE(status.st_mode), status.st_uid,
                status.st_gid)
    finally:
        os.close(queue)


def mq_drain(name):
    """Returns: [(priority, data)], which are gone then."""
    queue = mq_open(name)
    found = []
    try:
        while True:
            buffer = ctypes.create_string_buffer(1 << 16)
            priority = ctypes.c_uint()
            length = _libc.mq_receive(queue, buffer, len(buffer), ctypes.byref(priority))
            if length < 0:
                return found
            found.append((priority.value, buffer.raw[:length]))
    finally:
        os.close(queue)


def mq_notify(name):
    """A child registers for a notification. Returns: its PID."""
    class Event(ctypes.Structure):
        _fields_ = [('value', ctypes.c_void_p), ('signal', ctypes.c_int), ('kind', ctypes.c_int),
                    ('pad', ctypes.c_char * 48)]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
            event = Event(None, 0, 1)  # SIGEV_NONE
            _check(_libc.mq_notify(mq_open(name), ctypes.byref(event)))
            os.write(writer, b'x')
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1)
    os.close(reader)
    return child


# Files

def hole(path, size, parts):
    """A sparse file. parts: (offset, data)."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    os.ftruncate(fd, size)
    for offset, data in parts:
        os.pwrite(fd, data, offset)
    os.close(fd)


def parts(path, expected):
    """Returns: (size, blocks, parts as hole() takes them) of a sparse file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(fd)
        return status.st_size, status.st_blocks, [(offset, os.pread(fd, len(data), offset))
                                                  for offset, data in expected]
    finally:
        os.close(fd)


def times(path):
    status = os.stat(path)
    return status.st_atime_ns, status.st_mtime_ns


def write_many(directory, count, size):
    for number in range(count):
        with open(f'{directory}/{number:05}', 'wb') as file:
            file.write(number.to_bytes(4, 'little') * (size // 4))


def bind_socket(path):
    import socket
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)


def open_unlinked(path):
    """Leaves a file without a name behind, open for the life of the member."""
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    os.write(fd, b'x')
    os.unlink(path)
    return fd


def close(fd):
    os.close(fd)


def chown(path, uid, gid):
    os.lchown(path, uid, gid)


def chmod(path, mode):
    os.chmod(path, mode)


def setxattr(path, name, value):
    os.setxattr(path, name, value, follow_symlinks=False)


def set_flags(path, flags):
    """As chattr does (FS_IOC_SETFLAGS)."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x40086602, struct.pack('<l', flags))
    finally:
        os.close(fd)


def acl(*entries):
    """entries: (tag, permissions, ID). Returns: the value of system.posix_acl_*."""
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)


# the owner, a user, the group, the mask, others
ACL = [(0x01, 6, 0xffffffff), (0x02, 4, 1000), (0x04, 0, 0xffffffff), (0x10, 4, 0xffffffff),
       (0x20, 0, 0xffffffff)]


def utime(path, ns):
    os.utime(path, ns=(ns, ns), follow_symlinks=False)


def as_user(uid, gid, function, *args):
    """Does something with another effective identity."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        return function(*args)
    finally:
        os.seteuid(0)
        os.setegid(0)


def call(name, *args, **kwargs):
    return getattr(os, name)(*args, **kwargs)


# Everything

def _describe_file(path, inodes):
    status = os.lstat(path)
    found = {'mode': oct(status.st_mode), 'uid': status.st_uid, 'gid': status.st_gid,
             'mtime': status.st_mtime_ns, 'links': status.st_nlink,
             'attributes': {name: os.getxattr(path, name, follow_symlinks=False)
                            for name in sorted(os.listxattr(path, follow_symlinks=False))
                            if not name.startswith('security.selinux')}}
    if stat.S_ISREG(status.st_mode):
        with open(path, 'rb') as file:
            found['data'] = hashlib.sha256(file.read()).hexdigest()
        found['size'], found['blocks'] = status.st_size, status.st_blocks
        found['same'] = inodes.setdefault(status.st_ino, path)
    if stat.S_ISLNK(status.st_mode):
        found['target'] = os.readlink(path)
    return found


def describe_files(top='/dev/shm'):
    found = {}
    inodes = {}
    for where, directories, names in os.walk(top):
        directories.sort()
        for name in sorted(directories + names):
            path = os.path.join(where, name)
            found[os.path.relpath(path, top)] = _describe_file(path, inodes)
    return found


def describe_top():
    return _describe_file('/dev/shm', {})


def _table(kind):
    with open(f'/proc/sysvipc/{kind}', encoding='ascii') as file:
        names, *rows = [line.split() for line in file]
    return [dict(zip(names, row)) for row in rows]


def describe_sysv():
    found = {'shm': [], 'sem': [], 'msg': []}
    for row in _table('shm'):
        entry = {key: row[key] for key in ('key', 'shmid', 'perms', 'size', 'uid', 'gid', 'cuid',
                                           'cgid')}
        entry['data'] = hashlib.sha256(shm_read(int(row['shmid']), int(row['size']))).hexdigest()
        found['shm'].append(entry)
    for row in _table('sem'):
        entry = {key: row[key] for key in ('key', 'semid', 'perms', 'nsems', 'uid', 'gid', 'cuid',
                                           'cgid')}
        entry['values'] = sem_values(int(row['semid']), int(row['nsems']))
        found['sem'].append(entry)
    for row in _table('msg'):
        entry = {key: row[key] for key in ('key', 'msqid', 'perms', 'qnum', 'cbytes', 'uid', 'gid',
                                           'cuid', 'cgid')}
        entry['messages'] = msg_list(int(row['msqid']))
        found['msg'].append(entry)
    return found


def describe_queues():
    return {name: mq_state(name) for name in sorted(os.listdir('/dev/mqueue'))}


SYSCTLS = ('kernel/shmmax', 'kernel/shmall', 'kernel/shmmni', 'kernel/shm_rmid_forced',
           'kernel/msgmax', 'kernel/msgmnb', 'kernel/msgmni', 'kernel/sem',
           'fs/mqueue/msg_max', 'fs/mqueue/msgsize_max', 'fs/mqueue/queues_max',
           'fs/mqueue/msg_default', 'fs/mqueue/msgsize_default')


def describe_sysctls():
    found = {}
    for name in SYSCTLS:
        with open(f'/proc/sys/{name}', encoding='ascii') as file:
            found[name] = file.read().split()
    return found


def describe():
    """Returns: all that a restored sandbox must have too, but for messages of POSIX queues."""
    return {'files': describe_files(), 'sysv': describe_sysv(), 'queues': describe_queues(),
            'sysctls': describe_sysctls()}


def fill():
    """Some of everything that root can make."""
    top = '/dev/shm/'
    for name, data in (('plain', b'text'), ('empty', b''), ('café', b'x'),
                       (os.fsdecode(b'not \xff utf-8'), b'bytes'), ('with space', b' ')):
        with open(top + name, 'wb') as file:
            file.write(data)
    os.mkdir(top + 'dir', 0o2750)
    os.mkdir(top + 'dir/closed', 0o500)
    with open(top + 'dir/closed/inner', 'wb') as file:
        file.write(bytes(100000))
    os.symlink('../plain', top + 'dir/link')
    os.mkfifo(top + 'fifo', 0o640)
    os.link(top + 'plain', top + 'dir/again')
    hole(top + 'sparse', 50 << 20, [(1 << 20, b'data'), (30 << 20, b'more' * 5000)])
    hole(top + 'all-hole', 64 << 20, [])
    hole(top + 'tail', 20 << 20, [((20 << 20) - 3, b'end')])
    for name, uid, gid in (('plain', 1000, 1001), ('dir/closed', 1002, 1002), ('fifo', 4, 5),
                           ('dir/closed/inner', 7, 8), ('dir/link', 9, 10)):
        os.lchown(top + name, uid, gid)
    os.chmod(top + 'plain', 0o6755)
    os.setxattr(top + 'plain', 'user.note', b'a value\0with more')
    os.setxattr(top + 'plain', 'user.a=b%3D%', b'')
    os.setxattr(top + 'plain', 'security.capability',
                struct.pack('<5I', 0x02000001, 1 << 10, 0, 0, 0))  # CAP_NET_BIND_SERVICE
    os.setxattr(top + 'dir', 'trusted.note', b'root only')
    os.setxattr(top + 'dir', 'system.posix_acl_default', acl(*ACL))
    os.setxattr(top + 'dir/again', 'system.posix_acl_access', acl(*ACL))
    os.setxattr(top + 'fifo', 'system.posix_acl_access', acl(*ACL))
    setxattr(top + 'dir/link', 'trusted.of-a-link', bytes(3000))
    for name in sorted(describe_files()):
        os.utime(top + name, ns=(10 ** 18 + 7, 10 ** 18 + 123456789), follow_symlinks=False)
    shm_remove(shm_make(1, 4096))  # so that IDs do not begin at 0
    shm_make(0x1234, 3 << 20, b'segment' * 1000, 0o640, 1 << 20)
    shm_make(0, 5000, b'nameless')
    as_user(1000, 1001, shm_make, 0x77, 4096, b'of a user')
    shm_lock(shm_make(0x78, 4096, b'locked'))
    shm_lock(as_user(1000, 1001, shm_make, 0x79, 4096, b'locked too'))
    sem_make(0x55, [1, 2, 3, 32767], 0o666)
    as_user(5, 6, sem_make, 0x56, [0])
    msg_make(0x66, [(5, b'five'), (3, b''), (5, b'\n7 7\n'), (1 << 40, b'x' * 8000)])
    as_user(1000, 1001, msg_make, 0x67)
    mq_make('queue', [(1, b'low'), (9, b'high'), (1, b'low again'), (0, b''), (9, b'1 1\n\n')],
            mode=0o640)
    mq_make('empty', most=4, size=64)
    as_user(1000, 1001, mq_make, 'of-a-user', [(3, b'own')], 4, 64)


def shm_make_many(count):
    for number in range(count):
        shm_make(1000 + number, 4096, number.to_bytes(4, 'little'))


def msg_make_many(count):
    for number in range(count):
        msg_make(1000 + number, [(1, b'one'), (2, b'two'), (3, b'three')])


def mq_make_many(count):
    """So small that root may have them, whatever its limit."""
    for number in range(count):
        mq_make(f'queue{number}', [(1, b'one'), (2, b'two'), (3, b'three')], most=3, size=8)


def mq_remove_all():
    for name in os.listdir('/dev/mqueue'):
        os.unlink(f'/dev/mqueue/{name}')
