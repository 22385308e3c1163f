# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl's verbs on images and transfers: what they ask, their tables, JSON and failures."""

import os
import subprocess
import unittest

import dbus

from berthtest import Fail, FakeCtlTestCase, ROOT_PATH

A = 'sha256:' + 'a1' * 32
B = 'sha256:' + 'b2' * 32


def rows(*dictionaries):
    return 'aa{sv}', dbus.Array([dbus.Dictionary(row, signature='sv') for row in dictionaries],
                                signature='a{sv}')


def image(reference, digest=A, **more):
    return {'Reference': reference, 'Digest': digest, 'Size': dbus.UInt64(3 << 20),
            'MediaType': 'application/vnd.oci.image.manifest.v1+json', 'Platform': 'linux/amd64',
            'PulledUSec': dbus.UInt64(1700000000000000), 'Owner': dbus.UInt32(0), **more}


class Images(FakeCtlTestCase):

    def test_list(self):
        self.fake.answers['List'] = rows(image('docker.io/library/z:1'), image('', B),
                                         image('docker.io/library/a:1', Owner=dbus.UInt32(4321)))
        lines = self.ctl('images').splitlines()
        self.assertEqual(lines[0].split(),
                         ['REFERENCE', 'DIGEST', 'PLATFORM', 'SIZE', 'PULLED', 'OWNER'])
        self.assertEqual([line.split()[:4] for line in lines[1:4]],
                         [['docker.io/library/a:1', 'sha256:a1a1a1a1a1a1', 'linux/amd64', '3M'],
                          ['docker.io/library/z:1', 'sha256:a1a1a1a1a1a1', 'linux/amd64', '3M'],
                          ['-', B, 'linux/amd64', '3M']])
        self.assertEqual([line.split()[-1] for line in lines[1:4]], ['4321', 'root', 'root'])
        self.assertEqual(lines[4:], ['', '3 images listed.'])
        self.assertEqual(len(self.ctl('images', '--no-legend').splitlines()), 3)
        self.assertEqual([row['Reference'] for row in self.ctl_json('images')],
                         ['docker.io/library/a:1', 'docker.io/library/z:1', ''])
        self.assertEqual(self.fake.calls[-1].args, [{}])
        self.ctl('images', 'docker.io/')
        self.assertEqual(self.fake.calls[-1].args, [{'Reference': 'docker.io/'}])

    def test_empty(self):
        self.fake.answers['List'] = rows()
        self.assertEqual(self.ctl('images').splitlines()[1:], ['', '0 images listed.'])
        self.assertEqual(self.ctl_json('images'), [])

    def test_inspect(self):
        layers = dbus.Array([dbus.Dictionary(row, signature='sv') for row in (
            {'Digest': A, 'MediaType': 'application/x', 'Size': dbus.UInt64(2048), 'Present': True,
             'Urls': dbus.Array([], signature='s')},
            {'Digest': B, 'MediaType': 'application/y\x1b[2J\u202e\u2028é', 'Size': dbus.UInt64(1),
             'Present': False, 'Urls': dbus.Array(['https://a/1', 'https://b/2'], signature='s')},
        )], signature='a{sv}')
        self.fake.answers['Inspect'] = 'a{sv}', dbus.Dictionary(
            image('a/b:1', Manifest='{"x": 1}', Config='{}', Layers=layers), signature='sv')
        output = self.ctl('inspect', 'a/b:1')
        self.assertEqual(self.fake.calls[-1].args, ['a/b:1', {}])
        self.assertRegex(output, rf'(?m)^Digest: +{A}$')
        self.assertRegex(output, r'(?m)^Size: +3M$')
        self.assertRegex(output, r'(?m)^Owner: +root \(0\)$')
        self.assertRegex(output, rf'(?m)^{A} +2K yes +application/x +-$')
        self.assertRegex(output, rf'(?m)^{B} +1B no +application/y\\x1b\[2J\\u202e\\u2028é https://a/1 https://b/2$')
        self.assertNotIn('Manifest', output)
        answer = self.ctl_json('inspect', 'a/b:1')
        self.assertEqual((answer['Manifest'], answer['Layers'][1]['Present']), ('{"x": 1}', False))

    def test_tag_and_remove(self):
        self.fake.answers['Tag'] = None
        self.assertEqual(self.ctl('tag', 'a:1', 'b:2'), '')
        self.assertEqual(self.fake.calls[-1].args, ['a:1', 'b:2', {}])

        def remove(call):
            if call.args[0] == 'b':
                raise Fail('org.berthd.Berth1.Error.NoSuchImage', 'there is no image b')
        self.fake.answers['Remove'] = remove
        self.assertEqual(self.ctl('remove-image', 'a', 'b', 'c', status=1), '')
        self.assertEqual(self.error, 'berthctl: there is no image b\n')
        self.assertEqual([call.args[0] for call in self.fake.calls if call.member == 'Remove'],
                         ['a', 'b', 'c'])
        self.assertEqual(self.assertFails('NoSuchImage', 'remove-image', 'b'),
                         'there is no image b')

    def test_prune(self):
        self.fake.answers['Prune'] = 'tu', 5 << 20, 7
        self.assertEqual(self.ctl('prune'), '7 blobs removed, 5M freed.\n')
        self.assertEqual(self.ctl_json('prune'), {'Bytes': 5 << 20, 'Blobs': 7})

    def test_cat_blob(self):
        data = bytes(range(256)) * 8192 + b'end'
        path = self.instance.path('blob')
        with open(path, 'wb') as file:
            file.write(data)

        def blob(_call):
            with open(path, 'rb') as file:
                return 'hb', dbus.types.UnixFd(file.fileno()), True
        self.fake.answers['OpenBlob'] = blob
        command = [self.instance.tool('berthctl'), 'cat-blob', A]
        environment = self.instance.environment()
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout, data)
        self.assertEqual(self.fake.calls[-1].args, [A, {}])
        with open(self.instance.path('out'), 'ab') as file:  # where sendfile() does not go
            subprocess.run(command, env=environment, stdout=file, check=True)
        with open(self.instance.path('out'), 'rb') as file:
            self.assertEqual(file.read(), data)
        with open('/dev/full', 'wb') as full:
            done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'\Aberthctl: cannot copy blob .*No space left[^\n]*\n\Z')
        for name in ('blob', 'out'):
            os.unlink(self.instance.path(name))


