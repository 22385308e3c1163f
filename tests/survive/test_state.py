# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a start makes of what it finds: older records, damage, and the rests of interrupted work."""

import os
import shutil
import unittest

from berthtest import ALICE, IF_SANDBOX, UserTestCase, inside_vault, look_into_vault, syscalls


class StateTestCase(UserTestCase):
    def slot(self, path):
        return f'/slot/{path.rsplit("/", 1)[1]}'

    def record(self, path):
        return f'/record/{path.rsplit("/", 1)[1]}'

    def change_record(self, path, change):
        """change: takes the lines of the record, returns others. While the service is down."""
        record = self.record(path)

        def edit():
            with open(record, encoding='utf-8') as file:
                lines = file.read().splitlines()
            with open(record, 'w', encoding='utf-8') as file:
                file.write('\n'.join(change(lines)) + '\n')
        inside_vault(self.instance.pin, edit)

    def vault(self):
        return look_into_vault(self.instance.pin)[1]


class Records(StateTestCase):
    def test_one_without_a_mode_is_shareable(self):
        """Of a version before modes: nothing but a name, perhaps."""
        for keep in (lambda line: not line.startswith('Mode='),
                     lambda line: line == '[Sandbox]' or line.startswith('Name=')):
            path = self.instance.create('old', ShmSize=1 << 20)
            with self.joined('old') as member:
                member.write('/dev/shm/file', 'text')
                namespace = member.namespace('ipc')
            self.instance.terminate()
            self.change_record(path, lambda lines: filter(keep, lines))
            self.instance.start()
            self.assertEqual(self.instance.find('old'), path)
            self.assertEqual(self.instance.get(path, IF_SANDBOX, 'Mode'), 'shareable')
            self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'ready')
            self.assertEqual(self.instance.get(path, IF_SANDBOX, 'ShmSize'), 1 << 20)
            for _ in range(2):
                with self.joined('old') as member:
                    self.assertEqual(member.read('/dev/shm/file'), 'text')
                    self.assertEqual(member.namespace('ipc'), namespace)
            joiner = self.instance.create(Mode='container:old')
            self.instance.remove(joiner)
            self.instance.remove(path)

    def test_keys_of_a_newer_version(self):
        path = self.instance.create('new')
        self.instance.terminate()
        self.change_record(path, lambda lines: lines + ['Colour=red', '[Other]', 'Mode=none'])
        self.instance.start()
        self.assertEqual(self.instance.get(path, IF_SANDBOX, 'Mode'), 'shareable')

    def test_a_damaged_one_costs_nobody_else_anything(self):
        for damage in ([''], ['\x00\x01\x02'], ['[Sandbox]', 'Mode=purple'],
                       ['[Sandbox]', 'Name=a b'], ['[Sandbox]', 'State=lost'],
                       ['[Sandbox]', 'Mode=container', 'Donor=../../x'], ['x' * 100000]):
            bad, good = self.instance.create('bad'), self.instance.create('good')
            self.instance.terminate()
            self.change_record(bad, lambda _lines: damage)
            self.instance.start()
            with self.subTest(damage=damage[-1][:20]):
                self.assertEqual([str(row['Path']) for row in self.instance.list(Name='good')],
                                 [good])
                self.keep(self.instance.join('good'))
            for row in self.instance.list():
                self.instance.remove(str(row['Path']))

    def test_a_missing_one(self):
        bad, good = self.instance.create('bad'), self.instance.create('good')
        self.instance.terminate()
        inside_vault(self.instance.pin, lambda: os.unlink(self.record(bad)))
        self.instance.start()
        self.assertEqual([str(row['Path']) for row in self.instance.list()], [good])


