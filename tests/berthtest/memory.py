# SPDX-License-Identifier: LGPL-2.1-or-later
"""A registry of the tests' own, in memory, that does what docker-registry 2.8 does not.

    with MemoryRegistry() as registry, FaultProxy(registry) as proxy:
        image.push(registry, 'team/app', 'latest')

An upload that broke off goes on where it broke off: what arrived is kept, and a GET of its place
tells how much. There are referrers, manifests by sha512, chunks of a least size, pages of tags, and
a limit of room. Every request is recorded, see wire.Server. It must refuse what the distribution
specification forbids, above all a manifest whose blobs it has not; and it knows no credentials.

    minimum_chunk: bytes of every chunk but the last, which it says with OCI-Chunk-Min-Length
    room: bytes of all blobs together, then 507      relative: Locations without a host
    referrers: False: no such API, 404               mounts: False: 202 instead of 201
    sessions: {id: Session} of uploads that are open; clear() it, and they are lost
"""

import json
import re
import urllib.parse
import uuid

from .client import RegistryClient
from .layers import NONDISTRIBUTABLE, digest_of
from .message import Response
from .urls import ranged
from .wire import Server

OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
_DIGEST = re.compile(r'sha256:[0-9a-f]{64}$|sha512:[0-9a-f]{128}$')
_PATH = re.compile(r'/v2/(.+)/(blobs/uploads|blobs|manifests|tags|referrers)/([^/]*)$')


class Session:
    """An upload: data so far; chunks: the sizes of the PATCHes."""

    def __init__(self, repository):
        self.repository = repository
        self.data = bytearray()
        self.chunks = []


class Refusal(Exception):
    def __init__(self, status, code, headers=(), detail=''):
        super().__init__(code)
        self.status, self.code, self.headers, self.detail = status, code, dict(headers), detail


