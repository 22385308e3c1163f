# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every fault at everything that is read: in success or in the one right error, and no trace of it.

A pull reads a token, a manifest, a config and a layer. Each fault strikes one of them, once or every
time, in front of a registry that wants tokens; see berthtest/faults.py for what each does.
"""

import types

from berthtest import Image, Layer, PullTestCase, Registry, TokenServer, has
from berthtest.pulling import auth_entry, credentials

LAYER = 40000


class MatrixTestCase(PullTestCase):
    """self.front: in front of the registry; self.tokens: in front of the token server."""

    retries = 1

    def setUp(self):
        super().setUp()
        server = self.serve(TokenServer(users={'alice': 'secret'}))
        self.tokens = self.proxy(server)
        self.server = self.serve(Registry(auth=types.SimpleNamespace(
            realm=f'{self.tokens.url}/token', service=server.service, issuer=server.issuer,
            bundle=server.bundle, users=server.users)))
        self.front = self.proxy(self.server)
        self.image = Image([Layer(LAYER, 1), Layer(2000, 2)])
        self.image.push(self.server, 'team/app', 'latest', account='alice')
        self.reference = f'{self.front.host}/team/app:latest'
        self.configure(f'[registry {self.front.host}]\nRetries={self.retries}\n'
                       'StallTimeout=300ms\n')
        self.places = {'manifest': '/manifests/', 'config': self.image.config.digest,
                       'layer': self.image.layers[0].digest}

    def own(self):
        return credentials(**{self.front.host: auth_entry('alice', 'secret')})

    def fault(self, target, fault, times):
        """Returns: the Rule of the fault at one of the places, or at `token`."""
        if target == 'token':
            return self.tokens.fault(fault, path='^/token', method='GET|POST', times=times)
        return self.front.fault(fault, path=self.places[target], method='GET', times=times,
                                where=has('Authorization'))

    def struck(self, target, fault, times, outcome, message='.'):
        """The pull with this fault ends as outcome says: None is success, else an error's name."""
        with self.subTest(target=target, fault=type(fault).__name__, of=vars(fault), times=times):
            rule = self.fault(target, fault, times)
            if outcome is None:
                self.pull(self.reference, Credentials=self.own())
                self.assertHas(self.image)
                self.assertTidy()
            else:
                description = self.fails(outcome, message, self.reference, Credentials=self.own())
                self.assertNotIn('secret', description['ErrorMessage'])
            self.assertGreater(rule.hits, 0, 'it did not strike')
        self.front.clear()
        self.tokens.clear()
        self.forget()

    def tearDown(self):
        """After all that, it works."""
        self.pull(self.reference, Credentials=self.own())
        self.assertHas(self.image)
        self.assertNotIn('secret', self.instance.logs())
        super().tearDown()
