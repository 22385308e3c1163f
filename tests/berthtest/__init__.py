# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Berth's tests stand on: private instances of the service, member processes, leftovers,
registries and what goes wrong with them.

A test module imports the names below and nothing of the modules behind them, so that these can be
rearranged. Run single modules with `tests/run SUITE -k NAME`; by hand, with `PYTHONPATH=tests
BERTH_BUILD=build/asan /usr/bin/python3 -m unittest tests/bus/test_sandboxes.py`.

What talks HTTP lies in modules of which the first paragraph says how each is used: registry.py,
memory.py (another registry), tokens.py (a token server), proxy.py and faults.py (faults.Cut,
faults.Status, …), urls.py (for foreign layers), forward.py (a proxy that clients are told of),
tls.py, images.py, client.py, skopeo.py. containers.py has podman and docker.
"""

from . import contents, faults, images, syscalls
from .calls import (BUS_NAME, Calls, DEADLINE, ERROR, IF_IMAGES, IF_MANAGER, IF_REGISTRIES,
                    IF_SANDBOX, IF_SANDBOXES, IF_TRANSFER, ROOT_PATH, take_fds, vardict)
from .case import BerthTestCase, InstanceTestCase, UserTestCase
from .client import RegistryClient, RegistryError
from .containers import Docker, Podman
from .ctl import CtlTestCase, FakeCtlTestCase
from .curl import CurlTestCase
from .fakeimages import Fail, FakeImages
from .fakestore import FakeStoreTestCase, digest, memfd
from .forward import ForwardProxy
from .hosts import use_hosts
from .images import Blob, FileLayer, Image, Index, Layer, NONDISTRIBUTABLE, write_layout
from .instance import Instance
from .leftovers import (inside_vault, look_into_vault, mounts_below, namespace_references,
                        parse_mountinfo)
from .member import Member, MemberError
from .memory import MemoryRegistry
from .networks import Machine
from .polkit import Polkit
from .proxy import FaultProxy, has
from .pulling import PullTestCase
from .registry import Registry
from .skopeo import skopeo, skopeo_pull, skopeo_push
from .snapshots import SnapshotTestCase
from .terminal import Terminal
from .tls import CA
from .tokens import TokenServer
from .urls import UrlServer
from .user import ALICE, BOB, CAROL, Pending, Race, User, effective, gid_of_name, name_of_uid

__all__ = [
    'ALICE', 'BOB', 'BUS_NAME', 'BerthTestCase', 'Blob', 'CA', 'CAROL', 'Calls', 'CtlTestCase',
    'CurlTestCase', 'DEADLINE', 'Docker', 'ERROR', 'Fail', 'FakeCtlTestCase', 'FakeImages',
    'FakeStoreTestCase', 'FaultProxy', 'FileLayer', 'ForwardProxy', 'IF_IMAGES', 'IF_MANAGER',
    'IF_REGISTRIES', 'IF_SANDBOX', 'IF_SANDBOXES', 'IF_TRANSFER', 'Image', 'Index', 'Instance',
    'InstanceTestCase', 'Layer', 'Machine', 'Member', 'MemberError', 'MemoryRegistry',
    'NONDISTRIBUTABLE', 'Pending', 'Podman', 'Polkit', 'PullTestCase', 'ROOT_PATH', 'Race', 'Registry',
    'RegistryClient', 'RegistryError', 'SnapshotTestCase', 'Terminal', 'TokenServer', 'UrlServer',
    'User', 'UserTestCase', 'contents', 'digest', 'effective', 'faults', 'gid_of_name', 'has', 'images',
    'inside_vault', 'look_into_vault', 'memfd', 'mounts_below', 'name_of_uid',
    'namespace_references', 'parse_mountinfo', 'skopeo', 'skopeo_pull', 'skopeo_push', 'syscalls',
    'take_fds', 'use_hosts', 'vardict', 'write_layout',
]
