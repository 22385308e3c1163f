# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoint and restore with CRIU: what each mode is for. The commands are those of
berth-checkpoint(7): they are read from it, and get their names and process IDs here."""

import json
import os
import unittest

import manual
from berthtest import contents
from machine import MachineTestCase

EXAMPLES = manual.examples()
RUN, DUMP, RESTORE = EXAMPLES['PRIVATE']
CREATE_CONTAINER, CHECKPOINT_CONTAINER = EXAMPLES['With crun']
FREEZE, SAVE, DUMP_BOTH, FILL, FORGET, RESTORE_BOTH, GO_ON = EXAMPLES['SHAREABLE']
FILL_WITHOUT, = EXAMPLES['Programs with System V segments attached']


def filled(text, **words):
    """An example with its words in capitals replaced. Each must be there."""
    for word, value in words.items():
        assert word in text, text
        text = text.replace(word, str(value))
    return text


class Private(MachineTestCase):
    def test_berthctl_run(self):
        self.sh(filled(RUN, PROGRAM="sh -c 'umount /run/bus/socket; exec holder /var/tmp/one make'"))
        pid = int(self.report('one', 1).removeprefix('ready '))
        self.assertEqual(self.ask('one', pid, 'USR1'), 'ok')
        self.sh(filled(DUMP, PID=pid))
        self.eventually(lambda: not self.instance.list())  # the program was ended by the dump
        self.sh(RESTORE)
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
        state = f"$(crun state {name} | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p')"
        self.sh('cd /bundle\n' + filled(CREATE_CONTAINER, PID=state, CONTAINER=name))

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
        self.sh('cd /bundle\n' + filled(CHECKPOINT_CONTAINER, CONTAINER=name))
        self.sh(f'crun kill {name} USR1')
        self.assertEqual(report(2), 'ok')


class Shareable(MachineTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.instance.create('demo')

    def start_both(self, *first, second=('nothing-attached',)):
        self.pids = {'one': self.start('one', 'make', *first, how='berthctl enter demo'),
                     'two': self.start('two', *second, how='berthctl enter demo')}
        for name, expected in (('one', '1'), ('two', '2'), ('one', '3')):
            self.assertEqual(self.ask(name, self.pids[name], 'USR2'), expected)

    def test_without_help_they_do_not_share_any_more(self):
        """This is why there are modes: nothing tells that it happened."""
        self.start_both()
        for name, pid in self.pids.items():
            self.sh(filled(DUMP, PID=pid).replace('/one', f'/{name}'))
        for name in self.pids:
            self.sh(RESTORE.replace('/one', f'/{name}'))
        # each goes on from what it had, and sees nothing of the other
        for name, expected in (('one', '4'), ('two', '4'), ('one', '5'), ('one', '6'),
                               ('two', '5')):
            self.assertEqual(self.ask(name, self.pids[name], 'USR2'), expected)
        for pid in self.pids.values():
            self.sh(f'kill -KILL {pid}')

    def words(self, text):
        return filled(text, PID1=self.pids['one'], PID2=self.pids['two'])

    def checkpoint(self):
        """Freezes, saves and dumps both; nothing of the sandbox is left."""
        with self.joined('demo') as member:
            member.do(contents.mq_make, 'queue', [(1, b'one'), (9, b'two')], size=16)
        for example in (self.words(FREEZE), SAVE, self.words(DUMP_BOTH)):
            self.sh(example)
        self.instance.run('berthctl', 'remove', 'demo')
        self.sh(''.join(RESTORE.splitlines(True)[:2]))  # the root directory for what is restored

    def assertShared(self):
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
        for example in (FILL, FORGET, RESTORE_BOTH, GO_ON):
            self.sh(example)
        self.assertShared()

    def fill_without(self):
        create, restore = FILL.splitlines(True)
        self.assertIn('restore', restore)
        self.sh(create + FILL_WITHOUT)

    def test_together_with_attached_segments(self):
        """SysV objects come with the program that has segments attached, the rest by Berth."""
        self.start_both()
        self.checkpoint()
        self.fill_without()
        self.sh(RESTORE_BOTH)
        self.sh(GO_ON)
        self.assertShared()

    def test_both_have_segments_attached(self):
        """CRIU cannot restore the second; what Berth saved is whole all the same."""
        self.start_both(second=())
        self.checkpoint()
        self.fill_without()
        self.sh(RESTORE_BOTH, check=False)
        self.assertEqual(self.sh('ls /var/tmp/*.pid').split(), ['/var/tmp/one.pid'])
        self.sh(f'kill -CONT {self.pids["one"]}')
        self.assertEqual(self.ask('one', self.pids['one'], 'USR1'), 'ok')
        self.sh(f'kill -KILL {self.pids["one"]}')
        self.sh(FILL.replace('again', 'anew'))
        pid = self.start('new', how='berthctl enter anew')
        self.assertEqual(self.ask('new', pid, 'USR1'), 'ok')
        self.sh(f'kill -KILL {pid}')


if __name__ == '__main__':
    unittest.main()
