# SPDX-License-Identifier: LGPL-2.1-or-later
"""HTTP/1.1 requests and responses as bytes on a socket; what wire.Server and proxy.py are made of."""

import urllib.parse

CHUNK = 65536
LINE_MAX = 65536
TLS_HANDSHAKE = 22  # the first byte of a client that wants TLS
DRAIN_MAX = 262144  # so much of a body that nobody wanted is read, to keep the connection

REASONS = {200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No Content', 206: 'Partial Content',
           301: 'Moved Permanently', 302: 'Found', 303: 'See Other', 307: 'Temporary Redirect',
           308: 'Permanent Redirect', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden',
           404: 'Not Found', 405: 'Method Not Allowed', 407: 'Proxy Authentication Required',
           416: 'Range Not Satisfiable', 429: 'Too Many Requests', 500: 'Internal Server Error',
           502: 'Bad Gateway', 503: 'Service Unavailable'}


class Disconnect(Exception):
    """Ends a connection here and now. reset: with RST instead of FIN."""

    def __init__(self, reset=False):
        super().__init__('disconnect')
        self.reset = reset


class Headers:
    """Names and values in the order of the wire; names match in any case."""

    def __init__(self, items=()):
        self.items = list(items.items() if isinstance(items, dict) else items)

    def __iter__(self):
        return iter(self.items)

    def __contains__(self, name):
        return self.get(name) is not None

    def __repr__(self):
        return f'Headers({self.items})'

    def all(self, name):
        return [value for key, value in self.items if key.lower() == name.lower()]

    def get(self, name, default=None):
        found = self.all(name)
        return found[0] if found else default

    def number(self, name):
        """Returns: the value as a number, or None where there is none."""
        value = self.get(name)
        return int(value) if value is not None and value.isdigit() else None

    def add(self, name, value):
        self.items.append((name, str(value)))

    def remove(self, *names):
        names = [name.lower() for name in names]
        self.items = [item for item in self.items if item[0].lower() not in names]

    def set(self, name, value):
        self.remove(name)
        self.add(name, value)

    def copy(self):
        return Headers(self.items)


class Stream:
    """Buffered reading of a socket."""

    def __init__(self, sock):
        self.socket = sock
        self._buffer = b''

    def some(self, most=CHUNK):
        """Returns: at least one byte; none at the end."""
        if not self._buffer:
            return self.socket.recv(most)
        data, self._buffer = self._buffer[:most], self._buffer[most:]
        return data

    def line(self):
        """Returns: a line without its end, or None at the end."""
        while b'\n' not in self._buffer:
            if len(self._buffer) > LINE_MAX:
                raise Disconnect()
            data = self.socket.recv(CHUNK)
            if not data:
                return None
            self._buffer += data
            if self._buffer[0] == TLS_HANDSHAKE:  # to a server that does not speak it
                raise Disconnect()
        line, _, self._buffer = self._buffer.partition(b'\n')
        return line.rstrip(b'\r').decode('latin-1')

    def head(self):
        """Returns: the first line and the Headers, or (None, None) at the end."""
        first = self.line()
        while first == '':
            first = self.line()
        headers = Headers()
        while first is not None:
            line = self.line()
            if line is None:
                raise Disconnect()
            if not line:
                return first, headers
            name, _, value = line.partition(':')
            headers.add(name.strip(), value.strip())
        return None, None

    def body(self, headers, until_end=False):
        """until_end: it may be framed by the end of the connection. Returns: its parts, one by one."""
        length = headers.number('Content-Length')
        if 'chunked' in headers.get('Transfer-Encoding', '').lower():
            return self._chunked()
        if length is not None:
            return self._counted(length)
        return iter(self.some, b'') if until_end else iter(())

    def _counted(self, length):
        while length > 0:
            data = self.some(min(length, CHUNK))
            if not data:
                raise Disconnect()
            length -= len(data)
            yield data

    def _chunked(self):
        while True:
            line = self.line()
            if line is None:
                raise Disconnect()
            length = int(line.partition(';')[0], 16)
            yield from self._counted(length)
            if length == 0:
                while self.line():
                    pass
                return
            self.line()


class Request:
    """method, target (as it was sent), path, query {name: first value}, headers, body (an iterator)."""

    def __init__(self, stream, first, headers):
        try:
            self.method, self.target, self.version = first.split(' ')
        except ValueError:
            raise Disconnect() from None
        self.headers = headers
        self.stream = stream
        self.read = False  # whether the body was read to its end
        self.begun = False
        self.body = self._body()

    @property
    def path(self):
        return urllib.parse.urlsplit(self.target).path

    @property
    def query(self):
        found = urllib.parse.parse_qs(urllib.parse.urlsplit(self.target).query,
                                      keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}

    @property
    def has_body(self):
        return bool(self.headers.number('Content-Length')) or 'Transfer-Encoding' in self.headers

    def _body(self):
        self.begun = True
        if self.has_body and '100-continue' in self.headers.get('Expect', '').lower():
            self.stream.socket.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
        yield from self.stream.body(self.headers)
        self.read = True

    def drain(self):
        """Reads what is left of a short body. Returns: whether the connection can be kept."""
        if self.read or not self.has_body:
            return True
        length = self.headers.number('Content-Length')
        if length is None or length > DRAIN_MAX or not self.begun and 'Expect' in self.headers:
            return False
        for _ in self.body:
            pass
        return self.read


class Response:
    """body: bytes, or an iterable of them.

    It is framed as the headers say: `Transfer-Encoding: chunked`, else Content-Length, else by the
    end of the connection; bytes without either header get a Content-Length. raw: these bytes
    instead of all of it, and then the end.
    """

    def __init__(self, status=200, headers=(), body=b'', reason=None, raw=None):
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body
        self.reason = reason or REASONS.get(status, 'Other')
        self.raw = raw

    def read_body(self):
        """Makes the body bytes. Returns: them."""
        if not isinstance(self.body, bytes):
            self.body = b''.join(self.body)
        return self.body
