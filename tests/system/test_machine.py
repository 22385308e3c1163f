# SPDX-License-Identifier: LGPL-2.1-or-later
"""Berth installed into a real Debian 12 machine with systemd, booted in a container.

The machine's root is a layer over a cached one (make-root). The checks themselves are functions of
scripts, each of which runs as a unit in a machine of its own; each function becomes a test here.
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
ExecStart=/opt/berth-test/{script}
'''


# for the machine of at-boot: what its administrator set up before it started
DECLARED = """[Sandbox]
Name=shared
ShmSize=16M
Publish=yes
"""

SHARING = """[Unit]
Requires=berthd.service
After=berthd.service {after}
[Service]
Type=oneshot
RemainAfterExit=yes
PrivateIPC=yes
IPCNamespacePath=/run/berth/sandbox/by-name/shared/ipc
BindPaths=/run/berth/sandbox/by-name/shared/shm:/dev/shm
BindPaths=/run/berth/sandbox/by-name/shared/mqueue:/dev/mqueue
ExecStart=/opt/berth-test/probe {command}
"""

# the rule of the manual page, with a last line that refuses everything else to everybody
RULE = """polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.berthd.berth1.") !== 0)
        return polkit.Result.NOT_HANDLED;
    if (action.id === "org.berthd.berth1.create-sandbox" && subject.isInGroup("render") &&
        action.lookup("mode") === "shareable" && action.lookup("sandbox").indexOf("render-") === 0)
        return polkit.Result.YES;
    return polkit.Result.NO;
});
"""


def checks(script):
    with open(os.path.join(HERE, script), encoding='utf-8') as file:
        return re.findall(r'^check_([a-z_]+)\(\)', file.read(), re.MULTILINE)


class Machine:
    """Boots once, runs everything in a script, and keeps the results."""

    def __init__(self, script, prepare=None):
        self.script = script
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
            if prepare:
                prepare(self)
            self._boot()
        finally:
            syscalls.umount(self.root, syscalls.MNT_DETACH)

    def _install(self):
        build = build_directory()
        subprocess.run(['meson', 'install', '--no-rebuild', '--quiet', '-C', build], check=True,
                       env={**os.environ, 'DESTDIR': self.root}, stdin=subprocess.DEVNULL)
        place = os.path.join(self.root, 'opt', 'berth-test')
        os.makedirs(place)
        for source in (os.path.join(HERE, self.script), os.path.join(HERE, 'library'),
                       os.path.join(build, 'tests/peers/probe')):
            subprocess.run(['install', '-m', '755', source, place], check=True)
        self.write('etc/systemd/system/berth-test.service', UNIT.format(script=self.script))
        self.enable('berth-test.service', 'default.target')
        # as a package's scripts do
        for tool in (['systemd-sysusers'], ['systemd-tmpfiles', '--create', '--prefix=/var/lib/berth']):
            subprocess.run([tool[0], f'--root={self.root}', *tool[1:]], check=True)
        subprocess.run(['journalctl', f'--root={self.root}', '--update-catalog'], check=True)

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    def enable(self, unit, target):
        wants = os.path.join(self.root, f'etc/systemd/system/{target}.wants')
        os.makedirs(wants, exist_ok=True)
        os.symlink(f'/etc/systemd/system/{unit}', os.path.join(wants, unit))

    def run(self, *command):
        subprocess.run(['chroot', self.root, *command], check=True, stdin=subprocess.DEVNULL)

    def _boot(self):
        # a name may have no '_', and no '-' at its end
        name = f'berth-{os.path.basename(self.directory).replace("_", "-")}-machine'
        try:
            done = subprocess.run(
                ['systemd-nspawn', '--quiet', '--directory', self.root, '--boot', '--register=no',
                 '--keep-unit', '--private-network', '--link-journal=no', '--console=pipe',
                 # what a machine that is no container has
                 '--system-call-filter=landlock_create_ruleset landlock_add_rule '
                 'landlock_restrict_self',
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


class MachineTestCase(unittest.TestCase):
    script = None

    @classmethod
    def setUpClass(cls):
        cls.machine = Machine(cls.script, cls.prepare)

    @classmethod
    def prepare(cls, machine):
        """Changes the machine before it boots."""

    def check(self, name):
        status = self.machine.text(f'{name}.status').strip()
        if status == '0':
            return
        journal = [line for line in self.machine.text('journal').splitlines() if 'berthd' in line]
        self.fail('\n'.join([f'status {status or "missing"}', self.machine.text(f'{name}.log'),
                             '--- journal', *journal[-60:]]
                            + (['--- console', self.machine.console[-8000:]] if not status else [])))


class InMachine(MachineTestCase):
    script = 'in-machine'


class AtBoot(MachineTestCase):
    script = 'at-boot'

    @classmethod
    def prepare(cls, machine):
        machine.write('etc/berth/sandboxes.d/shared.conf', DECLARED)
        machine.write('etc/polkit-1/rules.d/50-berth.rules', RULE)
        machine.write('etc/systemd/system/first.service',
                      SHARING.format(after='', command="put 'from the first'"))
        machine.write('etc/systemd/system/second.service',
                      SHARING.format(after='first.service',
                                     command="exchange 'from the first' 'from the second'"))
        for unit in ('first.service', 'second.service'):
            machine.enable(unit, 'multi-user.target')
        machine.run('groupadd', '--force', '--system', 'render')
        machine.run('useradd', '--create-home', '--groups', 'render', 'painter')
        machine.run('useradd', '--create-home', 'stranger')

    def test_security_score(self):
        """Printed, and never worse than it was."""
        text = self.machine.text('hardening.log')
        score = re.search(r'Overall exposure level for berthd.service: ([0-9.]+)', text)
        self.assertIsNotNone(score, text[-2000:])
        print(score.group(0))
        self.assertLessEqual(float(score.group(1)), 4.1)


def _test_of(name):
    def test(self):
        self.check(name)
    return test


for _case in (InMachine, AtBoot):
    for _name in checks(_case.script):
        setattr(_case, f'test_{_name}', _test_of(_name))
del _case  # or it would be found as one more


if __name__ == '__main__':
    unittest.main()
