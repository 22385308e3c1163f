# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus policy file, on a bus as strict as a system bus: everybody talks, only root owns the name."""

import glob
import os
import re
import unittest

import dbus
import dbus.lowlevel

from berthtest import ALICE, BUS_NAME, IF_MANAGER, IF_SANDBOX, InstanceTestCase, ROOT_PATH

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POLICY = os.path.join(TREE, 'dbus', 'org.berthd.Berth1.conf')

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
LOG_CONTROL = ('/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1')

# The default policy of a system bus, as dbus ships it.
STRICT = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
%s
</busconfig>
'''


class Policy(InstanceTestCase):
    def setUp(self):
        self.instance = self.new_instance(bus_config=STRICT % f'<include>{POLICY}</include>')

    def test_everybody_talks_to_the_service(self):
        path = self.instance.create('demo')
        alice = self.user(ALICE)
        self.assertEqual(alice.find('demo'), path)
        self.assertEqual(alice.get(path, IF_SANDBOX, 'Name'), 'demo')
        self.assertIn('Version', alice.properties(ROOT_PATH, IF_MANAGER))
        self.assertIn(path, alice.managed_objects())
        alice.call(ROOT_PATH, 'org.freedesktop.DBus.Peer', 'Ping', '')
        self.assertIn('Sandboxes', alice.call(ROOT_PATH, 'org.freedesktop.DBus.Introspectable',
                                              'Introspect', ''))
        # these reach the service, which refuses them itself
        for call in (lambda: alice.create('x'), lambda: alice.manager('Reload'),
                     lambda: alice.remove(path)):
            with self.assertError(DENIED, r'org\.berthd\.berth1\.'):
                call()

    def test_every_interface_is_let_through(self):
        described = set()
        for path in glob.glob(os.path.join(TREE, 'dbus', '*.xml')):
            with open(path, encoding='utf-8') as file:
                described.update(re.findall(r'<interface name="([^"]+)"', file.read()))
        with open(POLICY, encoding='utf-8') as file:
            allowed = re.findall(r'<allow [^>]*send_interface="([^"]+)"', file.read())
        self.assertEqual(described - set(allowed), set())
        self.assertIn('Origins', self.user(ALICE).registry('h.example'))

    def test_signals_reach_everybody(self):
        with self.instance.signals('org.freedesktop.DBus.ObjectManager', 'InterfacesAdded') as added:
            path = self.instance.create('demo')
            self.assertEqual(added()[1][0], path)

    def test_nobody_but_root_owns_the_name(self):
        alice = self.user(ALICE)
        self.instance.terminate()
        with self.assertError(DENIED, 'own'):
            alice.bus.request_name(BUS_NAME)
        self.instance.start()
        with self.assertError(DENIED, 'own'):
            alice.bus.request_name(BUS_NAME, dbus.bus.NAME_FLAG_REPLACE_EXISTING)
        self.assertEqual(alice.list(), [])

    def test_log_control_is_roots(self):
        where, interface = LOG_CONTROL
        self.assertEqual(self.instance.get(where, interface, 'SyslogIdentifier'), 'berthd')
        alice = self.user(ALICE)
        with self.assertError(DENIED):
            alice.get(where, interface, 'SyslogIdentifier')
        with self.assertError(DENIED):
            alice.call(where, 'org.freedesktop.DBus.Properties', 'Set', 'ssv', interface,
                       'LogLevel', dbus.String('debug', variant_level=1))

    def test_nothing_works_without_the_file(self):
        """So that it is the file that does it."""
        with self.assertRaisesRegex(RuntimeError, 'bus name'):
            self.new_instance(bus_config=STRICT % '')


if __name__ == '__main__':
    unittest.main()
