# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of berth-checkpoint(7), so that what the manual says is what is tested."""

import os
import re

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def examples():
    """Returns: {heading: [text of each example below it]}."""
    with open(os.path.join(TREE, 'data', 'man', 'berth-checkpoint.7'), encoding='utf-8') as file:
        lines = file.read().splitlines()
    found = {}
    heading = example = None
    for line in lines:
        word, _, rest = line.partition(' ')
        if word in ('.SH', '.SS'):
            heading = rest.strip('"')
        elif word == '.EX':
            example = []
        elif word == '.EE':
            found.setdefault(heading, []).append('\n'.join(example))
            example = None
        elif example is not None:
            example.append(plain(line))
    return found


def plain(line):
    """What man(1) shows of a line."""
    line = re.sub(r'\\f[IBRP]', '', line)
    for escape, text in (('\\-', '-'), ('\\(aq', "'"), ('\\e', '\\')):
        line = line.replace(escape, text)
    return line
