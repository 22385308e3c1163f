/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Digests: their syntax, and the hashing of bytes with libcrypto, which uses the CPU's SHA
 * instructions where GLib does not. A BerthDigest can only be had by checking text or by hashing,
 * so whoever holds one may build a path from it. Nothing here may trust what somebody else says a
 * digest is.
 */

#include "oci/digest.h"

#include "base/error.h"
#include "base/names.h"

#include <openssl/evp.h>
#include <string.h>

struct BerthHash {
    BerthDigestAlgorithm algorithm;
    EVP_MD_CTX *context;
};

static const struct {
    const char *name;
    size_t hex_length;
    const EVP_MD *(*type)(void);
} algorithms[_BERTH_DIGEST_MAX] = {
    [BERTH_DIGEST_SHA256] = { "sha256", 64, EVP_sha256 },
    [BERTH_DIGEST_SHA512] = { "sha512", 128, EVP_sha512 },
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

BerthHash *berth_hash_new(BerthDigestAlgorithm algorithm, GError **error)
{
    g_autoptr(BerthHash) hash = g_new0(BerthHash, 1);

    hash->algorithm = algorithm;
    hash->context = EVP_MD_CTX_new();
    if (!hash->context ||
        EVP_DigestInit_ex(hash->context, algorithms[algorithm].type(), NULL) != 1) {
        (void)berth_set_error(error, BERTH_ERROR_FAILED, "cannot start %s: libcrypto refuses it",
                              algorithms[algorithm].name);
        return NULL;
    }
    return g_steal_pointer(&hash);
}

void berth_hash_free(BerthHash *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->context);
    g_free(hash);
}

bool berth_hash_update(BerthHash *hash, const void *data, size_t length, GError **error)
{
    return EVP_DigestUpdate(hash->context, data, length) == 1 ||
           berth_set_error(error, BERTH_ERROR_FAILED, "cannot go on with %s: libcrypto refuses it",
                           algorithms[hash->algorithm].name);
}

bool berth_hash_finish(BerthHash *hash, BerthDigest *digest, GError **error)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    char *out;

    if (EVP_DigestFinal_ex(hash->context, value, &length) != 1 ||
        2 * (size_t)length != algorithms[hash->algorithm].hex_length)
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot finish %s: libcrypto refuses it",
                               algorithms[hash->algorithm].name);

    *digest = (BerthDigest){ .algorithm = hash->algorithm };
    out = g_stpcpy(digest->text, algorithms[hash->algorithm].name);
    *out++ = ':';
    for (unsigned i = 0; i < length; i++) {
        *out++ = hex[value[i] >> 4];
        *out++ = hex[value[i] & 0xf];
    }
    return true;
}

bool berth_digest_compute(BerthDigestAlgorithm algorithm, const void *data, size_t length,
                          BerthDigest *digest, GError **error)
{
    g_autoptr(BerthHash) hash = berth_hash_new(algorithm, error);

    return hash && berth_hash_update(hash, data, length, error) &&
           berth_hash_finish(hash, digest, error);
}
