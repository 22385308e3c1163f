# SPDX-License-Identifier: LGPL-2.1-or-later
"""A proxy in front of a registry that counts, records and breaks what goes through it.

    with Registry() as registry, FaultProxy(registry) as proxy:
        proxy.fault(Cut(100000), path=layer.digest)             # once
        proxy.fault(Status(503, retry_after=1), path='/manifests/', times=2)
        proxy.fault(Corrupt(5), path='/blobs/', after=1)        # not the first, the second
        stall = proxy.fault(Stall(1000), path='/blobs/', times=None)         # every time
        ... pull f'{proxy.host}/team/app:latest' ...
        stall.wait()                                            # until it struck
        stall.release()
        assert proxy.sent('/blobs/') < …                        # see wire.Server for what counts

The faults themselves are in faults.py. Several rules may match a request: the first that answers by
itself wins, and those that change bytes work one after the other. An image's references are the same
as at the registry, with the proxy's host. FaultProxy(None) has no registry behind it: what no rule
answers is 404, which is how a registry of lies is made, see Answer.
"""

import copy
import re
import socket
import ssl
import threading
import time
import urllib.parse

from .calls import DEADLINE
from .client import RegistryClient
from .message import Disconnect, Headers, Response, Stream
from .wire import Server

# of one connection, not of what is carried
_HOP = ('Connection', 'Keep-Alive', 'Expect', 'Proxy-Connection', 'Upgrade')


def has(*names):
    """Returns: for `where`: whether a request has these headers: has('Authorization'), has('Range')."""
    return lambda request: all(name in request.headers for name in names)


class Rule:
    """A fault and when it strikes.

    seen: how many requests matched; hits: how many of them it struck; last: the Exchange of the
    newest one.
    """

    def __init__(self, proxy, fault, method, path, after, times, where):
        self._proxy = proxy
        self._method, self._path, self._where = method, path and re.compile(path), where
        self._first = after
        self._end = None if times is None else after + times
        self.fault = fault
        self.seen = self.hits = 0
        self.last = None
        self.struck = threading.Event()
        self.released = threading.Event()

    def takes(self, request):
        """Counts a request that matches. Returns: whether the fault is for it."""
        if self._method and request.method not in self._method.split('|'):
            return False
        if self._path and not self._path.search(request.target):
            return False
        if self._where and not self._where(request):
            return False
        number = self.seen
        self.seen += 1
        return number >= self._first and (self._end is None or number < self._end)

    def wait(self, seconds=DEADLINE):
        """Waits until it strikes: for a fault at a byte, until that byte."""
        if not self.struck.wait(seconds):
            raise AssertionError(f'{type(self.fault).__name__} did not strike, after {self.seen} '
                                 f'requests that match:\n'
                                 + '\n'.join(map(str, self._proxy.records)))

    def release(self):
        """What stalls goes on, now and for every later request."""
        self.released.set()

    def remove(self):
        """It strikes no more; what stalls goes on."""
        self._proxy.remove(self)
        self.release()

    def strike(self, exchange):
        """For faults: now it is so far."""
        self.last = exchange
        self.hits += 1
        self.struck.set()


class Exchange:
    """What a fault works on: request, record, rule, proxy."""

    def __init__(self, proxy, request, record):
        self.proxy, self.request, self.record = proxy, request, record
        self.rule = None

    def under(self, rule):
        """Returns: the same exchange as a fault of this rule gets it."""
        found = copy.copy(self)
        found.rule = rule
        return found

    def strike(self):
        self.rule.strike(self)

    def pause(self, seconds):
        """Waits, unless the proxy is closed meanwhile."""
        self.proxy.pause(seconds)


class Broken(Exception):
    """Breaks a request off on its way to the registry. outcome: a Response, or a Disconnect."""

    def __init__(self, outcome):
        super().__init__('broken off')
        self.outcome = outcome


