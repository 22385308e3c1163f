# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that work in a store (store-tool).

    with Tool(directory) as tool:
        tool.put_image(image, 'h.example/a:1')
        tool('prune')                                  # the lines it prints
"""

import os
import subprocess
import threading

from berthtest import syscalls

STORE_TOOL = os.path.join(os.environ['BERTH_BUILD'], 'tests/store/store-tool')


class StoreError(Exception):
    """name: the last word of the D-Bus error's."""

    def __init__(self, line):
        super().__init__(line)
        self.name = line.split(' ')[1].rpartition('.')[2]


class Tool:
    """A process that was started in a store; feed() writes commands without waiting for answers."""

    def __init__(self, directory, min_free=0, uid=0, fast=False):
        self.process = subprocess.Popen(
            [STORE_TOOL, directory, str(min_free), str(uid), *(['fast'] if fast else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=syscalls.die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def feed(self, command, *chunks):
        self.write(command.encode() + b'\n', *chunks)

    def write(self, *chunks):
        for chunk in chunks:
            self.process.stdin.write(chunk)
        self.process.stdin.flush()

    def answer(self):
        """Returns: the lines up to the end of one command's answer."""
        lines = []
        while True:
            line = self.process.stdout.readline().decode()
            if not line:
                raise EOFError(f'store-tool ended with {self.process.wait()}')
            lines.append(line.rstrip('\n'))
            if line.startswith('error '):
                raise StoreError(lines[-1])
            if line.split(' ')[0].rstrip() in ('ok', 'present', 'pruned'):
                return lines

    def __call__(self, command, *chunks):
        self.feed(command, *chunks)
        return self.answer()

    def ingest(self, blob):
        """Returns: how many bytes were there already; all when it is present."""
        # what it prints fits into a pipe, so it reads all of this first
        word, *rest = self(f'ingest {blob.digest} {blob.size}', *blob.chunks())[-1].split(' ')
        return blob.size if word == 'present' else int(rest[1])

    def put_image(self, image, name, documents='put'):
        for blob in image.blobs().values():
            if blob is image:
                continue
            self.ingest(blob)
        self(f'{documents} {image.digest} {image.size}', image.document)
        self(f'name {name} {image.digest} {image.size} {image.media_type}')

    def images(self):
        """Returns: {reference: digest}."""
        rows = [line.split(' ') for line in self('list') if line.startswith('image ')]
        return {row[1]: row[2] for row in rows}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.stdout.closed:
            return
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.read()
        self.process.stdout.close()
        status = self.process.wait()
        if status not in (0, -9):
            raise AssertionError(f'store-tool ended with {status}')


class Killer:
    """Writes commands to a Tool in a thread, so that it can be killed while they go on."""

    def __init__(self, tool, work):
        self.tool, self.done, self.error = tool, False, None
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()

    def _run(self, work):
        try:
            work(self.tool)
            self.done = True
        except (BrokenPipeError, EOFError):
            pass  # it was killed
        except Exception as error:  # for the thread that waits
            self.error = error

    def kill(self):
        """Returns: whether all work had been done."""
        self.tool.kill()
        self._thread.join()
        self.tool.close()
        if self.error:
            raise self.error
        return self.done
