# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds Berth and runs its test suites; tests/run calls it after installing what they need.

One line per test, the output of those that failed, and a last line that counts. With --retries a
test that failed is run again, alone, when all others have ended, and the first failure stays visible:
a machine that is busy with other work is no defect of Berth, but a test that needs it is to be mended.
A suite is a
directory beside this file. unit runs what meson knows as tests; fuzz runs its executables for some
seconds each; every other suite consists of unittest modules test_*.py, each a process of its own.
Jobs run two at a time and must not need an order.
"""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from berthtest import syscalls
from berthtest.leftovers import mounts_below

TESTS = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(TESTS)
BUILD = os.environ.get('BERTH_TEST_BUILD', os.path.join(TREE, 'build'))

# suite: (build directory below build/, seconds that one module may take)
SUITES = {
    'lint': ('asan', 900),
    'unit': ('asan', 120),
    'bus': ('asan', 300),
    'kernel': ('asan', 300),
    'settings': ('asan', 300),
    'access': ('asan', 300),
    'survive': ('asan', 600),
    'ctl': ('asan', 300),
    'snapshot': ('asan', 600),
    'registry': ('asan', 300),
    'store': ('asan', 900),
    'pull': ('asan', 600),
    'push': ('asan', 600),
    'archive': ('asan', 600),
    'faults': ('asan', 600),
    'airgap': ('asan', 300),
    'checkpoint': ('plain', 900),
    'peers': ('plain', 300),
    'system': ('plain', 900),
    'fuzz': ('fuzz', 120),
}

COMMON = ['-Dwerror=true', '--prefix=/usr']
BUILDS = {
    'asan': ('clang', ['-Db_sanitize=address,undefined', '-Db_lundef=false']),
    'plain': ('gcc', ['-Dbuildtype=release', '-Db_ndebug=false']),
    'fuzz': ('clang', ['-Dfuzz=true', '-Db_sanitize=address,undefined', '-Db_lundef=false',
                       '-Dc_args=-fsanitize=fuzzer-no-link']),
}

Result = collections.namedtuple('Result', 'suite name status seconds output')
Job = collections.namedtuple('Job', 'suite name command environment seconds parse directory',
                             defaults=[TREE])


class Report:
    """Prints and counts results; safe to call from several threads."""

    def __init__(self, verbose, skip_fails):
        self._lock = threading.Lock()
        self._verbose = verbose
        self._skip_fails = skip_fails
        self.counts = collections.Counter()
        self._again = []  # names of tests that passed in another try

    def add_again(self, result):
        """Shows a failure that does not count yet."""
        self._show('again', result, '')

    def add_late(self, result):
        """Counts the last try of a test."""
        if result.status == 'passed':
            self._again.append(f'{result.suite}/{result.name}')
        self.add(result)

    def _show(self, word, result, note):
        with self._lock:
            print(f'{word:4} {result.suite}/{result.name} ({result.seconds:.1f} s){note}')
            if (word in ('FAIL', 'again') and not note) or (self._verbose and result.output):
                for line in result.output.rstrip().splitlines():
                    print(f'     | {line}')
            sys.stdout.flush()

    def add(self, result):
        status = result.status
        note = ''
        if status == 'skipped':
            note = f': {result.output.strip()}'
            if self._skip_fails:
                status, note = 'failed', f': skipped, which CI=true forbids{note}'
        word = {'passed': 'ok', 'failed': 'FAIL', 'skipped': 'skip'}[status]
        with self._lock:
            self.counts[status] += 1
        self._show(word, result, note)

    def close(self):
        if self._again:
            print(f'passed when run again: {", ".join(self._again)}')
        line = f'{self.counts["passed"]} passed, {self.counts["failed"]} failed'
        if self.counts['skipped']:
            line += f', {self.counts["skipped"]} skipped'
        print(line)
        return 1 if self.counts['failed'] or not self.counts['passed'] else 0


class Runner:
    def __init__(self, options):
        self.options = options
        self.report = Report(options.verbose, os.environ.get('CI') == 'true')
        self.scratch = tempfile.mkdtemp(prefix='berth.', dir='/tmp')  # short: sockets lie below
        os.chmod(self.scratch, 0o755)
        self._processes = set()
        self._lock = threading.Lock()

    # Building

    def build(self, name):
        """Returns: whether the build succeeded; a failure is reported."""
        directory = os.path.join(BUILD, name)
        compiler, arguments = BUILDS[name]
        environment = {**os.environ, 'CC': compiler, 'LC_ALL': 'C.UTF-8'}
        steps = []
        if not os.path.exists(os.path.join(directory, 'build.ninja')):
            shutil.rmtree(directory, ignore_errors=True)
            steps.append(['meson', 'setup', directory, *COMMON, *arguments])
        steps.append(['ninja', '-C', directory, '-j2'])
        started = time.monotonic()
        for step in steps:
            done = subprocess.run(step, cwd=TREE, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  errors='replace', check=False)
            if done.returncode != 0:
                self.report.add(Result('build', name, 'failed', time.monotonic() - started,
                                       done.stdout))
                return False
        self.report.add(Result('build', name, 'passed', time.monotonic() - started, ''))
        return True

    # Finding jobs

    def jobs(self, suite):
        build, seconds = SUITES[suite]
        directory = os.path.join(BUILD, build)
        environment = {'BERTH_BUILD': directory, 'BERTH_TEST_TMP': self.scratch,
                       'PYTHONPATH': TESTS, 'LC_ALL': 'C.UTF-8', 'PYTHONDONTWRITEBYTECODE': '1'}
        if self.options.keep:
            environment['BERTH_TEST_KEEP'] = '1'
        if self.options.survive_kills is not None:
            environment['BERTH_SURVIVE_KILLS'] = str(self.options.survive_kills)
        if self.options.snapshot_kills is not None:
            environment['BERTH_SNAPSHOT_KILLS'] = str(self.options.snapshot_kills)
        if self.options.snapshot_size is not None:
            environment['BERTH_SNAPSHOT_SIZE'] = str(self.options.snapshot_size)
        if suite == 'unit':
            return self._unit_jobs(directory, environment, seconds)
        if suite == 'fuzz':
            return self._fuzz_jobs(directory, environment, seconds)
        return [Job(suite, os.path.basename(path)[:-3],
                    [sys.executable, os.path.join(TESTS, 'berthtest', 'worker.py'), path,
                     self.options.pattern or '', str(seconds - 5)], environment, seconds,
                    parse_module)
                for path in sorted(glob.glob(os.path.join(TESTS, suite, 'test_*.py')))]

    def _unit_jobs(self, directory, environment, seconds):
        listing = subprocess.run(['meson', 'introspect', '--tests', directory],
                                 stdout=subprocess.PIPE, check=True).stdout
        sanitizers = {'ASAN_OPTIONS': 'detect_leaks=1:detect_stack_use_after_return=1',
                      'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}
        return [Job('unit', test['name'], test['cmd'] + ['--tap'],
                    {**environment, **sanitizers, **test['env']}, seconds, parse_tap, directory)
                for test in json.loads(listing)]

    def _fuzz_jobs(self, directory, environment, seconds):
        jobs = []
        for path in sorted(glob.glob(os.path.join(directory, 'tests', 'fuzz', 'fuzz-*'))):
            name = os.path.basename(path)
            word = name[len('fuzz-'):]
            if not os.path.isfile(path) or not os.access(path, os.X_OK):
                continue
            corpus = os.path.join(self.scratch, name)
            os.mkdir(corpus)
            command = [path, f'-max_total_time={self.options.fuzz_seconds}', '-timeout=10',
                       '-rss_limit_mb=1024', '-print_final_stats=0', '-verbosity=0',
                       f'-artifact_prefix={corpus}/', corpus]
            seeds = os.path.join(TESTS, 'fuzz', 'corpus', word)
            if os.path.isdir(seeds):
                command.append(seeds)
            words = os.path.join(TESTS, 'fuzz', f'{word}.dict')
            if os.path.exists(words):
                command.append(f'-dict={words}')
            jobs.append(Job('fuzz', name, command, environment,
                            seconds + self.options.fuzz_seconds, parse_status))
        return jobs

    # Running

    def run_job(self, job, tries_left):
        """Returns: the names of tests to run again."""
        again = []
        for result in self._results(job):
            if result.status != 'failed' or not tries_left or not is_test(job, result):
                self.report.add(result)
                continue
            self.report.add_again(result)
            again.append(result.name)
        return job, again

    def run_again(self, job, name, tries_left):
        """Runs one test of a module alone."""
        only = job._replace(command=[*job.command[:3], name, *job.command[4:]])
        for result in self._results(only):
            if result.name != name and is_test(job, result):
                continue  # its name has this one's in it
            if result.status == 'failed' and tries_left > 1:
                self.report.add_again(result)
                self.run_again(job, name, tries_left - 1)
            else:
                self.report.add_late(result)

    def _results(self, job):
        pattern = self.options.pattern
        if pattern and job.parse is parse_status and pattern not in job.name:
            return []
        started = time.monotonic()
        results = os.path.join(self.scratch, f'{job.suite}-{job.name}.results')
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                job.command, cwd=job.directory, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **job.environment, 'BERTH_TEST_RESULTS': results})
            with self._lock:
                self._processes.add(process)
            timed_out = False
            try:
                process.wait(job.seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
            self._end(process)
            output.seek(0)
            text = output.read().decode('utf-8', 'replace')
        if timed_out:
            text += f'\nnot finished after {job.seconds} s'
        return [result for result in job.parse(job, process.returncode, text, results,
                                               time.monotonic() - started)
                if not pattern or job.parse is not parse_tap or pattern in result.name]

    def _end(self, process):
        """What the job left running in its session goes too."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        with self._lock:
            self._processes.discard(process)

    def run(self):
        chosen = [suite for suite in SUITES if suite in (self.options.suites or SUITES)]
        built = {name: self.build(name)
                 for name in BUILDS if any(SUITES[suite][0] == name for suite in chosen)}
        jobs = [job for suite in chosen if built[SUITES[suite][0]] for job in self.jobs(suite)]
        # long ones first, so that the last does not run alone
        jobs.sort(key=lambda job: job.suite not in ('checkpoint', 'system', 'peers', 'lint'))
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            futures = [pool.submit(self.run_job, job, self.options.retries) for job in jobs]
            try:
                again = [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                with self._lock:
                    processes = list(self._processes)
                for process in processes:
                    self._end(process)
                raise
        for job, names in again:
            for name in names:
                self.run_again(job, name, self.options.retries)

    def clean(self):
        """Mounts left here are a failure: each test must undo its own."""
        left = mounts_below(self.scratch)
        for row in reversed(left):
            syscalls.umount(row['target'], syscalls.MNT_DETACH)
        if left:
            self.report.add(Result('all', 'leftovers', 'failed', 0,
                                   '\n'.join(f'mount {row["target"]}' for row in left)))
        if self.options.keep:
            print(f'kept: {self.scratch}')
        else:
            shutil.rmtree(self.scratch, ignore_errors=True)


def parse_module(job, status, text, results, seconds):
    """Of a unittest module: one JSON object per line in the file results."""
    found = []
    try:
        with open(results, encoding='utf-8') as file:
            found = [Result(job.suite, **json.loads(line)) for line in file]
    except FileNotFoundError:
        pass
    finished = bool(found) and found[-1].name == 'end'
    if not finished or status != 0:
        last = f' in {found[-1].name}' if found and found[-1].status == 'started' else ''
        found.append(Result(job.suite, job.name, 'failed', seconds,
                            f'{text}\nthe module ended with {status}{last}'))
    found = [result for result in found if result.status != 'started' and result.name != 'end']
    return found


def is_test(job, result):
    """Whether a result is that of one test of a module, which can be run alone."""
    return job.parse is parse_module and '.' in result.name and ' ' not in result.name


def parse_tap(job, status, text, _results, seconds):
    found = []
    output = []
    for line in text.splitlines():
        match = re.match(r'(not )?ok \d+ (.*?)(?: # (SKIP|TODO)\b ?(.*))?$', line)
        if not match:
            output.append(line)
            continue
        bad, name, directive, reason = match.groups()
        state = 'skipped' if directive == 'SKIP' else 'failed' if bad else 'passed'
        found.append(Result(job.suite, job.name + name, state, 0,
                            reason if state == 'skipped' else '\n'.join(output)))
        output = []
    if status != 0 and not any(result.status == 'failed' for result in found) or not found:
        found.append(Result(job.suite, job.name, 'failed', seconds,
                            f'{text}\nended with {status}'))
    return found


def parse_status(job, status, text, _results, seconds):
    return [Result(job.suite, job.name, 'failed' if status else 'passed', seconds, text)]


def own_mounts():
    """A mount namespace for the tests: nothing of theirs shows on, or stays in, the machine's.

    /dev/mqueue is mounted there, as on every machine that was booted by systemd.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, '/', None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    if not os.path.ismount('/dev/mqueue'):
        os.makedirs('/dev/mqueue', exist_ok=True)
        syscalls.mount('mqueue', '/dev/mqueue', 'mqueue',
                       syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)


def parse_arguments():
    parser = argparse.ArgumentParser(prog='tests/run', description='Builds Berth and tests it.')
    parser.add_argument('suites', nargs='*', metavar='SUITE', help='default: all of them')
    parser.add_argument('--list', action='store_true', help='list the suites')
    parser.add_argument('--fuzz-seconds', type=int, default=10, metavar='N',
                        help='for each fuzz target (default: 10)')
    parser.add_argument('--survive-kills', type=int, metavar='N',
                        help='how often the suite survive kills the service (default: 200)')
    parser.add_argument('--snapshot-kills', type=int, metavar='N',
                        help='how often the suite snapshot kills the service at random moments, '
                             'saving and restoring (default: 15 times each)')
    parser.add_argument('--snapshot-size', type=int, metavar='MIB',
                        help='how much the suite snapshot saves and restores to see what memory that '
                        'takes (default: 256; 10240 is 10 GiB)')
    parser.add_argument('--keep', action='store_true', help="keep the tests' temporary directories")
    parser.add_argument('-v', '--verbose', action='store_true', help='all output of all tests')
    parser.add_argument('--retries', type=int, default=0, metavar='N',
                        help='how often a test that failed is run again, alone (default: 0)')
    parser.add_argument('-k', dest='pattern', metavar='PATTERN',
                        help='only tests whose name contains PATTERN')
    parser.add_argument('-j', dest='jobs', type=int, default=2, metavar='N',
                        help='modules at a time (default: 2)')
    options = parser.parse_args()
    for suite in options.suites:
        if suite not in SUITES:
            parser.error(f'no suite {suite}: use some of {", ".join(SUITES)}')
    return options


def main():
    options = parse_arguments()
    if options.list:
        print('\n'.join(SUITES))
        return 0
    if os.geteuid() != 0:
        print('tests/run: run it as root, in a container or on a machine for tests',
              file=sys.stderr)
        return 2
    own_mounts()
    runner = Runner(options)
    try:
        runner.run()
    finally:
        runner.clean()
    return runner.report.close()


if __name__ == '__main__':
    sys.exit(main())
