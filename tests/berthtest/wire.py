# SPDX-License-Identifier: LGPL-2.1-or-later
"""HTTP/1.1 as bytes: a small server whose answers may be as wrong as a test wants them.

Server is the base of the servers of the tests: it listens on a port of the loopback that the kernel
chooses, over TLS when it is given a CA, runs a thread per connection, and records every request.
What a server answers is a Response, whose framing is what its headers say, true or not. It must
never hide a mistake of its own: close() raises what went wrong in a thread.
"""

import fcntl
import itertools
import re
import select
import socket
import ssl
import struct
import termios
import threading
import time
import traceback

from .calls import DEADLINE
from .message import CHUNK, Disconnect, Request, Stream

class Record:
    """One request as a server saw it.

    method, target, path, query, headers (Headers), client (address); received: bytes of its body so
    far; body: that, where the server keeps it; status (None: no answer yet, or never one); sent:
    bytes of the answer's body so far; done: whether the exchange is over; connection: a number.
    """

    def __init__(self, request, client, connection):
        self.method, self.target = request.method, request.target
        self.path, self.query = request.path, request.query
        self.headers = request.headers.copy()
        self.client, self.connection = client, connection
        self.received = self.sent = 0
        self.body = b''
        self.status = None
        self.done = False

    def __repr__(self):
        return (f'<{self.method} {self.target} received {self.received} status {self.status} '
                f'sent {self.sent}{"" if self.done else " …"}>')


