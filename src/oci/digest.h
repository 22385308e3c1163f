/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * BerthDigestAlgorithm: the algorithms of digests, those that the OCI image specification registers
 * ("Content Descriptors", Registered Algorithms).
 */
typedef enum {
    BERTH_DIGEST_SHA256,
    BERTH_DIGEST_SHA512,
    _BERTH_DIGEST_MAX,
    _BERTH_DIGEST_INVALID = -EINVAL,
} BerthDigestAlgorithm;

#define BERTH_DIGEST_LENGTH_MAX (sizeof("sha512:") - 1 + 128) /* bytes of a digest's text */

/**
 * BerthDigest: a digest whose syntax has been checked: only lower-case hex digits of the right
 * number follow the algorithm. So it may become part of a path or a URL as it is. A value, to be
 * copied freely.
 */
typedef struct {
    BerthDigestAlgorithm algorithm;
    char text[BERTH_DIGEST_LENGTH_MAX + 1]; /* `sha256:HEX` or `sha512:HEX` */
} BerthDigest;

/**
 * berth_digest_parse:
 * @text: `sha256:` and 64, or `sha512:` and 128 lower-case hex digits
 * @digest: (out): the digest
 * @error: BERTH_ERROR_INVALID_REFERENCE naming @text
 */
bool berth_digest_parse(const char *text, BerthDigest *digest, GError **error);

/** berth_digest_equal: Returns: whether both are the same, algorithm and value. */
bool berth_digest_equal(const BerthDigest *a, const BerthDigest *b);

/** berth_digest_hex: Returns: (transfer none): the hex digits inside @digest. */
const char *berth_digest_hex(const BerthDigest *digest);

/** berth_digest_algorithm_to_string: Returns: (static): `sha256` or `sha512`. */
const char *berth_digest_algorithm_to_string(BerthDigestAlgorithm algorithm);

/**
 * berth_digest_path:
 * @digest: a digest
 *
 * Returns: (transfer full): where an image layout keeps the blob, `blobs/sha256/HEX`, relative to
 *   its root (OCI image layout specification, "Blobs").
 */
char *berth_digest_path(const BerthDigest *digest);

/**
 * berth_digest_verify:
 * @expected: what the bytes should be
 * @actual: what they are
 * @what: what the bytes are, for the message: "layer 3", "manifest"
 * @error: BERTH_ERROR_DIGEST_MISMATCH naming both
 */
bool berth_digest_verify(const BerthDigest *expected, const BerthDigest *actual, const char *what,
                         GError **error);

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
