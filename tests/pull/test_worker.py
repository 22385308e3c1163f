# SPDX-License-Identifier: LGPL-2.1-or-later
"""The worker: what it cannot do once it was taken over, and what the service makes of its lies.

Jobs run through worker-run, which is the service's launcher and handle on a worker and nothing else
of it; programs in the place of berth-transfer are probe-transfer and liar-transfer.
"""

import os
import shutil
import subprocess
import tempfile
import time
import unittest

from berthtest import DEADLINE
from berthtest.instance import build_directory

WORKER_UID = 61999
FAILED = 'org.freedesktop.DBus.Error.Failed'


class WorkerTestCase(unittest.TestCase):
    program = 'tests/pull/probe-transfer'

    def setUp(self):
        self.build = build_directory()
        self.directory = tempfile.mkdtemp(prefix='w', dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.store = os.path.join(self.directory, 'store')  # below what the worker cannot enter
        os.mkdir(self.store, 0o700)
        os.chown(self.store, WORKER_UID, WORKER_UID)

    def start(self, *jobs, program=None, **environment):
        process = subprocess.Popen(
            [os.path.join(self.build, 'tests/pull/worker-run'), *jobs], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, 'BERTH_TRANSFER': os.path.join(self.build, program or self.program),
                 'WORKER_UID': str(WORKER_UID), **environment})

        def end():
            process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def run_jobs(self, *jobs, **environment):
        """Returns: for each job its lines, each without the job's number."""
        process = self.start(*jobs, **environment)
        output, log = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 0, output + log)
        self.assertNotRegex(log, 'Sanitizer|runtime error')
        lines = [[] for _ in jobs]
        for line in output.splitlines():
            number, rest = line.split(' ', 1)
            lines[int(number) - 1].append(rest)
        return lines

    def result(self, job, **environment):
        """Returns: the result of a job, which must have one."""
        (lines,) = self.run_jobs(job, **environment)
        self.assertRegex(lines[-1], '^result')
        return dict(word.split('=', 1) for word in lines[-1].split(' ')[1:])

    def hold(self, *jobs):
        """Returns: the process of a worker that stays, and the PID of it."""
        process = self.start(*(jobs or (f'hold,Store={self.store}',)))
        self.assertIn('progress 1/0', process.stdout.readline())
        (launcher,) = self.children(process.pid)
        (worker,) = self.children(launcher)
        return process, worker

    @staticmethod
    def children(pid):
        with open(f'/proc/{pid}/task/{pid}/children', encoding='utf-8') as file:
            return [int(word) for word in file.read().split()]

    def assertGone(self, pid):
        deadline = time.monotonic() + DEADLINE
        while os.path.exists(f'/proc/{pid}'):
            with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
                if ') Z ' in file.read():
                    return
            self.assertLess(time.monotonic(), deadline, f'process {pid} lives')
            time.sleep(0.005)


