/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"

#include <glib.h>
#include <stdbool.h>

/**
 * berth_unpack_digest:
 * @fd: a file, packed with gzip or zstd; read from its beginning, not owned
 * @digest: (inout): its algorithm is that to use; then the digest of what is in the file
 * @error: BERTH_ERROR_ARCHIVE_INVALID: it is damaged, or unpacks to too much; BERTH_ERROR_FAILED
 *
 * Takes as long as unpacking and hashing do; nothing is kept.
 */
bool berth_unpack_digest(int fd, BerthDigest *digest, GError **error);
