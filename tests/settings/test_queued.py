# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transfers that wait for their turn start with the settings that are in force then."""

import base64
import json
import os
import unittest

from berthtest import ALICE, Image, Layer, MemoryRegistry, PullTestCase, vardict
from berthtest.faults import Stall

SECRET = 'hunter2'
ORIGIN = 'test.conf:2'


class QueuedTestCase(PullTestCase):
    """One transfer may run at a time, and one does, until go() is called."""

    def setUp(self):
        super().setUp()
        self.authority = self.polkit(pull='yes', push='yes', use_machine_credentials='yes')
        self.instance.write_settings('berth.conf', '[Transfers]\nMaxTransfers=1\n')
        self.instance.manager('Reload')
        self.home = self.serve(MemoryRegistry())
        self.image = Image([Layer(3000, 1)])
        self.reference = self.image.push(self.home, 'team/app', '1')
        other = Image([Layer(3000, 2)])
        self.proxy_in_the_way = self.proxy(self.home)
        self.stall = self.proxy_in_the_way.fault(Stall(100), path=other.layers[0].digest)
        other.push(self.home, 'in/the-way', '1')
        self.first = self.begin(f'{self.proxy_in_the_way.host}/in/the-way:1')
        self.stall.wait()

    def go(self):
        """The one that runs ends."""
        self.stall.release()
        self.ended(self.first)

    def wait_in_line(self, reference, who=None, **options):
        """Returns: a pull that waits."""
        path = self.begin(reference, who, **options)
        self.assertEqual(self.property(path, 'State'), 'queued')
        return path

    def fails_at_its_turn(self, path, name, message):
        self.assertEqual(self.property(path, 'State'), 'queued')
        self.go()
        description = self.end(path)
        self.assertEqual((description['State'], description['ErrorName'].rsplit('.', 1)[1]),
                         ('failed', name), description['ErrorMessage'])
        self.assertRegex(description['ErrorMessage'], message)


class Settings(QueuedTestCase):
    def test_nothing_changed(self):
        path = self.wait_in_line(self.reference)
        self.go()
        self.assertEqual(self.ended(path)['Digest'], self.image.digest)

    def test_blocked_meanwhile(self):
        path = self.wait_in_line(self.reference)
        self.configure(f'[registry {self.home.host}]\nBlocked=yes\n')
        requests = len(self.home.requests(path='/team/app/'))
        self.fails_at_its_turn(path, 'RegistryBlocked', ORIGIN)
        self.assertEqual(len(self.home.requests(path='/team/app/')), requests)

    def test_blocked_mirror_is_left_out(self):
        mirror = self.serve(MemoryRegistry())
        self.image.push(mirror, 'team/app', '1')
        self.configure(f'[registry {self.home.host}]\nMirrors={mirror.host}\n')
        path = self.wait_in_line(self.reference)
        requests = len(mirror.requests())
        self.configure(f'[registry {self.home.host}]\nMirrors={mirror.host}\n'
                       f'[registry {mirror.host}]\nBlocked=yes\n')
        self.go()
        self.assertEqual(self.ended(path)['Layers'][0]['Source'], 'registry')
        self.assertEqual(len(mirror.requests()), requests)

    def test_it_is_somewhere_else_now(self):
        self.configure('[registry far.example]\nLocation=127.0.0.1:1\nRetries=0\n')
        path = self.wait_in_line('far.example/team/app:1')
        self.configure(f'[registry far.example]\nLocation={self.home.host}\nRetries=0\n')
        self.go()
        self.ended(path)

    def test_sources_of_foreign_layers(self):
        path = self.wait_in_line(self.reference, ForeignLayers='registry-first')
        self.configure('[defaults]\nForeignLayers=registry-only\n')
        self.fails_at_its_turn(path, 'InvalidOption', 'registry-only')

    def test_more_may_run(self):
        path = self.wait_in_line(self.reference)
        self.instance.write_settings('berth.conf', '[Transfers]\nMaxTransfers=2\n')
        self.instance.manager('Reload')
        self.ended(path)
        self.assertEqual(self.property(self.first, 'State'), 'running')
        self.go()

    def test_the_next_has_its_turn_all_the_same(self):
        path = self.wait_in_line(self.reference)
        other = self.wait_in_line(f'{self.proxy_in_the_way.host}/team/app:1')
        self.configure(f'[registry {self.home.host}]\nBlocked=yes\n')
        self.fails_at_its_turn(path, 'RegistryBlocked', ORIGIN)
        self.ended(other)

    def test_pushes(self):
        """Of what is pushed, and of both sides of a copy."""
        self.configure('[registry there.example]\nLocation=127.0.0.1:1\nRetries=0\n')
        there = 'there.example/team/copy:1'
        calls = [('Copy', 'ssa{sv}', self.reference, there),
                 ('Copy', 'ssa{sv}', there, f'{self.proxy_in_the_way.host}/team/copy:1')]
        paths = [str(self.images(method, signature, *arguments, vardict({})))
                 for method, signature, *arguments in calls]
        self.configure('[registry there.example]\nBlocked=yes\n')
        self.fails_at_its_turn(paths[0], 'RegistryBlocked', ORIGIN)
        self.assertEqual(self.end(paths[1])['ErrorName'].rsplit('.', 1)[1], 'RegistryBlocked')
        self.configure('')
        pushed = self.image.push(self.home, 'team/pushed', '1')
        self.pull(pushed)
        self.first = self.hold_again()
        path = str(self.images('Push', 'ssa{sv}', pushed, '', vardict({})))
        self.configure(f'[registry {self.home.host}]\nBlocked=yes\n')
        self.fails_at_its_turn(path, 'RegistryBlocked', ORIGIN)

    def hold_again(self):
        """Returns: another transfer that runs until go() is called."""
        other = Image([Layer(3000, 3)])
        other.push(self.home, 'in/the-way', '2')
        self.stall = self.proxy_in_the_way.fault(Stall(100), path=other.layers[0].digest)
        path = self.begin(f'{self.proxy_in_the_way.host}/in/the-way:2')
        self.stall.wait()
        return path


