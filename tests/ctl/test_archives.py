# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl push, copy, import and export: what they ask, and what happens to the files."""

import os
import signal
import stat
import subprocess
import unittest

from berthtest import Fail, FakeCtlTestCase, Terminal

A = 'sha256:' + 'a1' * 32


class ArchivesTestCase(FakeCtlTestCase):

    def setUp(self):
        super().setUp()
        self.instance.extra_environment.update(
            {name: self.instance.path('home')
             for name in ('HOME', 'XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME')})
        self.transfer = self.fake.transfer(1)
        self.directory = self.instance.path('files')
        os.mkdir(self.directory)

    def file(self, name):
        return os.path.join(self.directory, name)

    def start(self, *arguments, **kwargs):
        process = subprocess.Popen([self.instance.tool('berthctl'), *arguments],
                                   env=self.instance.environment(), stderr=subprocess.PIPE, **kwargs)

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def last(self, member):
        return [call for call in self.fake.calls if call.member == member][-1]


class Registries(ArchivesTestCase):

    def test_push(self):
        self.fake.answers['Push'] = 'o', self.transfer
        self.fake.finish(self.transfer, digest=A)
        self.assertEqual(self.ctl('push', '-q', 'a/b:1'), A + '\n')
        self.assertEqual(self.last('Push').args, ['a/b:1', '', {}])
        self.ctl('push', '-q', A, 'x.example/b:2', '--all-platforms', '--referrers',
                 '--max-bandwidth=1k')
        self.assertEqual(self.last('Push').args, [A, 'x.example/b:2', {
            'AllPlatforms': True, 'Referrers': True, 'MaxBandwidth': 1024}])

    def test_copy(self):
        self.fake.answers['Copy'] = 'o', self.transfer
        self.fake.finish(self.transfer, digest=A)
        self.assertEqual(self.ctl('copy', '-q', 'a.example/b', 'c.example/d', '--foreign=skip',
                                  '--platform=linux/arm64'), A + '\n')
        self.assertEqual(self.last('Copy').args, ['a.example/b', 'c.example/d', {
            'ForeignLayers': 'skip', 'Platform': 'linux/arm64'}])


class Import(ArchivesTestCase):

    def setUp(self):
        super().setUp()
        self.fake.answers['Import'] = self.fake.answers['ImportBlob'] = 'o', self.transfer
        self.fake.finish(self.transfer, digest=A)

    def test_file(self):
        with open(self.file('a.tar'), 'wb') as file:
            file.write(b'archive')
        self.assertEqual(self.ctl('import', '-q', self.file('a.tar'), '--reference=x/y:1'), A + '\n')
        call = self.last('Import')
        self.assertEqual(call.args, ['fd 0', {'Reference': 'x/y:1'}])
        self.assertEqual(os.read(call.fds[0], 100), b'archive')
        with self.assertRaises(OSError):
            os.write(call.fds[0], b'x')
        self.ctl('import-blob', '-q', A, self.file('a.tar'))
        call = self.last('ImportBlob')
        self.assertEqual(call.args, [A, 'fd 0', {}])
        self.assertEqual(os.read(call.fds[0], 100), b'archive')

    def test_standard_input(self):
        source, sink = os.pipe()
        process = self.start('import', '-q', '-', stdin=source, stdout=subprocess.PIPE)
        os.close(source)
        self.fake.wait_call('Import')
        os.write(sink, b'later')
        os.close(sink)
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(os.read(self.last('Import').fds[0], 100), b'later')

    def test_failures(self):
        self.assertIn('/nonexistent', self.assertFails('org.freedesktop.DBus.Error.Failed', 'import',
                                                       '/nonexistent'))
        terminal = Terminal([self.instance.tool('berthctl'), 'import', '-'],
                            self.instance.environment())
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.wait(), 2)
        self.assertEqual(self.fake.calls, [])


class Export(ArchivesTestCase):

    def setUp(self):
        super().setUp()

        def export(call):
            os.write(call.fds[0], b'archive')
            return 'o', self.transfer
        self.fake.answers['Export'] = export

    def content(self, name):
        with open(self.file(name), 'rb') as file:
            return file.read()

    def test_file(self):
        self.fake.finish(self.transfer)
        os.umask(0o027)
        self.addCleanup(os.umask, 0o022)
        self.assertEqual(self.ctl('export', '-q', '-o', self.file('new'), 'a', 'b', '--format=docker',
                                  '--include-foreign', '--referrers'), '')
        self.assertEqual(self.last('Export').args, [['a', 'b'], 'fd 0', {
            'Format': 'docker', 'IncludeForeign': True, 'Referrers': True}])
        self.assertEqual(self.content('new'), b'archive')
        self.assertEqual(stat.S_IMODE(os.stat(self.file('new')).st_mode), 0o640)
        with open(self.file('old'), 'wb') as file:
            file.write(b'something longer')
        self.ctl('export', '-q', '--output=' + self.file('old'), 'a')
        self.assertEqual(self.content('old'), b'archive')
        self.assertEqual(sorted(os.listdir(self.directory)), ['new', 'old'])

    def test_standard_output(self):
        """The archive and nothing else."""
        self.fake.finish(self.transfer, digest=A)
        write = self.fake.answers['Export']

        def export(call):
            answer = write(call)
            call.close()
            return answer
        self.fake.answers['Export'] = export
        self.assertEqual(self.ctl('export', '-q', '-o', '-', 'a'), 'archive')
        self.assertEqual(self.ctl_json('export', '-o', '-', 'a', status=2)['error'],
                         'org.freedesktop.DBus.Error.InvalidArgs')

    def test_failure_keeps_what_was_there(self):
        with open(self.file('old'), 'wb') as file:
            file.write(b'good')
        self.fake.finish(self.transfer, 'failed', '', 'org.berthd.Berth1.Error.NoSuchImage', 'none')
        for name in ('old', 'new'):
            self.ctl('export', '-q', '-o', self.file(name), 'a', status=1)
        self.assertEqual(self.content('old'), b'good')

        def refuse(_call):
            raise Fail('org.freedesktop.DBus.Error.AccessDenied', 'no')
        self.fake.answers['Export'] = refuse
        self.ctl('export', '-q', '-o', self.file('old'), 'a', status=1)
        self.assertEqual(self.content('old'), b'good')
        self.assertEqual(os.listdir(self.directory), ['old'])

    def test_detached(self):
        """The service writes on, into the file of that name."""
        process = self.start('export', '-q', '-o', self.file('new'), 'a')
        self.fake.wait_call('Describe')
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 1)
        os.write(self.last('Export').fds[0], b', the rest')
        self.assertEqual(self.content('new'), b'archive, the rest')
        self.assertEqual(os.listdir(self.directory), ['new'])

    def test_pipe(self):
        """Written in place."""
        os.mkfifo(self.file('pipe'))
        self.fake.finish(self.transfer)
        process = self.start('export', '-q', '-o', self.file('pipe'), 'a')
        with open(self.file('pipe'), 'rb') as pipe:
            self.assertEqual(process.wait(60), 0)
            self.last('Export').close()
            self.assertEqual(pipe.read(), b'archive')
        self.assertEqual(os.listdir(self.directory), ['pipe'])

    def test_failures(self):
        self.assertFails('org.freedesktop.DBus.Error.Failed', 'export', '-o', '/nonexistent/x', 'a')
        terminal = Terminal([self.instance.tool('berthctl'), 'export', '-o', '-', 'a'],
                            self.instance.environment())
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.wait(), 2)
        self.assertEqual(self.fake.calls, [])


if __name__ == '__main__':
    unittest.main()
