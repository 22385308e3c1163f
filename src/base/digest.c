/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Digests: their syntax. A BerthDigest can only be had by checking text or by hashing (oci/hash.h),
 * so whoever holds one may build a path from it. Nothing here may trust what somebody else says a
 * digest is.
 */

#include "base/digest.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

static const struct {
    const char *name;
    size_t hex_length;
} algorithms[_BERTH_DIGEST_MAX] = {
    [BERTH_DIGEST_SHA256] = { "sha256", 64 },
    [BERTH_DIGEST_SHA512] = { "sha512", 128 },
};

static BerthDigestAlgorithm find_algorithm(const char *text, const char *colon)
{
    size_t length = (size_t)(colon - text);

    for (int a = 0; a < _BERTH_DIGEST_MAX; a++)
        if (strlen(algorithms[a].name) == length && memcmp(algorithms[a].name, text, length) == 0)
            return a;
    return _BERTH_DIGEST_INVALID;
}

bool berth_digest_parse(const char *text, BerthDigest *digest, GError **error)
{
    const char *colon = strchr(text, ':');
    BerthDigestAlgorithm algorithm = colon ? find_algorithm(text, colon) : _BERTH_DIGEST_INVALID;
    g_autofree char *quoted = NULL;

    if (algorithm >= 0 &&
        strspn(colon + 1, "0123456789abcdef") == algorithms[algorithm].hex_length &&
        !colon[1 + algorithms[algorithm].hex_length]) {
        *digest = (BerthDigest){ .algorithm = algorithm };
        g_strlcpy(digest->text, text, sizeof(digest->text));
        return true;
    }

    quoted = berth_quote(text);
    if (algorithm >= 0)
        return berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                               "invalid digest '%s': exactly %zu hex digits in lower case follow "
                               "'%s:'",
                               quoted, algorithms[algorithm].hex_length,
                               algorithms[algorithm].name);
    return berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                           "invalid digest '%s': use 'sha256:' and 64 hex digits, or 'sha512:' and "
                           "128",
                           quoted);
}

bool berth_digest_equal(const BerthDigest *a, const BerthDigest *b)
{
    return a->algorithm == b->algorithm && g_str_equal(a->text, b->text);
}

const char *berth_digest_hex(const BerthDigest *digest)
{
    return digest->text + strlen(algorithms[digest->algorithm].name) + 1;
}

const char *berth_digest_algorithm_to_string(BerthDigestAlgorithm algorithm)
{
    return algorithms[algorithm].name;
}

char *berth_digest_path(const BerthDigest *digest)
{
    return g_strdup_printf("blobs/%s/%s", algorithms[digest->algorithm].name,
                           berth_digest_hex(digest));
}

bool berth_digest_verify(const BerthDigest *expected, const BerthDigest *actual, const char *what,
                         GError **error)
{
    return berth_digest_equal(expected, actual) ||
           berth_set_error(error, BERTH_ERROR_DIGEST_MISMATCH,
                           "%s: expected %s, but its bytes are %s: they were changed on the way or "
                           "at their source; try again, or ask who publishes the image",
                           what, expected->text, actual->text);
}