class Credentials(QueuedTestCase):
    """What polkit decided when the transfer was asked for holds, and nobody is asked again."""

    def setUp(self):
        super().setUp()
        self.closed = self.registry(htpasswd={'machine': SECRET})
        self.image.push(self.closed, 'team/app', '1', account='machine')
        self.closed_reference = f'{self.closed.host}/team/app:1'
        self.files = 0

    def give_credentials(self):
        self.files += 1
        path = self.instance.path(f'auth{self.files}.json')
        auth = base64.b64encode(f'machine:{SECRET}'.encode()).decode()
        with open(path, 'w', encoding='ascii') as file:
            json.dump({'auths': {self.closed.host: {'auth': auth}}}, file)
        os.chmod(path, 0o600)
        self.configure(f'[registry {self.closed.host}]\nCredentialsFile={path}\n')

    def test_granted(self):
        self.give_credentials()
        path = self.wait_in_line(self.closed_reference, self.user(ALICE))
        self.authority.answer(use_machine_credentials='no')
        self.give_credentials()
        self.authority.forget()
        self.go()
        self.ended(path)
        self.assertEqual(self.authority.checks(), [])

    def test_refused(self):
        self.authority.answer(use_machine_credentials='no')
        self.give_credentials()
        path = self.wait_in_line(self.closed_reference, self.user(ALICE))
        self.authority.answer(use_machine_credentials='yes')
        self.give_credentials()
        self.fails_at_its_turn(path, 'AuthenticationRequired', self.closed.host)

    def test_nobody_was_asked(self):
        """There were none then."""
        path = self.wait_in_line(self.closed_reference, self.user(ALICE))
        self.give_credentials()
        self.fails_at_its_turn(path, 'AuthenticationRequired', self.closed.host)

    def test_of_root(self):
        path = self.wait_in_line(self.closed_reference)
        self.give_credentials()
        self.go()
        self.ended(path)


if __name__ == '__main__':
    unittest.main()
