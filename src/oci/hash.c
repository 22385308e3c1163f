/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hashing with libcrypto, which uses the CPU's SHA instructions where GLib does not. Nothing here
 * may trust what somebody else says a digest is.
 */

#include "oci/hash.h"

#include "base/error.h"

#include <openssl/evp.h>
#include <string.h>

struct BerthHash {
    BerthDigestAlgorithm algorithm;
    EVP_MD_CTX *context;
};

static const EVP_MD *(*const types[_BERTH_DIGEST_MAX])(void) = {
    [BERTH_DIGEST_SHA256] = EVP_sha256,
    [BERTH_DIGEST_SHA512] = EVP_sha512,
};

BerthHash *berth_hash_new(BerthDigestAlgorithm algorithm, GError **error)
{
    g_autoptr(BerthHash) hash = g_new0(BerthHash, 1);

    hash->algorithm = algorithm;
    hash->context = EVP_MD_CTX_new();
    if (!hash->context || EVP_DigestInit_ex(hash->context, types[algorithm](), NULL) != 1) {
        (void)berth_set_error(error, BERTH_ERROR_FAILED, "cannot start %s: libcrypto refuses it",
                              berth_digest_algorithm_to_string(algorithm));
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
                           berth_digest_algorithm_to_string(hash->algorithm));
}

bool berth_hash_finish(BerthHash *hash, BerthDigest *digest, GError **error)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    char *out;

    G_STATIC_ASSERT(2 * EVP_MAX_MD_SIZE + sizeof("sha512:") <= sizeof(digest->text));

    if (EVP_DigestFinal_ex(hash->context, value, &length) != 1 ||
        length != (unsigned)EVP_MD_CTX_get_size(hash->context))
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot finish %s: libcrypto refuses it",
                               berth_digest_algorithm_to_string(hash->algorithm));

    *digest = (BerthDigest){ .algorithm = hash->algorithm };
    out = g_stpcpy(digest->text, berth_digest_algorithm_to_string(hash->algorithm));
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
