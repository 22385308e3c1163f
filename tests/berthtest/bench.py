# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scripts in tests/bench have in common: arguments, the build, rows of numbers."""

import argparse
import os
import subprocess

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TREE = os.path.dirname(TESTS)


def section(number, title):
    print(f'\n{number}. {title}\n', flush=True)


def row(label, *cells):
    print(f'   {label:42}' + ''.join(f'{cell:>11}' for cell in cells), flush=True)


def aim(text):
    print(f'   aim: {text}', flush=True)


def microseconds(value):
    return f'{value:.0f} µs' if value < 10000 else f'{value / 1000:.1f} ms'


def seconds(value):
    return f'{value * 1000:.1f} ms' if value < 1 else f'{value:.2f} s'


def build(directory):
    """The build that tests/run makes for what is measured; made here if it is missing."""
    if not os.path.exists(os.path.join(directory, 'build.ninja')):
        subprocess.run(['meson', 'setup', directory, '-Dwerror=true', '--prefix=/usr',
                        '-Dbuildtype=release', '-Db_ndebug=false'], cwd=TREE, check=True,
                       env={**os.environ, 'CC': 'gcc', 'LC_ALL': 'C.UTF-8'},
                       stdout=subprocess.DEVNULL)
    subprocess.run(['ninja', '-C', directory, '-j2'], cwd=TREE, check=True,
                   stdout=subprocess.DEVNULL)


def main(name, description, quick, root, make, sections):
    """Runs a script of tests/bench.

    name: of the script; description: its doc string; quick: what --quick does; root: why it needs
    root; make: a function of `quick` that returns a context manager or any object, the bench;
    sections: names of its methods, the first being section 1. Returns: the exit status.
    """
    numbers = range(1, len(sections) + 1)
    parser = argparse.ArgumentParser(prog=f'tests/bench/{name}', description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help=quick)
    parser.add_argument('--section', type=int, action='append', choices=numbers,
                        help='only this one; may be given several times')
    parser.add_argument('--build', metavar='DIR', default=os.path.join(TREE, 'build', 'plain'),
                        help='build directory (default: build/plain, as tests/run makes it)')
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error(root)
    build(os.path.abspath(options.build))
    os.environ['BERTH_BUILD'] = os.path.abspath(options.build)
    bench = make(options.quick)
    try:
        for number in numbers:
            if not options.section or number in options.section:
                getattr(bench, sections[number - 1])()
    finally:
        getattr(bench, 'close', lambda: None)()
    return 0
