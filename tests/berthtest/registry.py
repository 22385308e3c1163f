# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's docker-registry on a port of the loopback, with a store of its own that tests may damage.

    with Registry() as registry:                          # plain HTTP
        image.push(registry, 'team/app', 'latest')        # see images.py
        berthctl pull f'{registry.host}/team/app:latest'

    Registry(tls=ca)                  https; HTTP/2 too
    Registry(tls=ca, client_ca=ca)    … and clients show certificates
    Registry(htpasswd={'alice': 'secret'})
    Registry(auth=token_server)       see tokens.py
    Registry(allow_urls=['^https?://127']), deny_urls=[…]: what urls pushed manifests may name

In front of it goes a proxy.FaultProxy, where a test counts bytes or makes things fail.

Oddities of docker-registry 2.8: the place of an upload holds its offset, so that a session that was
cut in the middle of a PATCH or PUT is of no use any more (404 BLOB_UPLOAD_INVALID, also for a status
GET); it has no referrers; sha512 blobs are stored by their sha256, manifests have sha256 only; a
descriptor whose urls it does not allow is answered 500; it accepts tokens for 60 s too long.
"""

import contextlib
import ctypes
import glob
import json
import os
import re
import select
import shutil
import subprocess
import tempfile

from . import syscalls
from .calls import DEADLINE
from .client import RegistryClient


def _bcrypt(password):
    """Returns: the hash that htpasswd files of registries have, as cheap as can be."""
    crypt = ctypes.CDLL('libcrypt.so.1').crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), b'$2b$04$' + b'abcdefghijklmnopqrstuu').decode()


class Registry:
    """host: `127.0.0.1:PORT`; scheme; url; ca: path of the PEM file that clients check it with.

    http2, delete, mirror_of (url of a registry that this one is a pull-through cache of) and
    settings ({section: …}, merged over what is made here) go into its configuration.
    """

    def __init__(self, tls=None, client_ca=None, htpasswd=None, auth=None, delete=True,
                 allow_urls=None, deny_urls=None, http2=True, mirror_of=None, address='127.0.0.1',
                 settings=None):
        self.directory = tempfile.mkdtemp(prefix='r', dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        self.storage = self.path('storage')
        self.scheme = 'https' if tls else 'http'
        self.ca = tls.certificate if tls else None
        self.users = dict(htpasswd or {})
        self._address = address
        self._process = None
        self._port = 0
        self._configuration = self._configure(tls, client_ca, auth, delete, allow_urls, deny_urls,
                                              http2, mirror_of)
        for section, values in (settings or {}).items():
            self._configuration.setdefault(section, {}).update(values)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    @property
    def host(self):
        address = f'[{self._address}]' if ':' in self._address else self._address
        return f'{address}:{self._port}'

    @property
    def url(self):
        return f'{self.scheme}://{self.host}'

    def _configure(self, tls, client_ca, auth, delete, allow_urls, deny_urls, http2, mirror_of):
        http = {'secret': 'of the tests'}
        if tls:
            certificate, key = tls.server()
            http['tls'] = {'certificate': certificate, 'key': key}
            if client_ca:
                http['tls']['clientcas'] = [client_ca.certificate]
        if not http2:
            http['http2'] = {'disabled': True}
        storage = {'filesystem': {'rootdirectory': self.storage},
                   'maintenance': {'uploadpurging': {'enabled': False}}}
        if delete:
            storage['delete'] = {'enabled': True}
        found = {'version': '0.1', 'log': {'level': 'info', 'accesslog': {'disabled': True}},
                 'storage': storage, 'http': http}
        if mirror_of:
            found['proxy'] = {'remoteurl': mirror_of}
        if allow_urls is not None or deny_urls is not None:
            found['validation'] = {'manifests': {'urls': {'allow': allow_urls or [],
                                                          'deny': deny_urls or []}}}
        else:
            found['validation'] = {'disabled': True}
        if self.users:
            with open(self.path('htpasswd'), 'w', encoding='utf-8') as file:
                file.writelines(f'{name}:{_bcrypt(password)}\n'
                                for name, password in self.users.items())
            found['auth'] = {'htpasswd': {'realm': 'test', 'path': self.path('htpasswd')}}
        elif auth:
            found['auth'] = {'token': {'realm': auth.realm, 'service': auth.service,
                                       'issuer': auth.issuer, 'rootcertbundle': auth.bundle}}
            self.users = auth.users
        return found

    # The process

    def start(self):
        """Starts it, at the port that it had before, if it ran."""
        self._configuration['http']['addr'] = self.host
        with open(self.path('config.yml'), 'w', encoding='utf-8') as file:
            json.dump(self._configuration, file)  # which is YAML too
        log = os.open(self.path('log'), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        begin = os.fstat(log).st_size
        try:
            self._process = subprocess.Popen(
                ['docker-registry', 'serve', self.path('config.yml')], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=syscalls.die_with_parent,
                env={'PATH': os.environ['PATH'], 'HOME': self.directory})
            self._port = self._await_port(log, begin)
        finally:
            os.close(log)

    def _await_port(self, log, begin):
        exit_fd = os.pidfd_open(self._process.pid)
        try:
            for _ in range(DEADLINE * 200):
                text = os.pread(log, 1 << 20, begin).decode('utf-8', 'replace')
                match = re.search(r'listening on \S*:(\d+)', text)
                if match:
                    return int(match.group(1))
                if select.select([exit_fd], [], [], 0.005)[0]:
                    break
            raise RuntimeError(f'docker-registry does not listen:\n{self.log()}')
        finally:
            os.close(exit_fd)

    def stop(self):
        """Ends it; what it stores stays, and start() brings it back."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self):
        self.stop()
        if not os.environ.get('BERTH_TEST_KEEP'):
            shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.path('log'), encoding='utf-8', errors='replace') as file:
                return file.read()
        return ''

    def client(self, account=None):
        """account: one of its users. Returns: a RegistryClient."""
        return RegistryClient(self.url, self.ca, account and (account, self.users[account]))

    # What it stores

    def blob_path(self, digest):
        """Returns: the path of the file with the blob or manifest, which may not exist."""
        algorithm, _, text = digest.partition(':')
        return os.path.join(self.storage, 'docker/registry/v2/blobs', algorithm, text[:2], text,
                            'data')

    def repository_path(self, repository):
        return os.path.join(self.storage, 'docker/registry/v2/repositories', repository)

    def has_blob(self, digest):
        return os.path.exists(self.blob_path(digest))

    def drop_blob(self, digest):
        """The registry forgets the bytes: 404 for everybody who asks for them."""
        shutil.rmtree(os.path.dirname(self.blob_path(digest)))

    def unlink_blob(self, repository, digest):
        """The registry forgets that the repository has it; others that do keep it."""
        algorithm, _, text = digest.partition(':')
        shutil.rmtree(os.path.join(self.repository_path(repository), '_layers', algorithm, text))

    def corrupt_blob(self, digest, offset=0):
        """Turns one byte around; the length stays."""
        with open(self.blob_path(digest), 'r+b') as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0xff]))

    def truncate_blob(self, digest, length):
        os.truncate(self.blob_path(digest), length)

    def blobs(self):
        """Returns: the digests of all blobs and manifests that it has, sorted."""
        found = glob.glob(os.path.join(self.storage, 'docker/registry/v2/blobs/*/*/*/data'))
        return sorted(f'{path.split("/")[-4]}:{path.split("/")[-2]}' for path in found)

    def repository_blobs(self, repository):
        """Returns: the digests of the layers and configs that the repository has, sorted."""
        found = glob.glob(os.path.join(self.repository_path(repository), '_layers/*/*/link'))
        return sorted(f'{path.split("/")[-3]}:{path.split("/")[-2]}' for path in found)

    def uploads(self, repository):
        """Returns: the ids of the upload sessions that are open."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(os.path.join(self.repository_path(repository), '_uploads')))
        return []

    def uploaded(self, repository, session):
        """Returns: how many bytes of a session's upload have arrived."""
        return os.path.getsize(os.path.join(self.repository_path(repository), '_uploads', session,
                                            'data'))
