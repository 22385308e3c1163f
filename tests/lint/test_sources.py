# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sources look as they should: format, licence, length, scripts, manual pages, XML, translations."""

import glob
import os
import re
import subprocess
import unittest
from xml.etree import ElementTree

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

LINES_MAX = 520

# Texts for people, which say it elsewhere, and inputs that must be what they are.
NO_LICENCE_LINE = ('COPYING', 'NEWS', 'README', 'README.md', 'tests/fuzz/corpus/')


def tree_files():
    """Returns: the paths of all files of the tree, built ones left out."""
    found = []
    for where, directories, names in os.walk(TREE):
        if where == TREE:
            directories[:] = [name for name in directories
                              if name != '.git' and not name.startswith('build')]
        directories[:] = [name for name in directories if name != '__pycache__']
        found += [os.path.relpath(os.path.join(where, name), TREE) for name in names]
    return sorted(found)


def read(path):
    with open(os.path.join(TREE, path), encoding='utf-8', errors='replace') as file:
        return file.read()


class Lint(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.files = tree_files()
        cls.c_files = [path for path in cls.files if path.endswith(('.c', '.h'))]

    def command(self, *command, quiet=False, **environment):
        """quiet: any output is a failure."""
        done = subprocess.run(command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors='replace', check=False,
                              env={**os.environ, **environment})
        self.assertEqual(done.returncode, 0, done.stdout)
        if quiet:
            self.assertEqual(done.stdout, '')

    def scripts(self, pattern):
        return [path for path in self.files
                if re.match(pattern, read(path).split('\n', 1)[0])]

    def test_clang_format(self):
        self.command('clang-format', '--dry-run', '-Werror', *self.c_files)

    def test_licence(self):
        missing = [path for path in self.files if not path.startswith(NO_LICENCE_LINE) and
                   'SPDX-License-Identifier: LGPL-2.1-or-later' not in
                   '\n'.join(read(path).split('\n')[:5])]
        self.assertEqual(missing, [])

    def test_length(self):
        long = {path: read(path).count('\n') for path in self.c_files
                if read(path).count('\n') > LINES_MAX}
        self.assertEqual(long, {})

    def test_every_c_file_says_what_it_is_for(self):
        without = [path for path in self.c_files if path.endswith('.c') and not re.match(
            r'/\* SPDX-License-Identifier: LGPL-2.1-or-later \*/\n/\*\n \* \S', read(path))]
        self.assertEqual(without, [])

    def test_nothing_is_left_to_do(self):
        marked = [f'{path}: {line.strip()}' for path in self.files
                  if not path.startswith('tests/fuzz/corpus/') for line in read(path).splitlines()
                  if re.search(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b', line)
                  and 'mktemp' not in line]
        # meson's TAP directive is spelt like one of them
        self.assertEqual([line for line in marked if 'SKIP|TO' 'DO' not in line], [])

    def test_white_space(self):
        wrong = [path for path in self.files if not path.startswith('tests/fuzz/corpus/')
                 and path != 'COPYING'
                 and (re.search(r'[ \t]+$', read(path), re.MULTILINE)
                      or (read(path) and not read(path).endswith('\n')) or '\r' in read(path))]
        self.assertEqual(wrong, [])

    def test_shell(self):
        scripts = self.scripts(r'#!.*\b(ba)?sh\b')
        self.assertIn('tests/run', scripts)
        self.command('shellcheck', *scripts)

    def test_python(self):
        self.command('/usr/bin/python3', '-m', 'pyflakes',
                     *[path for path in self.files if path.endswith('.py')])

    def test_manual_pages(self):
        pages = [path for path in self.files if re.match(r'data/man/.*\.[1-8]$', path)]
        self.assertNotEqual(pages, [])
        for page in pages:
            with self.subTest(page=page):
                done = subprocess.run(['man', '--warnings', '-E', 'UTF-8', '-l', page], cwd=TREE,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True, check=False,
                                      env={**os.environ, 'LC_ALL': 'C.UTF-8', 'MANWIDTH': '100'})
                self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_xml(self):
        files = [path for path in self.files
                 if path.endswith('.xml') or read(path).lstrip().startswith('<?xml')]
        self.assertNotEqual(files, [])
        self.command('xmllint', '--nonet', '--noout', *files, quiet=True)

    def test_translations(self):
        for path in glob.glob(os.path.join(TREE, 'po', '*.po')):
            with self.subTest(path=path):
                self.command('msgfmt', '-c', '-o', '/dev/null', path)
                for state in ('--untranslated', '--only-fuzzy', '--only-obsolete'):
                    self.command('msgattrib', state, path, quiet=True)

    def test_every_text_is_in_the_catalog(self):
        """`ninja berth-pot berth-update-po` puts it there."""
        arguments = re.findall(r"'(--(?:keyword|flag|from-code)=[^']+)'", read('po/meson.build'))
        listed = [line for line in read('po/POTFILES').splitlines() if line.endswith('.c')]
        sources = [path for path in self.files if re.match(r'src/ctl/.*\.c$', path)]
        texts = subprocess.run(['xgettext', *arguments, '-o', '-', *sources], cwd=TREE, text=True,
                               stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
        self.assertEqual(sorted(set(re.findall(r'src/ctl/[a-z-]+\.c', texts))), listed)
        for path in glob.glob(os.path.join(TREE, 'po', '*.po')):
            with self.subTest(path=path):
                done = subprocess.run(['msgcmp', path, '-'], cwd=TREE, input=texts, text=True,
                                      capture_output=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_prompts_are_those_of_the_policy(self):
        """polkit.c repeats them, since a message that a service gives overrides the policy's."""
        rows = re.findall(r'{ "([a-z-]+)", +((?:"[^"]*" *)+)}',
                          read('src/daemon/polkit.c').replace('\n', ' '))
        given = {action: ''.join(re.findall(r'"([^"]*)"', text)) for action, text in rows}
        policy = ElementTree.fromstring(read('policy/org.berthd.berth1.policy.in').encode())
        wanted = {action.get('id').rpartition('.')[2]: action.findtext('message')
                  for action in policy.iter('action')}
        self.assertEqual(given, wanted)

    def test_message_ids_have_catalog_entries(self):
        ids = set(re.findall(r'"([0-9a-f]{32})"', read('src/base/messages.h')))
        entries = re.findall(r'^-- ([0-9a-f]{32})$', read('data/berth.catalog'), re.MULTILINE)
        self.assertEqual(set(entries), ids)
        self.assertEqual(len(entries), len(ids))


if __name__ == '__main__':
    unittest.main()
