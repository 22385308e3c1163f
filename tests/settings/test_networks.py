# SPDX-License-Identifier: LGPL-2.1-or-later
"""Settings of networks: names are resolved by a worker, and what it may then mean.

The names lead where use_hosts() says.
"""

import os
import unittest

from berthtest import (ALICE, BOB, CAROL, IF_IMAGES, IF_REGISTRIES, InstanceTestCase, ROOT_PATH,
                       use_hosts, vardict)

HOSTS = '''127.0.0.1 localhost
10.1.2.3 in.example
10.1.2.3 two.example
10.1.9.9 two.example
10.1.2.3 half.example
203.0.113.1 half.example
203.0.113.1 out.example
10.66.0.1 bad.example
10.1.2.3 mixed.example
10.66.0.1 mixed.example
10.1.77.1 inner.example
fd00::1 six.example
10.1.2.3 six.example
10.1.2.3 named.example
'''

REGISTRIES = '''[registry 10.1.0.0/16]
AllowNondistributable=yes
Insecure=yes
Retries=9
[registry 10.1.77.0/24]
AllowNondistributable=no
[registry fd00::/8]
AllowNondistributable=yes
[registry named.example]
Insecure=no
[registry elsewhere.example]
Location=in.example:5000/x
'''


def setUpModule():
    use_hosts(HOSTS)


def workers(instance):
    """Returns: the processes that the launcher has started and not yet seen end."""
    found = []
    for child in instance.children():
        with open(f'/proc/{child}/task/{child}/children', encoding='ascii') as file:
            found += file.read().split()
    return found


class Permitting(InstanceTestCase):
    registries = REGISTRIES

    def test_all_addresses_must_lie_inside(self):
        for name, allowed, insecure in (
                ('in.example', True, True), ('in.example:5000/x', True, True),
                ('two.example', True, True), ('half.example', False, False),
                ('out.example', False, False), ('nowhere.example', False, False),
                ('inner.example', False, True), ('six.example', True, False),
                ('named.example', True, False), ('elsewhere.example', True, True),
                ('localhost:5000', False, True)):
            with self.subTest(name=name):
                found = self.instance.registry(name)
                self.assertEqual((found['AllowNondistributable'], found['Insecure']),
                                 (allowed, insecure))
                self.assertFalse(found['Blocked'])

    def test_origins(self):
        path = os.path.join(self.instance.configuration, 'registries.d/test.conf')
        for name, key, origin in (
                ('in.example', 'AllowNondistributable', f'{path}:2'),
                ('in.example', 'Retries', f'{path}:4'),
                ('half.example', 'AllowNondistributable', 'built-in'),
                ('inner.example', 'AllowNondistributable', f'{path}:6'),
                ('named.example', 'Insecure', f'{path}:10'),
                ('localhost', 'Insecure', 'built-in'),
                ('nowhere.example', 'Retries', 'built-in')):
            with self.subTest(name=name, key=key):
                self.assertEqual(self.instance.registry(name)['Origins'][key], origin)

    def test_other_keys(self):
        self.assertEqual(self.instance.registry('two.example')['Retries'], 9)
        self.assertEqual(self.instance.registry('half.example')['Retries'], 5)

    def test_everybody_may_ask_and_all_are_answered(self):
        alice = self.user(ALICE)
        calls = [alice.begin(ROOT_PATH, IF_REGISTRIES, 'GetSettings', 's', name)
                 for name in ('in.example', 'out.example') * 10]
        for number, call in enumerate(calls):
            self.assertEqual(call.result()['AllowNondistributable'], number % 2 == 0)
        self.eventually(lambda: not workers(self.instance))

    def test_a_caller_that_leaves(self):
        alice = self.user(ALICE)
        for _ in range(8):
            alice.begin(ROOT_PATH, IF_REGISTRIES, 'GetSettings', 's', 'in.example')
        alice.close()
        self.assertTrue(self.instance.registry('in.example')['Insecure'])
        self.eventually(lambda: not workers(self.instance))

    def test_stopping_while_it_is_asked(self):
        alice = self.user(ALICE)
        for _ in range(4):
            alice.begin(ROOT_PATH, IF_REGISTRIES, 'GetSettings', 's', 'in.example')
        self.instance.restart()


