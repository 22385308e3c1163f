# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong between a client and a registry, to be given to FaultProxy.fault().

Reading, offsets counted in the body of the answer:
    Cut(at), Cut(at, reset=True)     the connection ends, with FIN or RST, after so many bytes
    Stall(at)                        nothing more comes until rule.release()
    Corrupt(at)                      one byte is another
    Endless()                        the body does not end, and has no length
    ContentLength(n)                 a false one (n a number, or '+5', '-5' on the true one)
    NoLength(), Chunked()            the body ends with the connection, or comes in chunks
    IgnoreRange()                    200 with all of it, whatever was asked for
    ContentRange(text)               of an answer 206: a false one; {first} {last} {total} are true
    ShiftedRange(by), …lie=True      206 with bytes from another offset, told truly or not
    Gzip()                           Content-Encoding: gzip
    Header(name, value), NoHeader(name)
    Delay(seconds), Rate(bytes per second)
Instead of the real answer:
    Status(code, retry_after=…)      … is seconds, or 'date' for the other form, 2 s from now
    Redirect(url, code)              to the same path there; or with exact=True to url itself
    Answer(body, media_type)         a document of the test's own
    Garbage(bytes)                   no HTTP at all
    Challenge(text)                  401 with this WWW-Authenticate
    Drop(reset=False)                no answer; the registry never saw the request
Writing:
    CutUpload(at)                    the connection ends when so many bytes came; they went through
    FailUpload(at, code)             … an answer with this status comes then
    LoseAnswer(code)                 the registry has done it, and the client is told 5xx; None: nothing
    LostSession()                    404 for an upload that was begun
    NoMount()                        202 instead of 201: a session instead of the mount
    MinimumChunk(n)                  OCI-Chunk-Min-Length: n
    OutOfOrder(), OutOfOrder(n)      416 with the Range that the registry really has, or 0-(n-1)

