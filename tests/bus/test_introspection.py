# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files in dbus/ say the same as the running service does: members, signatures, names, flags."""

import glob
import os
import unittest
import xml.etree.ElementTree as ElementTree

from berthtest import (FakeStoreTestCase, IF_IMAGES, IF_MANAGER, IF_REGISTRIES, IF_SANDBOX, IF_SANDBOXES,
                       IF_TRANSFER, InstanceTestCase, ROOT_PATH)

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

STANDARD = {'org.freedesktop.DBus.Peer', 'org.freedesktop.DBus.Introspectable',
            'org.freedesktop.DBus.Properties', 'org.freedesktop.DBus.ObjectManager'}


def annotations(element):
    """What differs from the default: sd-bus leaves defaults out, files may spell them."""
    found = {note.get('name'): note.get('value') for note in element.findall('annotation')}
    if element.tag == 'property' and \
            found.get('org.freedesktop.DBus.Property.EmitsChangedSignal') == 'true':
        del found['org.freedesktop.DBus.Property.EmitsChangedSignal']
    # sd-bus marks what needs no privilege or is hidden for its own tools only
    return {name: value for name, value in found.items()
            if not name.startswith('org.freedesktop.systemd1.')}


def members(interface):
    """Returns: {(kind, name): everything a program can see of it}."""
    found = {}
    for element in interface:
        if element.tag == 'annotation':
            found['annotation', element.get('name')] = element.get('value')
        elif element.tag == 'property':
            found['property', element.get('name')] = (element.get('type'), element.get('access'),
                                                      annotations(element))
        elif element.tag in ('method', 'signal'):
            default = 'in' if element.tag == 'method' else 'out'
            arguments = [(arg.get('direction', default), arg.get('type'), arg.get('name'))
                         for arg in element.findall('arg')]
            found[element.tag, element.get('name')] = (arguments, annotations(element))
    return found


def interfaces(text):
    return {interface.get('name'): members(interface)
            for interface in ElementTree.fromstring(text).findall('interface')}


def from_files():
    found = {}
    for path in glob.glob(os.path.join(TREE, 'dbus', '*.xml')):
        with open(path, encoding='utf-8') as file:
            for name, contents in interfaces(file.read()).items():
                if name in found:
                    raise AssertionError(f'{name} is described twice')
                found[name] = contents
    return found


class IntrospectionTestCase(InstanceTestCase):
    def introspect(self, path):
        return self.instance.call(path, 'org.freedesktop.DBus.Introspectable', 'Introspect', '')

    def assertSame(self, path, names):
        running = interfaces(self.introspect(path))
        files = from_files()
        ours = {name for name in running if name not in STANDARD}
        self.assertEqual(ours, names)
        for name in names:
            with self.subTest(interface=name):
                self.assertIn(name, files, 'no file in dbus/ describes it')
                self.assertEqual(running[name], files[name])


class Introspection(IntrospectionTestCase):
    def test_root(self):
        self.assertSame(ROOT_PATH, {IF_IMAGES, IF_MANAGER, IF_REGISTRIES, IF_SANDBOXES})
        self.assertIn('org.freedesktop.DBus.ObjectManager', interfaces(self.introspect(ROOT_PATH)))

    def test_sandbox(self):
        self.assertSame(self.instance.create(), {IF_SANDBOX})

    def test_every_described_interface_is_served(self):
        self.assertEqual(set(from_files()), {IF_IMAGES, IF_MANAGER, IF_REGISTRIES, IF_SANDBOXES,
                                             IF_SANDBOX, IF_TRANSFER})

    def test_child_nodes(self):
        path = self.instance.create()
        parent, identifier = path.rsplit('/', 1)
        nodes = {node.get('name')
                 for node in ElementTree.fromstring(self.introspect(parent)).findall('node')}
        self.assertEqual(nodes, {identifier})
        self.instance.remove(path)
        self.assertEqual(ElementTree.fromstring(self.introspect(parent)).findall('node'), [])


class Transfers(FakeStoreTestCase, IntrospectionTestCase):
    def test_transfer(self):
        self.assertSame(self.pull('busybox'), {IF_TRANSFER})


if __name__ == '__main__':
    unittest.main()
