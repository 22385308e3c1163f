# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private instance of the service: its own bus, directories and berthd, gone without a trace.

It relies on BERTH_BUILD, a build directory with src/daemon/berthd, and on root. Several instances
run beside each other. close() is part of every test: it fails when the daemon does not end with
status 0, when a sanitizer reported something, or when anything is left after `berthd --purge`.
"""

import contextlib
import fcntl
import glob
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time

import dbus
import dbus.bus
import dbus.lowlevel
from dbus.mainloop import NULL_MAIN_LOOP
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

from . import syscalls
from .calls import BUS_NAME, Calls, DEADLINE, ROOT_PATH
from .leftovers import look_into_vault, mounts_below, parse_mountinfo

# What the system bus does, less its policy: every process may own, send and receive here.
BUS_CONFIG = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*" eavesdrop="false"/>
  </policy>
</busconfig>
'''


def build_directory():
    try:
        return os.path.abspath(os.environ['BERTH_BUILD'])
    except KeyError:
        raise RuntimeError('BERTH_BUILD is not set: name a build directory, or use tests/run') \
            from None


class Instance(Calls):
    """settings: text of berth.conf; dropins, registries, sandboxes: {file name: text}, registries
    also the text of one file; args: of berthd.

    bus_config: instead of BUS_CONFIG; {socket} stands for where the bus listens.
    """

    def __init__(self, settings=None, dropins=None, registries=None, sandboxes=None, args=(),
                 start=True, environment=None, bus_config=BUS_CONFIG):
        self.build = build_directory()
        self.directory = tempfile.mkdtemp(prefix='i', dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        os.chmod(self.directory, 0o755)  # members of other users reach the bus
        self.runtime = self.path('run')
        self.state = self.path('state')
        self.configuration = self.path('etc')
        self.address = f'unix:path={self.path("bus")}'
        self.args = list(args)
        self.extra_environment = dict(environment or {})
        self.daemon = None
        self._bus_config = bus_config
        self._bus_daemon = None
        self._connection = None
        self._notify = None
        self._stored = []  # (name, fd): what systemd would keep for the service
        for path in (self.runtime, self.state, self.configuration, self.path('san')):
            os.mkdir(path, 0o755)
        os.chmod(self.path('san'), 0o1777)
        if settings is not None:
            self.write_settings('berth.conf', settings)
        for name, text in (dropins or {}).items():
            self.write_settings(f'berth.conf.d/{name}', text)
        if isinstance(registries, str):
            registries = {'test.conf': registries}
        for name, text in (registries or {}).items():
            self.write_settings(f'registries.d/{name}', text)
        for name, text in (sandboxes or {}).items():
            self.write_settings(f'sandboxes.d/{name}', text)
        try:
            self.start_bus()
            if start:
                self.start()
        except BaseException:
            self._discard()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _traceback):
        if kind:
            with contextlib.suppress(Exception):
                self.close()
            self._discard()
        else:
            self.close()

    # Files

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def write_settings(self, name, text):
        path = os.path.join(self.configuration, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def tool(self, name):
        """Returns: the path of an executable of the build: berthd, berthctl, or a test helper."""
        places = {'berthd': 'src/daemon/berthd', 'berthctl': 'src/ctl/berthctl'}
        return os.path.join(self.build, places.get(name, f'tests/{name}'))

    def environment(self):
        reports = self.path('san', 'report')
        return {
            **{key: value for key, value in os.environ.items() if key != 'NOTIFY_SOCKET'},
            'CONFIGURATION_DIRECTORY': self.configuration,
            'STATE_DIRECTORY': self.state,
            'RUNTIME_DIRECTORY': self.runtime,
            'BERTH_CERTS_DIRECTORIES': self.path('certs.d'),
            'DBUS_SYSTEM_BUS_ADDRESS': self.address,
            'ASAN_OPTIONS': f'halt_on_error=1:exitcode=99:detect_leaks=1:log_path={reports}:'
                            'detect_stack_use_after_return=1:strict_string_checks=1',
            'UBSAN_OPTIONS': f'halt_on_error=1:exitcode=99:print_stacktrace=1:log_path={reports}',
            **self.extra_environment,
        }

    # Processes

    def start_bus(self):
        config = self.path('bus.conf')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(self._bus_config.format(socket=self.path('bus')))
        ready, tell = os.pipe()
        with open(self.path('bus.log'), 'wb') as log:
            self._bus_daemon = subprocess.Popen(
                ['dbus-daemon', f'--config-file={config}', '--nofork', '--nopidfile',
                 '--nosyslog', f'--print-address={tell}'], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, pass_fds=[tell], preexec_fn=syscalls.die_with_parent)
        os.close(tell)
        with os.fdopen(ready, 'rb') as pipe:
            if not pipe.readline():
                raise RuntimeError('dbus-daemon did not start:\n' + self.text('bus.log'))

    def restart_bus(self):
        """Another bus at the same address; every connection is lost, and berthd with it."""
        if self._connection:
            self._connection.close()
            self._connection = None
        self._bus_daemon.kill()
        self._bus_daemon.wait()
        os.unlink(self.path('bus'))
        self.start_bus()

    def forget_stored(self):
        """Drops what was stored with FDSTORE=1, as systemd does when a unit is stopped."""
        self._drain()
        for _, fd in self._stored:
            os.close(fd)
        self._stored = []

    def start(self, args=()):
        """Starts berthd and returns when it has sent READY=1."""
        self.begin_start(args)
        exit_fd = os.pidfd_open(self.daemon.pid)
        try:
            self._await_ready(exit_fd)
        finally:
            os.close(exit_fd)
        # what answers has closed the socket it said so through: tests count descriptors
        connection = self.connect()
        self.call(ROOT_PATH, 'org.freedesktop.DBus.Peer', 'Ping', '', bus=connection)
        connection.close()

    def begin_start(self, args=()):
        """Starts berthd, and does not wait.

        What an earlier one had stored with FDSTORE=1 is handed to it, as systemd does.
        """
        if self._notify is None:
            self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._notify.setblocking(False)
            self._notify.bind(self.path('notify'))
        command = [self.tool('berthd'), *self.args, *args]
        environment = {'NOTIFY_SOCKET': self.path('notify')}
        self._drain()
        if self._stored:
            environment.update(LISTEN_FDS=str(len(self._stored)),
                               LISTEN_FDNAMES=':'.join(name for name, _ in self._stored))
            # the PID is known only after the fork
            command = ['sh', '-c', 'export LISTEN_PID=$$; exec "$@"', 'sh', *command]
        self.daemon = self.popen(command, log='berthd.log', fds=[fd for _, fd in self._stored],
                                 **environment)

    def _receive(self):
        """Takes one notification in. Returns: its lines."""
        text, fds, _, _ = socket.recv_fds(self._notify, 65536, 64)
        lines = text.decode().split('\n')
        if 'FDSTORE=1' in lines:
            name = [line[len('FDNAME='):] for line in lines if line.startswith('FDNAME=')]
            self._stored += [(name[0] if name else 'stored', fd) for fd in fds]
        else:
            for fd in fds:
                os.close(fd)
        return lines

    def _drain(self):
        """Takes in what was sent and not yet read."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._receive()

    def _await_ready(self, exit_fd):
        deadline = time.monotonic() + DEADLINE
        while True:
            readable, _, _ = select.select([self._notify, exit_fd], [], [],
                                           max(0, deadline - time.monotonic()))
            if self._notify in readable:
                if 'READY=1' in self._receive():
                    return
            elif exit_fd in readable:
                status = self.daemon.wait()
                self.daemon = None
                raise RuntimeError(f'berthd ended with {status} before it was ready:\n'
                                   + self.logs())
            else:
                self.kill()
                raise RuntimeError('berthd did not get ready:\n' + self.logs())

    def popen(self, command, log=None, fds=(), **environment):
        """A process in the environment of this instance; standard error goes to the file log.

        fds: become 3, 4, … in there.
        """
        def prepare():
            syscalls.die_with_parent()
            # out of the way first: one may be another's target
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds]
            for number, fd in enumerate(high, 3):
                os.dup2(fd, number)
            for name in os.listdir('/proc/self/fd') if fds else ():
                if int(name) >= 3 + len(fds):  # what the test holds is not to be held by this one
                    with contextlib.suppress(OSError):
                        os.set_inheritable(int(name), False)

        kwargs = {'stdin': subprocess.DEVNULL, 'env': {**self.environment(), **environment},
                  'preexec_fn': prepare, 'close_fds': not fds}
        if log is None:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True, **kwargs)
        with open(self.path(log), 'ab') as file:
            return subprocess.Popen(command, stdout=file, stderr=file, **kwargs)

    def run(self, *command, check=True, input=None, timeout=DEADLINE, **environment):
        """Runs a command to its end; the name of a tool of the build stands for its path.

        Returns: subprocess.CompletedProcess with text output.
        """
        if command[0] in ('berthd', 'berthctl'):
            command = (self.tool(command[0]), *command[1:])
        done = subprocess.run(command, env={**self.environment(), **environment}, text=True,
                              input=input if input is not None else '', capture_output=True,
                              timeout=timeout, preexec_fn=syscalls.die_with_parent, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f'{" ".join(command)} ended with {done.returncode}:\n'
                                 f'{done.stdout}{done.stderr}\n{self.logs()}')
        return done

    def terminate(self):
        """SIGTERM. Returns: the exit status of berthd, which must be 0."""
        daemon, self.daemon = self.daemon, None
        daemon.terminate()
        try:
            status = daemon.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
            raise AssertionError('berthd did not end on SIGTERM:\n' + self.logs()) from None
        if status != 0:
            raise AssertionError(f'berthd ended with {status} on SIGTERM:\n{self.logs()}')

    def kill(self):
        """SIGKILL: what a crash or the OOM killer leaves behind is what the next start finds."""
        daemon, self.daemon = self.daemon, None
        daemon.kill()
        daemon.wait()

    def restart(self):
        self.terminate()
        self.start()

    def wait_exit(self):
        """Waits until berthd ends by itself. Returns: its exit status."""
        daemon, self.daemon = self.daemon, None
        try:
            return daemon.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.daemon = daemon
            raise AssertionError('berthd did not end by itself:\n' + self.logs()) from None

    def text(self, name):
        try:
            with open(self.path(name), encoding='utf-8', errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def reports(self):
        """Returns: what sanitizers reported in any process of this instance."""
        files = ''.join(self.text(path) for path in sorted(glob.glob(self.path('san', '*'))))
        # a worker can write no files there: what it reports goes where its log goes
        return files + '\n'.join(re.findall(r'^.*(?:ERROR: \w+Sanitizer|runtime error:).*$',
                                            self.text('berthd.log'), re.MULTILINE))

    def logs(self):
        return '--- berthd\n' + self.text('berthd.log') + self.reports()

    def close(self):
        """Ends everything, purges, and asserts that nothing is left."""
        if not os.path.isdir(self.directory):
            return
        problems = []
        try:
            if self.daemon and self.daemon.poll() is None:
                self.terminate()
            elif self.daemon:
                problems.append(f'berthd had ended with {self.daemon.returncode}')
                self.daemon = None
            self.purge()
            problems += self.leftovers()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            problems.append(str(error))
        reports = self.reports()
        if reports:
            problems.append(reports)
        if problems:
            problems.append(self.logs())
        self._discard()
        if problems:
            raise AssertionError('\n'.join(problems))

    def purge(self):
        self.run('berthd', '--purge', *(arg for arg in self.args
                                        if arg.startswith('--host-mount-namespace=')))

    def leftovers(self):
        found = [f'mount left: {row["target"]}' for row in mounts_below(self.directory)]
        for directory in (self.runtime, self.state):
            for where, directories, files in os.walk(directory):
                if where == self.state and 'store' in directories:
                    directories.remove('store')  # images are not purged
                found += [f'file left: {os.path.join(where, name)}' for name in directories + files]
        return found

    def trace(self):
        """Returns: all that the service holds: what a refused or undone call must leave unchanged."""
        text, vault = look_into_vault(self.pin)
        return {
            'host mounts': [row['target'] for row in mounts_below(self.directory)],
            'vault mounts': sorted(row['target'] for row in parse_mountinfo(text)),
            'vault files': vault,
            'runtime files': sorted(
                os.path.join(where, name)
                for where, directories, names in os.walk(self.runtime)
                for name in directories + names),
            'descriptors': len(os.listdir(f'/proc/{self.daemon.pid}/fd')),
            'children': len(self.children()),
        }

    def children(self):
        with open(f'/proc/{self.daemon.pid}/task/{self.daemon.pid}/children',
                  encoding='utf-8') as file:
            return file.read().split()

    def processes(self):
        """Yields the PIDs of the service and of all below it."""
        waiting = [self.daemon.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                for path in glob.glob(f'/proc/{pid}/task/*/children'):
                    with open(path, encoding='ascii') as file:
                        waiting += map(int, file.read().split())

    def workers(self):
        """Returns: the PIDs of the processes that the launcher has started."""
        children = {self.daemon.pid, *map(int, self.children())}
        return [pid for pid in self.processes() if pid not in children]

    @property
    def pin(self):
        """Where the vault is pinned."""
        return os.path.join(self.runtime, 'vault', 'mnt')

    def vault_mountinfo(self):
        """Returns: text of the vault's mountinfo, for namespace_references()."""
        return look_into_vault(self.pin)[0]

    def _discard(self):
        if self._connection:
            self._connection.close()
            self._connection = None
        for process in (self.daemon, self._bus_daemon):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self.daemon = self._bus_daemon = None
        if self._notify:
            self.forget_stored()
            self._notify.close()
            self._notify = None
        for row in reversed(mounts_below(self.directory)):
            with contextlib.suppress(OSError):
                syscalls.umount(row['target'], syscalls.MNT_DETACH)
        if not os.environ.get('BERTH_TEST_KEEP'):
            shutil.rmtree(self.directory, ignore_errors=True)

    # The bus

    @property
    def bus(self):
        if self._connection is None:
            self._connection = self.connect()
        return self._connection

    def connect(self, mainloop=None):
        """A further connection, to be closed by the caller."""
        connection = dbus.bus.BusConnection(self.address, mainloop=mainloop or NULL_MAIN_LOOP)
        connection.set_exit_on_disconnect(False)
        return connection

    @contextlib.contextmanager
    def signals(self, interface, member):
        """Yields a function that waits for the next such signal and returns (path, args)."""
        connection = self.connect(DBusGMainLoop())
        received = []

        def take(_connection, message):
            if message.get_interface() == interface and message.get_member() == member:
                received.append((str(message.get_path()), message.get_args_list()))
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED

        def wait():
            context = GLib.MainContext.default()
            timer = GLib.timeout_source_new(DEADLINE * 1000)
            expired = []
            timer.set_callback(lambda _data: expired.append(True))
            timer.attach(context)
            try:
                while not received:
                    if expired:
                        raise AssertionError(f'no signal {member}:\n{self.logs()}')
                    context.iteration(True)
            finally:
                timer.destroy()
            return received.pop(0)

        connection.add_message_filter(take)
        connection.add_match_string(f"type='signal',interface='{interface}',member='{member}'")
        connection.get_name_owner(BUS_NAME)  # a reply: the match is in force
        try:
            yield wait
        finally:
            connection.close()
