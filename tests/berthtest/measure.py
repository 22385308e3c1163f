# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches of images measure, with what, and how they show it.

For tests/bench/pull, push and those like them: four images of very different sizes, a line that
takes its time, the memory of the service's processes, and tables of times measured in turns.
"""

import contextlib
import json
import os
import statistics
import subprocess
import threading

from . import syscalls
from .bench import row, seconds
from .images import Blob, Image, Layer, OCI_CONFIG

KiB, MiB = 1 << 10, 1 << 20
ROUND_TRIP = 40  # milliseconds
# name: (layers, bytes of each, rounds)
IMAGES = {'1 layer of 1 GiB': (1, 1024 * MiB, 5), '40 layers of 25 MiB': (40, 25 * MiB, 5),
          '500 layers of 64 KiB': (500, 64 * KiB, 7), '1 layer of 1 KiB': (1, KiB, 21)}
QUICK = {'1 layer of 64 MiB': (1, 64 * MiB, 3), '16 layers of 4 MiB': (16, 4 * MiB, 3),
         '50 layers of 64 KiB': (50, 64 * KiB, 3), '1 layer of 1 KiB': (1, KiB, 7)}
SAMPLES = 0.002  # seconds from one look at the memory of processes to the next


def make_image(count, size, name=None):
    # a config of its own: the real one would take another pass over all bytes
    config = Blob(json.dumps({'of': [count, size, name]}).encode(), OCI_CONFIG)
    return Image([Layer(size, (count, size, name, number)) for number in range(count)],
                 config=config)


def tag_of(name):
    """name: of one of IMAGES."""
    return name.replace(' ', '-')


def ratio(numbers, others):
    """Returns: the median of what was measured in the same turns."""
    return statistics.median(a / b for a, b in zip(numbers, others))


def take_turns(contenders, rounds, *where):
    """contenders: {label: function of where that returns seconds}.

    Returns: {label: [seconds of each round]}.
    """
    times = {label: [] for label in contenders}
    for turn in range(rounds + 1):
        order = list(contenders.items())
        # forwards and backwards, since each leaves the machine busy with what it wrote
        for label, measure in order if turn % 2 else reversed(order):
            took = measure(*where)
            if turn > 0:  # the first warms up
                times[label].append(took)
    return times


def table(name, times, others):
    """times: as of take_turns(); others: {head of a column: label that it is compared with}."""
    row(name, 'median', *others)
    for label, numbers in times.items():
        row(f'  {label}', seconds(statistics.median(numbers)),
            *(f'{ratio(numbers, times[other]):.2f}' for other in others.values()))


def memory_table(instance, names, run):
    """Shows what an instance's processes take while run(name) runs, for each of names."""
    row('', 'worker', 'daemon', 'launcher', 'sum')
    for name in names:
        with Memory(instance) as memory:
            run(name)
        peaks = [memory.peaks(key) for key in ('worker', 'berthd', 'launcher')]
        for label, cells in zip((name, '  of it anonymous'), zip(*peaks)):
            row(label, *(f'{cell / 1024:.1f} MiB' for cell in [*cells, sum(cells)]))


class Delay:
    """A line of ROUND_TRIP to a port of the loopback: .host is the near end."""

    def __init__(self, tool, port):
        self._process = subprocess.Popen(
            [tool, str(ROUND_TRIP // 2), str(port)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=syscalls.die_with_parent)
        self.host = '127.0.0.1:' + self._process.stdout.readline().strip()

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Memory:
    """Looks at what an instance's processes take at most, while they run."""

    def __init__(self, instance):
        self._daemon = instance.daemon.pid
        self._peaks = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _look(self):
        while not self._stop.wait(SAMPLES):
            for pid in [self._daemon, *self._descendants(self._daemon)]:
                with contextlib.suppress(OSError, KeyError):
                    self._note(pid)

    def _descendants(self, pid):
        with contextlib.suppress(OSError):
            with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
                for child in map(int, file.read().split()):
                    yield child
                    yield from self._descendants(child)

    def _note(self, pid):
        name = os.path.basename(os.readlink(f'/proc/{pid}/exe'))
        if name == 'berthd' and pid != self._daemon:
            name = 'launcher'
        elif name.startswith('berth-transfer'):
            name = 'worker'
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            fields = dict(line.split(':', 1) for line in file)
        before = self._peaks.get(name, (0, 0))
        self._peaks[name] = tuple(max(old, int(fields[key].split()[0]))
                                  for old, key in zip(before, ('VmHWM', 'RssAnon')))

    def peaks(self, name):
        """name: of a program, which launcher and worker are for here.

        Returns: KiB, KiB of them that are not of files such as libraries.
        """
        return self._peaks.get(name, (0, 0))