class Confinement(WorkerTestCase):
    def probe(self, kind):
        path = os.path.join(self.directory, 'secret')
        os.chmod(self.directory, 0o777)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('secret')
        os.chmod(path, 0o666)
        _, other = self.hold()
        found = {key: int(value) for key, value in
                 self.result(f'{kind},Store={self.store},Path={path},Pid={other}').items()}
        self.assertTrue(os.path.exists(f'/proc/{other}/stat'))
        with open(path, encoding='utf-8') as file:
            self.assertEqual(file.read(), 'secret')
        self.assertEqual(sorted(os.listdir(self.directory)), ['secret', 'store'])
        self.assertFalse(os.path.exists('/tmp/berth-probe'))
        return {key for key, number in found.items() if number == 0}

    ALLOWED = {'read-etc', 'write-store', 'rename-store'}

    def test_a_query_can_use_its_store_and_nothing_else(self):
        self.assertEqual(self.probe('query'), self.ALLOWED)
        self.assertEqual(os.listdir(self.store), ['renamed'])

    def test_a_transfer_can_use_the_network_too(self):
        self.assertEqual(self.probe('network'),
                         self.ALLOWED | {'inet', 'inet6', 'unix', 'netlink-route'})

    def test_it_has_no_rights_from_its_start(self):
        _, worker = self.hold()
        with open(f'/proc/{worker}/status', encoding='utf-8') as file:
            status = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
        for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status['Uid'].split(), [str(WORKER_UID)] * 4)
        self.assertEqual(status['Gid'].split(), [str(WORKER_UID)] * 4)
        self.assertEqual(status['Groups'].split(), [])
        self.assertEqual(status['NoNewPrivs'], '1')
        self.assertEqual(status['Seccomp'], '2')
        with open(f'/proc/{worker}/oom_score_adj', encoding='utf-8') as file:
            self.assertEqual(file.read().strip(), '500')
        # not dumpable: its files in /proc are root's
        self.assertEqual(os.stat(f'/proc/{worker}/environ').st_uid, 0)

    def test_it_inherits_nothing(self):
        with open(os.path.join(self.directory, 'file'), 'w', encoding='utf-8') as file:
            os.set_inheritable(file.fileno(), True)
            process = self.start(f'hold,Store={self.store}', SECRET='in the environment',
                                 https_proxy='http://proxy.example:3128')
            process.stdout.readline()
            worker = self.children(self.children(process.pid)[0])[0]
            with open(f'/proc/{worker}/environ', 'rb') as environ:
                names = {entry.split(b'=')[0].decode() for entry in environ.read().split(b'\0')}
            self.assertNotIn('SECRET', names)
            self.assertNotIn('HOME', names)
            self.assertIn('https_proxy', names)
            links = {os.readlink(f'/proc/{worker}/fd/{fd}')
                     for fd in os.listdir(f'/proc/{worker}/fd')}
            self.assertEqual({link for link in links if link.startswith('/')},
                             {'/dev/null', self.store})
            self.assertEqual(os.getsid(worker), worker)

    def test_it_ends_with_the_service(self):
        process, worker = self.hold()
        (launcher,) = self.children(process.pid)
        process.kill()
        self.assertGone(launcher)
        self.assertGone(worker)

    def test_it_ends_with_the_launcher(self):
        process, worker = self.hold()
        os.kill(self.children(process.pid)[0], 9)
        output, log = process.communicate(timeout=DEADLINE)
        self.assertIn("the worker for 'hold' failed: it was ended with the process that starts "
                      'workers', output)
        self.assertIn('restart berthd', log)
        self.assertGone(worker)


class Program(WorkerTestCase):
    def test_it_is_not_there(self):
        (lines,) = self.run_jobs('query', program='no-such-file')
        self.assertRegex(lines[0], f'^error {FAILED} cannot start a worker: cannot open .*'
                                   'no-such-file: No such file')

    def test_it_cannot_be_executed(self):
        path = os.path.join(self.directory, 'text')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('no program')
        os.chmod(path, 0o755)
        for mode, why in ((0o755, 'Exec format error'), (0o644, 'Permission denied')):
            os.chmod(path, mode)
            (lines,) = self.run_jobs(f'query,Store={self.store}', program=path)
            self.assertEqual(lines, [f"error {FAILED} the worker for 'query' failed: its program "
                                     f'could not be executed: {why}'])

    def test_a_hand_started_one_says_what_it_is(self):
        done = subprocess.run([os.path.join(self.build, 'src/transfer/berth-transfer')],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr),
                         (2, 'berth-transfer is started by berthd, see berthd(8)\n'))


class Progress(WorkerTestCase):
    def test_many_layers(self):
        (lines,) = self.run_jobs(f'report,Store={self.store}')
        self.assertEqual(lines[-1], 'result')
        last = {}
        for line in lines[:-1]:
            words = line.split(' ')
            self.assertEqual(words[0], 'progress')
            self.assertLessEqual(len(words) - 2, 1000)
            last.update(word.split(':', 1) for word in words[2:])
        self.assertEqual(last, {str(i): 'done:1000/1000:registry' for i in range(2500)})
        self.assertEqual(lines[-2].split(' ')[1], '2500000/2500000')


