/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/** BerthHash: the digest of bytes that come piece by piece. Not shared between threads. */
typedef struct BerthHash BerthHash;

/**
 * berth_hash_new:
 * @algorithm: which one
 * @error: BERTH_ERROR_FAILED: libcrypto refuses, as without memory or where a policy forbids it
 *
 * Returns: (transfer full) (nullable): free it with berth_hash_free().
 */
BerthHash *berth_hash_new(BerthDigestAlgorithm algorithm, GError **error);

/** berth_hash_free: frees @hash (nullable), finished or not. */
void berth_hash_free(BerthHash *hash);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthHash, berth_hash_free)

/**
 * berth_hash_update:
 * @hash: not yet finished
 * @data: @length bytes that follow those before; large pieces are faster
 * @error: BERTH_ERROR_FAILED: libcrypto refuses
 */
bool berth_hash_update(BerthHash *hash, const void *data, size_t length, GError **error);

/**
 * berth_hash_finish:
 * @hash: takes no further bytes afterwards
 * @digest: (out): the digest of all bytes
 * @error: BERTH_ERROR_FAILED: libcrypto refuses
 */
bool berth_hash_finish(BerthHash *hash, BerthDigest *digest, GError **error);

/**
 * berth_digest_compute:
 * @algorithm: which one
 * @data: @length bytes in memory
 * @digest: (out): their digest
 * @error: BERTH_ERROR_FAILED: libcrypto refuses
 */
bool berth_digest_compute(BerthDigestAlgorithm algorithm, const void *data, size_t length,
                          BerthDigest *digest, GError **error);
