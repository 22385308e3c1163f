# SPDX-License-Identifier: LGPL-2.1-or-later
"""Test cases that save and restore sandboxes: self.file is where the archive lies."""

import io
import json
import os
import tarfile
import tempfile

from . import contents
from .case import InstanceTestCase


class SnapshotTestCase(InstanceTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP'))
        self.addCleanup(directory.cleanup)
        self.file = os.path.join(directory.name, 'archive.tar')

    def save(self, path, calls=None, **options):
        """Returns: the path of the archive."""
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            (calls or self.instance).snapshot(path, fd, **options)
        finally:
            os.close(fd)
        return self.file

    def load(self, path, calls=None, file=None, **options):
        fd = os.open(file or self.file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            (calls or self.instance).restore(path, fd, **options)
        finally:
            os.close(fd)

    def index(self):
        with tarfile.open(self.file) as archive:
            return json.load(archive.extractfile('berth-snapshot.json'))

    def end(self):
        with tarfile.open(self.file) as archive:
            return json.load(archive.extractfile('berth-snapshot-end.json'))

    def assertEmpty(self, member):
        self.assertEqual(member.listdir('/dev/shm'), [])
        self.assertEqual(member.do(contents.describe_sysv), {'shm': [], 'sem': [], 'msg': []})
        self.assertEqual(member.do(contents.describe_queues), {})

    def rewrite(self, change, index=None):
        """Writes the archive anew, without a checksum.

        change: gets (TarInfo, data), returns a list of such; index: changes the index in place.
        """
        members = []
        with tarfile.open(self.file) as archive:
            for info in archive:
                file = archive.extractfile(info) if info.isreg() else None
                data = file.read() if file else b''
                if info.sparse:  # written with its holes filled
                    info.sparse = None
                    info.type = tarfile.REGTYPE
                    info.pax_headers = {key: value for key, value in info.pax_headers.items()
                                        if not key.startswith('GNU.sparse')}
                members.append((info, data))
        with tarfile.open(self.file, 'w', format=tarfile.PAX_FORMAT) as archive:
            for info, data in members:
                if info.name == 'berth-snapshot-end.json':
                    data = b'{}'
                elif info.name == 'berth-snapshot.json' and index:
                    parsed = json.loads(data)
                    index(parsed)
                    data = json.dumps(parsed).encode()
                for one, content in change(info, data):
                    if one.isreg():
                        one.size = len(content)
                    archive.addfile(one, io.BytesIO(content))
