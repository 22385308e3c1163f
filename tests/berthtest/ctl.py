# SPDX-License-Identifier: LGPL-2.1-or-later
"""Base class of the tests of berthctl."""

import json

from .calls import ERROR
from .case import BerthTestCase, InstanceTestCase
from .fakeimages import FakeImages


class _Ctl:
    """self.error: standard error of the last command."""

    error = ''

    def ctl(self, *arguments, status=0):
        """Returns: standard output of berthctl, which must end with status."""
        done = self.instance.run('berthctl', *arguments, check=False)
        self.assertEqual(done.returncode, status, f'{done.stdout}{done.stderr}'
                                                  f'{self.instance.logs()}')
        self.error = done.stderr
        if status == 0:
            self.assertEqual(done.stderr, '')
        return done.stdout

    def ctl_json(self, *arguments, **kwargs):
        return json.loads(self.ctl('--json=short', *arguments, **kwargs))

    def assertFails(self, name, *arguments):
        """The command fails with that error: one line of text, and an object in JSON."""
        full = name if '.' in name else ERROR + name
        self.assertEqual(self.ctl(*arguments, status=1), '')
        self.assertRegex(self.error, r'\Aberthctl: [^\n]+\n\Z')
        answer = self.ctl_json(*arguments, status=1)
        self.assertEqual(answer['error'], full)
        self.assertEqual(self.error, f'berthctl: {answer["message"]}\n')
        return answer['message']


class CtlTestCase(_Ctl, InstanceTestCase):
    """berthctl and the service."""


class FakeCtlTestCase(_Ctl, BerthTestCase):
    """berthctl and self.fake, a service that answers as it is told."""

    def setUp(self):
        self.instance = self.new_instance(start=False)
        self.fake = FakeImages(self.instance)
        self.addCleanup(self.fake.close)
