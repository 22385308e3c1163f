# SPDX-License-Identifier: LGPL-2.1-or-later
"""cppcheck and clang-tidy find nothing. What they look for: .clang-tidy, cppcheck-suppressions.txt"""

import concurrent.futures
import json
import os
import subprocess
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TREE = os.path.dirname(TESTS)


class Analysis(unittest.TestCase):
    def test_cppcheck(self):
        done = subprocess.run(
            ['cppcheck', '--quiet', '--std=c11', '--library=gtk', '--inline-suppr',
             '--enable=warning,performance,portability,style', '--error-exitcode=1', '-D_GNU_SOURCE',
             '-DG_DEFINE_QUARK(name,function)=', '-DSD_BUS_PARAM(name)=#name', '-Isrc',
             f'--suppressions-list={os.path.join(TESTS, "cppcheck-suppressions.txt")}',
             'src', 'tests'], cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout, '')

    def test_clang_tidy(self):
        build = os.environ['BERTH_BUILD']
        with open(os.path.join(build, 'compile_commands.json'), encoding='utf-8') as file:
            units = sorted({os.path.realpath(os.path.join(entry['directory'], entry['file']))
                            for entry in json.load(file)})

        def check(unit):
            done = subprocess.run(['clang-tidy', '--quiet', '-p', build, unit], cwd=TREE,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=False)
            return unit, done.returncode, done.stdout + done.stderr

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for unit, status, output in pool.map(check, units):
                with self.subTest(unit=os.path.relpath(unit, TREE)):
                    self.assertEqual(status, 0, output)


if __name__ == '__main__':
    unittest.main()