def wait_or_gone(sock, event):
    """Waits until the event is set, or the peer has left: then it raises Disconnect."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    while not event.wait(0.05):
        if poll.poll(0):
            raise Disconnect()


def unsent(sock):
    """Returns: how many bytes the peer has not acknowledged yet."""
    return struct.unpack('i', fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b'\0' * 4))[0]


def end_connection(sock, reset):
    """Closes sock; with RST, once what was sent before has arrived."""
    try:
        if reset:
            deadline = time.monotonic() + 2  # of a peer that does not read
            while unsent(sock) and time.monotonic() < deadline:
                threading.Event().wait(0.002)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        else:
            # all requests may not be read yet: without this the kernel would send RST
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


class Server:
    """tls: a CA, or an ssl.SSLContext; None: plain HTTP. address: where to listen.

    host is `ADDRESS:PORT`, url the same with its scheme, records a list of Record. A subclass has
    answer(request, record), which returns a Response, or raises Disconnect.
    """

    keep_bodies = False

    def __init__(self, tls=None, address='127.0.0.1', port=0):
        self._context = tls.server_context() if hasattr(tls, 'server_context') else tls
        self.scheme = 'https' if tls else 'http'
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=256)
        self.address, self.port = self._listener.getsockname()[:2]
        self.host = f'[{address}]:{self.port}' if ':' in address else f'{address}:{self.port}'
        self.url = f'{self.scheme}://{self.host}'
        self.records = []
        self._changed = threading.Condition()
        self._closing = False
        self._connections = {}  # socket: thread
        self._numbers = itertools.count(1)
        self._problems = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends all connections and threads. Raises what went wrong in one of them."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            threads = list(self._connections.items())
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(DEADLINE)
        self._listener.close()
        for sock, _ in threads:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass
        for _, thread in threads:
            thread.join(DEADLINE)
            if thread.is_alive():
                self._problems.append(f'{thread.name} of {self.url} does not end')
        if self._problems:
            raise AssertionError('\n'.join(self._problems))

    # What was asked

    def requests(self, method=None, path=None):
        """path: a regular expression that is searched for in the target.

        Returns: the records that match.
        """
        with self._changed:
            return [record for record in self.records
                    if (method is None or record.method == method)
                    and (path is None or re.search(path, record.target))]

    def sent(self, path=None, method='GET'):
        """Returns: bytes of bodies that were sent in answers to such requests."""
        return sum(record.sent for record in self.requests(method, path))

    def received(self, path=None, method=None):
        """Returns: bytes of bodies that came with such requests."""
        return sum(record.received for record in self.requests(method, path))

    def forget(self):
        """Empties records."""
        with self._changed:
            self.records = []

    def wait_for(self, function, seconds=DEADLINE):
        """Waits until function() is true: it is looked at whenever something comes or goes."""
        with self._changed:
            if not self._changed.wait_for(function, seconds):
                raise AssertionError(f'still not so at {self.url}:\n'
                                     + '\n'.join(map(str, self.records)))

    def wait_request(self, method=None, path=None, count=1, seconds=DEADLINE):
        """Waits until so many such requests came. Returns: their records."""
        self.wait_for(lambda: len(self.requests(method, path)) >= count, seconds)
        return self.requests(method, path)

    def wait_idle(self, seconds=DEADLINE):
        """Waits until every exchange is over: then the counts do not change any more."""
        self.wait_for(lambda: all(record.done for record in self.records), seconds)

    def note(self, record, received=0, sent=0, **changes):
        """Adds to a record, and wakes who waits for that."""
        with self._changed:
            record.received += received
            record.sent += sent
            for name, value in changes.items():
                setattr(record, name, value)
            self._changed.notify_all()

    # Threads

    def _accept(self):
        while True:
            try:
                sock, client = self._listener.accept()
            except OSError:
                return
            with self._changed:
                if self._closing:
                    sock.close()
                    return
                number = next(self._numbers)
                thread = threading.Thread(target=self._run, args=(sock, client[0], number),
                                          daemon=True, name=f'connection {number}')
                self._connections[sock] = thread
            thread.start()

    def _run(self, sock, client, number):
        current = sock
        reset = False
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                current = self._context.wrap_socket(sock, server_side=True,
                                                    do_handshake_on_connect=False)
                with self._changed:
                    self._connections[current] = self._connections.pop(sock)
                if self._closing:
                    return
                current.do_handshake()
            self.connected(client)
            self._converse(current, client, number)
        except Disconnect as end:
            reset = end.reset
        except (OSError, ssl.SSLError):  # the client left, or does not like the certificate
            pass
        except Exception:  # pylint: disable=broad-except
            self._problems.append(traceback.format_exc())
        finally:
            self.ended()
            end_connection(current, reset)
            with self._changed:
                self._connections.pop(current, None)

    def _converse(self, sock, client, number):
        stream = Stream(sock)
        while not self._closing:
            first, headers = stream.head()
            if first is None:
                return
            request = Request(stream, first, headers)
            record = Record(request, client, number)
            request.body = self._counted(record, request.body)
            with self._changed:
                self.records.append(record)
                self._changed.notify_all()
            try:
                if not self._exchange(sock, request, record):
                    return
            finally:
                self.note(record, done=True)

    def _counted(self, record, body):
        for data in body:
            self.note(record, received=len(data))
            if self.keep_bodies:
                record.body += data
            yield data

    def _exchange(self, sock, request, record):
        """Returns: whether the connection goes on."""
        response = self.answer(request, record)
        if response is None:  # answer() has done everything, and the connection is used up
            return False
        keep = request.drain()
        if not keep:
            response.headers.set('Connection', 'close')
        keep = self._send(sock, request, record, response) and keep
        if not request.read and request.has_body:
            self._linger(sock)
        return keep

    def _send(self, sock, request, record, response):
        """Returns: whether the connection can carry another exchange after it."""
        headers = response.headers
        if response.raw is not None:
            sock.sendall(response.raw)
            return False
        self.note(record, status=response.status)
        framed = 'Content-Length' in headers or 'Transfer-Encoding' in headers
        bodiless = response.status in (204, 304) or response.status < 200
        if isinstance(response.body, bytes):
            if not framed and not bodiless:
                headers.set('Content-Length', len(response.body))
            response.body = [response.body] if response.body else []
        head = f'HTTP/1.1 {response.status} {response.reason}\r\n'
        head += ''.join(f'{name}: {value}\r\n' for name, value in headers)
        head = (head + '\r\n').encode('latin-1')
        if request.method == 'HEAD' or bodiless:
            sock.sendall(head)
            return 'close' not in headers.get('Connection', '').lower()
        chunked = 'chunked' in headers.get('Transfer-Encoding', '').lower()
        if not isinstance(response.body, list):  # it may stall or break off, and the head counts
            sock.sendall(head)
            head = b''
        count = 0
        for data in response.body:
            sock.sendall(head + (b'%x\r\n%s\r\n' % (len(data), data) if chunked else data))
            head = b''
            count += len(data)
            self.note(record, sent=len(data))
        sock.sendall(head + (b'0\r\n\r\n' if chunked else b''))
        return ((chunked or headers.number('Content-Length') == count)
                and 'close' not in headers.get('Connection', '').lower()
                and 'close' not in request.headers.get('Connection', '').lower())

    @staticmethod
    def _linger(sock):
        """Lets a client read the answer that came before it had sent everything."""
        try:
            socket.socket.shutdown(sock, socket.SHUT_WR)
            sock.settimeout(5)
            while sock.recv(CHUNK):
                pass
        except OSError:
            pass

    # For subclasses

    def answer(self, request, record):
        """Returns: a Response, or None when the connection was used up."""
        raise NotImplementedError

    def connected(self, client):
        """Runs in a connection's thread before the first request."""

    def ended(self):
        """Runs in a connection's thread after the last."""
