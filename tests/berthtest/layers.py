# SPDX-License-Identifier: LGPL-2.1-or-later
"""Blobs of images: bytes, and layers of any size made from a seed.

A layer is a real one, which tools unpack: a tar with one file of random bytes, framed as gzip or
zstd that does not compress (so that making 1 GiB takes seconds), of exactly the size asked for. The
same arguments make the same bytes. Only a `.tar` whose size is no multiple of 512 is mere noise.
"""

import base64
import functools
import hashlib
import io
import random
import struct
import tarfile
import zlib

OCI = 'application/vnd.oci.image.'
DOCKER = 'application/vnd.docker.'
LAYER_TAR = OCI + 'layer.v1.tar'
LAYER_GZIP = LAYER_TAR + '+gzip'
LAYER_ZSTD = LAYER_TAR + '+zstd'
DOCKER_LAYER = DOCKER + 'image.rootfs.diff.tar.gzip'
NONDISTRIBUTABLE = (
    OCI + 'layer.nondistributable.v1.tar', OCI + 'layer.nondistributable.v1.tar+gzip',
    OCI + 'layer.nondistributable.v1.tar+zstd', DOCKER + 'image.rootfs.foreign.diff.tar',
    DOCKER + 'image.rootfs.foreign.diff.tar.gzip')
FOREIGN_OCI, FOREIGN_DOCKER = NONDISTRIBUTABLE[1], NONDISTRIBUTABLE[4]

_PIECE = 1 << 20
_CACHED = 4 << 20  # layers up to this size are kept in memory once they were made
_STORED = 65535    # the most that one stored block of deflate holds
_RAW = 128 << 10   # and a raw block of zstd
_TAR_END = 1024


def _random(seed, size):
    source = random.Random(f'berth {seed}')
    while size > 0:
        yield source.randbytes(min(size, _PIECE))
        size -= _PIECE


