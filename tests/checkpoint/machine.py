# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine with CRIU: Debian 13 in namespaces of its own, on the bus of an instance.

CRIU of Debian 12 does not start on newer kernels. What is to be checkpointed must run where CRIU
runs: in the same PID namespace, in a mount namespace in which it knows every mount.
"""

import os
import subprocess
import tempfile
import unittest

from berthtest import InstanceTestCase

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = 'criu,crun,libcriu2,libglib2.0-0t64,libjansson4,libsystemd0,libmount1'


class MachineTestCase(InstanceTestCase):
    """self.sh(…): runs a script in the machine; /var/tmp of it is self.tmp."""

    def setUp(self):
        super().setUp()
        made = subprocess.run([os.path.join(HERE, '..', 'system', 'make-root'), 'trixie', PACKAGES],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(made.returncode, 0, made.stderr)
        directory = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP'))
        self.addCleanup(directory.cleanup)
        self.init = subprocess.Popen(
            ['unshare', '-m', '-p', '-f', '--kill-child', os.path.join(HERE, 'begin-machine'),
             made.stdout.strip(), directory.name, self.instance.path('bus'),
             self.instance.tool('berthctl'), self.instance.tool('checkpoint/holder')],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        if self.init.stdout.readline() != 'ready\n':
            self.fail(self.init.stderr.read())
        with open(f'/proc/{self.init.pid}/task/{self.init.pid}/children', encoding='ascii') as file:
            self.first = file.read().split()[0]
        self.tmp = f'/proc/{self.first}/root/var/tmp'
        if 'Looks good' not in self.sh('criu check 2>&1', check=False):
            raise unittest.SkipTest('CRIU does not work on this kernel')

    def end(self):
        self.init.kill()
        self.init.communicate()

    def inside(self, *command):
        return ['nsenter', '-t', self.first, '-m', '-p', '-r', '-w', '--', 'env',
                'DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus/socket', *command]

    def sh(self, script, check=True):
        """Returns: what it wrote to standard output."""
        done = subprocess.run(self.inside('bash', '-ec', script), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors='replace', timeout=120, check=False)
        if check and done.returncode != 0:
            self.fail(f'{script}\nended with {done.returncode}:\n{done.stdout}{done.stderr}'
                      f'{self.criu_logs()}{self.instance.logs()}')
        return done.stdout

    def criu_logs(self):
        text = ''
        for where, _, names in os.walk(self.tmp):
            for name in names:
                if name in ('dump.log', 'restore.log'):
                    with open(os.path.join(where, name), encoding='utf-8',
                              errors='replace') as file:
                        lines = file.read().splitlines()
                    text += f'--- {where}/{name}\n' + '\n'.join(
                        [line for line in lines if 'Error' in line] + lines[-5:]) + '\n'
        return text

    # The program

    def start(self, name, *words, how):
        """Starts a holder, with how (berthctl run … or enter …). Returns: its PID in the machine."""
        # the socket of the bus is a mount that CRIU knows nothing of
        process = subprocess.Popen(
            self.inside('setsid', 'sh', '-c',
                        f'exec {how} -- sh -c "umount /run/bus/socket; exec setsid holder '
                        f'/var/tmp/{name} {" ".join(words)} </dev/null >/dev/null 2>&1"'),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def reap():
            process.kill()
            process.wait()
        self.addCleanup(reap)
        return int(self.report(name, 1).removeprefix('ready '))

    def report(self, name, count):
        """Waits for the count-th line that a holder wrote. Returns: it."""
        def lines():
            try:
                with open(f'{self.tmp}/{name}', encoding='ascii') as file:
                    found = file.read().splitlines()
            except FileNotFoundError:
                return None
            return found if len(found) >= count else None
        return self.eventually(lines)[count - 1]

    def ask(self, name, pid, signal):
        """Returns: what the holder says to a signal."""
        with open(f'{self.tmp}/{name}', encoding='ascii') as file:
            count = len(file.read().splitlines())
        self.sh(f'kill -{signal} {pid}')
        return self.report(name, count + 1)
