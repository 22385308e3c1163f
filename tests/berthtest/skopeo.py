# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's skopeo, the peer that the tests compare with, in a home directory of its own.

    skopeo('inspect', '--tls-verify=false', f'docker://{registry.host}/team/app:latest')
    skopeo_push(image, registry, 'team/app', 'latest', directory)
    layout = skopeo_pull(registry, 'team/app:latest', directory)
"""

import os
import subprocess
import tempfile

from . import syscalls
from .images import write_layout

PATIENCE = 300  # seconds


def skopeo(*arguments, check=True, timeout=PATIENCE):
    """Returns: subprocess.CompletedProcess with text output."""
    with tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP', '/tmp')) as home:
        done = subprocess.run(
            ['skopeo', '--insecure-policy', f'--tmpdir={home}', *arguments],
            env={'PATH': os.environ['PATH'], 'HOME': home, 'XDG_RUNTIME_DIR': home},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=timeout, preexec_fn=syscalls.die_with_parent)
    if check and done.returncode != 0:
        raise AssertionError(f'skopeo {" ".join(arguments)} ended with {done.returncode}:\n'
                             f'{done.stdout}{done.stderr}')
    return done


def _credentials(kind, registry, account):
    return [f'--{kind}-creds={account}:{registry.users[account]}'] if account else []


def skopeo_push(image, registry, repository, tag, directory, account=None, options=()):
    """Pushes an image or an index by way of an OCI layout that it writes to directory.

    Its layers stay as they are; foreign ones skopeo leaves out. Returns: `HOST/REPOSITORY:TAG`.
    """
    write_layout(directory, {tag: image})
    name = f'{registry.host}/{repository}:{tag}'
    skopeo('copy', '--all', '--preserve-digests', '--dest-tls-verify=false',
           *_credentials('dest', registry, account), *options, f'oci:{directory}:{tag}',
           f'docker://{name}')
    return name


def skopeo_pull(registry, reference, directory, account=None, options=()):
    """reference: `REPOSITORY:TAG` or `REPOSITORY@DIGEST`. Returns: directory, now an OCI layout."""
    skopeo('copy', '--src-tls-verify=false', *_credentials('src', registry, account), *options,
           f'docker://{registry.host}/{reference}', f'oci:{directory}:pulled')
    return directory
