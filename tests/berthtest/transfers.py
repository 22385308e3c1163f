# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transfers of an instance, each waited for; for measuring, and where only the end matters."""

import dbus
import dbus.lowlevel
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

from .calls import BUS_NAME, IF_IMAGES, IF_TRANSFER, ROOT_PATH, vardict

PATIENCE = 900  # seconds


class Transfers:
    """A connection to an instance's bus, whose transfers are its own. Use it in one thread only."""

    def __init__(self, instance):
        self._instance = instance
        self._connection = instance.connect(DBusGMainLoop())
        self._finished = {}
        self._connection.add_message_filter(self._take)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._connection.close()

    def _take(self, _connection, message):
        if message.get_interface() == IF_TRANSFER and message.get_member() == 'Finished':
            self._finished[str(message.get_path())] = [str(x) for x in message.get_args_list()]
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED

    def images(self, method, signature, *args):
        return self._connection.call_blocking(BUS_NAME, ROOT_PATH, IF_IMAGES, method, signature,
                                              args, timeout=PATIENCE)

    def run(self, method, signature, *args):
        """Begins a transfer and waits until it is done. Returns: the digest; raises if it failed."""
        path = str(self.images(method, signature, *args))
        context = GLib.MainContext.default()
        timer = GLib.timeout_source_new(PATIENCE * 1000)
        expired = []
        timer.set_callback(lambda _data: expired.append(True))
        timer.attach(context)
        try:
            while path not in self._finished and not expired:
                context.iteration(True)
        finally:
            timer.destroy()
        state, digest, name, message = self._finished.pop(path, ('running', '', 'no end', ''))
        if state != 'done':
            raise AssertionError(f'{method}{args}: {state}: {name}: {message}\n'
                                 + self._instance.logs())
        return digest

    def pull(self, reference, **options):
        return self.run('Pull', 'sa{sv}', reference, vardict(options))

    def push(self, image, reference='', **options):
        return self.run('Push', 'ssa{sv}', image, reference, vardict(options))

    def import_archive(self, fd, **options):
        return self.run('Import', 'ha{sv}', dbus.types.UnixFd(fd), vardict(options))

    def export(self, images, fd, **options):
        return self.run('Export', 'asha{sv}', dbus.Array(images, signature='s'),
                        dbus.types.UnixFd(fd), vardict(options))

    def describe_last(self):
        """Returns: what Describe says of the transfer that began last, if it is still there."""
        rows = self.images('ListTransfers', 'a{sv}', vardict({}))
        path = self.images('GetTransfer', 'u', max(row['Id'] for row in rows))
        return self._connection.call_blocking(BUS_NAME, path, IF_TRANSFER, 'Describe', '', (),
                                              timeout=PATIENCE)

    def remove_image(self, image):
        self.images('Remove', 'sa{sv}', image, vardict({}))

    def list_images(self, **options):
        return self.images('List', 'a{sv}', vardict(options))

    def prune(self):
        """Returns: bytes, blobs that went."""
        return self.images('Prune', 'a{sv}', vardict({}))
