# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where names lead, for a test module and all that it starts.

Call use_hosts() in setUpModule: from there on the process has a mount namespace of its own, in which
names are looked up in the given text and nowhere else.
"""

import atexit
import os
import shutil
import tempfile

from . import syscalls


def use_hosts(text):
    """text: of /etc/hosts."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, '/', None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    directory = tempfile.mkdtemp(prefix='h', dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.chmod(directory, 0o755)
    for name, content in (('hosts', text), ('host.conf', 'multi on\n'),
                          ('nsswitch.conf', 'hosts: files\n')):
        path = os.path.join(directory, name)
        with open(path, 'w', encoding='ascii') as file:
            file.write(content)
        os.chmod(path, 0o644)
        syscalls.mount(path, f'/etc/{name}', None, syscalls.MS_BIND)
