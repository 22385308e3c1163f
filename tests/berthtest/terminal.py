# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program on a terminal of its own, and what the screen shows in the end."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from .calls import DEADLINE

_TOKEN = re.compile(r'\x1b\[([\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])')


class Screen:
    """Understands what progress bars need: wrapping, CR, LF, cursor up, erase line and below."""

    def __init__(self, columns):
        self.columns = columns
        self.lines = ['']
        self._row = self._column = 0

    def feed(self, text):
        for number, command, control, character in _TOKEN.findall(text):
            if control == '\r':
                self._column = 0
            elif control == '\n':
                self._down()
            elif character:
                self._put(character)
            elif command == 'A':
                self._row = max(0, self._row - int(number or 1))
            elif command == 'K':
                self.lines[self._row] = self.lines[self._row][:self._column]
            elif command == 'J':
                self.lines[self._row] = self.lines[self._row][:self._column]
                del self.lines[self._row + 1:]
            elif command != 'm':  # colours do not matter
                raise AssertionError(f'escape sequence {number}{command}')

    def _down(self):
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append('')

    def _put(self, character):
        if self._column == self.columns:
            self._column = 0
            self._down()
        line = self.lines[self._row].ljust(self._column)
        self.lines[self._row] = line[:self._column] + character + line[self._column + 1:]
        self._column += 1

    def shown(self):
        return [line.rstrip() for line in self.lines]


class Terminal:
    """Runs command with all three standard descriptors on a terminal whose session it leads."""

    def __init__(self, command, environment, columns=80, rows=24):
        self.master, slave = pty.openpty()
        self.screen = Screen(columns)
        self.output = ''
        self.resize(columns, rows)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        env={'TERM': 'xterm', **environment},
                                        preexec_fn=own_terminal)
        os.close(slave)

    def resize(self, columns, rows=24):
        """What is drawn from now on has that width; the kernel sends SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        self.screen.columns = columns

    def type(self, text):
        os.write(self.master, text.encode())

    def _read(self, deadline):
        """Returns: whether there is more to come."""
        if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
            raise AssertionError(f'nothing more came than {self.output!r}')
        try:
            text = os.read(self.master, 65536).decode()
        except OSError:  # nobody holds the other end any more
            return False
        self.output += text
        self.screen.feed(text)
        return True

    def wait_screen(self, condition):
        """Waits until the lines of the screen satisfy condition. Returns: them."""
        deadline = time.monotonic() + DEADLINE
        while not condition(self.screen.shown()):
            if time.monotonic() > deadline or not self._read(deadline):
                raise AssertionError('the screen stays\n' + '\n'.join(self.screen.shown()))
        return self.screen.shown()

    def wait_text(self, text):
        """Waits until text is somewhere on the screen. Returns: the lines."""
        return self.wait_screen(lambda lines: any(text in line for line in lines))

    def wait(self):
        """Waits for the end. Returns: the exit status."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline):
            pass
        return self.process.wait(DEADLINE)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
