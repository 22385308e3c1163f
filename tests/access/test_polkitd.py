# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real polkitd, with our policy and an administrator's rule, among users of its own making."""

import os
import shutil
import unittest

import dbus

from berthtest import (ALICE, BOB, InstanceTestCase, IF_SANDBOX, Terminal, User, gid_of_name,
                       name_of_uid, vardict)
from berthtest.calls import IF_SANDBOXES, ROOT_PATH

POLKITD = '/usr/lib/polkit-1/polkitd'

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
CHALLENGE = 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'

# The rule of the manual: group render may create shareable sandboxes named render-*.
RULE = '''
polkit.addRule(function(action, subject) {
    if (action.id == "org.berthd.berth1.create-sandbox" &&
        subject.isInGroup("render") &&
        action.lookup("mode") == "shareable" &&
        action.lookup("sandbox").indexOf("render-") == 0)
        return polkit.Result.YES;
    if (action.id.indexOf("org.berthd.berth1.") == 0)
        return polkit.Result.NO;
});
'''

# polkitd reads fixed places; in a mount namespace of its own they are ours.
START = '''
set -e
mount -t tmpfs -o mode=755 rules /etc/polkit-1
mkdir /etc/polkit-1/rules.d
[ -z "$RULE" ] || printf %s "$RULE" >/etc/polkit-1/rules.d/10-berth.rules
mount -t tmpfs -o mode=755 actions /usr/share/polkit-1/actions
cp "$POLICY" /usr/share/polkit-1/actions/
cp /etc/group "$GROUP"
printf 'render:x:64999:%s\\n' "$RENDERERS" >>"$GROUP"
mount --bind "$GROUP" /etc/group
exec "$POLKITD" --no-debug
'''


@unittest.skipUnless(os.path.exists(POLKITD), 'polkitd is not installed')
class PolkitdTestCase(InstanceTestCase):
    rule = RULE

    def setUp(self):
        super().setUp()
        policy = self.instance.path('org.berthd.berth1.policy')
        shutil.copy(os.path.join(self.instance.build, 'policy', 'org.berthd.berth1.policy'), policy)
        os.chmod(policy, 0o644)
        daemon = self.instance.popen(
            ['unshare', '--mount', 'sh', '-c', START], log='polkitd.log', RULE=self.rule,
            POLICY=policy, GROUP=self.instance.path('group'), POLKITD=POLKITD,
            RENDERERS=name_of_uid(ALICE))

        def end():
            daemon.kill()
            daemon.wait()
        self.addCleanup(end)
        self.eventually(lambda: daemon.poll() is not None or
                        self.instance.bus.name_has_owner('org.freedesktop.PolicyKit1'))
        self.assertIsNone(daemon.poll(), self.instance.text('polkitd.log'))
        self.alice, self.bob = self.user(ALICE), self.user(BOB)


