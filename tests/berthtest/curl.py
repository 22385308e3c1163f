# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a server answers to curl, a client that nobody here has written."""

import os
import subprocess
import tempfile

from .case import BerthTestCase


class Curl:
    """What curl got: code (its exit status), status, headers (text), body, problem."""

    def __init__(self, directory, url, *options):
        head, body = os.path.join(directory, 'head'), os.path.join(directory, 'body')
        for path in (head, body):
            with open(path, 'wb'):
                pass
        done = subprocess.run(
            ['curl', '--silent', '--show-error', '--noproxy', '', '--max-time', '60', '--http1.1',
             '--dump-header', head, '--output', body, '--write-out', '%{http_code}', *options, url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.code, self.status, self.problem = done.returncode, int(done.stdout), done.stderr
        with open(head, encoding='latin-1', newline='') as file:
            self.headers = file.read()
        with open(body, 'rb') as file:
            self.body = file.read()


class CurlTestCase(BerthTestCase):
    """path(name): in a directory that is removed in the end; curl(url, option, …): a Curl."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def curl(self, url, *options):
        return Curl(self.directory, url, *options)
