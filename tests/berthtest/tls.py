# SPDX-License-Identifier: LGPL-2.1-or-later
"""A certificate authority for the servers of the tests, made with the openssl command.

    ca = CA()
    server = UrlServer(tls=ca)          # a certificate for 127.0.0.1, ::1 and localhost
    ... CAFile={ca.certificate} ...
    certificate, key = ca.client('alice')
    ca.close()

It relies on openssl alone. Everything lies in a temporary directory that close() removes.
"""

import base64
import itertools
import os
import re
import shutil
import ssl
import subprocess
import tempfile

LOOPBACK = ('127.0.0.1', '::1', 'localhost')
_LITERAL = re.compile(r'[0-9.]+|.*:.*')


def openssl(*arguments, input=None):
    """Returns: what openssl printed, as bytes."""
    done = subprocess.run(['openssl', *arguments], input=input or b'', stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f'openssl {" ".join(arguments)} ended with {done.returncode}:\n'
                           + done.stderr.decode('utf-8', 'replace'))
    return done.stdout


class CA:
    """certificate, key: paths of PEM files of the authority itself.

    key_type: of every key made here: `EC` (P-256) or `RSA` (2048 bits).
    """

    def __init__(self, name='Berth test CA', key_type='EC'):
        self.directory = tempfile.mkdtemp(prefix='ca', dir=os.environ.get('BERTH_TEST_TMP', '/tmp'))
        os.chmod(self.directory, 0o755)  # workers of other users read the certificate
        self._key_type = key_type
        self._numbers = itertools.count(1)
        self._issued = {}
        self.key = self._make_key('ca')
        self.certificate = self.path('ca.pem')
        self._certify(name, self.key, self.certificate, [
            'basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def _make_key(self, name):
        path = self.path(f'{name}.key')
        algorithm = (['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] if self._key_type == 'EC'
                     else ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'])
        openssl('genpkey', '-algorithm', *algorithm, '-out', path)
        return path

    def _certify(self, name, key, certificate, extensions, signer=(), expired=False):
        command = ['req', '-new', '-key', key, '-subj', f'/CN={name}']
        for extension in extensions:
            command += ['-addext', extension]
        signer = [*signer, '-set_serial', str(next(self._numbers)), '-sha256', '-out', certificate]
        if not expired:
            openssl(*command, '-x509', '-days', '30', *signer)
        else:  # which req refuses to make
            openssl('x509', '-req', '-days', '-1', '-copy_extensions', 'copyall', *signer,
                    input=openssl(*command))

    def _issue(self, kind, names, usage, expired=False):
        wanted = (kind, tuple(names), expired)
        if wanted not in self._issued:
            stem = f'{kind}{next(self._numbers)}'
            key, certificate = self._make_key(stem), self.path(f'{stem}.pem')
            other = ','.join(('IP:' if _LITERAL.fullmatch(name) else 'DNS:') + name
                             for name in names)
            self._certify(names[0], key, certificate, [
                'basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature',
                f'extendedKeyUsage={usage}', f'subjectAltName={other}'],
                          ('-CA', self.certificate, '-CAkey', self.key), expired)
            self._issued[wanted] = certificate, key
        return self._issued[wanted]

    def server(self, *names, expired=False):
        """names: DNS names and addresses; none: those of the loopback. expired: yesterday.

        Returns: paths of the PEM files: certificate, key.
        """
        return self._issue('server', names or LOOPBACK, 'serverAuth', expired)

    def client(self, name):
        """Returns: paths of the PEM files: certificate, key."""
        return self._issue('client', (name,), 'clientAuth')

    def server_context(self, *names, client_ca=None, expired=False):
        """client_ca: another CA, or this one: clients must show a certificate that it made."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server(*names, expired=expired))
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca.certificate)
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=self.certificate)

    def der(self, path):
        """Returns: the certificate in the PEM file, as base64 of DER."""
        with open(path, encoding='ascii') as file:
            return base64.b64encode(ssl.PEM_cert_to_DER_cert(file.read())).decode()