class Rule(PolkitdTestCase):
    def test_what_the_rule_grants(self):
        path = self.alice.create('render-1')
        self.assertEqual(self.alice.get(path, IF_SANDBOX, 'Owner'), ALICE)
        self.alice.create('render-2', Mode='shareable', ShmSize=1 << 20)
        # what is her own needs no action, so the refusal in the rule does not matter
        self.keep(self.alice.join('render-1'))
        self.alice.resize(path, 1 << 20)
        self.alice.describe(path)
        self.alice.remove(path)

    def test_what_it_refuses(self):
        self.instance.create('demo')
        self.alice.create('render-1')
        refused = {
            'another name': lambda: self.alice.create('demo'),
            'a name that contains it': lambda: self.alice.create('x-render-1'),
            'no name': lambda: self.alice.create(),
            'private': lambda: self.alice.create('render-2', Mode='private'),
            'none': lambda: self.alice.create('render-2', Mode='none'),
            'host': lambda: self.alice.create('render-2', Mode='host'),
            'a donor': lambda: self.alice.create('render-2', Mode='container:render-1'),
            'publication': lambda: self.alice.create('render-2', Publish=True),
            'another group': lambda: self.bob.create('render-2'),
            'to join': lambda: self.alice.join('0/demo'),
            'to manage': lambda: self.bob.remove(self.alice.find('render-1')),
            'to publish': lambda: self.alice.sandbox(self.alice.find('render-1'), 'Publish'),
            'to reload': lambda: self.alice.manager('Reload'),
        }
        for what, call in refused.items():
            with self.subTest(what=what), self.assertError(DENIED):
                call()
        self.assertEqual({str(row['Name']) for row in self.instance.list()}, {'demo', 'render-1'})

    def test_the_default_mode_is_what_the_rule_sees(self):
        self.instance.write_settings('berth.conf', '[Sandboxes]\nDefaultIpcMode=private\n')
        self.instance.manager('Reload')
        with self.assertError(DENIED):
            self.alice.create('render-1')
        self.alice.create('render-1', Mode='shareable')

    def test_groups_of_the_connection_do_not_count_for_polkit(self):
        """polkit knows the groups of a user itself; berthd adds nothing to it."""
        bob = User(self.instance, BOB, groups=[gid_of_name('games'), 64999])
        self.addCleanup(bob.close)
        with self.assertError(DENIED):
            bob.create('render-1')


class Defaults(PolkitdTestCase):
    """Our policy without any rule: nobody here has a session, so allow_any counts."""

    rule = ''

    def test_an_administrator_is_asked_for(self):
        path = self.instance.create('demo')
        calls = {
            'create': lambda: self.alice.create('x'),
            'join': lambda: self.alice.join('0/demo'),
            'manage': lambda: self.alice.remove(path),
            'publish': lambda: self.alice.sandbox(path, 'Publish'),
            'reload': lambda: self.alice.manager('Reload'),
        }
        for what, call in calls.items():
            with self.subTest(what=what), self.assertError(CHALLENGE):
                call()
        self.assertEqual(len(self.instance.list()), 1)

    def test_with_interaction_and_no_agent(self):
        pending = self.alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'x', vardict({}),
                                   interactive=True)
        with self.assertRaises(dbus.DBusException) as caught:
            pending.result()
        self.assertIn(caught.exception.get_dbus_name(), (DENIED, CHALLENGE))

    def test_who_leaves(self):
        pending = [self.alice.begin(ROOT_PATH, IF_SANDBOXES, 'Create', 'sa{sv}', 'x', vardict({}),
                                    interactive=True) for _ in range(10)]
        self.alice.close()
        del pending
        self.assertEqual(self.bob.list(), [])
        self.assertEqual(self.instance.list(), [])


class Agent(PolkitdTestCase):
    """berthctl on a terminal: the agent that it starts asks for a password."""

    rule = 'polkit.addAdminRule(function() { return ["unix-user:0"]; });'

    def ask(self, *options):
        terminal = Terminal(['setpriv', f'--reuid={ALICE}', f'--regid={ALICE}', '--clear-groups',
                             self.instance.tool('berthctl'), 'reload', *options],
                            {**self.instance.environment(), 'LC_ALL': 'C.UTF-8'}, columns=120)
        self.addCleanup(terminal.close)
        return terminal

    def test_prompt(self):
        terminal = self.ask()
        terminal.wait_text('Password:')
        self.assertIn('Authentication is required to', terminal.output)
        self.assertIn('org.berthd.berth1.reload', terminal.output)
        terminal.type('\x03')
        terminal.wait()
        self.assertNotEqual(terminal.process.returncode, 0)

    def test_no_prompt(self):
        terminal = self.ask('--no-ask-password')
        self.assertEqual(terminal.wait(), 1)
        self.assertRegex(terminal.output, r'\Aberthctl: [^\n]+\r\n\Z')


if __name__ == '__main__':
    unittest.main()