class Transfers(FakeCtlTestCase):

    def test_list(self):
        self.fake.answers['ListTransfers'] = rows(
            {'Id': dbus.UInt32(12), 'Kind': 'pull', 'Owner': dbus.UInt32(0), 'State': 'running',
             'BytesDone': dbus.UInt64(1 << 20), 'BytesTotal': dbus.UInt64(4 << 20),
             'Rate': dbus.UInt64(2048), 'StartedUSec': dbus.UInt64(1700000000000000),
             'Reference': 'a/b:1'},
            {'Id': dbus.UInt32(3), 'Kind': 'push', 'Owner': dbus.UInt32(4321), 'State': 'queued',
             'BytesDone': dbus.UInt64(0), 'BytesTotal': dbus.UInt64(0), 'Rate': dbus.UInt64(0),
             'StartedUSec': dbus.UInt64(0)})
        lines = self.ctl('transfers').splitlines()
        self.assertEqual(lines[0].split(), ['ID', 'KIND', 'OWNER', 'STATE', 'DONE', 'TOTAL', 'RATE',
                                            'STARTED', 'REFERENCE'])
        self.assertEqual(lines[1].split(),
                         ['3', 'push', '4321', 'queued', '0B', '-', '-', '-', '-'])
        self.assertEqual(lines[2].split()[:7],
                         ['12', 'pull', 'root', 'running', '1M', '4M', '2K'])
        self.assertEqual(lines[2].split()[-1], 'a/b:1')
        self.assertEqual(lines[-1], '2 transfers listed.')
        self.assertEqual([row['Id'] for row in self.ctl_json('transfers')], [3, 12])

    def test_cancel(self):
        self.fake.transfer(3)
        self.fake.transfer(5)
        self.fake.answers['Cancel'] = None
        self.assertEqual(self.ctl('cancel', '3', '4', '5', status=1), '')
        self.assertEqual(self.error, 'berthctl: there is no transfer 4\n')
        self.assertEqual([call.path for call in self.fake.calls if call.member == 'Cancel'],
                         [f'{ROOT_PATH}/transfer/3', f'{ROOT_PATH}/transfer/5'])
        self.assertFails('NoSuchTransfer', 'cancel', '4')

    def test_monitor(self):
        """Transfers start, change their state and end; how far they are is left out."""
        process = self.instance.popen([self.instance.tool('berthctl'), 'monitor'])

        def end():
            process.kill()
            process.communicate()
        self.addCleanup(end)
        self.assertEqual(process.stdout.readline(), 'service running\n')
        path = self.fake.transfer(9)
        self.fake.change(path, BytesDone=1)
        self.fake.change(path, State='done', BytesDone=2)
        self.assertEqual(process.stdout.readline(), 'changed transfer/9 State=done BytesDone=2\n')

    def test_usage(self):
        for line in ('cancel x', 'cancel 1 -1', 'cancel 4294967296', 'wait 1x', 'wait', 'wait 1 2',
                     'cancel', 'pull', 'pull a b', 'tag a', 'inspect', 'cat-blob', 'prune x',
                     'images --platform=linux', 'push', 'push a b c', 'push --foreign=skip a', 'copy a',
                     'import', 'import --creds=x a', 'export a', 'export -o', 'export -o x',
                     'import-blob a', 'pull --max-bandwidth=fast a',
                     'images a b'):
            with self.subTest(line):
                self.assertEqual(self.ctl(*line.split(), status=2), '')
                self.assertRegex(self.error, r'\Aberthctl: [^\n]+\n\Z')
        self.assertEqual(self.fake.calls, [])


if __name__ == '__main__':
    unittest.main()
