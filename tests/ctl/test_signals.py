# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl run between a caller and a command: signals, job control, a terminal. And monitor."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

from berthtest import CtlTestCase, DEADLINE


def await_true(condition, what):
    """Waits for what no descriptor announces."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f'this did not happen: {what}')
        time.sleep(0.005)


def process_field(pid, name):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        return next(line.split(':', 1)[1].strip() for line in file if line.startswith(name + ':'))


def is_blocked(pid, number):
    return bool(int(process_field(pid, 'SigBlk'), 16) >> (number - 1) & 1)


class SignalTestCase(CtlTestCase):

    def popen(self, *arguments):
        process = self.instance.popen([self.instance.tool('berthctl'), *arguments])

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def run_script(self, script, *options):
        """Starts a script that prints a line when it is ready. Returns: berthctl and that line."""
        process = self.popen('run', *options, '--', 'bash', '-c', script)
        return process, process.stdout.readline().strip()


class Signals(SignalTestCase):

    def test_killed(self):
        """Nobody is left to remove the sandbox but the service, which sees the connection end."""
        process, pid = self.run_script('echo $$; exec sleep 600')
        self.addCleanup(os.kill, int(pid), signal.SIGKILL)
        self.assertEqual(len(self.ctl_json('list')), 1)
        process.kill()
        process.wait()
        await_true(lambda: not self.ctl_json('list'), 'the sandbox goes with its connection')

    def test_passed_on(self):
        for name in ('HUP', 'INT', 'QUIT', 'TERM', 'USR1', 'USR2', 'WINCH', 'CONT', 'ALRM',
                     'RTMIN+3'):
            with self.subTest(name):
                process, _ = self.run_script(f'trap "echo got; exit 3" {name}; echo ready; '
                                             'while :; do sleep 0.02; done')
                subprocess.run(['kill', '-s', name, str(process.pid)], check=True)
                self.assertEqual(process.communicate(), ('got\n', ''))
                self.assertEqual(process.returncode, 3)
        self.assertEqual(self.instance.list(), [])

    def test_death_by_signal(self):
        for mode in ('shareable', 'private', 'none'):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                with self.subTest(mode=mode, number=number):
                    process, _ = self.run_script('echo ready; exec sleep 1000', f'--ipc={mode}')
                    process.send_signal(number)
                    process.communicate()
                    self.assertEqual(process.returncode, 128 + number)
                    self.assertEqual(self.instance.list(), [])

    def test_before_the_command(self):
        """While the service is slow: the command does not start, and nothing is left."""
        marker = self.instance.path('marker')
        os.kill(self.instance.daemon.pid, signal.SIGSTOP)
        try:
            process = self.popen('run', 'touch', marker)
            await_true(lambda: is_blocked(process.pid, signal.SIGTERM), 'signals are blocked')
            process.terminate()
        finally:
            os.kill(self.instance.daemon.pid, signal.SIGCONT)
        process.communicate()
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)
        self.assertFalse(os.path.exists(marker))
        self.assertEqual(self.instance.list(), [])

    def test_stopped_by_another_hand(self):
        """A debugger that stops and continues the command does not know of berthctl."""
        process, pid = self.run_script('echo $$; exec sleep 1000')
        os.kill(int(pid), signal.SIGSTOP)
        await_true(lambda: process_field(pid, 'State').startswith('T'), 'the command stops')
        os.kill(int(pid), signal.SIGCONT)
        process.terminate()
        process.communicate()
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)

    def test_service_restarts_meanwhile(self):
        process, _ = self.run_script('echo ready; exec sleep 1000', '--name=demo')
        self.instance.restart()
        self.assertEqual([str(row['Name']) for row in self.instance.list()], ['demo'])
        process.terminate()
        self.assertEqual(process.communicate()[1], '')
        self.assertEqual(self.instance.list(), [])

    def test_removed_meanwhile(self):
        process, _ = self.run_script('echo ready; exec sleep 1000', '--name=demo')
        self.ctl('remove', 'demo')
        process.terminate()
        self.assertEqual(process.communicate()[1], '')
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)


class Terminal(SignalTestCase):
    """With an interactive shell on a terminal, as people use it."""

    def setUp(self):
        super().setUp()
        self.master, slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = {**self.instance.environment(), 'PS1': '', 'TERM': 'dumb', 'PAGER': '',
                       'berthctl': self.instance.tool('berthctl')}
        self.shell = subprocess.Popen(['bash', '--norc', '--noediting', '-i'], stdin=slave,
                                      stdout=slave, stderr=slave, env=environment,
                                      preexec_fn=own_terminal)
        os.close(slave)
        self.addCleanup(self.end_shell)
        self.output = ''
        self.type('echo shell $((1 + 1))\n')
        self.expect('shell 2')

    def end_shell(self):
        """A hangup, as when the window is closed: all its jobs end."""
        with contextlib.suppress(ProcessLookupError):
            self.shell.send_signal(signal.SIGHUP)
        self.shell.wait(DEADLINE)

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text):
        deadline = time.monotonic() + DEADLINE
        while text not in self.output:
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                self.fail(f'no "{text}" in:\n{self.output}\n{self.instance.logs()}')
            try:
                self.output += os.read(self.master, 65536).decode()
            except OSError as error:
                self.fail(f'{error}, no "{text}" in:\n{self.output}\n{self.instance.logs()}')
        self.output = self.output.partition(text)[2]

    def expect_status(self, status):
        self.type('echo "<$?>"\n')
        self.expect(f'<{status}>')

    def test_ctrl_c(self):
        self.type("$berthctl run -- bash -c 'n=0; trap \"n=\\$((n+1))\" INT; echo read\"\"y; "
                  "while [ $n = 0 ]; do sleep 0.01; done; read x; echo count $n; exit 9'\n")
        self.expect('ready')
        self.type('\x03')
        self.type('\n')
        self.expect('count 1')  # the terminal told it, berthctl did not repeat it
        self.expect_status(9)
        self.assertEqual(self.instance.list(), [])

    def test_ctrl_z(self):
        self.type("$berthctl run --name=job -- sh -c 'echo read\"\"y; read x; echo got $x; "
                  "exit 6'\n")
        self.expect('ready')
        self.type('\x1a')
        self.expect('Stopped')
        self.assertEqual([str(row['Name']) for row in self.instance.list()], ['job'])
        self.type('fg\n')
        self.expect('run')
        self.type('text\n')
        self.expect('got text')
        self.expect_status(6)
        self.assertEqual(self.instance.list(), [])

    def test_shell_inside(self):
        """A shell in the sandbox has job control of its own, and can suspend itself."""
        self.type('$berthctl run -- bash --norc --noediting\n')
        self.type("sh -c 'echo inner $((3 + 4)); read x; echo got $x'\n")
        self.expect('inner 7')
        self.type('\x1a')
        self.expect('Stopped')
        self.type('fg\n')
        self.type('text\n')
        self.expect('got text')
        self.type('suspend\n')
        self.expect('Stopped')
        self.type('echo outer $BASHPID $((4 + 4))\n')
        self.expect(f'outer {self.shell.pid} 8')
        self.type('fg\n')
        self.expect('run')
        self.type('exit 4\n')
        self.expect('exit')
        self.expect_status(4)
        self.assertEqual(self.instance.list(), [])

    def test_pager(self):
        self.type("PAGER='sed s/^/paged:/' $berthctl list\n")
        self.expect('paged:NAME')
        self.type("PAGER='sed s/^/paged:/' $berthctl list --no-pager\n")
        self.expect('listed.')
        self.type('$berthctl list --no-pager\n')
        self.expect('NAME')
        self.assertNotIn('paged', self.output)
        self.type("$berthctl list | cat; $berthctl -j list\n")
        self.expect('[]')


class Monitor(SignalTestCase):

    def watch(self, *options):
        process = self.popen('monitor', *options)
        return process, process.stdout.readline()

    def test_text(self):
        process, first = self.watch()
        self.assertEqual(first, 'service running\n')
        identifier = self.ctl('create', 'demo').strip()
        line = process.stdout.readline()
        self.assertRegex(line, rf'\Aadded sandbox/{identifier} .*\bName=demo\b')
        self.ctl('resize', 'demo', '1m')
        self.assertEqual(process.stdout.readline(),
                         f'changed sandbox/{identifier} ShmSize={1 << 20}\n')
        self.ctl('remove', 'demo')
        self.assertEqual(process.stdout.readline(), f'removed sandbox/{identifier}\n')
        self.instance.write_settings('berth.conf', '[Sandboxes]\nDefaultIpcMode=private\n')
        self.ctl('reload')
        line = process.stdout.readline()
        while line.startswith('changed'):  # the properties of Manager
            line = process.stdout.readline()
        self.assertRegex(line, r'\Asettings .*\bDefaultIpcMode=private\b')

    def test_json(self):
        process, first = self.watch('--json=pretty')
        self.assertEqual(json.loads(first), {'event': 'service', 'state': 'running'})
        identifier = self.ctl('create', 'demo').strip()
        event = json.loads(process.stdout.readline())
        self.assertEqual((event['event'], event['interface']),
                         ('added', 'org.berthd.Berth1.Sandbox'))
        self.assertEqual(event['path'], f'/org/berthd/Berth1/sandbox/{identifier}')
        self.assertEqual(event['properties']['Name'], 'demo')
        self.ctl('remove', 'demo')
        self.assertEqual(json.loads(process.stdout.readline()),
                         {'event': 'removed', 'path': event['path'],
                          'interface': event['interface']})

    def test_service_comes_and_goes(self):
        process, _ = self.watch()
        self.instance.terminate()
        self.assertEqual(process.stdout.readline(), 'service stopped\n')
        other, first = self.watch('-j')
        self.assertEqual(json.loads(first), {'event': 'service', 'state': 'not running'})
        self.instance.start()
        self.assertEqual(process.stdout.readline(), 'service started\n')
        self.assertEqual(json.loads(other.stdout.readline())['state'], 'started')

    def test_ends_with_success(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process, _ = self.watch()
            process.send_signal(number)
            process.communicate()
            self.assertEqual(process.returncode, 0)


if __name__ == '__main__':
    unittest.main()
