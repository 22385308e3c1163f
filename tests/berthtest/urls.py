# SPDX-License-Identifier: LGPL-2.1-or-later
"""A web server for foreign layers: given bytes at given paths, right or wrong.

    with UrlServer() as web:
        url = web.add('/layer.tar.gz', layer.data)
        web.add('/bad', layer.data[:-1])                     # another length
        web.add('/gone', status=404)
        web.add('/moved', redirect=url)
        ... what is pulled names url ...
        assert not web.requests(path='layer')[0].headers.get('Authorization')

Range requests are answered as the standard says, unless ranges=False. Every request is recorded,
with its headers: see wire.Server.
"""

import re

from .message import Headers, Response
from .wire import Server


_RANGE = re.compile(r'bytes=(\d+)-(\d*)$')


def ranged(request, data, headers=()):
    """Returns: the Response of a server that knows Range, for one range with a beginning."""
    headers = Headers(headers)
    headers.set('Accept-Ranges', 'bytes')
    match = _RANGE.match(request.headers.get('Range', ''))
    if not match:
        return Response(200, headers, data)
    first = int(match.group(1))
    last = min(int(match.group(2) or len(data)), len(data) - 1)
    if first > last:
        headers.set('Content-Range', f'bytes */{len(data)}')
        return Response(416, headers)
    headers.set('Content-Range', f'bytes {first}-{last}/{len(data)}')
    return Response(206, headers, data[first:last + 1])


class UrlServer(Server):
    """See wire.Server for tls, address, records and what counts."""

    def __init__(self, tls=None, address='127.0.0.1', port=0):
        self._pages = {}
        super().__init__(tls, address, port)

    def add(self, path, data=b'', status=200, headers=(), redirect=None, length=None, ranges=True):
        """Serves data at path; whatever was there before is replaced.

        length: what Content-Length says instead of the truth, and the connection ends after data.
        redirect: a Location, with status 302 unless status says another. ranges: honour Range.
        Returns: the URL.
        """
        headers = Headers(headers)
        if redirect is not None:
            headers.set('Location', redirect)
            status = 302 if status == 200 else status
        if length is not None:
            headers.set('Content-Length', length)
        self._pages[path] = (status, headers, data, ranges)
        return self.url + path

    def remove(self, path):
        """404 from now on."""
        self._pages.pop(path, None)

    def answer(self, request, record):
        page = self._pages.get(request.path)
        if page is None:
            return Response(404, body=b'there is nothing here\n')
        status, headers, data, ranges = page
        if status == 200 and ranges and 'Content-Length' not in headers:
            return ranged(request, data, headers)
        return Response(status, headers.copy(), data)
