# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoint and restore with CRIU: what each mode is for. The commands are those of
berth-checkpoint(7)."""

import json
import os
import unittest

from berthtest import contents
from machine import MachineTestCase

DUMP = 'criu dump -t {pid} -D /var/tmp/{name}.img -o dump.log -v4 --manage-cgroups=ignore'
RESTORE = ('criu restore -d --root /run/root -D /var/tmp/{name}.img -o restore.log -v4 '
           '--pidfile /var/tmp/{name}.pid --manage-cgroups=ignore')


class Private(MachineTestCase):
    def test_berthctl_run(self):
        pid = self.start('one', 'make', how='berthctl run --ipc=private')
        self.assertEqual(self.ask('one', pid, 'USR1'), 'ok')
        self.sh('mkdir /var/tmp/one.img; ' + DUMP.format(name='one', pid=pid))
        self.eventually(lambda: not self.instance.list())  # the program was ended by the dump
        self.sh(RESTORE.format(name='one'))
        self.assertEqual(self.sh('cat /var/tmp/one.pid'), str(pid))
        self.assertEqual(self.ask('one', pid, 'USR1'), 'ok')
        self.assertEqual(self.ask('one', pid, 'USR2'), '1')
        self.sh(f'kill -KILL {pid}')

    def test_crun(self):
        """A container whose /dev/shm Berth has mounted in it."""
        namespaces = [{'type': name} for name in ('pid', 'ipc', 'mount')]
        config = {
            'ociVersion': '1.0.2', 'root': {'path': 'rootfs'},
            'process': {'user': {'uid': 0, 'gid': 0}, 'args': ['holder', '/var/tmp/one', 'make'],
                        'env': ['PATH=/usr/bin'], 'cwd': '/', 'capabilities': {}},
            'mounts': [
                {'destination': '/proc', 'type': 'proc', 'source': 'proc'},
                {'destination': '/dev', 'type': 'tmpfs', 'source': 'dev', 'options': ['mode=755']},
                {'destination': '/dev/pts', 'type': 'devpts', 'source': 'devpts',
                 'options': ['newinstance', 'ptmxmode=0666', 'mode=0620']}],
            'linux': {'namespaces': namespaces}}
        self.sh('mkdir -p /bundle/rootfs/{proc,dev,sys,usr,var/tmp,run,tmp} && cd /bundle/rootfs && '
                'cp -a /bin /lib /lib64 . && cp -a /usr/{bin,lib,lib64} usr')
        with open(f'/proc/{self.first}/root/bundle/config.json', 'w', encoding='ascii') as file:
            json.dump(config, file)
        name = f'berth-test-{os.getpid()}'
        self.addCleanup(self.sh, f'crun delete --force {name}', check=False)
        self.sh(f'''
            cd /bundle
            berthctl create demo --ipc=private
            crun --cgroup-manager=cgroupfs create {name} </dev/null >/dev/null 2>&1
            berthctl attach demo $(crun state {name} | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p')
            crun start {name}''')

        def report(count):
            path = f'/proc/{self.first}/root/bundle/rootfs/var/tmp/one'

            def lines():
                if not os.path.exists(path):
                    return None
                with open(path, encoding='ascii') as file:
                    found = file.read().splitlines()
                return found if len(found) >= count else None
            return self.eventually(lines)[count - 1]
        report(1)
        self.sh(f'cd /bundle && crun --cgroup-manager=cgroupfs checkpoint '
                f'--manage-cgroups-mode=ignore --image-path=/var/tmp/one.img {name}')
        self.sh(f'cd /bundle && crun --cgroup-manager=cgroupfs restore --detach '
                f'--manage-cgroups-mode=ignore --image-path=/var/tmp/one.img --bundle=/bundle {name}')
        self.sh(f'crun kill {name} USR1')
        self.assertEqual(report(2), 'ok')


class Shareable(MachineTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.instance.create('demo')

    def start_both(self, *first):
        self.pids = {'one': self.start('one', 'make', *first, how='berthctl enter demo'),
                     'two': self.start('two', 'nothing-attached', how='berthctl enter demo')}
        for name, expected in (('one', '1'), ('two', '2'), ('one', '3')):
            self.assertEqual(self.ask(name, self.pids[name], 'USR2'), expected)

    def test_without_help_they_do_not_share_any_more(self):
        """This is why there are modes: nothing tells that it happened."""
        self.start_both()
        for name, pid in self.pids.items():
            self.sh(f'mkdir /var/tmp/{name}.img; ' + DUMP.format(name=name, pid=pid))
        for name in self.pids:
            self.sh(RESTORE.format(name=name))
        # each goes on from what it had, and sees nothing of the other
        for name, expected in (('one', '4'), ('two', '4'), ('one', '5'), ('one', '6'),
                               ('two', '5')):
            self.assertEqual(self.ask(name, self.pids[name], 'USR2'), expected)
        for pid in self.pids.values():
            self.sh(f'kill -KILL {pid}')

    def checkpoint(self):
        """Freezes, saves and dumps both; nothing of the sandbox is left."""
        external = " --external 'mnt[/dev/shm]:shm' --external 'mnt[/dev/mqueue]:mqueue'"
        with self.joined('demo') as member:
            member.do(contents.mq_make, 'queue', [(1, b'one'), (9, b'two')], size=16)
        self.sh(f'kill -STOP {self.pids["one"]} {self.pids["two"]}')
        self.archive = self.instance.path('archive')
        self.instance.run('berthctl', 'snapshot', '--stopped', 'demo', self.archive)
        for name, pid in self.pids.items():
            self.sh(f'mkdir /var/tmp/{name}.img; ' + DUMP.format(name=name, pid=pid) + external)
        self.instance.run('berthctl', 'remove', 'demo')

    def restore(self, name):
        self.sh("berthctl enter again -- sh -c '" + RESTORE.format(name=name) +
                ' --external "mnt[shm]:/dev/shm" --external "mnt[mqueue]:/dev/mqueue"'
                " --join-ns ipc:/proc/$$/ns/ipc; exit $?'")

    def forget_objects(self, name):
        self.sh(f'rm /var/tmp/{name}.img/ipcns-{{shm,sem,msg}}-*')

    def assertTogether(self):
        self.sh(f'kill -CONT {self.pids["one"]} {self.pids["two"]}')
        for name, expected in (('one', '4'), ('two', '5'), ('two', '6'), ('one', '7')):
            self.assertEqual(self.ask(name, self.pids[name], 'USR2'), expected)
        for name, pid in self.pids.items():
            self.assertEqual(self.ask(name, pid, 'USR1'), 'ok')
        with self.joined('again') as member:
            self.assertEqual(member.do(contents.mq_drain, 'queue'), [(9, b'two'), (1, b'one')])
        namespaces = self.sh(f'readlink /proc/{self.pids["one"]}/ns/ipc /proc/{self.pids["two"]}'
                             '/ns/ipc').split()
        path = self.instance.find('again')
        self.assertEqual(namespaces,
                         [f'ipc:[{self.instance.describe(path)["NamespaceId"]}]'] * 2)
        for pid in self.pids.values():
            self.sh(f'kill -KILL {pid}')

    def test_together(self):
        """Berth restores all, CRIU the programs."""
        self.start_both('nothing-attached')
        self.checkpoint()
        self.instance.create('again')
        self.instance.run('berthctl', 'restore', 'again', self.archive)
        for name in self.pids:
            self.forget_objects(name)
            self.restore(name)
        self.assertTogether()

    def test_together_with_attached_segments(self):
        """SysV objects come with the program that has segments attached, the rest by Berth."""
        self.start_both()
        self.checkpoint()
        self.instance.create('again')
        self.instance.run('berthctl', 'restore', '--leave-out=sysv', 'again', self.archive)
        self.restore('one')
        self.forget_objects('two')
        self.restore('two')
        self.assertTogether()


if __name__ == '__main__':
    unittest.main()