def _tar_size(content):
    return 512 + -(-content // 512) * 512 + _TAR_END


def _tar(seed, content):
    """Yields a tar with a file of so many random bytes."""
    info = tarfile.TarInfo(f'data-{seed}')
    info.size = content
    info.mode = 0o644
    yield info.tobuf(tarfile.USTAR_FORMAT)
    yield from _random(seed, content)
    yield b'\0' * (-content % 512 + _TAR_END)


def _blocks(parts, size):
    """Yields the bytes of parts again, in blocks of size; only the last may be shorter."""
    kept = b''
    for part in parts:
        kept += part
        whole = len(kept) - len(kept) % size
        for offset in range(0, whole, size):
            yield kept[offset:offset + size]
        kept = kept[whole:]
    if kept:
        yield kept


def _gzip_head(padding):
    return struct.pack('<BBBBIBBH', 0x1f, 0x8b, 8, 4, 0, 0, 255, padding) + b'\0' * padding


def _gzip_stored(seed, size):
    content = (size - 20 - 512 - _TAR_END) // 512 * 512
    while True:
        tar = _tar_size(content)
        padding = size - 20 - tar - 5 * -(-tar // _STORED)
        if padding >= 0:
            break
        content -= 512
    yield _gzip_head(padding)
    crc, left = 0, tar
    for block in _blocks(_tar(seed, content), _STORED):
        left -= len(block)
        crc = zlib.crc32(block, crc)
        yield struct.pack('<BHH', left == 0, len(block), len(block) ^ 0xffff) + block
    yield struct.pack('<II', crc, tar & 0xffffffff)


def _gzip_small(seed, size):
    content = max(0, size - 300)
    data = b''.join(_tar(seed, content))
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(data) + deflate.flush()
    padding = size - 20 - len(packed)
    if padding < 0:
        raise ValueError(f'no gzip of a tar has only {size} bytes')
    yield _gzip_head(padding) + packed + struct.pack('<II', zlib.crc32(data), len(data))


def _zstd(seed, size):
    content = (size - 6 - 512 - _TAR_END) // 512 * 512
    while True:
        if content < 0:
            raise ValueError(f'no zstd made here has only {size} bytes')
        tar = _tar_size(content)
        rest = size - 6 - tar - 3 * -(-tar // _RAW)
        if rest == 0 or rest >= 8:
            break
        content -= 512
    yield b'\x28\xb5\x2f\xfd\x00\x58'  # no content size, a window of 2 MiB
    left = tar
    for block in _blocks(_tar(seed, content), _RAW):
        left -= len(block)
        yield (len(block) << 3 | (left == 0)).to_bytes(3, 'little') + block
    if rest:
        yield struct.pack('<II', 0x184d2a50, rest - 8) + b'\0' * (rest - 8)  # a skippable frame


def _layer(seed, size, media_type):
    if media_type.endswith('gzip'):
        return _gzip_stored(seed, size) if size >= 4096 else _gzip_small(seed, size)
    if media_type.endswith('zstd'):
        return _zstd(seed, size)
    if size % 512 == 0 and size >= _tar_size(0):
        return _tar(seed, size - _tar_size(0))
    return _random(seed, size)


class Blob:
    """data: bytes, or None in a subclass that makes them. algorithm: `sha256` or `sha512`.

    digest, size and media_type are those of the descriptor; urls, annotations and embed (put the
    bytes into the field `data`; or these wrong bytes) go into it.
    """

    def __init__(self, data, media_type, urls=(), algorithm='sha256', annotations=None, embed=None):
        self._data = data
        self.media_type = media_type
        self.urls = list(urls)
        self.algorithm = algorithm
        self.annotations = annotations
        self.embed = embed

    def chunks(self):
        """Yields the bytes."""
        yield self._data

    @property
    def data(self):
        return self._data if self._data is not None else b''.join(self.chunks())

    @property
    def size(self):
        return len(self._data)

    @functools.cached_property
    def digest(self):
        return digest_of(self.chunks(), self.algorithm)

    @property
    def path(self):
        """Returns: its path in an OCI layout."""
        return 'blobs/' + self.digest.replace(':', '/')

    @property
    def nondistributable(self):
        return self.media_type in NONDISTRIBUTABLE

    def descriptor(self):
        found = {'mediaType': self.media_type, 'digest': self.digest, 'size': self.size}
        if self.urls:
            found['urls'] = self.urls
        if self.annotations:
            found['annotations'] = self.annotations
        if self.embed:
            data = self.data if self.embed is True else self.embed
            found['data'] = base64.b64encode(data).decode()
        return found


class Layer(Blob):
    """size: bytes of the blob, which is compressed or not as media_type says; seed: anything.

    With a foreign media type, see NONDISTRIBUTABLE, and urls it is a foreign layer.
    """

    def __init__(self, size, seed=0, media_type=LAYER_GZIP, **kwargs):
        super().__init__(None, media_type, **kwargs)
        self._size = size
        self._seed = seed
        if size <= _CACHED:
            self._data = b''.join(_layer(seed, size, media_type))

    @property
    def size(self):
        return self._size

    def chunks(self):
        if self._data is not None:
            yield self._data
        else:
            yield from _layer(self._seed, self._size, self.media_type)

    @functools.cached_property
    def diff_id(self):
        """Returns: the digest of the tar in it."""
        if self.media_type.endswith('gzip'):
            return digest_of(_gunzip(self.chunks()))
        if self.media_type.endswith('zstd'):
            return digest_of(_unzstd(self.chunks()))
        return digest_of(self.chunks())


class FileLayer(Layer):
    """A gzip layer with such files: {path: bytes}, for what is to be unpacked and looked at."""

    def __init__(self, files, media_type=LAYER_GZIP, **kwargs):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w', format=tarfile.USTAR_FORMAT) as tar:
            for path, content in sorted(files.items()):
                info = tarfile.TarInfo(path)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
        data = deflate.compress(buffer.getvalue()) + deflate.flush()
        super().__init__(len(data), None, 'raw', **kwargs)
        self._data, self.media_type = data, media_type


def digest_of(data, algorithm='sha256'):
    """data: bytes, or an iterable of them."""
    summer = hashlib.new(algorithm)
    for part in [data] if isinstance(data, bytes) else data:
        summer.update(part)
    return f'{algorithm}:{summer.hexdigest()}'


def _gunzip(parts):
    inflate = zlib.decompressobj(31)
    for part in parts:
        yield inflate.decompress(part)
    yield inflate.flush()


def _unzstd(parts):
    """Yields what _zstd() put into raw blocks."""
    data = memoryview(b''.join(parts))
    offset, last = 6, 0
    while not last:
        header = int.from_bytes(data[offset:offset + 3], 'little')
        last, length = header & 1, header >> 3
        yield bytes(data[offset + 3:offset + 3 + length])
        offset += 3 + length
