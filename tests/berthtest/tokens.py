# SPDX-License-Identifier: LGPL-2.1-or-later
"""A token server as registries use it: what it signs, docker-registry accepts.

    with TokenServer(users={'alice': 'secret'}, anonymous={'public/*': ['pull']}) as tokens, \\
            Registry(auth=tokens) as registry:
        ...
        tokens.grants[-1].account, .scopes, .kind        # what was asked, newest last

What can be switched while it runs: refuse_post (a status such as 404 or 405), refuse (a status for
everything), field (`token`, `access_token` or `both`), lifetime (seconds), say_lifetime,
give_refresh_token, anonymous, access, users. It relies on the openssl command for the signatures.
"""

import base64
import collections
import fnmatch
import json
import time
import urllib.parse
import uuid

from .message import Response
from .tls import CA, openssl
from .wire import Server

LEEWAY = 60  # seconds after its end that docker-registry still accepts a token

# kind: 'GET', 'password' or 'refresh_token'; account: '' for anonymous; scopes: as they were asked
# for, ['repository:NAME:pull,push', …]; status: of the answer; actions: what was granted of it
Grant = collections.namedtuple('Grant', 'kind account scopes service client_id status actions')


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=')


def _raw_signature(der):
    """Returns: of an ECDSA signature as openssl makes it, the two numbers of 32 bytes each."""
    numbers = []
    offset = 2
    for _ in range(2):
        length = der[offset + 1]
        numbers.append(int.from_bytes(der[offset + 2:offset + 2 + length], 'big'))
        offset += 2 + length
    return b''.join(number.to_bytes(32, 'big') for number in numbers)


