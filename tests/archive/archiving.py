# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives for tests: made by hand, entry by entry, and sent through the service.

    archive = Archive().layout({'h.example/a:1': image})          # what an honest tool writes
    archive.file('junk', b'…').link('a', 'b').entry(tarfile.TarInfo(…))
    archive.bytes()
"""

import contextlib
import fcntl
import gzip
import io
import json
import os
import socket
import struct
import tarfile
import termios
import threading

import dbus

from berthtest import IF_IMAGES, IF_TRANSFER, InstanceTestCase, ROOT_PATH, vardict
from berthtest.images import OCI_INDEX

EMPTY = vardict({})
NAME = 'org.opencontainers.image.ref.name'
OVER = ('done', 'failed', 'cancelled')
A, B = 'h.example/a:1', 'h.example/b:1'
ERROR = 'org.berthd.Berth1.Error.'


def data_of(blob):
    return b''.join(blob.chunks())


class Archive:
    """A tar archive in memory."""

    def __init__(self, form=tarfile.GNU_FORMAT):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode='w', format=form)
        self._names = set()

    def entry(self, info, data=b''):
        info.size = info.size or len(data)
        self._tar.addfile(info, io.BytesIO(data) if data else None)
        self._names.add(info.name)
        return self

    def file(self, path, data, **fields):
        info = tarfile.TarInfo(path)
        info.size = len(data)
        for key, value in fields.items():
            setattr(info, key, value)
        return self.entry(info, data)

    def special(self, path, kind, target=''):
        info = tarfile.TarInfo(path)
        info.type, info.linkname = kind, target
        return self.entry(info)

    def raw(self, data):
        """Blocks as they are."""
        self._tar.fileobj.write(data)
        self._tar.offset += len(data)
        return self

    def json(self, path, value):
        return self.file(path, json.dumps(value).encode())

    def blobs(self, *images, foreign=False):
        for image in images:
            for blob in image.blobs().values():
                if (foreign or not blob.nondistributable) and blob.path not in self._names:
                    self.file(blob.path, data_of(blob))
        return self

    def index(self, rows):
        return self.json('oci-layout', {'imageLayoutVersion': '1.0.0'}).json(
            'index.json', {'schemaVersion': 2, 'mediaType': OCI_INDEX, 'manifests': rows})

    def layout(self, images, foreign=False):
        """images: {name or None: Document}"""
        return self.index([row_of(image, name) for name, image in images.items()]).blobs(
            *images.values(), foreign=foreign)

    def docker(self, *images, pack=lambda data: data, edit=lambda rows: None, text=None):
        """images: (tags, Image): as `docker save` writes them, with layers packed by pack.

        text: of manifest.json instead of what edit makes of it.
        """
        rows = []
        for tags, image in images:
            layers = []
            for layer in image.layers:
                path = f'{layer.diff_id[7:]}.tar'
                layers.append(path)
                if path not in self._names:
                    self.file(path, pack(unpacked(layer)))
            config = f'{image.config.digest[7:]}.json'
            if config not in self._names:
                self.file(config, data_of(image.config))
            rows.append({'Config': config, 'RepoTags': tags, 'Layers': layers})
        edit(rows)
        return self.file('manifest.json', text or json.dumps(rows).encode())

    def size(self):
        """Returns: where the next entry would begin."""
        return self._tar.offset

    def bytes(self):
        self._tar.close()
        return self._buffer.getvalue()


def unpacked(layer):
    data = data_of(layer)
    return gzip.decompress(data) if data[:2] == b'\x1f\x8b' else data


def zstd_frame(window_log, pieces):
    """pieces: (byte, count): a frame of blocks that repeat a byte, count times, at most 128 KiB."""
    data = [b'\x28\xb5\x2f\xfd\x00', bytes([window_log - 10 << 3])]
    for number, (byte, count) in enumerate(pieces):
        last = number == len(pieces) - 1
        data.append((count << 3 | 1 << 1 | last).to_bytes(3, 'little') + byte)
    return b''.join(data)


def zstd_raw(window_log, data):
    """A frame that holds data as it is."""
    blocks = [data[at:at + 65536] for at in range(0, len(data), 65536)]
    return b'\x28\xb5\x2f\xfd\x00' + bytes([window_log - 10 << 3]) + b''.join(
        (len(block) << 3 | (number == len(blocks) - 1)).to_bytes(3, 'little') + block
        for number, block in enumerate(blocks))


def row_of(image, name=None):
    row = image.descriptor()
    if name:
        row['annotations'] = {**row.get('annotations', {}), NAME: name}
    return row


def entries_of(data):
    """Returns: {path: bytes} of a tar archive, each path once."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names)), names
        return {name: tar.extractfile(name).read() for name in names}