class Upstream:
    """A connection to what is behind the proxy, made when it is needed, used again while it can be."""

    def __init__(self, address, context, name):
        self._address, self._context, self._name = address, context, name
        self._socket = self._stream = None

    def close(self):
        if self._socket:
            self._socket.close()
            self._socket = self._stream = None

    def _connect(self):
        self._socket = socket.create_connection(self._address, timeout=DEADLINE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context:
            self._socket = self._context.wrap_socket(self._socket, server_hostname=self._name)
        self._stream = Stream(self._socket)

    def ask(self, method, target, headers, body=()):
        """Returns: a Response, whose body must be read to its end before the next request."""
        fresh = self._socket is None
        if fresh:
            self._connect()
        try:
            return self._ask(method, target, headers, body)
        except (OSError, Disconnect):
            self.close()
            if fresh or body:
                raise Disconnect() from None
        self._connect()  # the registry had given the old connection up
        return self._ask(method, target, headers, body)

    def _ask(self, method, target, headers, body):
        head = f'{method} {target} HTTP/1.1\r\n'
        head += ''.join(f'{name}: {value}\r\n' for name, value in headers)
        self._socket.sendall((head + '\r\n').encode('latin-1'))
        chunked = 'Transfer-Encoding' in headers
        for data in body:
            self._socket.sendall(b'%x\r\n%s\r\n' % (len(data), data) if chunked else data)
        if chunked:
            self._socket.sendall(b'0\r\n\r\n')
        return self._answer(method)

    def _answer(self, method):
        status = 100
        while status < 200:
            first, headers = self._stream.head()
            if first is None:
                raise Disconnect()
            _, number, *reason = first.split(' ', 2)
            status = int(number)
        if method == 'HEAD' or status in (204, 304):
            body = b''
        else:
            body = self._stream.body(headers, until_end=True)
        ends = 'close' in headers.get('Connection', '').lower()
        headers.remove(*_HOP)
        return Response(status, headers, self._whole(body, ends), reason[0] if reason else None)

    def _whole(self, body, ends):
        try:
            yield from body
        except OSError:
            self.close()
            raise Disconnect() from None
        except BaseException:
            self.close()
            raise
        if ends:
            self.close()


class FaultProxy(Server):
    """upstream: a Registry, or another server with host, scheme and ca; None: none.

    tls: a CA: https in front, whatever is behind. delay: seconds added to each direction, so that a
    round trip takes twice as long, also that of connecting. rate: bytes per second of each answer.
    Both may be changed while it runs.
    """

    def __init__(self, upstream=None, tls=None, address='127.0.0.1', delay=0, rate=0, port=0):
        self.delay, self.rate = delay, rate
        self.ca = getattr(tls, 'certificate', None)
        self._upstream = upstream
        self._rules = []
        self._rules_lock = threading.Lock()
        self._closed = threading.Event()
        self._local = threading.local()
        super().__init__(tls, address, port)

    def close(self):
        self._closed.set()
        for rule in self._rules:
            rule.release()
        super().close()

    def client(self, account=None):
        """Returns: a RegistryClient that goes through the proxy; its requests are recorded too."""
        users = getattr(self._upstream, 'users', {})
        return RegistryClient(self.url, self.ca, account and (account, users[account]))

    def fault(self, fault, path=None, method=None, after=0, times=1, where=None):
        """Makes the fault strike requests that match.

        path: a regular expression that is searched for in path and query. method: `GET`, or several
        as in `PATCH|PUT`; none: those that the fault is for. after: so many matching requests come
        through first. times: how many are struck then; None: all. where: a function of the
        wire.Request; where registries want tokens, has('Authorization') leaves out the first
        requests, which are answered 401. Returns: a Rule.
        """
        rule = Rule(self, fault, method or fault.method, path, after, times, where)
        with self._rules_lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule):
        with self._rules_lock:
            if rule in self._rules:
                self._rules.remove(rule)

    def clear(self):
        """Removes all rules; what stalls goes on."""
        for rule in list(self._rules):
            rule.remove()

    def pause(self, seconds):
        self._closed.wait(seconds)

    # One connection

    def connected(self, client):
        if self.delay:
            self.pause(2 * self.delay)

    def ended(self):
        upstream = getattr(self._local, 'upstream', None)
        if upstream:
            upstream.close()
            self._local.upstream = None

    def behind(self):
        """Returns: this thread's Upstream."""
        if getattr(self._local, 'upstream', None) is None:
            url = urllib.parse.urlsplit(self._upstream.url)
            context = None
            if url.scheme == 'https':
                context = ssl.create_default_context(cafile=self._upstream.ca)
            self._local.upstream = Upstream((url.hostname, url.port), context, url.hostname)
        return self._local.upstream

    def answer(self, request, record):
        exchange = Exchange(self, request, record)
        with self._rules_lock:
            rules = [rule for rule in self._rules if rule.takes(request)]
        if self.delay:
            self.pause(self.delay)
        response = None
        for rule in rules:
            response = rule.fault.before(exchange.under(rule))
            if response is not None:
                break
        if response is None:
            response = self._forward(request)
            for rule in rules:
                response = rule.fault.change(exchange.under(rule), response)
        if self.delay:
            self.pause(self.delay)
        if self.rate and request.method != 'HEAD':
            response.body = self._throttled(response)
        return response

    def forward_headers(self, request):
        headers = request.headers.copy()
        headers.remove(*_HOP)
        headers.set('X-Forwarded-Proto', self.scheme)  # so that its Locations come back here
        return headers

    def _forward(self, request):
        if self._upstream is None:
            return Response(404, {'Content-Type': 'application/json'},
                            b'{"errors":[{"code":"NOT_FOUND","message":"nothing is here"}]}')
        return self._ask(request)

    def _ask(self, request):
        try:
            return self.behind().ask(request.method, request.target, self.forward_headers(request),
                                     request.body if request.has_body else ())
        except Broken as broken:
            self.ended()
            if isinstance(broken.outcome, Disconnect):
                raise broken.outcome from None
            return broken.outcome
        except OSError as error:
            self.ended()
            return Response(502, body=f'nothing behind: {error}\n'.encode())

    def ask(self, method, target, request):
        """For faults: a request of their own, with the credentials of request. Returns: Response."""
        headers = Headers([item for item in request.headers
                           if item[0].lower() in ('host', 'authorization')])
        response = self.behind().ask(method, target, headers)
        response.read_body()
        return response

    def _throttled(self, response):
        """Yields the body no faster than rate; the framing is kept."""
        if isinstance(response.body, bytes):
            if 'Transfer-Encoding' not in response.headers and \
                    'Content-Length' not in response.headers:
                response.headers.set('Content-Length', len(response.body))
            response.body = [response.body]
        return paced(response.body, lambda: self.rate, self.pause)


def paced(parts, rate, pause):
    """Yields the bytes of parts at rate() bytes per second, in small pieces."""
    begin, count = time.monotonic(), 0
    for part in parts:
        piece = max(1, min(len(part), int(rate() or 1 << 30) // 50))
        for offset in range(0, len(part), piece):
            data = part[offset:offset + piece]
            yield data
            count += len(data)
            if rate():
                pause(max(0, begin + count / rate() - time.monotonic()))