class Blocking(InstanceTestCase):
    registries = '[registry 10.66.0.0/16]\nBlocked=yes\n[registry free.example]\nBlocked=no\n' \
                 '[registry 10.1.0.0/16]\nAllowNondistributable=yes\n'

    def test_one_address_is_enough(self):
        origin = os.path.join(self.instance.configuration, 'registries.d/test.conf:2')
        for name, blocked in (('bad.example', True), ('mixed.example', True),
                              ('in.example', False), ('out.example', False),
                              ('nowhere.example', True), ('free.example', False),
                              ('10.66.1.2:5000', True), ('10.1.2.3', False)):
            with self.subTest(name=name):
                found = self.instance.registry(name)
                self.assertEqual(found['Blocked'], blocked)
                if blocked:
                    self.assertEqual(found['Origins']['Blocked'], origin)
        self.assertFalse(self.instance.registry('mixed.example')['AllowNondistributable'])


class Reloading(InstanceTestCase):
    registries = '[registry 10.1.0.0/16]\nInsecure=yes\n'

    def test_the_set_is_replaced_exactly(self):
        self.assertTrue(self.instance.registry('in.example')['Insecure'])
        self.instance.write_settings('registries.d/test.conf',
                                     '[registry 203.0.113.0/24]\nInsecure=yes\n')
        self.instance.manager('Reload')
        self.assertFalse(self.instance.registry('in.example')['Insecure'])
        self.assertTrue(self.instance.registry('out.example')['Insecure'])


class WithoutWorkers(InstanceTestCase):
    registries = '[registry 10.1.0.0/16]\nInsecure=yes\n[registry 10.66.0.0/16]\nBlocked=yes\n'

    def setUp(self):
        self.instance = self.new_instance(registries=self.registries,
                                          environment={'BERTH_TRANSFER': '/bin/false'})

    def test_a_worker_that_fails_is_no_answer(self):
        with self.assertError('org.freedesktop.DBus.Error.Failed', 'worker'):
            self.instance.registry('in.example')
        self.assertTrue(self.instance.registry('10.1.2.3')['Insecure'])

    def test_stopping_while_a_worker_does_not_start(self):
        self.instance.terminate()
        self.instance.extra_environment['BERTH_TRANSFER'] = '/usr/bin/yes'  # it says nothing to us
        self.instance.start()
        self.user(ALICE).begin(ROOT_PATH, IF_REGISTRIES, 'GetSettings', 's', 'in.example')
        self.eventually(lambda: workers(self.instance))
        self.instance.terminate()
        self.instance.start()


class LyingWorkers(InstanceTestCase):
    """What a worker says that was taken over by a name server."""

    registries = WithoutWorkers.registries

    def setUp(self):
        self.instance = self.new_instance(registries=self.registries, start=False)
        self.instance.extra_environment['BERTH_TRANSFER'] = \
            self.instance.tool('settings/false-resolver')
        self.instance.start()

    def test_lies_are_no_answer(self):
        for name in ('ends.example', 'name.example', 'empty.example', 'type.example',
                     'more.example', 'nothing.example'):
            with self.subTest(name=name), \
                    self.assertError('org.freedesktop.DBus.Error.Failed', 'worker'):
                self.instance.registry(name)

    def test_addresses_of_others_do_not_count(self):
        found = self.instance.registry('other.example')
        self.assertTrue(found['Blocked'])  # as a name that cannot be resolved
        self.assertFalse(found['Insecure'])

    def test_a_zone_is_left_out(self):
        self.assertTrue(self.instance.registry('zone.example')['Insecure'])

    def test_slow_names(self):
        """Whoever asks for them waits, and nobody else: they are resolved a few at a time."""
        self.polkit(pull='yes')
        for uid in (ALICE, BOB):
            user = self.user(uid)
            for i in range(20):
                user.begin(ROOT_PATH, IF_IMAGES, 'Pull', 'sa{sv}', f'slow{i}.example/x',
                           vardict({}))
                user.begin(ROOT_PATH, IF_REGISTRIES, 'GetSettings', 's', f'slow.{i}.example')
        self.eventually(lambda: len(workers(self.instance)) == 8)
        for who in (self.user(CAROL), self.instance):
            settings = who.call(ROOT_PATH, IF_REGISTRIES, 'GetSettings', 's', 'zone.example')
            self.assertTrue(settings['Insecure'])
            self.eventually(lambda: len(workers(self.instance)) == 8)


if __name__ == '__main__':
    unittest.main()
