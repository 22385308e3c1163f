# SPDX-License-Identifier: LGPL-2.1-or-later
"""Driving the programs registry-get and registry-put."""

import json
import os
import re
import subprocess
import tempfile

from berthtest import BerthTestCase, DEADLINE

BUILD = os.path.join(os.environ['BERTH_BUILD'], 'tests/registry')
GET, PUT = os.path.join(BUILD, 'registry-get'), os.path.join(BUILD, 'registry-put')


class Got:
    """What one of them did: body, lines (on standard error), name (of the error, or 'ok')."""

    def __init__(self, done):
        self.code, self.body = done.returncode, done.stdout
        self.text = done.stderr.decode()
        self.lines = self.text.splitlines()
        self.name = re.split('[: ]', self.lines[-1])[0] if self.lines else ''


class RegistryTestCase(BerthTestCase):
    """A directory, and how to run them."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name, content=None):
        path = os.path.join(self.directory, name)
        if content is not None:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(content)
        return path

    def credentials(self, host, name=None, password=None, **entry):
        if name is not None:
            entry.update(username=name, password=password)
        return '--credentials', self.path('auth.json', json.dumps({'auths': {host: entry}}))

    def run_tool(self, tool, *arguments, environment=None):
        clean = {key: value for key, value in os.environ.items()
                 if not key.lower().endswith('_proxy')}
        done = subprocess.run([tool, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=DEADLINE, check=False,
                              env={**clean, **(environment or {})})
        got = Got(done)
        self.assertIn(got.code, (0, 1), got.text)
        self.assertFalse('Sanitizer' in got.text, got.text[:3000])
        return got

    def assertGot(self, got, body):
        self.assertEqual(got.name, 'ok', got.text)
        self.assertEqual(len(got.body), len(body))
        self.assertTrue(got.body == body, 'other bytes')

    def assertRefused(self, got, name, message):
        self.assertEqual(got.name, name, got.text)
        self.assertRegex(got.lines[-1], message)
