# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that uses a sandbox: forked, moved into what it is given, then told what to do.

Each operation is a method of _Inside, runs in the member and answers with plain values; an OSError
there arrives as MemberError with the same errno. A member dies with its test.
"""

import errno
import os
import pickle
import pwd
import select
import signal
import socket
import stat
import struct
import traceback

from . import syscalls
from .leftovers import parse_mountinfo


LAST_PID = '/proc/sys/kernel/ns_last_pid'


class MemberError(OSError):
    """What an operation raised inside the member."""


class _Inside:
    """The operations."""

    def __init__(self):
        self._segments = {}
        self._held = []  # descriptors that stay open
        self._mounts = -1
        self.background = None  # done again and again between operations

    def do(self, function, *args, **kwargs):
        """Any function of a module, by its name there."""
        return function(*args, **kwargs)

    def write(self, path, text):
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    def read(self, path):
        with open(path, encoding='utf-8') as file:
            return file.read()

    def listdir(self, path):
        return sorted(os.listdir(path))

    def unlink(self, path):
        os.unlink(path)

    def stat(self, path):
        """Returns: (permission bits, device `major:minor`)."""
        status = os.stat(path)
        return (stat.S_IMODE(status.st_mode),
                f'{os.major(status.st_dev)}:{os.minor(status.st_dev)}')

    def statvfs(self, path):
        """Returns: (bytes, inodes)."""
        status = os.statvfs(path)
        return status.f_blocks * status.f_frsize, status.f_files

    def fill(self, path, size):
        """Writes size bytes. Returns: how many fitted."""
        done = 0
        block = bytes(65536)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while done < size:
                done += os.write(fd, block[:size - done])
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(fd)
        return done

    def mountinfo(self):
        return self.read('/proc/self/mountinfo')

    def mount_id(self, path):
        """Returns: the ID of the mount that one sees at path, whatever lies hidden below it."""
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            for line in self.read(f'/proc/self/fdinfo/{fd}').splitlines():
                if line.startswith('mnt_id:'):
                    return int(line.split()[1])
        finally:
            os.close(fd)

    def namespace(self, kind):
        return os.stat(f'/proc/self/ns/{kind}').st_ino

    def sysctl(self, name):
        return self.read('/proc/sys/' + name.replace('.', '/')).strip()

    def set_sysctl(self, name, value):
        with open('/proc/sys/' + name.replace('.', '/'), 'w', encoding='ascii') as file:
            file.write(value)

    def remount(self, target, data):
        syscalls.mount(None, target, None, syscalls.MS_REMOUNT, data)

    def unshare_user(self):
        """A user namespace below the one this is in, with itself as root in there."""
        uid, gid = os.geteuid(), os.getegid()
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        for name, text in (('setgroups', 'deny'), ('uid_map', f'0 {uid} 1'),
                           ('gid_map', f'0 {gid} 1')):
            with open(f'/proc/self/{name}', 'w', encoding='ascii') as file:
                file.write(text)

    def shm_put(self, key, data, size=4096):
        segment = syscalls.SharedMemory(key, size, create=True)
        segment.write(data)
        self._segments[key] = segment

    def shm_get(self, key, length):
        segment = syscalls.SharedMemory(key)
        try:
            return segment.read(length)
        finally:
            segment.detach()

    def shm_remove(self, key):
        segment = self._segments.pop(key)
        segment.detach()
        segment.remove()

    def mq_put(self, name, data):
        queue = syscalls.mq_open(name, create=True)
        try:
            syscalls.mq_send(queue, data)
        finally:
            os.close(queue)

    def mq_get(self, name):
        queue = syscalls.mq_open(name)
        try:
            return syscalls.mq_receive(queue)
        finally:
            os.close(queue)

    def new_mounts(self):
        """A mount namespace of its own, with private propagation."""
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, '/', None, syscalls.MS_REC | syscalls.MS_PRIVATE)

    def keep_mounts(self):
        """Remembers the mount namespace this is in, for back_to_mounts()."""
        self._mounts = os.open('/proc/self/ns/mnt', os.O_RDONLY | os.O_CLOEXEC)

    def back_to_mounts(self):
        syscalls.setns(self._mounts, syscalls.CLONE_NEWNS)

    def begin_moving(self):
        """In and out of the mount namespace of keep_mounts(), until end_moving()."""
        here = os.open('/proc/self/ns/mnt', os.O_RDONLY | os.O_CLOEXEC)

        def move():
            syscalls.setns(self._mounts, syscalls.CLONE_NEWNS)
            syscalls.setns(here, syscalls.CLONE_NEWNS)
        self._begin(move)

    def begin_exchanging(self, one, other):
        """Swaps two names all the time, until end_exchanging()."""
        def exchange():
            try:
                syscalls.exchange(one, other)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                for place in (one, other):  # something was mounted on one of them
                    if not os.path.islink(place):
                        syscalls.umount(place, syscalls.MNT_DETACH)
        self._begin(exchange)

    def _begin(self, function):
        """Instead of serving: function again and again, until the next operation comes."""
        self.background = function

    def end_moving(self):
        self.background = None

    end_exchanging = end_moving

    def begin_exec(self, *command):
        """Becomes the command as soon as this was answered; nothing can be asked of it then."""
        self.background = lambda: os.execv(command[0], command)

    def rename(self, one, other):
        os.rename(one, other)

    def share(self, target):
        """Makes the propagation of the mount there shared."""
        syscalls.mount(None, target, None, syscalls.MS_SHARED)

    def new_user_namespace(self, uid):
        """A user namespace that belongs to uid, with uid as its root."""
        reader, writer = os.pipe()
        ready, go = os.pipe()
        parent = os.getpid()
        helper = os.fork()  # a process may write more than its own identity only from outside
        if helper == 0:
            try:
                os.read(ready, 1)
                for name in ('uid_map', 'gid_map'):
                    with open(f'/proc/{parent}/{name}', 'w', encoding='ascii') as file:
                        file.write(f'0 {uid} 1\n')
                os.write(writer, b'x')
            finally:
                os._exit(0)
        os.close(writer)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(go, b'x')
        if not os.read(reader, 1):
            raise OSError(errno.EPERM, 'cannot map the user namespace')
        os.waitpid(helper, 0)
        for fd in (reader, ready, go):
            os.close(fd)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)

    def mount_hanging_fuse(self, target):
        """Whoever looks something up there waits until this member ends."""
        device = os.open('/dev/fuse', os.O_RDWR | os.O_CLOEXEC)
        self._held.append(device)
        syscalls.mount('fuse', target, 'fuse', 0,
                       f'fd={device},rootmode=40000,user_id=0,group_id=0')

    def mount_tmpfs(self, target, data='mode=755'):
        syscalls.mount('tmpfs', target, 'tmpfs', 0, data)

    def bind(self, source, target):
        syscalls.mount(source, target, None, syscalls.MS_BIND)

    def bind_recursively(self, source, target):
        """All that a user namespace may do: what lies below must stay covered."""
        syscalls.mount(source, target, None, syscalls.MS_BIND | syscalls.MS_REC)

    def umount(self, target):
        syscalls.umount(target, syscalls.MNT_DETACH)

    def mkdir(self, path, mode=0o755):
        os.mkdir(path, mode)

    def symlink(self, target, path):
        os.symlink(target, path)

    def chroot(self, path):
        os.chroot(path)
        os.chdir('/')

    def run_on(self, cpu):
        os.sched_setaffinity(0, {cpu})

    def setuid(self, uid):
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _become(uid):
    """For good, as a login does."""
    gid = pwd.getpwuid(uid).pw_gid
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _enter(ipc, shm, mqueue, plain_dev, uid):
    """Joins as a launcher does: the namespace, then the mounts in a mount namespace of its own."""
    if uid is not None:
        _become(uid)
        if ipc is not None:  # what belongs to a user is entered by way of its user namespace
            owner = syscalls.user_namespace(ipc)
            syscalls.setns(owner, syscalls.CLONE_NEWUSER)
            os.close(owner)
    if ipc is not None:
        syscalls.setns(ipc, syscalls.CLONE_NEWIPC)
    if shm is None and mqueue is None and not plain_dev:
        return
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, '/', None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    if plain_dev:
        syscalls.mount('dev', '/dev', 'tmpfs', 0, 'mode=755')
        os.mkdir('/dev/shm')
        os.mkdir('/dev/mqueue')
    if shm is not None:
        syscalls.move_mount(shm, '/dev/shm')
    if mqueue is not None:
        if uid is None:
            os.makedirs('/dev/mqueue', exist_ok=True)
        syscalls.move_mount(mqueue, '/dev/mqueue')


class Member:
    """with Member(ipc=fd, shm=fd, mqueue=fd) as member: member.write('/dev/shm/x', 'text')

    plain_dev: mount an empty /dev first, with directories shm and mqueue: a target for Attach.
    uid: do all that as this user. The fds are closed in the caller too: who joined has consumed
    them.
    """

    def __init__(self, ipc=None, shm=None, mqueue=None, plain_dev=False, uid=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            self._serve(theirs, ipc, shm, mqueue, plain_dev, uid)
        theirs.close()
        self._socket = ours
        self._file = ours.makefile('rwb')
        for fd in (ipc, shm, mqueue):
            if fd is not None:
                os.close(fd)
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _serve(connection, ipc, shm, mqueue, plain_dev, uid):
        """Never returns."""
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            keep = {connection.fileno(), ipc, shm, mqueue} - {None}
            for name in os.listdir('/proc/self/fd'):
                if int(name) > 2 and int(name) not in keep:
                    try:
                        os.close(int(name))
                    except OSError:
                        pass  # the fd of the listing itself
            stream = connection.makefile('rwb')
            inside = _Inside()

            def answer(function, *args, **kwargs):
                try:
                    result = (True, function(*args, **kwargs))
                except OSError as error:
                    result = (False, (error.errno, f'{error}\n{traceback.format_exc()}'))
                except Exception:  # reported to the test, which fails with it
                    result = (False, (None, traceback.format_exc()))
                data = pickle.dumps(result)
                stream.write(struct.pack('=I', len(data)) + data)
                stream.flush()

            answer(_enter, ipc, shm, mqueue, plain_dev, uid)
            for fd in (ipc, shm, mqueue):
                if fd is not None:
                    os.close(fd)
            while True:
                while inside.background and not select.select([connection], [], [], 0)[0]:
                    inside.background()
                head = stream.read(4)
                if len(head) < 4:
                    os._exit(0)
                name, args, kwargs = pickle.loads(stream.read(struct.unpack('=I', head)[0]))
                answer(getattr(inside, name), *args, **kwargs)
        finally:
            os._exit(1)

    def _answer(self):
        head = self._file.read(4)
        if len(head) < 4:
            raise MemberError(errno.EPIPE, 'the member ended')
        good, value = pickle.loads(self._file.read(struct.unpack('=I', head)[0]))
        if not good:
            raise MemberError(*value)
        return value

    def __getattr__(self, name):
        if name.startswith('_') or not hasattr(_Inside, name):
            raise AttributeError(name)

        def call(*args, **kwargs):
            data = pickle.dumps((name, args, kwargs))
            self._file.write(struct.pack('=I', len(data)) + data)
            self._file.flush()
            return self._answer()
        return call

    @staticmethod
    def can_reuse():
        return os.access(LAST_PID, os.W_OK)

    @classmethod
    def reuse(cls, pid, **kwargs):
        """Returns: a Member with that PID, which must be free."""
        for _ in range(1000):
            with open(LAST_PID, 'w', encoding='ascii') as file:
                file.write(str(pid - 1))
            member = cls(**kwargs)
            if member.pid == pid:
                return member
            member.close()  # somebody else was faster
        raise AssertionError(f'cannot get the PID {pid}')

    def pidfd(self):
        return os.pidfd_open(self.pid)

    def mounts(self):
        """Returns: what it sees of its mount namespace, as parse_mountinfo has it."""
        return parse_mountinfo(self.mountinfo())

    def mounts_from_outside(self, source):
        """Returns: the number of mounts of that source in its mount namespace, seen from here."""
        with open(f'/proc/{self.pid}/mountinfo', encoding='utf-8') as file:
            return sum(row['source'] == source for row in parse_mountinfo(file.read()))

    def mount_at(self, target):
        """Returns: the mount one sees at target, as parse_mountinfo has it; None if there is none."""
        wanted = self.mount_id(target)
        row, = [row for row in parse_mountinfo(self.mountinfo()) if row['id'] == wanted]
        return row if row['target'] == target else None

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
            self._file.close()
            self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()
