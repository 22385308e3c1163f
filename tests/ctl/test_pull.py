# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl pull and wait: what they ask, progress in every form, detaching, endings.

The transfers are played, so that progress stands still where it is looked at.
"""

import json
import os
import re
import signal
import unittest

from berthtest import ALICE, Fail, FakeCtlTestCase, ROOT_PATH, Terminal

A, B, C = ('sha256:' + word * 32 for word in ('a1', 'b2', 'c3'))
IMAGE = '127.0.0.1:5000/team/app:1'


class PullTestCase(FakeCtlTestCase):

    def setUp(self):
        super().setUp()
        for name in ('HOME', 'XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME'):  # no credentials of the tester's
            self.instance.extra_environment[name] = self.instance.path('home')
        self.path = self.fake.transfer(1, Reference=IMAGE)
        self.fake.answers['Pull'] = 'o', self.path

    def start(self, *arguments, **environment):
        """Returns: the process, when it listens to the transfer."""
        process = self.instance.popen([self.instance.tool('berthctl'), *arguments], **environment)

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def pull(self, *arguments):
        process = self.start('pull', IMAGE, *arguments)
        self.fake.wait_call('Describe')
        return process

    def terminal(self, *arguments, **kwargs):
        terminal = Terminal([self.instance.tool('berthctl'), *arguments],
                            self.instance.environment(), **kwargs)
        self.addCleanup(terminal.close)
        return terminal

    def result(self, process):
        stdout, stderr = process.communicate(timeout=60)
        return process.returncode, stdout, stderr


class Calls(PullTestCase):

    def test_options(self):
        self.fake.finish(self.path, digest=A)
        self.ctl('pull', '-q', IMAGE)
        self.assertEqual(self.fake.wait_call('Pull').args, [IMAGE, {}])
        self.assertEqual(self.ctl('pull', '-q', IMAGE, '--platform=linux/arm64', '--all-platforms',
                                  '--foreign=skip', '--max-bandwidth=10M'), A + '\n')
        self.assertEqual(self.fake.wait_call('Pull', 2).args, [IMAGE, {
            'Platform': 'linux/arm64', 'AllPlatforms': True, 'ForeignLayers': 'skip',
            'MaxBandwidth': 10 << 20}])

    def test_refused_call(self):
        def refuse(_call):
            raise Fail('org.berthd.Berth1.Error.RegistryBlocked', 'registry x is blocked')
        self.fake.answers['Pull'] = refuse
        self.assertEqual(self.assertFails('RegistryBlocked', 'pull', 'x/y'), 'registry x is blocked')
        # events are lines, so this is one too
        self.assertEqual(len(self.ctl('pull', '--json=pretty', 'x/y', status=1).splitlines()), 1)

    def test_wait(self):
        self.fake.transfer(7)
        self.fake.finish(f'{ROOT_PATH}/transfer/7', digest=B)
        self.assertEqual(self.ctl('wait', '7', '-q'), B + '\n')
        self.assertFails('NoSuchTransfer', 'wait', '8')

    def test_no_service(self):
        self.fake.close()
        self.assertFails('org.freedesktop.DBus.Error.ServiceUnknown', 'pull', 'x')


class Lines(PullTestCase):

    def test_success(self):
        process = self.pull()
        self.fake.layer(self.path, 0, A, 'running', 1, 2 << 20)
        self.fake.layer(self.path, 0, A, 'done', 2 << 20, 2 << 20, 'registry')
        self.fake.layer(self.path, 1, B, 'skipped', 0, 3 << 20, 'skipped')
        self.fake.finish(self.path, digest=C)
        status, stdout, stderr = self.result(process)
        self.assertEqual((status, stdout), (0, C + '\n'))
        self.assertEqual(stderr.splitlines(), [
            'berthctl: layer a1a1a1a1a1a1 done, 2M',
            'berthctl: layer b2b2b2b2b2b2 skipped, 3M',
            f'berthctl: {A}      2M registry',
            f'berthctl: {B}      3M skipped'])

    def test_quiet(self):
        process = self.pull('--quiet')
        self.fake.layer(self.path, 0, A, 'done', 2, 2, 'url')
        self.fake.finish(self.path, digest=C)
        self.assertEqual(self.result(process), (0, C + '\n', ''))

    def test_over_already(self):
        """It ended before berthctl could listen: what Describe says counts."""
        self.fake.layer(self.path, 0, A, 'done', 2, 2, 'store')
        self.fake.finish(self.path, digest=C)
        status, stdout, stderr = self.result(self.pull())
        self.assertEqual((status, stdout), (0, C + '\n'))
        self.assertEqual(stderr, f'berthctl: {A}      2B store\n')

    def test_failure(self):
        for state in ('failed', 'cancelled'):
            with self.subTest(state):
                self.fake.change(self.path, State='running')
                calls = len([call for call in self.fake.calls if call.member == 'Describe'])
                process = self.start('pull', IMAGE)
                self.fake.wait_call('Describe', calls + 1)
                self.fake.finish(self.path, state, '', 'org.berthd.Berth1.Error.StoreFull',
                                 'no room\x1b[2J')
                self.assertEqual(self.result(process), (1, '', 'berthctl: no room\\x1b[2J\n'))

    def test_state_without_signal(self):
        process = self.pull('-q')
        self.fake.transfers[self.path]['description']['Digest'] = B
        self.fake.change(self.path, State='done')
        self.assertEqual(self.result(process), (0, B + '\n', ''))

    def test_service_ends(self):
        process = self.pull('-q')
        self.fake.close()
        status, stdout, stderr = self.result(process)
        self.assertEqual((status, stdout), (1, ''))
        self.assertRegex(stderr, r'\Aberthctl: the service ended [^\n]+\n\Z')

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            for options in ([], ['--address=' + self.instance.address]):
                with self.subTest(number=number, options=options):
                    calls = len([call for call in self.fake.calls if call.member == 'Describe'])
                    process = self.start('pull', '-q', IMAGE, *options)
                    self.fake.wait_call('Describe', calls + 1)
                    process.send_signal(number)
                    status, stdout, stderr = self.result(process)
                    self.assertEqual((status, stdout), (1, ''))
                    quoted = f"'{options[0]}' ".replace("'--address=", "--address='") \
                        if options else ''
                    self.assertEqual(stderr, 'berthctl: the transfer goes on; cancel it with: '
                                             f'berthctl {quoted}cancel 1\n')
        self.assertNotIn('Cancel', [call.member for call in self.fake.calls])

    def test_interrupted_before_the_answer(self):
        arrived, wait = os.pipe(), os.pipe()

        def hang(_call):
            os.write(arrived[1], b'x')
            os.read(wait[0], 1)
            return 'o', self.path
        self.fake.answers['Pull'] = hang
        process = self.start('pull', IMAGE)
        os.read(arrived[0], 1)
        process.send_signal(signal.SIGINT)
        status, _, stderr = self.result(process)
        os.write(wait[1], b'x')
        self.assertEqual(status, 1)
        self.assertRegex(stderr, r'\Aberthctl: interrupted [^\n]*berthctl transfers[^\n]*\n\Z')
        for fd in (*arrived, *wait):
            os.close(fd)


class Json(PullTestCase):

    def events(self, process):
        status, stdout, stderr = self.result(process)
        return status, [json.loads(line) for line in stdout.splitlines()], stderr

    def test_events(self):
        process = self.pull('--json=pretty')
        self.fake.layer(self.path, 0, A, 'running', 1, 4)
        self.fake.change(self.path, BytesDone=1, BytesTotal=4, Rate=10)
        self.fake.layer(self.path, 0, A, 'done', 4, 4, 'mirror')
        self.fake.finish(self.path, digest=C)
        status, events, stderr = self.events(process)
        self.assertEqual((status, stderr), (0, ''))
        layer = {'event': 'layer', 'Id': 1, 'Index': 0, 'Digest': A}
        self.assertEqual(events, [
            {'event': 'started', 'Id': 1, 'Path': self.path, 'Kind': 'pull', 'Reference': IMAGE},
            {**layer, 'State': 'running', 'Done': 1, 'Total': 4},
            {'event': 'progress', 'Id': 1, 'State': 'running', 'BytesDone': 1, 'BytesTotal': 4,
             'Rate': 10},
            {**layer, 'State': 'done', 'Done': 4, 'Total': 4},
            {'event': 'finished', 'Id': 1, 'State': 'done', 'Digest': C, 'BytesDone': 1,
             'BytesTotal': 4, 'Layers': [{'Digest': A, 'State': 'done', 'Done': 4, 'Total': 4,
                                          'Source': 'mirror'}]}])

    def test_failure(self):
        process = self.pull('--json=short')
        self.fake.finish(self.path, 'failed', '', 'org.berthd.Berth1.Error.DigestMismatch', 'wrong')
        status, events, stderr = self.events(process)
        self.assertEqual((status, stderr), (1, 'berthctl: wrong\n'))
        self.assertEqual([event['event'] for event in events], ['started', 'finished'])
        self.assertEqual(events[-1]['error'], 'org.berthd.Berth1.Error.DigestMismatch')
        self.assertEqual(events[-1]['message'], 'wrong')
        self.assertNotIn('Digest', events[-1])

    def test_signals_of_others_do_not_count(self):
        process = self.pull('-j')
        impostor = self.instance.connect()
        self.addCleanup(impostor.close)
        bus, self.fake._bus = self.fake._bus, impostor
        self.fake._tell(self.path, 'LayerProgress', 'usstt', 0, B, 'done', 1, 1)
        self.fake._bus = bus
        impostor.get_name_owner('org.freedesktop.DBus')  # the signal is behind us
        self.fake.finish(self.path, digest=C)
        status, events, _ = self.events(process)
        self.assertEqual(status, 0)
        self.assertEqual([event['event'] for event in events], ['started', 'finished'])

    def test_joined_late(self):
        """started comes first, and then what is known already."""
        self.fake.layer(self.path, 0, A, 'running', 1, 4)

        def subscribe(_call):
            for name in ('1', '2'):
                self.fake._send(self.path, 'org.freedesktop.DBus.Properties', 'PropertiesChanged',
                                None, 'sa{sv}as', 'org.berthd.Berth1.Transfer', {'Kind': name}, [])
            del self.fake.answers['Subscribe']
        self.fake.answers['Subscribe'] = subscribe
        process = self.pull('-j')
        self.fake.finish(self.path, digest=C)
        self.fake.change(self.path, State='done')
        status, events, _ = self.events(process)
        self.assertEqual(status, 0)
        self.assertEqual([event['event'] for event in events][:2], ['started', 'layer'])
        self.assertEqual(events[1]['Done'], 1)

    def test_detached(self):
        process = self.pull('--json=short')
        self.assertIn('started', process.stdout.readline())
        process.send_signal(signal.SIGINT)
        status, events, _ = self.events(process)
        self.assertEqual((status, events), (1, [{'event': 'detached', 'Id': 1}]))


class Bars(PullTestCase):

    def play(self):
        self.fake.layer(self.path, 0, A, 'done', 1 << 20, 1 << 20, 'registry')
        self.fake.layer(self.path, 1, B, 'running', 1 << 20, 2 << 20)
        self.fake.layer(self.path, 2, C, 'waiting', 0, 1 << 20)
        self.fake.change(self.path, BytesDone=2 << 20, BytesTotal=4 << 20, Rate=1 << 14)

    def begin(self, *options, **kwargs):
        terminal = self.terminal('pull', IMAGE, *options, **kwargs)
        self.fake.wait_call('Describe')
        return terminal

    def test_wide(self):
        terminal = self.begin(columns=100)
        self.play()
        lines = terminal.wait_text('2M/4M')
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], r'\Ab2b2b2b2b2b2   \[=+> +\] +1M/2M\Z')
        self.assertRegex(lines[1], r'\A1/3 layers     \[=+> +\] +2M/4M 16K/s, 2m08s left\Z')
        self.assertEqual(lines[0].index(']'), lines[1].index(']'))
        bar = lines[1][lines[1].index('[') + 1:lines[1].index(']')]
        self.assertAlmostEqual(bar.count('=') / len(bar), 0.5, delta=0.05)
        self.fake.finish(self.path, digest=A)
        self.assertEqual(terminal.wait(), 0)
        shown = terminal.screen.shown()
        self.assertEqual(shown[0].split(), ['berthctl:', A, '1M', 'registry'])
        self.assertEqual(shown[-2:], [A, ''])
        self.assertEqual(len(shown), 5)  # nothing of the bars is left

    def test_narrow(self):
        for columns in (20, 30, 45, 60):
            with self.subTest(columns):
                self.fake.change(self.path, State='running')
                calls = len([call for call in self.fake.calls if call.member == 'Describe'])
                terminal = self.terminal('pull', IMAGE, columns=columns)
                self.fake.wait_call('Describe', calls + 1)
                self.play()
                lines = terminal.wait_text('layers')
                self.assertEqual(len(lines), 2)  # none wraps
                self.assertTrue(lines[0].startswith('b2b2b2b2b2b2'))
                terminal.close()

    def test_resized(self):
        terminal = self.begin(columns=100)
        self.play()
        terminal.wait_text('2M/4M')
        terminal.resize(40)
        terminal.wait_screen(lambda lines: len(lines) == 2 and lines[1] ==
                             '1/3 layers, 2M/4M, 16K/s, 2m08s left')
        terminal.resize(120)
        lines = terminal.wait_screen(lambda lines: '[' in lines[0])
        self.assertEqual(len(lines), 2)

    def test_many_layers(self):
        """Those under way, as many as there is room for, and the total."""
        terminal = self.begin(columns=80, rows=10)
        for index in range(60):
            self.fake.layer(self.path, index, f'sha256:{index:064x}', 'waiting', 0, 4)
        for index in range(40):
            self.fake.layer(self.path, index, f'sha256:{index:02x}' + '0' * 62, 'running', 1, 4)
        self.fake.change(self.path, BytesDone=40, BytesTotal=240)
        lines = terminal.wait_text('40B/240B')
        self.assertEqual(len(lines), 9)
        self.assertEqual(lines[-1].split()[0], '0/60')
        for index in range(38):
            self.fake.layer(self.path, index, f'sha256:{index:02x}' + '0' * 62, 'done', 4, 4)
        lines = terminal.wait_text('38/60 layers')
        self.assertEqual([line.split()[0] for line in lines],
                         ['260000000000', '270000000000', '38/60'])

    def test_hostile_digest(self):
        terminal = self.begin()
        self.fake.layer(self.path, 0, 'sha256:\x1b[99A', 'running', 1, 4)
        self.assertTrue(terminal.wait_text('1B/4B')[0].startswith(r'\x1b[99A'))

    def test_absurd_index(self):
        process = self.pull('-q')
        self.fake._tell(self.path, 'LayerProgress', 'usstt', 0xffffffff, A, 'done', 1, 1)
        self.fake.finish(self.path, digest=A)
        self.assertEqual(self.result(process), (0, A + '\n', ''))

    def test_queued(self):
        self.fake.transfers[self.path]['properties']['State'] = 'queued'
        terminal = self.begin()
        self.assertRegex(terminal.wait_text('queued')[0], r'\Aqueued +\[ +\] +0B\Z')

    def test_dumb_terminal(self):
        environment = {**self.instance.environment(), 'TERM': 'dumb'}
        terminal = Terminal([self.instance.tool('berthctl'), 'pull', IMAGE], environment)
        self.addCleanup(terminal.close)
        self.fake.wait_call('Describe')
        self.play()
        self.fake.finish(self.path, digest=A)
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn('\x1b', terminal.output)
        self.assertIn('layer a1a1a1a1a1a1 done, 1M', terminal.output)

    def test_ctrl_c(self):
        terminal = self.begin()
        self.play()
        terminal.wait_text('2M/4M')
        terminal.type('\x03')
        self.assertEqual(terminal.wait(), 1)
        shown = [line for line in terminal.screen.shown() if line]
        self.assertEqual(len(shown), 1)
        self.assertEqual(re.sub(r'\A\^C', '', shown[0]),
                         'berthctl: the transfer goes on; cancel it with: berthctl cancel 1')
        self.assertNotIn('Cancel', [call.member for call in self.fake.calls])

    def test_stopped_and_continued(self):
        """What a shell wrote meanwhile is not overwritten."""
        terminal = self.begin()
        self.play()
        terminal.wait_text('2M/4M')
        terminal.process.send_signal(signal.SIGCONT)
        lines = terminal.wait_screen(lambda lines: len(lines) == 4)
        self.assertEqual(lines[:2], lines[2:])


class Agent(PullTestCase):
    """An agent for polkit is there where somebody could be asked."""

    def setUp(self):
        super().setUp()
        self.programs = self.instance.path('programs')
        os.mkdir(self.programs)
        self.agent = os.path.join(self.programs, 'pkttyagent')
        self.log = self.instance.path('agent.log')
        with open(self.agent, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\n'
                       f'echo "$@ bus=$DBUS_SYSTEM_BUS_ADDRESS" >>{self.log}\n'
                       f'trap "echo ended >>{self.log}; exit 0" TERM\n'
                       'eval "exec $2>&-"\n'
                       'while :; do sleep 0.01; done\n')
        os.chmod(self.agent, 0o755)
        with open(self.log, 'w', encoding='utf-8'):
            pass
        os.chmod(self.log, 0o666)

    def run_as(self, uid, *arguments, terminal=True):
        environment = {**self.instance.environment(), 'PATH': f'{self.programs}:/usr/bin:/bin'}
        command = ['setpriv', f'--reuid={uid}', '--clear-groups',
                   self.instance.tool('berthctl'), *arguments]
        if terminal:
            end = Terminal(command, environment)
            self.addCleanup(end.close)
            return end.wait()
        return self.instance.run(*command, check=False, PATH=environment['PATH']).returncode

    def seen(self):
        with open(self.log, encoding='utf-8') as file:
            return file.read().splitlines()

    def test_agent(self):
        self.fake.finish(self.path, digest=A)
        self.assertEqual(self.run_as(ALICE, 'pull', '-q', IMAGE), 0)
        arguments, last = self.seen()
        self.assertRegex(arguments, r'\A--notify-fd \d+ (--fallback )?bus=' +
                         re.escape(self.instance.address))
        self.assertEqual(last, 'ended')

    def test_no_agent(self):
        self.fake.finish(self.path, digest=A)
        self.assertEqual(self.run_as(ALICE, 'pull', '-q', '--no-ask-password', IMAGE), 0)
        self.assertEqual(self.run_as(0, 'pull', '-q', IMAGE), 0)
        self.assertEqual(self.run_as(ALICE, 'pull', '-q', IMAGE, terminal=False), 0)
        self.assertEqual(self.run_as(ALICE, 'wait', '99'), 1)  # asks polkit nothing
        self.assertEqual(self.seen(), [])
        os.unlink(self.agent)
        self.assertEqual(self.run_as(ALICE, 'pull', '-q', IMAGE), 0)


if __name__ == '__main__':
    unittest.main()
