# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who still holds a mount or a namespace: nothing of a removed sandbox may be found anywhere."""

import glob
import json
import os
import re

from . import syscalls


def _unescape(field):
    return re.sub(r'\\([0-7]{3})', lambda m: chr(int(m.group(1), 8)), field)


def parse_mountinfo(text):
    """Returns: a list of dicts: root, target, tags (shared:N and the like), fstype, source, device."""
    rows = []
    for line in text.splitlines():
        left, right = line.split(' - ', 1)
        fields, (fstype, source, options) = left.split(' '), right.split(' ', 2)
        rows.append({'id': int(fields[0]), 'device': fields[2], 'root': _unescape(fields[3]),
                     'target': _unescape(fields[4]), 'options': fields[5].split(','),
                     'tags': fields[6:], 'fstype': fstype, 'source': _unescape(source),
                     'super': options.split(',')})
    return rows


def mounts_below(directory, process='self'):
    """Returns: the mounts at or below directory in the mount namespace of process."""
    with open(f'/proc/{process}/mountinfo', encoding='utf-8') as file:
        rows = parse_mountinfo(file.read())
    return [row for row in rows
            if row['target'] == directory or row['target'].startswith(directory + '/')]


def namespace_references(kind, inode, extra=()):
    """Finds what keeps a namespace: member processes, open files, mounts in any mount namespace.

    extra: (label, mountinfo text) of mount namespaces that no process is in.
    Returns: a list of human-readable places.
    """
    wanted = f'{kind}:[{inode}]'
    found = []
    seen = set()

    def look_at_mounts(label, text):
        found.extend(f'mount {row["target"]} in {label}' for row in parse_mountinfo(text)
                     if row['fstype'] == 'nsfs' and row['root'] == wanted)

    for task in glob.glob('/proc/[0-9]*/task/[0-9]*'):
        try:
            if os.readlink(f'{task}/ns/{kind}') == wanted:
                found.append(f'member {task}')
            mount_namespace = os.readlink(f'{task}/ns/mnt')
            if mount_namespace not in seen:
                seen.add(mount_namespace)
                with open(f'{task}/mountinfo', encoding='utf-8') as file:
                    look_at_mounts(f'{mount_namespace} of {task}', file.read())
            for entry in os.scandir(f'{task}/fd'):
                if os.readlink(entry.path) == wanted:
                    found.append(f'open file {entry.path}')
        except OSError:
            continue  # the process went away meanwhile
    for label, text in extra:
        look_at_mounts(label, text)
    return found


def look_into_vault(pin):
    """Enters the mount namespace that is pinned at a path, in a child, and looks around.

    Returns: (text of its mountinfo, sorted paths of all in it but the contents of sandboxes).
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespace = os.open(pin, os.O_RDONLY)
            proc = os.open('/proc', os.O_RDONLY | os.O_DIRECTORY)  # there is none in the vault
            syscalls.setns(namespace, syscalls.CLONE_NEWNS)
            with open(os.open('self/mountinfo', os.O_RDONLY, dir_fd=proc), encoding='utf-8') as file:
                text = file.read()
            files = []
            for where, directories, names in os.walk('/'):
                files += [os.path.join(where, name) for name in directories + names]
                directories[:] = [name for name in directories
                                  if not os.path.ismount(os.path.join(where, name))]
            with os.fdopen(writer, 'w') as pipe:
                json.dump([text, sorted(files)], pipe)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise AssertionError(f'cannot look into the vault at {pin}')
    text, files = json.loads(answer)
    return text, files


def inside_vault(pin, function):
    """Runs function in a child in the mount namespace that is pinned at a path; / is the vault.

    For the state that an older version, a crash or a damage leaves.
    """
    child = os.fork()
    if child == 0:
        try:
            syscalls.setns(os.open(pin, os.O_RDONLY), syscalls.CLONE_NEWNS)
            function()
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise AssertionError(f'what was to be done in the vault at {pin} failed')
