# SPDX-License-Identifier: LGPL-2.1-or-later
"""Archives of other tools, and what those say to ours."""

import os
import shutil
import subprocess
import tempfile
import unittest

from berthtest import Image, Layer, skopeo, write_layout

from archiving import A, Archive, ArchiveTestCase


class Tools(ArchiveTestCase):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(dir=os.environ.get('BERTH_TEST_TMP'))
        self.addCleanup(shutil.rmtree, self.directory)
        self.image = Image([Layer(300000, 1), Layer(5000, 2)])

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), 'rb') as file:
            return file.read()

    def test_skopeo_writes(self):
        layout = write_layout(self.path('layout'), {'x': self.image})
        for form in ('oci-archive', 'docker-archive'):
            skopeo('copy', f'oci:{layout}:x', f'{form}:{self.path(form)}:{A}')
            found = self.bring(self.read(form))
            if form == 'oci-archive':
                self.assertEqual(found['Digest'], self.image.digest)
            self.assertEqual([name for name, _ in self.rows()], [A])

    def test_skopeo_reads(self):
        self.bring(Archive().layout({A: self.image}).bytes())
        for form in ('oci', 'docker'):
            with open(self.path(form), 'wb') as file:
                file.write(self.export(A, Format=form))
            target = self.path('out-' + form)
            skopeo('copy', f'{form}-archive:{self.path(form)}:{A}', f'oci:{target}:x')
            found = subprocess.run(['skopeo', 'inspect', f'oci:{target}:x'], check=True,
                                   stdout=subprocess.PIPE, text=True).stdout
            self.assertIn('linux', found)
            # what was read comes in again
            skopeo('copy', f'oci:{target}:x', f'docker-archive:{target}.tar:{A}')
            self.bring(self.read(f'out-{form}.tar'))


if __name__ == '__main__':
    unittest.main()