Each class below is one fault. `method` is what it is for unless fault() is told otherwise.
"""

import email.utils
import gzip
import json
import re
import time
import urllib.parse

from .message import Disconnect, Headers, Response
from .proxy import Broken, paced
from .wire import wait_or_gone

_CODES = {401: 'UNAUTHORIZED', 403: 'DENIED', 404: 'NAME_UNKNOWN', 405: 'UNSUPPORTED',
          416: 'RANGE_INVALID', 429: 'TOOMANYREQUESTS'}


class Fault:
    """before(): may answer a request; change(): may change the real answer."""

    method = 'GET'

    def before(self, exchange):
        """Returns: a Response, or None to go on."""

    def change(self, exchange, response):
        """Returns: the Response to go on with."""
        return response


class _BodyFault(Fault):
    """A fault in the bytes of the body; Content-Length stays what it was."""

    def change(self, exchange, response):
        if isinstance(response.body, bytes) and 'Transfer-Encoding' not in response.headers and \
                'Content-Length' not in response.headers:
            response.headers.set('Content-Length', len(response.body))
        parts = [response.body] if isinstance(response.body, bytes) else response.body
        response.body = self.bytes(exchange, parts)
        return response

    def bytes(self, exchange, parts):
        raise NotImplementedError


def split_at(parts, offset):
    """Yields (count before, part), cut so that one part begins at offset."""
    count = 0
    for part in parts:
        if count < offset < count + len(part):
            yield count, part[:offset - count]
            yield offset, part[offset - count:]
        else:
            yield count, part
        count += len(part)


class Cut(_BodyFault):
    def __init__(self, at=0, reset=False):
        self._at, self._reset = at, reset

    def bytes(self, exchange, parts):
        for count, part in split_at(parts, self._at):
            if count >= self._at:
                break
            yield part
        else:
            return  # the body was shorter
        exchange.strike()
        raise Disconnect(self._reset)


class Stall(_BodyFault):
    def __init__(self, at=0):
        self._at = at

    def bytes(self, exchange, parts):
        stalled = False
        for count, part in split_at(parts, self._at):
            if count >= self._at and not stalled:
                stalled = True
                exchange.strike()
                wait_or_gone(exchange.request.stream.socket, exchange.rule.released)
            yield part


class Corrupt(_BodyFault):
    def __init__(self, at=0, flip=0xff):
        self._at, self._flip = at, flip

    def bytes(self, exchange, parts):
        for count, part in split_at(parts, self._at):
            if count == self._at and part:
                exchange.strike()
                part = bytes([part[0] ^ self._flip]) + part[1:]
            yield part


class Rate(_BodyFault):
    def __init__(self, rate):
        self._rate = rate

    def bytes(self, exchange, parts):
        exchange.strike()
        return paced(parts, lambda: self._rate, exchange.pause)


class Endless(_BodyFault):
    """unit: what comes over and over after the real body."""

    def __init__(self, unit=bytes(65536)):
        self._unit = unit

    def change(self, exchange, response):
        exchange.strike()
        response = super().change(exchange, response)
        response.headers.remove('Content-Length', 'Transfer-Encoding')
        return response

    def bytes(self, exchange, parts):
        yield from parts
        while True:
            yield self._unit


class ContentLength(_BodyFault):
    method = 'GET|HEAD'

    def __init__(self, value):
        self._value = value

    def change(self, exchange, response):
        exchange.strike()
        response = super().change(exchange, response)
        value = self._value
        if isinstance(value, str):
            value = int(value) + response.headers.number('Content-Length')
        response.headers.set('Content-Length', value)
        return response

    def bytes(self, exchange, parts):
        yield from parts


class NoLength(Fault):
    def change(self, exchange, response):
        exchange.strike()
        response.body = [response.read_body()]
        response.headers.remove('Content-Length', 'Transfer-Encoding')
        return response


class Chunked(Fault):
    def change(self, exchange, response):
        exchange.strike()
        response.headers.remove('Content-Length')
        response.headers.set('Transfer-Encoding', 'chunked')
        return response


class IgnoreRange(Fault):
    def before(self, exchange):
        if 'Range' in exchange.request.headers:
            exchange.strike()
            exchange.request.headers.remove('Range')


class ContentRange(Fault):
    def __init__(self, text):
        self._text = text

    def change(self, exchange, response):
        match = re.match(r'bytes (\d+)-(\d+)/(\d+)$', response.headers.get('Content-Range', ''))
        if response.status == 206 and match:
            exchange.strike()
            first, last, total = map(int, match.groups())
            response.headers.remove('Content-Range')
            if self._text is not None:
                response.headers.set('Content-Range',
                                     self._text.format(first=first, last=last, total=total))
        return response


class ShiftedRange(Fault):
    """by: may be negative. lie: say that it is what was asked for."""

    def __init__(self, by, lie=False):
        self._by, self._lie = by, lie

    def before(self, exchange):
        match = re.match(r'bytes=(\d+)-(.*)', exchange.request.headers.get('Range', ''))
        if match:
            exchange.strike()
            first = max(0, int(match.group(1)) + self._by)
            exchange.request.headers.set('Range', f'bytes={first}-{match.group(2)}')

    def change(self, exchange, response):
        asked = re.match(r'bytes=(\d+)-', exchange.record.headers.get('Range', ''))
        if self._lie and asked and response.status == 206:
            total = response.headers.get('Content-Range').rpartition('/')[2]
            response.headers.set('Content-Range',
                                 f'bytes {asked.group(1)}-{int(total) - 1}/{total}')
        return response


class Gzip(Fault):
    def before(self, exchange):
        exchange.request.headers.remove('Accept-Encoding', 'Range')

    def change(self, exchange, response):
        exchange.strike()
        response.body = gzip.compress(response.read_body(), 1)
        response.headers.remove('Transfer-Encoding')
        response.headers.set('Content-Length', len(response.body))
        response.headers.set('Content-Encoding', 'gzip')
        return response


class Header(Fault):
    method = 'GET|HEAD'

    def __init__(self, name, value):
        self._name, self._value = name, value

    def change(self, exchange, response):
        exchange.strike()
        response.headers.set(self._name, self._value)
        return response


class NoHeader(Fault):
    method = 'GET|HEAD'

    def __init__(self, *names):
        self._names = names

    def change(self, exchange, response):
        exchange.strike()
        response.headers.remove(*self._names)
        return response


class Delay(Fault):
    def __init__(self, seconds):
        self._seconds = seconds

    def before(self, exchange):
        exchange.strike()
        exchange.pause(self._seconds)


class Hold(Fault):
    """The request waits here until the rule is released or removed."""

    def before(self, exchange):
        exchange.strike()
        wait_or_gone(exchange.request.stream.socket, exchange.rule.released)


def _error(status, headers=(), code=None, message='the test wants it so'):
    body = json.dumps({'errors': [{'code': code or _CODES.get(status, 'UNKNOWN'),
                                   'message': message}]}).encode()
    headers = Headers(headers)
    headers.set('Content-Type', 'application/json')
    return Response(status, headers, body)


class Status(Fault):
    """headers: {name: value}; body: bytes instead of an error as registries write it; code: in that."""

    method = 'GET|HEAD'

    def __init__(self, status, retry_after=None, headers=(), body=None, code=None,
                 message='the test wants it so'):
        self._status, self._retry_after, self._body = status, retry_after, body
        self._headers, self._code, self._message = Headers(headers), code, message

    def before(self, exchange):
        exchange.strike()
        response = _error(self._status, self._headers, self._code, self._message)
        if self._body is not None:
            response.body = self._body
        if self._retry_after is not None:
            when = self._retry_after
            if when == 'date':
                when = email.utils.formatdate(time.time() + 2, usegmt=True)
            response.headers.set('Retry-After', when)
        return response


class Redirect(Fault):
    """place: `scheme://host:port`, a server (its url), or a function of the request."""

    method = 'GET|HEAD'

    def __init__(self, place, status=307, exact=False):
        self._place, self._status, self._exact = place, status, exact

    def before(self, exchange):
        exchange.strike()
        place = self._place
        if callable(place):
            place = place(exchange.request)
        elif not self._exact:
            place = getattr(place, 'url', place) + exchange.request.target
        return Response(self._status, {'Location': place})


class Answer(Fault):
    method = 'GET|HEAD'

    def __init__(self, body, media_type='application/octet-stream', status=200, headers=()):
        self._body, self._status = body, status
        self._headers = Headers(headers)
        self._headers.set('Content-Type', media_type)

    def before(self, exchange):
        exchange.strike()
        headers = self._headers.copy()
        if 'Content-Length' not in headers:
            headers.set('Content-Length', len(self._body))
        return Response(self._status, headers, self._body)


class Garbage(Fault):
    def __init__(self, data=b'what is this\r\n\r\n'):
        self._data = data

    def before(self, exchange):
        exchange.strike()
        return Response(raw=self._data)


class Challenge(Fault):
    """texts: of one or several WWW-Authenticate headers."""

    method = 'GET|HEAD|POST|PUT|PATCH'

    def __init__(self, *texts):
        self._texts = texts

    def before(self, exchange):
        exchange.strike()
        return _error(401, [('WWW-Authenticate', text) for text in self._texts])


class Drop(Fault):
    method = 'GET|HEAD|POST|PUT|PATCH'

    def __init__(self, reset=False):
        self._reset = reset

    def before(self, exchange):
        exchange.strike()
        raise Disconnect(self._reset)


# Writing

class CutUpload(Fault):
    method = 'PATCH|PUT'

    def __init__(self, at=0, reset=False):
        self._at, self._reset = at, reset

    def before(self, exchange):
        exchange.request.body = self._bytes(exchange, exchange.request.body)

    def _bytes(self, exchange, parts):
        for count, part in split_at(parts, self._at):
            if count >= self._at:
                exchange.strike()
                self.end()
            yield part

    def end(self):
        raise Broken(Disconnect(self._reset))


class FailUpload(CutUpload):
    """status: of the answer that comes when so many bytes went through; then the connection ends."""

    def __init__(self, at=0, status=500, headers=()):
        super().__init__(at)
        self._status, self._headers = status, Headers(headers)

    def end(self):
        raise Broken(_error(self._status, self._headers))


class LoseAnswer(Fault):
    method = 'POST|PATCH|PUT'

    def __init__(self, status=500):
        self._status = status

    def change(self, exchange, response):
        response.read_body()
        exchange.strike()
        if self._status is None:
            raise Disconnect()
        return _error(self._status)


class LostSession(Status):
    method = 'GET|HEAD|PATCH|PUT|DELETE'

    def __init__(self):
        super().__init__(404, code='BLOB_UPLOAD_UNKNOWN', message='blob upload unknown to registry')


class NoMount(Fault):
    method = 'POST'

    def before(self, exchange):
        url = urllib.parse.urlsplit(exchange.request.target)
        words = [item for item in urllib.parse.parse_qsl(url.query, keep_blank_values=True)
                 if item[0] not in ('mount', 'from')]
        if 'mount=' in url.query:
            exchange.strike()
            exchange.request.target = url._replace(query=urllib.parse.urlencode(words)).geturl()


class MinimumChunk(Fault):
    method = 'POST'

    def __init__(self, size):
        self._size = size

    def change(self, exchange, response):
        exchange.strike()
        response.headers.set('OCI-Chunk-Min-Length', self._size)
        return response


class OutOfOrder(Fault):
    method = 'PATCH|PUT'

    def __init__(self, size=None):
        self._size = size

    def before(self, exchange):
        exchange.strike()
        request = exchange.request
        headers = {'Location': request.target}
        if self._size is None:
            state = exchange.proxy.ask('GET', request.target, request)
            for name in ('Location', 'Range', 'Docker-Upload-UUID'):
                if name in state.headers:
                    headers[name] = state.headers.get(name)
        else:
            headers['Range'] = f'0-{self._size - 1}'
        return _error(416, headers)