class Rests(StateTestCase):
    """Of work that a crash interrupted, made by hand where a crash hits too seldom."""

    def test_in_the_vault(self):
        path = self.instance.create('demo')
        before = self.vault()
        identifier = 'f' * 32
        self.instance.kill()

        def litter():
            os.mkdir(f'/slot/{identifier}')
            os.mkdir(f'/slot/{identifier[1:]}e')
            syscalls.mount('/template', f'/slot/{identifier[1:]}e', None, syscalls.MS_BIND)
            for name in (f'/record/{identifier}.new', f'{self.record(path)}.new'):
                with open(name, 'w', encoding='utf-8') as file:
                    file.write('half')
        inside_vault(self.instance.pin, litter)
        self.instance.start()
        self.assertEqual(self.vault(), before)
        self.keep(self.instance.join('demo'))

    def test_among_the_published(self):
        path = self.instance.create('demo', Publish=True)
        sandbox = os.path.join(self.instance.runtime, 'sandbox')
        before = self.instance.trace()['runtime files']
        self.instance.kill()
        identifier = path.rsplit('/', 1)[1]
        os.mkdir(os.path.join(sandbox, '.new-' + 'f' * 32))
        os.mkdir(os.path.join(sandbox, 'e' * 32))
        os.symlink(f'../{identifier}', os.path.join(sandbox, 'by-name', '.new-gone'))
        os.symlink('../' + 'd' * 32, os.path.join(sandbox, 'by-name', 'nobody'))
        os.unlink(os.path.join(sandbox, 'by-name', 'demo'))
        self.instance.start()
        self.assertEqual(self.instance.trace()['runtime files'], before)

    def test_names_that_look_like_rests(self):
        """Each published name is its own, whatever another one's rests are called."""
        names = ('demo', 'demo.new', 'demo.new-', 'demo-new', 'new-demo')
        paths = {name: self.instance.create(name, Publish=True) for name in names}
        by_name = os.path.join(self.instance.runtime, 'sandbox', 'by-name')
        for stop in (None, self.instance.terminate, self.instance.kill):
            if stop:
                stop()
                self.instance.start()
            for name, path in paths.items():
                self.instance.sandbox(path, 'Publish')
                self.assertEqual(os.readlink(os.path.join(by_name, name)),
                                 f'../{path.rsplit("/", 1)[1]}')
            self.assertEqual(sorted(os.listdir(by_name)), sorted(names))

    def test_a_removal_in_the_middle(self):
        """In each step: what is left of it goes, and its owner does not pay for it."""
        alice = self.user(ALICE)
        steps = (
            lambda slot: None,
            lambda slot: umount(f'{slot}/shm'),
            umount,
            lambda slot: (umount(slot), os.rmdir(slot)))
        before = self.settled()
        for number, step in enumerate(steps):
            path = alice.create('demo')
            self.instance.kill()
            self.change_record(path, lambda lines: [
                'State=removed' if line.startswith('State=') else line for line in lines])
            inside_vault(self.instance.pin, lambda: step(self.slot(path)))
            self.instance.start()
            with self.subTest(step=number):
                self.assertEqual(self.instance.list(), [])
                self.assertTrace(before)

    def test_a_runtime_directory_that_was_emptied(self):
        """As on a new boot: nothing is there, and nothing is missed."""
        self.instance.create('demo', Publish=True)
        self.instance.terminate()
        self.instance.purge()
        shutil.rmtree(self.instance.runtime)
        self.instance.start()
        self.assertEqual(self.instance.list(), [])
        self.instance.create('demo', Publish=True)


class Restarts(StateTestCase):
    def ways(self):
        """Yields: functions that stop the service, in each way there is."""
        def full_stop():
            self.instance.terminate()
            self.instance.forget_stored()
        for stop in (self.instance.terminate, self.instance.kill, full_stop):
            with self.subTest(stop=stop.__name__):
                yield stop

    def test_everything_is_as_it_was(self):
        alice = self.user(ALICE)
        options = {'ShmSize': 3 << 20, 'ShmInodes': 77, 'Labels': {'a': 'b', ';': '=;\n%'},
                   'Users': [str(ALICE), '4711'], 'Groups': ['cdrom'],
                   'Sysctls': {'kernel.msgmnb': '32768'}}
        paths = [self.instance.create('roots', Publish=True, **options),
                 alice.create('hers', **options), self.instance.create('none', Mode='none'),
                 self.instance.create('once', Mode='private'),
                 self.instance.create('joiner', Mode='container:roots'),
                 self.instance.create('host', Mode='host')]
        with self.joined('roots') as member:
            member.write('/dev/shm/file', 'text')
            member.shm_put(0x4267, b'segment')
            member.mq_put('/queue', b'message')
        descriptions = {path: self.instance.describe(path) for path in paths}
        properties = {path: self.instance.properties(path) for path in paths}
        member = self.joined('roots')
        for stop in self.ways():
            stop()
            member.write('/dev/shm/meanwhile', 'text')
            self.instance.start()
            self.assertEqual({path: self.instance.describe(path) for path in paths},
                             {**descriptions, **{path: self.changed(descriptions[path])
                                                 for path in (paths[0], paths[4])}})
            self.assertEqual({path: self.instance.properties(path) for path in paths}, properties)
            with self.joined('roots') as other:
                self.assertEqual(other.read('/dev/shm/file'), 'text')
                self.assertEqual(other.shm_get(0x4267, 7), b'segment')
                self.assertEqual(other.listdir('/dev/mqueue'), ['queue'])
            self.assertEqual(set(self.keep(alice.join('hers'))), {'ipc', 'shm', 'mqueue'})

    def changed(self, description):
        """What the member wrote meanwhile, with its page."""
        page = os.sysconf('SC_PAGESIZE')
        return {**description, 'ShmUsed': description['ShmUsed'] + page,
                'ShmInodesUsed': description['ShmInodesUsed'] + 1}

    def test_what_was_handed_over(self):
        """Its record is there while its memory is, as far as anybody can tell."""
        for stop in (self.instance.terminate, self.instance.kill):
            for mode in ('private', 'none'):
                with self.subTest(stop=stop.__name__, mode=mode):
                    path = self.instance.create('once', Mode=mode)
                    member = self.joined('once')
                    stop()
                    self.instance.start()
                    self.assertEqual(self.instance.get(path, IF_SANDBOX, 'State'), 'handed-over')
                    with self.assertError('NotShareable'):
                        self.instance.join('once')
                    member.close()
                    self.eventually(lambda: not self.instance.list())


def umount(path):
    syscalls.umount(path, syscalls.MNT_DETACH)


if __name__ == '__main__':
    unittest.main()
