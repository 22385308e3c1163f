# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bash offers behind berthctl: verbs, options, their values, and names from the service."""

import os
import unittest

import dbus

from berthtest import FakeCtlTestCase

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(TREE, 'data', 'completions', 'bash', 'berthctl')
A, B = 'sha256:' + 'a1' * 32, 'sha256:' + 'b2' * 32


class Completion(FakeCtlTestCase):

    def offered(self, line):
        """Returns: what is offered at the end of line, whole words."""
        done = self.instance.run(
            'bash', '-c', 'compopt() { :; }; source "$0"; COMP_LINE=$1 COMP_POINT=${#1}; '
            'COMP_WORDBREAKS=" "; _berthctl; printf "%s\\n" "${COMPREPLY[@]}"', SCRIPT,
            'berthctl ' + line,
            PATH=f'{os.path.dirname(self.instance.tool("berthctl"))}:{os.environ["PATH"]}')
        self.assertEqual(done.stderr, '')
        return done.stdout.split()

    def test_verbs(self):
        help_text = self.ctl('help')
        verbs = [line.split()[0] for line in
                 help_text.split('Verbs:\n')[1].split('\n\n')[0].splitlines()]
        self.assertIn('pull', verbs)
        self.assertEqual(self.offered(''), verbs)
        self.assertEqual(self.offered('pu'), ['publish', 'pull', 'push'])
        with open(os.path.join(TREE, 'data', 'completions', 'zsh', '_berthctl'),
                  encoding='utf-8') as file:
            text = file.read()
        for verb in verbs:
            self.assertIn(f"        '{verb}:", text)

    def test_options(self):
        self.assertEqual(self.offered('pull --pl'), ['--platform='])
        self.assertEqual(self.offered('images --pl'), [])
        self.assertEqual(self.offered('pull --foreign=reg'),
                         ['--foreign=registry-first', '--foreign=registry-only'])

    def test_images(self):
        self.fake.answers['List'] = 'aa{sv}', dbus.Array([dbus.Dictionary(row, signature='sv') for
                                                          row in (
            {'Reference': 'localhost/b:1', 'Digest': A}, {'Reference': '', 'Digest': B})],
            signature='a{sv}')
        for verb in ('inspect', 'tag', 'tag x', 'remove-image', 'remove-image a b', 'pull',
                     'export a -o x', 'push a'):
            self.assertEqual(self.offered(verb + ' '), ['localhost/b:1', B], verb)
        self.assertEqual(self.offered('inspect lo'), ['localhost/b:1'])
        self.assertEqual(self.offered('inspect a '), [])

    def test_transfers(self):
        self.fake.answers['ListTransfers'] = 'aa{sv}', dbus.Array(
            [dbus.Dictionary({'Id': dbus.UInt32(number)}, signature='sv') for number in (12, 3)],
            signature='a{sv}')
        for verb in ('wait', 'cancel', 'cancel 3'):
            self.assertEqual(self.offered(verb + ' '), ['3', '12'], verb)

    def test_service_is_not_there(self):
        self.fake.close()
        self.assertEqual(self.offered('inspect '), [])


if __name__ == '__main__':
    unittest.main()
