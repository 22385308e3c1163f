# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an OCI image layout must look like, and how to look at it.

    images = check_layout(test, directory)             # {reference: digest}
    read_blob(directory, images['h.example/a:1'])
"""

import hashlib
import json
import os

NAME = 'org.opencontainers.image.ref.name'


def hash_file(path, algorithm):
    found = hashlib.new(algorithm)
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def read_index(directory):
    with open(os.path.join(directory, 'index.json'), encoding='utf-8') as file:
        return json.load(file)


def blob_path(directory, digest):
    return os.path.join(directory, 'blobs', *digest.split(':'))


def read_blob(directory, digest):
    with open(blob_path(directory, digest), 'rb') as file:
        return file.read()


def blobs(directory):
    """Returns: the digests of all blobs, sorted."""
    place = os.path.join(directory, 'blobs')
    return sorted(f'{algorithm}:{name}' for algorithm in os.listdir(place)
                  for name in os.listdir(os.path.join(place, algorithm)))


def _needed(directory, row):
    """Yields (digest, size) of all that belongs to an entry of an index."""
    yield row['digest'], row['size']
    if 'manifest' not in row['mediaType'] and 'index' not in row['mediaType']:
        return
    with open(blob_path(directory, row['digest']), encoding='utf-8') as file:
        document = json.load(file)
    for child in document.get('manifests', []):
        yield from _needed(directory, child)
    for part in [document['config'], *document['layers']] if 'config' in document else []:
        yield part['digest'], part['size']


def check_layout(test, directory, skip=lambda digest: False, absent=()):
    """The layout is valid: every blob is what its name says, every image is complete.

    skip: of blobs that are not looked into; absent: digests of layers that were left out.
    Returns: {reference: digest}.
    """
    with open(os.path.join(directory, 'oci-layout'), encoding='utf-8') as file:
        test.assertEqual(json.load(file), {'imageLayoutVersion': '1.0.0'})
    for digest in blobs(directory):
        if not skip(digest):
            algorithm, name = digest.split(':')
            test.assertEqual(hash_file(blob_path(directory, digest), algorithm), name)
    images = {}
    for row in read_index(directory)['manifests']:
        for digest, size in _needed(directory, row):
            if digest not in absent:
                test.assertEqual(os.stat(blob_path(directory, digest)).st_size, size, row)
        images[row.get('annotations', {}).get(NAME)] = row['digest']
    return images
