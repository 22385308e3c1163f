# SPDX-License-Identifier: LGPL-2.1-or-later
"""What berthctl says to people is in their language; what programs read is in none."""

import os
import subprocess
import unittest

from berthtest import CtlTestCase

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Language(CtlTestCase):
    def setUp(self):
        super().setUp()
        directory = self.instance.path('locale', 'de', 'LC_MESSAGES')
        os.makedirs(directory)
        subprocess.run(['msgfmt', '-o', os.path.join(directory, 'berth.mo'),
                        os.path.join(TREE, 'po', 'de.po')], check=True, timeout=60)

    def german(self, *arguments, status=0, locale='C.UTF-8'):
        """Returns: what it prints, errors first."""
        done = self.instance.run('berthctl', *arguments, check=False, LC_ALL=locale, LANGUAGE='de',
                                 TEXTDOMAINDIR=self.instance.path('locale'))
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr + done.stdout

    def test_help(self):
        text, english = self.german('help'), self.ctl('help')
        self.assertIn('Verben:\n', text)
        self.assertIn('\n  list                         Sandboxes auflisten\n', text)
        self.assertNotIn('list sandboxes', text)

        def words(text):
            """What the user types: it is the same."""
            return [line[:24].split()[:2] for line in text.splitlines() if line.startswith('  ')]
        self.assertEqual(words(text), words(english))

    def test_errors(self):
        self.assertEqual(self.german('nonsense', status=2), 'berthctl: unbekanntes Verb »nonsense«; '
                         '»berthctl help« listet sie auf\n')
        self.assertIn('braucht einen Wert: --ipc=MODE', self.german('create', '--ipc', status=2))
        self.assertIn('"error":"org.freedesktop.DBus.Error.InvalidArgs"',
                      self.german('--json=short', 'nonsense', status=2))

    def test_what_programs_match_on(self):
        """Fixed texts, tables and JSON."""
        self.assertEqual(self.german('create', '--ipc=foo', status=1),
                         'berthctl: invalid IPC mode: foo\n')
        self.instance.write_settings('daemon.json', '{"default-ipc-mode": "host"}')
        self.assertIn('default IPC mode setting (host) is invalid; use "shareable" or "private"',
                      self.german('config', 'import-docker',
                                  os.path.join(self.instance.configuration, 'daemon.json'), status=1))
        self.assertEqual(self.german('list'), self.ctl('list'))
        self.assertEqual(self.german('config', '-j'), self.ctl('config', '-j'))

    def test_without_a_language(self):
        self.assertIn('unknown verb', self.german('nonsense', status=2, locale='C'))


if __name__ == '__main__':
    unittest.main()