class Resolve(WorkerTestCase):
    program = 'src/transfer/berth-transfer'

    def test_addresses(self):
        found = self.result('resolve,Hosts=127.0.0.1:localhost:no.such.invalid')
        self.assertEqual(found['127.0.0.1'], '127.0.0.1')
        self.assertIn('127.0.0.1', found['localhost'])
        self.assertNotIn('no.such.invalid', found)

    def test_bad_jobs(self):
        missing, unknown, kind, name = self.run_jobs(
            'resolve', 'resolve,Hosts=x,Colour=red', 'paint', 'resolve,Store=' + self.store)
        self.assertIn("InvalidArgs option 'Hosts' is missing", missing[0])
        self.assertIn("InvalidArgs unknown option 'Colour'", unknown[0])
        self.assertIn("NotSupported the worker knows no job 'paint'", kind[0])
        self.assertIn('InvalidArgs', name[0])


class Lies(WorkerTestCase):
    """Each ends the worker and fails its job with one clear error, and no other job."""

    program = 'tests/pull/liar-transfer'

    def assertFails(self, kind, what, **environment):
        lines, other = self.run_jobs(kind, 'ask-well', **environment)
        self.assertEqual(set(lines[:-1]) - {'progress 0/0'}, set())
        self.assertRegex(lines[-1], f"^error {FAILED} the worker for '{kind}' failed: {what}")
        self.assertEqual(other, ['result Answer=yes'])

    def test_it_dies(self):
        self.assertFails('die', 'it was ended by signal SEGV$')

    def test_it_leaves(self):
        self.assertFails('leave', 'it ended with exit code 3$')

    def test_it_hangs(self):
        self.assertFails('hang', 'it has not been heard of for too long$', SILENCE_MS='300')
        self.assertFails('malformed', 'it has not been heard of for too long$', SILENCE_MS='300')
        self.assertFails('hang', 'it did not finish in time$', LIMIT_MS='300')

    def test_it_closes_its_socket_and_stays(self):
        self.assertFails('close', 'it closed its connection$')

    def test_results(self):
        self.assertFails('wrong-result', r'its result is not a\{sv\}$')

    def test_errors(self):
        self.assertFails('unknown-error', r'it gave the unknown error com.example.Surprise: '
                                          r'\\u001b\[31mhello\\u000a$')
        (lines,) = self.run_jobs('known-error')
        self.assertRegex(lines[0], r'^error org.berthd.Berth1.Error.RegistryError \\u001bxxx')
        self.assertLess(len(lines[0]), 5000)
        self.assertFails('no-reply-error', 'it sent a malformed message$')

    def test_progress(self):
        for kind in ('progress-type', 'progress-digest', 'progress-state', 'progress-index',
                     'progress-numbers', 'progress-rows'):
            with self.subTest(kind=kind):
                self.assertFails(kind, 'it reported a progress that cannot be$')

    def test_floods(self):
        self.assertFails('flood', r'it sent \d+ messages in \d+ s, more than it may$')
        self.assertFails('endless', 'it sent a message of 125829152 bytes, more than it may$')
        self.assertFails('endless-fields', r'it sent a message of \d{10} bytes, more than it may$')
        self.assertFails('descriptors', 'it sent file descriptors$')

    def test_messages(self):
        self.assertFails('garbage', 'it did not speak D-Bus$')
        self.assertFails('ask', 'it asked what it may not ask$')
        self.assertFails('other-call', 'it sent a message that nobody expects$')

    def test_all_at_once(self):
        kinds = ['die', 'leave', 'wrong-result', 'unknown-error', 'flood', 'endless', 'garbage',
                 'descriptors', 'ask', 'other-call', 'progress-rows']
        lines = self.run_jobs(*(kinds * 4), *(['ask-well'] * 8))
        for kind, found in zip(kinds * 4, lines):
            self.assertIn(f"the worker for '{kind}' failed", found[-1])
        self.assertEqual(lines[-8:], [['result Answer=yes']] * 8)



if __name__ == '__main__':
    unittest.main()
