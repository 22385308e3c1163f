# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Berth's tests stand on: private instances of the service, member processes, leftovers.

A test module imports the names below and nothing of the modules behind them, so that these can be
rearranged. Run single modules with `tests/run SUITE -k NAME`; by hand, with `PYTHONPATH=tests
BERTH_BUILD=build/asan /usr/bin/python3 -m unittest tests/bus/test_sandboxes.py`.
"""

from .calls import (BUS_NAME, Calls, DEADLINE, ERROR, IF_MANAGER, IF_REGISTRIES, IF_SANDBOX,
                    IF_SANDBOXES, ROOT_PATH, take_fds, vardict)
from .case import BerthTestCase, InstanceTestCase, UserTestCase
from .ctl import CtlTestCase
from .instance import Instance
from .leftovers import (inside_vault, look_into_vault, mounts_below, namespace_references,
                        parse_mountinfo)
from .member import Member, MemberError
from .polkit import Polkit
from .user import ALICE, BOB, CAROL, Pending, Race, User, effective, gid_of_name, name_of_uid
from . import syscalls

__all__ = [
    'ALICE', 'BOB', 'BUS_NAME', 'BerthTestCase', 'CAROL', 'Calls', 'CtlTestCase', 'DEADLINE', 'ERROR',
    'IF_MANAGER', 'IF_REGISTRIES', 'IF_SANDBOX', 'IF_SANDBOXES', 'Instance', 'InstanceTestCase',
    'Member', 'MemberError', 'Pending', 'Polkit', 'ROOT_PATH', 'Race', 'User', 'UserTestCase',
    'effective', 'gid_of_name', 'inside_vault', 'look_into_vault', 'mounts_below', 'name_of_uid',
    'namespace_references', 'parse_mountinfo', 'syscalls', 'take_fds', 'vardict',
]