class MemoryRegistry(Server):
    def __init__(self, tls=None, address='127.0.0.1', minimum_chunk=0, room=None, relative=False,
                 referrers=True, mounts=True):
        self.ca = getattr(tls, 'certificate', None)
        self.minimum_chunk, self.room, self.relative = minimum_chunk, room, relative
        self.referrers, self.mounts = referrers, mounts
        self.data = {}          # digest: bytes of a blob or manifest
        self.repositories = {}  # name: {digest of a blob}
        self.manifests = {}     # (name, digest or tag): (digest, media type)
        self.sessions = {}
        super().__init__(tls, address)

    def client(self, account=None):
        return RegistryClient(self.url, self.ca)

    # What it has

    def blobs(self):
        """Returns: the digests of all blobs and manifests."""
        return sorted(self.data)

    def has_blob(self, digest):
        return digest in self.data

    def repository_blobs(self, repository):
        return sorted(self.repositories.get(repository, ()))

    def drop_blob(self, digest):
        """It is forgotten, in every repository."""
        self.data.pop(digest, None)
        for digests in self.repositories.values():
            digests.discard(digest)

    def used(self):
        """Returns: bytes of all that is stored, uploads included."""
        return (sum(map(len, list(self.data.values())))
                + sum(len(session.data) for session in list(self.sessions.values())))

    # Requests

    def answer(self, request, record):
        if request.path == '/v2/':
            return Response(200, {'Content-Type': 'application/json'}, b'{}')
        match = _PATH.match(request.path)
        if not match:
            return self._refuse(Refusal(404, 'NAME_UNKNOWN'))
        repository, kind, rest = match.groups()
        kind = kind.rpartition('/')[2]
        method = {'HEAD': 'get'}.get(request.method, request.method.lower())
        function = getattr(self, f'_{method}_{kind}', None)
        if function is None:
            return self._refuse(Refusal(405, 'UNSUPPORTED'))
        try:
            return function(request, repository, rest)
        except Refusal as refusal:
            return self._refuse(refusal)

    @staticmethod
    def _refuse(refusal):
        body = {'errors': [{'code': refusal.code, 'message': refusal.code.lower(),
                            'detail': refusal.detail}]}
        return Response(refusal.status, {**refusal.headers, 'Content-Type': 'application/json'},
                        json.dumps(body).encode())

    @staticmethod
    def _checked(digest):
        if not _DIGEST.match(digest):
            raise Refusal(400, 'DIGEST_INVALID')
        return digest

    # Blobs

    def _get_blobs(self, request, repository, digest):
        if self._checked(digest) not in self.repositories.get(repository, ()):
            raise Refusal(404, 'BLOB_UNKNOWN', detail=digest)
        return ranged(request, self.data[digest],
                      {'Content-Type': 'application/octet-stream', 'Docker-Content-Digest': digest})

    def _delete_blobs(self, _request, repository, digest):
        self.repositories.get(repository, set()).discard(self._checked(digest))
        return Response(202)

    def _keep(self, repository, digest, data):
        if digest_of(bytes(data), digest.partition(':')[0]) != digest:
            raise Refusal(400, 'DIGEST_INVALID', detail=digest)
        self.data[digest] = bytes(data)
        self.repositories.setdefault(repository, set()).add(digest)

    def _place(self, request, path):
        if self.relative:
            return path
        return f'{self._seen_scheme(request)}://{request.headers.get("Host", self.host)}{path}'

    def _seen_scheme(self, request):
        return request.headers.get('X-Forwarded-Proto', self.scheme)

    def _stored(self, request, repository, digest):
        return Response(201, {'Docker-Content-Digest': digest, 'Location':
                              self._place(request, f'/v2/{repository}/blobs/{digest}')})

    # Uploads

    def _state(self, request, number, session, status):
        # a query of its own, which clients must keep
        headers = {'Location': self._place(
            request, f'/v2/{session.repository}/blobs/uploads/{number}?state=kept'),
                   'Range': f'0-{max(0, len(session.data) - 1)}', 'Docker-Upload-UUID': number}
        if self.minimum_chunk:
            headers['OCI-Chunk-Min-Length'] = self.minimum_chunk
        return Response(status, headers)

    def _session(self, request, repository, number):
        session = self.sessions.get(number)
        if not session or session.repository != repository or request.query.get('state') != 'kept':
            raise Refusal(404, 'BLOB_UPLOAD_UNKNOWN', detail=number)
        return session

    def _post_uploads(self, request, repository, _rest):
        query = request.query
        if 'mount' in query and self.mounts:
            digest = self._checked(query['mount'])
            if digest in self.repositories.get(query.get('from'), ()):
                self.repositories.setdefault(repository, set()).add(digest)
                return self._stored(request, repository, digest)
        session = Session(repository)
        if 'digest' in query:
            digest = self._checked(query['digest'])
            self._append(session, request)
            self._keep(repository, digest, session.data)
            return self._stored(request, repository, digest)
        number = uuid.uuid4().hex
        self.sessions[number] = session
        return self._state(request, number, session, 202)

    def _append(self, session, request):
        for data in request.body:
            if self.room is not None and self.used() + len(data) > self.room:
                raise Refusal(507, 'UNKNOWN', detail='no space left on device')
            session.data += data

    def _check_offset(self, request, number, session):
        offset = re.match(r'(\d+)-(\d+)$', request.headers.get('Content-Range', ''))
        if 'Content-Range' in request.headers and \
                (not offset or int(offset.group(1)) != len(session.data)):
            state = self._state(request, number, session, 416)
            raise Refusal(416, 'RANGE_INVALID', state.headers)

    def _patch_uploads(self, request, repository, number):
        session = self._session(request, repository, number)
        self._check_offset(request, number, session)
        if session.chunks and session.chunks[-1] < self.minimum_chunk:
            raise Refusal(400, 'BLOB_UPLOAD_INVALID', detail='the last chunk was too short')
        before = len(session.data)
        self._append(session, request)
        session.chunks.append(len(session.data) - before)
        return self._state(request, number, session, 202)

    def _put_uploads(self, request, repository, number):
        session = self._session(request, repository, number)
        digest = self._checked(request.query.get('digest', ''))
        self._check_offset(request, number, session)
        self._append(session, request)
        self.sessions.pop(number, None)
        self._keep(repository, digest, session.data)
        return self._stored(request, repository, digest)

    def _get_uploads(self, request, repository, number):
        return self._state(request, number, self._session(request, repository, number), 204)

    def _delete_uploads(self, request, repository, number):
        self._session(request, repository, number)
        self.sessions.pop(number, None)
        return Response(204)

    # Manifests

    def _get_manifests(self, request, repository, reference):
        digest, media_type = self.manifests.get((repository, reference), (None, None))
        if digest is None:
            raise Refusal(404, 'MANIFEST_UNKNOWN', detail=reference)
        return Response(200, {'Content-Type': media_type, 'Docker-Content-Digest': digest},
                        self.data[digest])

    def _put_manifests(self, request, repository, reference):
        document = b''.join(request.body)
        algorithm = reference.partition(':')[0] if _DIGEST.match(reference) else 'sha256'
        digest = digest_of(document, algorithm)
        if ':' in reference and reference != digest:
            raise Refusal(400, 'DIGEST_INVALID', detail=reference)
        try:
            fields = json.loads(document)
        except ValueError:
            raise Refusal(400, 'MANIFEST_INVALID') from None
        self._check_complete(repository, fields)
        found = (digest, request.headers.get('Content-Type'))
        self.data[digest] = document
        self.manifests[repository, digest] = self.manifests[repository, reference] = found
        headers = {'Docker-Content-Digest': digest, 'Location':
                   self._place(request, f'/v2/{repository}/manifests/{digest}')}
        if 'subject' in fields and self.referrers:
            headers['OCI-Subject'] = fields['subject']['digest']
        return Response(201, headers)

    def _check_complete(self, repository, fields):
        blobs = [row for row in [fields.get('config'), *fields.get('layers', [])] if row]
        missing = [row['digest'] for row in blobs if row['mediaType'] not in NONDISTRIBUTABLE
                   and row['digest'] not in self.repositories.get(repository, ())]
        missing += [row['digest'] for row in fields.get('manifests', [])
                    if (repository, row['digest']) not in self.manifests]
        if missing:
            raise Refusal(400, 'MANIFEST_BLOB_UNKNOWN', detail=missing)

    def _delete_manifests(self, _request, repository, reference):
        digest = self.manifests.get((repository, reference), (None,))[0]
        for name in [name for name, found in self.manifests.items()
                     if name[0] == repository and found[0] == digest]:
            del self.manifests[name]
        return Response(202)

    def _get_tags(self, request, repository, _rest):
        tags = sorted(name for place, name in list(self.manifests)
                      if place == repository and ':' not in name)
        rest = [tag for tag in tags if tag > request.query.get('last', '')]
        page = rest[:int(request.query.get('n', len(rest) or 1))]
        headers = {'Content-Type': 'application/json'}
        if len(page) < len(rest):
            query = urllib.parse.urlencode({'n': len(page), 'last': page[-1]})
            headers['Link'] = f'</v2/{repository}/tags/list?{query}>; rel="next"'
        return Response(200, headers, json.dumps({'name': repository, 'tags': page}).encode())

    def _get_referrers(self, request, repository, digest):
        if not self.referrers:
            raise Refusal(404, 'NAME_UNKNOWN')
        wanted = request.query.get('artifactType')
        rows = {}
        for (place, _), (found, media_type) in list(self.manifests.items()):
            fields = json.loads(self.data[found])
            if place == repository and fields.get('subject', {}).get('digest') == digest:
                kind = fields.get('artifactType') or fields.get('config', {}).get('mediaType')
                if not wanted or kind == wanted:
                    rows[found] = {'mediaType': media_type, 'digest': found,
                                   'size': len(self.data[found]), 'artifactType': kind}
        headers = {'Content-Type': OCI_INDEX}
        if wanted:
            headers['OCI-Filters-Applied'] = 'artifactType'
        body = {'schemaVersion': 2, 'mediaType': OCI_INDEX, 'manifests': list(rows.values())}
        return Response(200, headers, json.dumps(body).encode())
