# SPDX-License-Identifier: LGPL-2.1-or-later
"""Linux calls that Python 3.11 does not offer, as functions that raise OSError.

Numbers are given only for calls from 428 on, which are the same on every architecture; everything
else goes through libc by name.
"""

import ctypes
import fcntl
import os
import signal
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND = 32, 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20
MNT_DETACH = 2

OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
RENAME_EXCHANGE = 2

IPC_CREAT, IPC_EXCL, IPC_RMID = 0o1000, 0o2000, 0
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4

NS_GET_USERNS, NS_GET_NSTYPE = 0xb701, 0xb703
FD_NSFS_ROOT = -10003

_SYS_OPEN_TREE, _SYS_MOVE_MOUNT = 428, 429
_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.shmat.restype = ctypes.c_void_p
_libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
_libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_libc.shmdt.argtypes = [ctypes.c_void_p]
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
_libc.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
_libc.mq_send.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint]
_libc.mq_receive.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
_libc.mq_receive.restype = ctypes.c_ssize_t


def _check(result, what=None):
    if result in (-1, None) or result == ctypes.c_void_p(-1).value:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err), what)
    return result


def _encode(text):
    return None if text is None else os.fsencode(text)


def _syscall(number, *args):
    return _check(_libc.syscall(ctypes.c_long(number), *args))


def unshare(flags):
    _check(_libc.unshare(flags))


def setns(fd, kind):
    _check(_libc.setns(fd, kind))


def user_namespace(fd):
    """Returns: an fd of the user namespace that owns the namespace behind fd."""
    return fcntl.ioctl(fd, NS_GET_USERNS)


def exchange(one, other):
    """Swaps two names in one step."""
    _check(_libc.renameat2(AT_FDCWD, _encode(one), AT_FDCWD, _encode(other), RENAME_EXCHANGE), one)


def prctl(option, value):
    _check(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def mount(source, target, fstype, flags=0, data=None):
    _check(_libc.mount(_encode(source), _encode(target), _encode(fstype), flags, _encode(data)),
           target)


def umount(target, flags=0):
    _check(_libc.umount2(_encode(target), flags), target)


def open_tree(fd, path, flags=0):
    return _syscall(_SYS_OPEN_TREE, ctypes.c_int(fd), _encode(path),
                    ctypes.c_uint(flags | os.O_CLOEXEC))


def move_mount(fd, target, target_fd=AT_FDCWD, flags=MOVE_MOUNT_F_EMPTY_PATH):
    """Attaches the detached mount behind fd at target; consumes it for every holder of fd."""
    _syscall(_SYS_MOVE_MOUNT, ctypes.c_int(fd), b'', ctypes.c_int(target_fd), _encode(target),
             ctypes.c_uint(flags))


def new_mount(fstype, source=None, **options):
    """Returns: an fd of a new, detached mount."""
    context = _syscall(_SYS_FSOPEN, _encode(fstype), ctypes.c_uint(1))
    try:
        if source:
            options['source'] = source
        for key, value in options.items():
            _syscall(_SYS_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(1), _encode(key),
                     _encode(str(value)), ctypes.c_int(0))
        _syscall(_SYS_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(6), None, None,
                 ctypes.c_int(0))
        return _syscall(_SYS_FSMOUNT, ctypes.c_int(context), ctypes.c_uint(1), ctypes.c_uint(0))
    finally:
        os.close(context)


class SharedMemory:
    """A SysV segment, attached."""

    def __init__(self, key, size=4096, create=False):
        self.id = _check(_libc.shmget(key, size if create else 0,
                                      (IPC_CREAT | IPC_EXCL if create else 0) | 0o600))
        self.address = _check(_libc.shmat(self.id, None, 0))

    def write(self, data):
        ctypes.memmove(self.address, data, len(data))

    def read(self, length):
        return ctypes.string_at(self.address, length)

    def detach(self):
        _check(_libc.shmdt(self.address))

    def remove(self):
        _check(_libc.shmctl(self.id, IPC_RMID, None))


def die_with_parent():
    """For preexec_fn: the process is killed when the thread that started it is gone."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def mq_open(name, create=False):
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    return _check(_libc.mq_open(_encode(name), flags, 0o600, None), name)


def mq_send(queue, data, priority=0):
    _check(_libc.mq_send(queue, data, len(data), priority))


def mq_receive(queue):
    buffer = ctypes.create_string_buffer(65536)
    length = _check(_libc.mq_receive(queue, buffer, len(buffer), None))
    return buffer.raw[:length]


def mq_unlink(name):
    _check(_libc.mq_unlink(_encode(name)), name)


class NamespaceHandle:
    """A file handle of a namespace: it tells whether the namespace still lives and pins nothing.

    Kernels from 6.18 on have them; supported is False on others.
    """

    def __init__(self, fd):
        buffer = ctypes.create_string_buffer(struct.pack('=Ii', 120, 0) + bytes(120))
        mount_id = ctypes.c_int()
        self.supported = False
        if _libc.name_to_handle_at(fd, b'', buffer, ctypes.byref(mount_id), AT_EMPTY_PATH) == 0:
            self._handle = buffer
            self.supported = self.alive()

    def alive(self):
        fd = _libc.open_by_handle_at(FD_NSFS_ROOT, self._handle, os.O_RDONLY | os.O_CLOEXEC)
        if fd < 0:
            return False
        os.close(fd)
        return True