class TokenServer(Server):
    """users: {name: password}. anonymous: {pattern of a repository: actions} for everybody.

    access: {name: {pattern: actions}}, what a user may; a user without an entry may everything.
    algorithm: `ES256` or `RS256`. header: `x5c` (the certificate itself) or `kid` (its name).
    lifetime: how long a token is good for at the registry. Unlike others this server gives no token
    at all (401) for wrong passwords only; what is not allowed is left out of a token, as usual.
    """

    keep_bodies = True

    def __init__(self, users=None, anonymous=None, access=None, tls=None, algorithm='ES256',
                 header='x5c', lifetime=300, service='registry.test', address='127.0.0.1'):
        self.users = dict(users or {})
        self.anonymous = dict(anonymous or {})
        self.access = dict(access or {})
        self.lifetime, self.say_lifetime = lifetime, True
        self.refuse = self.refuse_post = None
        self.field = 'token'
        self.give_refresh_token = False
        self.service, self.issuer = service, 'berth-test-tokens'
        self.grants = []
        self._refresh_tokens = {}
        self._header = header
        self._algorithm = algorithm
        self._ca = CA('Berth test tokens', 'EC' if algorithm == 'ES256' else 'RSA')
        super().__init__(tls, address)

    @property
    def bundle(self):
        """Path of the PEM file that registries check signatures with."""
        return self._ca.certificate

    @property
    def realm(self):
        return self.url + '/token'

    def close(self):
        try:
            super().close()
        finally:
            self._ca.close()

    def kinds(self):
        """Returns: the kinds of what was granted or refused, oldest first."""
        return [grant.kind for grant in self.grants]

    # Answers

    def answer(self, request, record):
        body = b''.join(request.body)
        if request.path != '/token':
            return Response(404)
        if self.refuse:
            return self._error(self.refuse)
        if request.method == 'POST':
            if self.refuse_post:
                return self._error(self.refuse_post)
            return self._post(urllib.parse.parse_qs(body.decode()))
        if request.method == 'GET':
            asked = urllib.parse.parse_qs(urllib.parse.urlsplit(request.target).query)
            return self._get(asked, request.headers.get('Authorization'))
        return self._error(405)

    def _get(self, asked, authorization):
        account = ''
        if authorization is not None:
            word, _, text = authorization.partition(' ')
            name, _, password = base64.b64decode(text).decode().partition(':')
            if word.lower() != 'basic' or self.users.get(name) != password:
                return self._denied('GET', name, asked)
            account = name
        return self._granted('GET', account, asked)

    def _post(self, asked):
        kind = asked.get('grant_type', [''])[0]
        if kind == 'password':
            account = asked.get('username', [''])[0]
            if self.users.get(account) != asked.get('password', [''])[0]:
                return self._denied(kind, account, asked)
        elif kind == 'refresh_token':
            account = self._refresh_tokens.get(asked.get('refresh_token', [''])[0])
            if account is None:
                return self._denied(kind, '', asked)
        else:
            return self._error(400)
        return self._granted(kind, account, asked)

    def add_refresh_token(self, account):
        """Returns: an identity token that is good for the account."""
        token = uuid.uuid4().hex
        self._refresh_tokens[token] = account
        return token

    @staticmethod
    def _error(status):
        return Response(status, {'Content-Type': 'application/json'},
                        json.dumps({'details': 'refused by the test'}).encode())

    @staticmethod
    def _scopes(asked):
        return [word for value in asked.get('scope', []) for word in value.split()]

    def _note(self, kind, account, asked, status, actions):
        self.grants.append(Grant(kind, account, self._scopes(asked),
                                 asked.get('service', [''])[0], asked.get('client_id', [''])[0],
                                 status, actions))

    def _denied(self, kind, account, asked):
        self._note(kind, account, asked, 401, {})
        return self._error(401)

    def _allowed(self, account, repository, wanted):
        rules = self.access.get(account) if account in self.access else None
        if account and rules is None:
            return wanted
        may = {action for rules in (self.anonymous, rules or {})
               for pattern, actions in rules.items() if fnmatch.fnmatchcase(repository, pattern)
               for action in actions}
        return [action for action in wanted if action in may]

    def _granted(self, kind, account, asked):
        actions = {}
        for scope in self._scopes(asked):
            sort, _, rest = scope.partition(':')
            name, _, words = rest.rpartition(':')
            actions[sort, name] = self._allowed(account, name, words.split(','))
        self._note(kind, account, asked, 200,
                   {f'{sort}:{name}': given for (sort, name), given in actions.items()})
        token = self.token(account, actions)
        found = {name: token for name in ('token', 'access_token') if self.field in (name, 'both')}
        if self.say_lifetime:
            found['expires_in'] = self.lifetime
        if self.give_refresh_token and account:
            found['refresh_token'] = self.add_refresh_token(account)
        return Response(200, {'Content-Type': 'application/json'}, json.dumps(found).encode())

    def token(self, account, actions, lifetime=None):
        """actions: {('repository', NAME): ['pull', …]}. Returns: a signed token."""
        now = int(time.time())
        lifetime = self.lifetime if lifetime is None else lifetime
        claims = {'iss': self.issuer, 'sub': account, 'aud': self.service, 'iat': now - LEEWAY,
                  'nbf': now - LEEWAY, 'exp': now + lifetime - LEEWAY, 'jti': uuid.uuid4().hex,
                  'access': [{'type': sort, 'name': name, 'actions': given}
                             for (sort, name), given in actions.items()]}
        header = {'typ': 'JWT', 'alg': self._algorithm}
        if self._header == 'x5c':
            header['x5c'] = [self._ca.der(self._ca.certificate)]
        else:
            header['kid'] = self._key_id()
        text = b'.'.join(_encode(json.dumps(part).encode()) for part in (header, claims))
        signature = openssl('dgst', '-sha256', '-sign', self._ca.key, input=text)
        if self._algorithm == 'ES256':
            signature = _raw_signature(signature)
        return (text + b'.' + _encode(signature)).decode()

    def _key_id(self):
        """The name that libtrust gives to a key: of a hash of 240 bits, groups of four letters."""
        public = openssl('pkey', '-in', self._ca.key, '-pubout', '-outform', 'DER')
        text = base64.b32encode(openssl('dgst', '-sha256', '-binary', input=public)[:30]).decode()
        return ':'.join(text[i:i + 4] for i in range(0, len(text), 4))
