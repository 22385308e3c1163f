# SPDX-License-Identifier: LGPL-2.1-or-later
"""A registry's client that does what it is told: it puts and gets documents as they are.

Tests fill registries with it, also with what no honest client would push, and look at what is there.
It must stay simple: no retries, no checks of what it is given.
"""

import base64
import hashlib
import http.client
import json
import re
import ssl
import urllib.parse

from .calls import DEADLINE

MANIFEST_TYPES = ', '.join((
    'application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.index.v1+json',
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.distribution.manifest.list.v2+json'))


class RegistryError(Exception):
    """status, body: of the answer that was not one of success."""

    def __init__(self, what, status, body):
        super().__init__(f'{what}: {status} {body.decode("utf-8", "replace")}')
        self.status, self.body = status, body


class RegistryClient:
    """url: scheme, host and port; ca: path of a PEM file; account: (name, password), or None."""

    def __init__(self, url, ca=None, account=None):
        self._url = urllib.parse.urlsplit(url)
        self._context = ssl.create_default_context(cafile=ca) if ca else None
        self._account = account
        self._tokens = {}

    def _connect(self, url):
        if url.scheme == 'https':
            return http.client.HTTPSConnection(url.netloc, timeout=DEADLINE, context=self._context)
        return http.client.HTTPConnection(url.netloc, timeout=DEADLINE)

    def _once(self, url, method, body, headers):
        connection = self._connect(url)
        try:
            target = url.path + ('?' + url.query if url.query else '')
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def _basic(self):
        text = base64.b64encode(':'.join(self._account).encode()).decode()
        return f'Basic {text}'

    def _authorize(self, challenge):
        """Returns: the Authorization that answers a WWW-Authenticate."""
        if challenge.lower().startswith('basic'):
            return self._basic()
        words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if challenge not in self._tokens:
            query = {key: words[key] for key in ('service', 'scope') if key in words}
            url = urllib.parse.urlsplit(words['realm'] + '?' + urllib.parse.urlencode(query))
            headers = {'Authorization': self._basic()} if self._account else {}
            status, _, body = self._once(url, 'GET', None, headers)
            if status != 200:
                raise RegistryError(f'GET {words["realm"]}', status, body)
            found = json.loads(body)
            self._tokens[challenge] = found.get('token') or found['access_token']
        return f'Bearer {self._tokens[challenge]}'

    def request(self, method, target, body=None, headers=None, check=True):
        """target: `/v2/…`, or a URL. body: bytes, or a function that returns a new iterable of them.

        Returns: status, headers, body. Raises RegistryError for a status from 400 on, if check.
        """
        url = urllib.parse.urlsplit(urllib.parse.urljoin(self._url.geturl(), target))
        headers = dict(headers or {})
        for _ in range(2):
            status, answer, data = self._once(url, method, body() if callable(body) else body,
                                              headers)
            challenge = answer['WWW-Authenticate']
            if status != 401 or 'Authorization' in headers or not challenge or \
                    challenge.lower().startswith('basic') and not self._account:
                break
            headers['Authorization'] = self._authorize(challenge)
        if check and status >= 400:
            raise RegistryError(f'{method} {target}', status, data)
        return status, answer, data

    # Blobs

    def has_blob(self, repository, digest):
        return self.request('HEAD', f'/v2/{repository}/blobs/{digest}', check=False)[0] == 200

    def put_blob(self, repository, blob):
        """blob: bytes, or an images.Blob. Returns: the digest."""
        if isinstance(blob, bytes):
            digest, size, body = f'sha256:{hashlib.sha256(blob).hexdigest()}', len(blob), blob
        else:
            digest, size, body = blob.digest, blob.size, blob.chunks
        _, headers, _ = self.request('POST', f'/v2/{repository}/blobs/uploads/')
        place = headers['Location']
        place += ('&' if '?' in place else '?') + 'digest=' + urllib.parse.quote(digest)
        self.request('PUT', place, body, {'Content-Type': 'application/octet-stream',
                                          'Content-Length': str(size)})
        return digest

    def get_blob(self, repository, digest):
        return self.request('GET', f'/v2/{repository}/blobs/{digest}')[2]

    # Manifests

    def put_manifest(self, repository, reference, document, media_type):
        """reference: a tag or a digest; document: bytes. Returns: the digest that the registry says."""
        _, headers, _ = self.request('PUT', f'/v2/{repository}/manifests/{reference}', document,
                                     {'Content-Type': media_type})
        return headers['Docker-Content-Digest']

    def get_manifest(self, repository, reference):
        """Returns: the document, its media type."""
        _, headers, body = self.request('GET', f'/v2/{repository}/manifests/{reference}',
                                        headers={'Accept': MANIFEST_TYPES})
        return body, headers['Content-Type']

    def delete_manifest(self, repository, digest):
        self.request('DELETE', f'/v2/{repository}/manifests/{digest}')

    def tags(self, repository):
        """Returns: the names; none where there is no such repository."""
        status, _, body = self.request('GET', f'/v2/{repository}/tags/list', check=False)
        return sorted(json.loads(body).get('tags') or []) if status == 200 else []
