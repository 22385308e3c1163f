# SPDX-License-Identifier: LGPL-2.1-or-later
"""Berth installed into a real Debian 12 machine with systemd, booted in a container.

The machine's root is a layer over a cached one (make-root). The checks themselves are functions of
in-machine, which runs as a unit there; each becomes a test here.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from berthtest import syscalls
from berthtest.instance import build_directory

HERE = os.path.dirname(os.path.abspath(__file__))
BOOT_SECONDS = 600

UNIT = '''[Unit]
Description=Checks of Berth
After=multi-user.target dbus.service
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/opt/berth-test/in-machine
'''


def checks():
    with open(os.path.join(HERE, 'in-machine'), encoding='utf-8') as file:
        return re.findall(r'^check_([a-z_]+)\(\)', file.read(), re.MULTILINE)


class Machine:
    """Boots once, runs everything, and keeps the results."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix='m', dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        self.root = os.path.join(self.directory, 'root')
        self.results = os.path.join(self.directory, 'results')
        self.console = ''
        for name in ('root', 'upper', 'work', 'results'):
            os.mkdir(os.path.join(self.directory, name))
        base = subprocess.run([os.path.join(HERE, 'make-root')], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.strip()
        syscalls.mount('overlay', self.root, 'overlay', 0,
                       f'lowerdir={base},upperdir={self.directory}/upper,'
                       f'workdir={self.directory}/work')
        try:
            self._install()
            self._boot()
        finally:
            syscalls.umount(self.root, syscalls.MNT_DETACH)

    def _install(self):
        build = build_directory()
        subprocess.run(['meson', 'install', '--no-rebuild', '--quiet', '-C', build], check=True,
                       env={**os.environ, 'DESTDIR': self.root}, stdin=subprocess.DEVNULL)
        place = os.path.join(self.root, 'opt', 'berth-test')
        os.makedirs(place)
        for source in (os.path.join(HERE, 'in-machine'), os.path.join(build, 'tests/peers/probe')):
            subprocess.run(['install', '-m', '755', source, place], check=True)
        units = os.path.join(self.root, 'etc', 'systemd', 'system')
        with open(os.path.join(units, 'berth-test.service'), 'w', encoding='utf-8') as file:
            file.write(UNIT)
        wants = os.path.join(units, 'default.target.wants')
        os.makedirs(wants, exist_ok=True)
        os.symlink('../berth-test.service', os.path.join(wants, 'berth-test.service'))
        # as a package's scripts do
        subprocess.run(['journalctl', f'--root={self.root}', '--update-catalog'], check=True)

    def _boot(self):
        name = f'berth-{os.path.basename(self.directory).replace("_", "-")}'
        try:
            done = subprocess.run(
                ['systemd-nspawn', '--quiet', '--directory', self.root, '--boot', '--register=no',
                 '--keep-unit', '--private-network', '--link-journal=no', '--console=pipe',
                 f'--machine={name}', f'--bind={self.results}:/results'],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors='replace', timeout=BOOT_SECONDS, check=False)
            self.console = done.stdout
        except subprocess.TimeoutExpired as error:
            self.console = f'{error.stdout}\nnot powered off after {BOOT_SECONDS} s'
        # what nspawn leaves when the file system below /run is a disk's
        shutil.rmtree(f'/run/systemd/nspawn/propagate/{name}', ignore_errors=True)

    def text(self, name):
        try:
            with open(os.path.join(self.results, name), encoding='utf-8', errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''


class InMachine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = Machine()

    def check(self, name):
        status = self.machine.text(f'{name}.status').strip()
        if status == '0':
            return
        journal = [line for line in self.machine.text('journal').splitlines() if 'berthd' in line]
        self.fail('\n'.join([f'status {status or "missing"}', self.machine.text(f'{name}.log'),
                             '--- journal', *journal[-60:]]
                            + (['--- console', self.machine.console[-8000:]] if not status else [])))


def _test_of(name):
    def test(self):
        self.check(name)
    return test


for _name in checks():
    setattr(InMachine, f'test_{_name}', _test_of(_name))


if __name__ == '__main__':
    unittest.main()
