# SPDX-License-Identifier: LGPL-2.1-or-later
"""A proxy of the other kind: the one that clients are told to use, in settings or environment.

    with ForwardProxy(users={'alice': 'secret'}, names={'registry.test:443': registry.host}) as proxy:
        ... Proxy=http://alice:secret@{proxy.host} ...
        proxy.targets                           # ['registry.test:443', …], what it was asked for

names: {HOST:PORT that is asked for: HOST:PORT that is meant}: names need not exist anywhere.
It knows CONNECT and absolute URLs, and with users Basic credentials.
"""

import base64
import select
import socket
import urllib.parse

from .calls import DEADLINE
from .message import CHUNK, Response
from .proxy import FaultProxy, Upstream


class ForwardProxy(FaultProxy):
    """carried: bytes that came back through CONNECT. Faults strike at what is not encrypted."""

    def __init__(self, tls=None, users=None, names=None, address='127.0.0.1'):
        self.users = dict(users or {})
        self.names = dict(names or {})
        self.targets = []
        self.carried = 0
        super().__init__(None, tls, address)

    def _allowed(self, request):
        word, _, text = request.headers.get('Proxy-Authorization', '').partition(' ')
        if not self.users:
            return True
        if word.lower() != 'basic':
            return False
        name, _, password = base64.b64decode(text).decode().partition(':')
        return self.users.get(name) == password

    def _meant(self, target):
        self.targets.append(target)
        host, _, port = self.names.get(target, target).rpartition(':')
        return host.strip('[]'), int(port)

    def answer(self, request, record):
        if not self._allowed(request):
            return Response(407, {'Proxy-Authenticate': 'Basic realm="test"'})
        request.headers.remove('Proxy-Authorization')
        if request.method == 'CONNECT':
            return self._connect(request, record)
        return super().answer(request, record)

    def _forward(self, request):
        url = urllib.parse.urlsplit(request.target)
        if url.scheme != 'http':
            return Response(400, body=b'only http goes without CONNECT\n')
        port = url.port or 80
        self.ended()  # the last request may have gone elsewhere
        self._local.upstream = Upstream(self._meant(f'{url.hostname}:{port}'), None, None)
        request.target = url._replace(scheme='', netloc='').geturl() or '/'
        return self._ask(request)

    def _connect(self, request, record):
        try:
            other = socket.create_connection(self._meant(request.target), timeout=DEADLINE)
        except OSError as error:
            return Response(502, body=f'{error}\n'.encode())
        with other:
            self.note(record, status=200)
            request.stream.socket.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')
            self._carry(request.stream.socket, other, record)
        return None

    def _carry(self, near, far, record):
        """Both ways, until either ends; close() ends the near one."""
        while True:
            readable, _, _ = select.select([near, far], [], [])
            for source, sink in ((near, far), (far, near)):
                if source not in readable:
                    continue
                data = source.recv(CHUNK)
                if not data:
                    return
                sink.sendall(data)
                if source is far:
                    self.carried += len(data)
                    self.note(record, sent=len(data))
                else:
                    self.note(record, received=len(data))
