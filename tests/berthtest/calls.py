# SPDX-License-Identifier: LGPL-2.1-or-later
"""The methods of the service as Python methods, for whoever has a connection to its bus."""

import dbus
import dbus.types

BUS_NAME = 'org.berthd.Berth1'
ROOT_PATH = '/org/berthd/Berth1'
IF_MANAGER = BUS_NAME + '.Manager'
IF_REGISTRIES = BUS_NAME + '.Registries'
IF_SANDBOXES = BUS_NAME + '.Sandboxes'
IF_SANDBOX = BUS_NAME + '.Sandbox'
IF_IMAGES = BUS_NAME + '.Images'
IF_TRANSFER = BUS_NAME + '.Transfer'
ERROR = BUS_NAME + '.Error.'

DEADLINE = 60  # seconds; generous, since sanitizers and two busy cores are slow


class Calls:
    """self.bus: the connection."""

    def call(self, path, interface, method, signature, *args, bus=None):
        return (bus or self.bus).call_blocking(BUS_NAME, path, interface, method, signature, args,
                                               timeout=DEADLINE, byte_arrays=True)

    def sandboxes(self, method, signature, *args, **kwargs):
        return self.call(ROOT_PATH, IF_SANDBOXES, method, signature, *args, **kwargs)

    def manager(self, method, signature='', *args, **kwargs):
        return self.call(ROOT_PATH, IF_MANAGER, method, signature, *args, **kwargs)

    def registries(self, method, signature, *args, **kwargs):
        return self.call(ROOT_PATH, IF_REGISTRIES, method, signature, *args, **kwargs)

    def registry(self, name):
        """Returns: what is in force for it."""
        return self.registries('GetSettings', 's', name)

    def create(self, name='', **options):
        """Returns: the object path. Options by their D-Bus names; plain Python values do."""
        return str(self.sandboxes('Create', 'sa{sv}', name, vardict(options)))

    def find(self, sandbox):
        """Returns: the object path."""
        return str(self.sandboxes('Get', 's', sandbox))

    def join(self, sandbox, **options):
        """Returns: {'ipc': fd, …}; the caller closes them."""
        return take_fds(self.sandboxes('Join', 'sa{sv}', sandbox, vardict(options)))

    def list(self, **filters):
        return self.sandboxes('List', 'a{sv}', vardict(filters))

    def sandbox(self, path, method, signature='', *args, **kwargs):
        return self.call(path, IF_SANDBOX, method, signature, *args, **kwargs)

    def describe(self, path):
        return self.sandbox(path, 'Describe')

    def attach(self, path, pidfd):
        return self.sandbox(path, 'Attach', 'ha{sv}', dbus.types.UnixFd(pidfd), vardict({}))

    def resize(self, path, size, **options):
        return self.sandbox(path, 'Resize', 'ta{sv}', dbus.UInt64(size), vardict(options))

    def set_sysctls(self, path, sysctls):
        return self.sandbox(path, 'SetSysctls', 'a{ss}', dbus.Dictionary(sysctls, signature='ss'))

    def snapshot(self, path, fd, **options):
        return self.sandbox(path, 'Snapshot', 'ha{sv}', dbus.types.UnixFd(fd), vardict(options))

    def restore(self, path, fd, **options):
        return self.sandbox(path, 'Restore', 'ha{sv}', dbus.types.UnixFd(fd), vardict(options))

    def remove(self, path):
        return self.sandbox(path, 'Remove', 'a{sv}', vardict({}))

    def get(self, path, interface, name):
        return self.call(path, 'org.freedesktop.DBus.Properties', 'Get', 'ss', interface, name)

    def properties(self, path, interface=IF_SANDBOX):
        return self.call(path, 'org.freedesktop.DBus.Properties', 'GetAll', 's', interface)

    def managed_objects(self):
        return self.call(ROOT_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects', '')


def vardict(options):
    """a{sv} from plain values: str s, bool b, int t, list as, dict a{ss}; dbus types as they are."""
    return dbus.Dictionary({key: _variant(value) for key, value in options.items()},
                           signature='sv')


def _variant(value):
    if type(value) is int:
        return dbus.UInt64(value)
    if type(value) is list:
        return dbus.Array(value, signature='s')
    if type(value) is dict:
        return dbus.Dictionary(value, signature='ss')
    return value


def take_fds(dictionary):
    return {str(key): value.take() for key, value in dictionary.items()}