class ArchiveTestCase(InstanceTestCase):
    """self.store: of an instance whose mock polkit lets everybody import."""

    def setUp(self):
        super().setUp()
        self.authority = self.polkit(import_='yes')
        self.store = os.path.join(self.instance.state, 'store')

    def polkit(self, **answers):
        return super().polkit(**{key.rstrip('_'): value for key, value in answers.items()})

    def images(self, method, signature, *args, who=None):
        return (who or self.instance).call(ROOT_PATH, IF_IMAGES, method, signature, *args)

    def end(self, path):
        self.eventually(lambda: self.instance.get(path, IF_TRANSFER, 'State') in OVER)
        return self.instance.call(path, IF_TRANSFER, 'Describe', '')

    def good(self, path):
        """Returns: what Describe says after the transfer has succeeded."""
        found = self.end(path)
        self.assertEqual((found['State'], found['ErrorMessage']), ('done', ''),
                         self.instance.logs())
        return found

    def bad(self, path, name, message=''):
        found = self.end(path)
        self.assertEqual((found['State'], found['ErrorName'], found['ErrorMessage'] != ''),
                         ('failed', name if '.' in name else ERROR + name, True),
                         found['ErrorMessage'])
        self.assertRegex(found['ErrorMessage'], message or '.')
        self.assertNotRegex(found['ErrorMessage'], '\n')
        return found

    def memfd(self, data):
        fd = os.memfd_create('archive')
        self._write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        self.addCleanup(os.close, fd)
        return fd

    @staticmethod
    def _write(fd, data):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]

    def begin_import(self, source, who=None, **options):
        """source: bytes or an fd."""
        fd = self.memfd(source) if isinstance(source, bytes) else source
        return str(self.images('Import', 'ha{sv}', dbus.types.UnixFd(fd), vardict(options),
                               who=who))

    def bring(self, source, who=None, **options):
        return self.good(self.begin_import(source, who, **options))

    def refuse(self, source, message, name='ArchiveInvalid', who=None, **options):
        """Nothing of it is kept, either."""
        before = self.files()
        found = self.bad(self.begin_import(source, who, **options), name, message)
        self.assertEqual(self.files(), before)
        return found

    def begin_export(self, names, fd, who=None, **options):
        return str(self.images('Export', 'asha{sv}', dbus.Array(names, signature='s'),
                               dbus.types.UnixFd(fd), vardict(options), who=who))

    def export(self, *names, who=None, **options):
        """Returns: the archive's bytes."""
        fd = self.memfd(b'')
        self.good(self.begin_export(names, fd, who, **options))
        os.lseek(fd, 0, os.SEEK_SET)
        with os.fdopen(os.dup(fd), 'rb') as file:
            return file.read()

    def files(self):
        """Returns: what the store holds: paths below it, with index.json's text; no locks."""
        found = set()
        for directory, _, names in os.walk(self.store):
            found.update(os.path.relpath(os.path.join(directory, name), self.store)
                         for name in names if not name.startswith('lock-'))
        text = b''
        with contextlib.suppress(FileNotFoundError), \
                open(os.path.join(self.store, 'index.json'), 'rb') as file:
            text = file.read()
            found.discard('index.json')
        found.discard('oci-layout')
        return found, text if b'sha256' in text else b''

    def rows(self, who=None):
        return [(str(row['Reference']), str(row['Digest']))
                for row in self.images('List', 'a{sv}', EMPTY, who=who)]

    def blobs(self):
        directory = os.path.join(self.store, 'blobs', 'sha256')
        return {'sha256:' + name for name in os.listdir(directory)} \
            if os.path.isdir(directory) else set()

    def has(self, *images):
        self.assertEqual(self.blobs() & {digest for image in images for digest in image.blobs()},
                         {digest for image in images for digest in image.blobs()})


class Feeder:
    """A thread that writes data into fd and closes that; done: all was taken."""

    def __init__(self, fd, data):
        self._fd, self._data, self.done = fd, data, False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            with os.fdopen(self._fd, 'wb', buffering=0) as file:
                view = memoryview(self._data)
                while view:
                    view = view[file.write(view[:65536]):]
            self.done = True
        except BrokenPipeError:
            pass

    def join(self):
        self._thread.join()
        return self.done


class Reader:
    """A thread that reads fd to its end."""

    def __init__(self, fd):
        self._fd, self.data = fd, b''
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with os.fdopen(self._fd, 'rb') as file:
            self.data = file.read()

    def join(self):
        self._thread.join()
        return self.data


def pipe_pair():
    return os.pipe()


def socket_pair():
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def never_wait(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def unread(fd):
    """Returns: bytes that wait in a pipe."""
    return struct.unpack('i', fcntl.ioctl(fd, termios.FIONREAD, b'\0' * 4))[0]
