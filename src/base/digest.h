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
