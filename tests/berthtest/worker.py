# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs one unittest module and writes one JSON object per test to BERTH_TEST_RESULTS.

Before each test there is one with status "started", and the last object is named "end": without it
the module died on the way. Usage: worker.py FILE PATTERN SECONDS, where after so many seconds the
stack is printed, since the module hangs.
"""

import contextlib
import faulthandler
import importlib.util
import io
import json
import os
import sys
import time
import unittest


class JsonResult(unittest.TestResult):
    def __init__(self, stream):
        super().__init__()
        self._stream = stream
        self._started = time.monotonic()
        self._output = io.StringIO()
        self._redirect = None
        self._problems = []
        self._reason = None

    def write(self, name, status, output, seconds=0):
        self._stream.write(json.dumps({'name': name, 'status': status, 'seconds': seconds,
                                       'output': output}) + '\n')
        self._stream.flush()

    def startTest(self, test):
        super().startTest(test)
        self.write(name_of(test), 'started', '')
        self._started = time.monotonic()
        self._output = io.StringIO()
        self._redirect = contextlib.redirect_stdout(self._output)
        self._redirect.__enter__()
        self._problems = []
        self._reason = None

    def stopTest(self, test):
        super().stopTest(test)
        self._redirect.__exit__(None, None, None)
        output = self._output.getvalue() + '\n'.join(self._problems)
        status = 'failed' if self._problems else 'skipped' if self._reason else 'passed'
        self.write(name_of(test), status, self._reason if status == 'skipped' else output,
                   time.monotonic() - self._started)

    def _problem(self, test, error):
        text = self._exc_info_to_string(error, test)
        if isinstance(test, unittest.TestCase) or hasattr(test, 'test_case'):
            self._problems.append(text)
        else:  # setUpClass and the like: no test was started
            self.write(name_of(test), 'failed', text)

    def addError(self, test, err):
        self._problem(test, err)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._problem(subtest, err)

    def addSkip(self, test, reason):
        if isinstance(test, unittest.TestCase):
            self._reason = reason
        else:
            self.write(name_of(test), 'skipped', reason)

    def addExpectedFailure(self, test, err):
        self._problem(test, err)

    def addUnexpectedSuccess(self, test):
        self._problems.append('unexpected success')


def name_of(test):
    return test.id() if isinstance(test, unittest.TestCase) else str(test)


def main():
    path, pattern, seconds = sys.argv[1:4]
    faulthandler.dump_traceback_later(int(seconds))
    name = os.path.basename(path)[:-3]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(path))
    spec.loader.exec_module(module)
    loader = unittest.TestLoader()
    if pattern:
        loader.testNamePatterns = [f'*{pattern}*']
    with open(os.environ['BERTH_TEST_RESULTS'], 'w', encoding='utf-8') as stream:
        result = JsonResult(stream)
        loader.loadTestsFromModule(module).run(result)
        result.write('end', 'passed', '')


if __name__ == '__main__':
    main()
