# SPDX-License-Identifier: LGPL-2.1-or-later
"""berthctl with the real service and a real registry: from a reference to bytes and back."""

import base64
import json
import os
import signal
import unittest

from berthtest import (ALICE, CtlTestCase, Image, Layer, NONDISTRIBUTABLE, Registry, Terminal,
                       UrlServer)

LIMIT = '--max-bandwidth=2M'  # a large layer then takes as long as a test needs


class BerthctlTestCase(CtlTestCase):

    def setUp(self):
        super().setUp()
        for name in ('HOME', 'XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME'):
            self.instance.extra_environment[name] = self.instance.path('home')

    def registry(self, settings='', **kwargs):
        registry = Registry(**kwargs)
        self.addCleanup(registry.close)
        self.instance.write_settings('registries.d/test.conf', f'[registry {registry.host}]\n'
                                                               f'Insecure=yes\n{settings}')
        self.instance.manager('Reload')
        return registry

    def start(self, *arguments):
        process = self.instance.popen([self.instance.tool('berthctl'), *arguments])

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def await_running(self, process):
        """Reads events until bytes arrive. Returns: the transfer's ID."""
        for line in process.stdout:
            event = json.loads(line)
            if event.get('BytesDone', 0) > 0:
                return str(event['Id'])
        raise AssertionError(process.stderr.read())


class Images(BerthctlTestCase):

    def test_from_pull_to_prune(self):
        registry = self.registry()
        image = Image([Layer(300000), Layer(5000)])
        reference = image.push(registry, 'team/app', 'latest')
        self.assertEqual(self.ctl('pull', '-q', reference), image.digest + '\n')
        row = self.ctl_json('images')[0]
        self.assertEqual((row['Reference'], row['Digest'], row['Owner']),
                         (reference, image.digest, 0))
        self.assertIn(reference, self.ctl('images', registry.host))
        self.assertEqual(self.ctl_json('images', 'nothing/'), [])
        inspected = self.ctl_json('inspect', reference)
        self.assertEqual(inspected['Manifest'].encode(), image.document)
        self.assertEqual([layer['Digest'] for layer in inspected['Layers']],
                         [layer.digest for layer in image.layers])
        self.assertIn(image.layers[1].digest, self.ctl('inspect', image.digest))
        self.assertEqual(self.ctl('cat-blob', image.digest).encode(), image.document)
        self.ctl('tag', reference, 'example.com/other:1')
        self.ctl('remove-image', reference)
        self.assertEqual(self.ctl('prune'), '0 blobs removed, 0B freed.\n')
        self.ctl('remove-image', 'example.com/other:1')
        self.assertEqual(self.ctl_json('prune')['Blobs'], 4)
        self.assertEqual(self.ctl_json('images'), [])
        self.assertFails('NoSuchImage', 'inspect', reference)
        self.assertFails('NoSuchImage', 'cat-blob', image.digest)
        self.assertFails('InvalidReference', 'inspect', 'NO REFERENCE')

    def test_where_layers_come_from(self):
        """From the registry, the web server that the manifest names, and the store."""
        registry = self.registry(settings='ForeignUrlHosts=127.0.0.0/8\n')
        with UrlServer() as web:
            foreign = Layer(9000, seed=1, media_type=NONDISTRIBUTABLE[0])
            foreign.urls = [web.add('/layer', b''.join(foreign.chunks()))]
            image = Image([Layer(30000), foreign])
            reference = image.push(registry, 'team/app', 'latest')
            process = self.start('pull', '-j', reference)
            finished = json.loads(process.communicate()[0].splitlines()[-1])
        self.assertEqual((finished['event'], finished['State']), ('finished', 'done'))
        self.assertEqual([(layer['Digest'], layer['Source']) for layer in finished['Layers']],
                         [(image.layers[0].digest, 'registry'), (foreign.digest, 'url')])
        process = self.start('pull', reference)
        self.assertRegex(process.communicate()[1], rf'(?m)^berthctl: {foreign.digest} +8\.8K store$')

    def test_errors(self):
        registry = self.registry(settings='Retries=0\n')
        reference = Image([Layer(100)]).push(registry, 'team/app', 'latest')
        self.assertIn('team/app', self.assertTransferFails('ManifestUnknown',
                                                           f'{registry.host}/team/app:none'))
        self.assertTransferFails('PlatformUnavailable', '--platform=linux/s390x', reference)
        self.assertFails('InvalidOption', 'pull', '--foreign=perhaps', reference)
        self.assertFails('InvalidReference', 'pull', 'NO REFERENCE')

    def assertTransferFails(self, name, *arguments):
        done = self.instance.run('berthctl', 'pull', '-j', *arguments, check=False)
        finished = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((done.returncode, finished['event']), (1, 'finished'))
        self.assertEqual(finished['error'], 'org.berthd.Berth1.Error.' + name)
        self.assertEqual(done.stderr, f'berthctl: {finished["message"]}\n')
        return finished['message']


class Credentials(BerthctlTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.registry(htpasswd={'alice': 'secret'}, settings='Retries=0\n')
        self.image = Image([Layer(1000)])
        self.reference = self.image.push(self.server, 'team/app', 'latest', account='alice')

    def write(self, password):
        auth = base64.b64encode(f'alice:{password}'.encode()).decode()
        path = self.instance.path('home', '.docker', 'config.json')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'auths': {self.server.host: {'auth': auth}}}, file)

    def test_file(self):
        done = self.instance.run('berthctl', 'pull', '-j', self.reference, check=False)
        self.assertIn('AuthenticationRequired', done.stdout)
        self.write('wrong')
        done = self.instance.run('berthctl', 'pull', '-j', self.reference, check=False)
        self.assertIn('AuthenticationRequired', done.stdout)
        self.assertNotIn('wrong', done.stdout + done.stderr)
        self.write('secret')
        self.assertEqual(self.ctl('pull', '-q', self.reference), self.image.digest + '\n')
        self.assertNotIn('secret', self.instance.logs())

    def test_helper(self):
        programs = self.instance.path('programs')
        os.mkdir(programs)
        path = os.path.join(programs, 'docker-credential-test')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\n'
                       'echo \'{"ServerURL": "", "Username": "alice", "Secret": "secret"}\'\n')
        os.chmod(path, 0o755)
        creds = self.instance.path('creds.json')
        with open(creds, 'w', encoding='utf-8') as file:
            json.dump({'credHelpers': {self.server.host: 'test'}}, file)
        self.instance.extra_environment['PATH'] = f'{programs}:{os.environ["PATH"]}'
        self.assertEqual(self.ctl('pull', '-q', f'--creds={creds}', self.reference),
                         self.image.digest + '\n')


class Transfers(BerthctlTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.registry()
        self.image = Image([Layer(20 << 20)])
        self.reference = self.image.push(self.server, 'team/app', 'latest')

    def test_detach_wait_cancel(self):
        process = self.start('pull', '-j', LIMIT, self.reference)
        number = self.await_running(process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        self.assertEqual(process.returncode, 1)
        self.assertEqual(stderr, 'berthctl: the transfer goes on; cancel it with: berthctl cancel '
                                 f'{number}\n')
        row = self.ctl_json('transfers')[0]
        self.assertEqual((row['State'], row['Reference']), ('running', self.reference))
        waiting = self.start('wait', '-j', number)
        self.await_running(waiting)
        self.assertEqual(self.ctl('cancel', number), '')
        stdout, _ = waiting.communicate()
        self.assertEqual(waiting.returncode, 1)
        finished = json.loads(stdout.splitlines()[-1])
        self.assertEqual((finished['State'], finished['error']),
                         ('cancelled', 'org.berthd.Berth1.Error.Cancelled'))
        self.assertEqual(self.ctl('pull', '-q', self.reference), self.image.digest + '\n')

    def test_bars(self):
        terminal = Terminal([self.instance.tool('berthctl'), 'pull', LIMIT, self.reference],
                            self.instance.environment(), columns=100)
        self.addCleanup(terminal.close)
        name = self.image.layers[0].digest[len('sha256:'):][:12]
        lines = terminal.wait_screen(lambda lines: len(lines) == 2 and 'left' in lines[1])
        self.assertRegex(lines[0], rf'\A{name} +\[=*> *\] +[\d.]+[KM]/20M\Z')
        self.assertRegex(lines[1], r'\A0/1 layers +\[=*> *\] +[\d.]+[KM]/20M [\d.]+[KM]/s, \d+s left\Z')
        terminal.type('\x03')
        self.assertEqual(terminal.wait(), 1)
        self.assertIn('berthctl cancel 1', terminal.screen.shown()[-2])
        self.ctl('cancel', '1')

    def test_service_stops(self):
        process = self.start('pull', '-j', LIMIT, self.reference)
        self.await_running(process)
        self.instance.terminate()
        stdout, stderr = process.communicate()
        self.assertEqual(process.returncode, 1)
        self.assertRegex(stderr, r'\Aberthctl: [^\n]+\n\Z')
        self.assertIn('error', json.loads(stdout.splitlines()[-1]))
        self.instance.start()
        self.assertEqual(self.ctl('pull', '-q', self.reference), self.image.digest + '\n')

    def test_monitor(self):
        process = self.start('monitor')
        self.assertEqual(process.stdout.readline(), 'service running\n')
        self.ctl('pull', '-q', self.reference)
        self.assertRegex(process.stdout.readline(), r'\Aadded transfer/1 .*\bKind=pull\b')
        states = []
        while 'done' not in states:
            line = process.stdout.readline()
            self.assertRegex(line, r'\Achanged transfer/1 .*\bState=\w+')
            states.append(line.split('State=')[1].split()[0])

    def test_another_user(self):
        """Whoever did not ask for it sees that it runs, and cannot follow or end it."""
        self.polkit(pull='no')
        process = self.start('pull', '-j', LIMIT, self.reference)
        number = self.await_running(process)

        def as_alice(*arguments):
            return self.instance.run('setpriv', f'--reuid={ALICE}', '--clear-groups',
                                     self.instance.tool('berthctl'), '-j', *arguments, check=False)
        row = json.loads(as_alice('transfers').stdout)[0]
        self.assertEqual(row['State'], 'running')
        self.assertNotIn('Reference', row)
        for line in (('wait', number), ('cancel', number), ('pull', self.reference)):
            done = as_alice(*line)
            self.assertEqual(done.returncode, 1)
            self.assertIn('AccessDenied', done.stdout)
        self.ctl('cancel', number)
        process.communicate()


if __name__ == '__main__':
    unittest.main()
