/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Digests: what is one, the path that it becomes, and hashing against the test vectors of FIPS
 * 180-4, in one piece and in many.
 */

#include "base/error.h"
#include "oci/hash.h"

#include <string.h>

#define EMPTY_256   "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC_256     "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION_256 "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
#define ABC_512                                                                                    \
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                      \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static void test_valid(void)
{
    static const char *const valid[] = { EMPTY_256, ABC_256, ABC_512 };

    for (guint i = 0; i < G_N_ELEMENTS(valid); i++) {
        g_autoptr(GError) error = NULL;
        BerthDigest digest, other;

        g_assert_true(berth_digest_parse(valid[i], &digest, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(digest.text, ==, valid[i]);
        g_assert_cmpstr(berth_digest_hex(&digest), ==, strchr(valid[i], ':') + 1);
        g_assert_true(
            g_str_has_prefix(valid[i], berth_digest_algorithm_to_string(digest.algorithm)));
        g_assert_true(berth_digest_parse(ABC_256, &other, NULL));
        g_assert_cmpint(berth_digest_equal(&digest, &other), ==, i == 1);
    }
}

static void test_invalid(void)
{
    static const char *const invalid[] = {
        "",
        ":",
        "sha256",
        "sha256:",
        "sha256:abc",
        (EMPTY_256 "0"),
        (EMPTY_256 "\n"),
        (EMPTY_256 ":"),
        (" " EMPTY_256),
        "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:E3B0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:../../../../../../../../../../../../../../../../../../../../../a",
        "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha384:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha25:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    };

    for (guint i = 0; i < G_N_ELEMENTS(invalid); i++) {
        g_autoptr(GError) error = NULL;
        BerthDigest digest;

        g_assert_false(berth_digest_parse(invalid[i], &digest, &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_REFERENCE);
        g_assert_true(g_str_has_prefix(error->message, "invalid digest '"));
    }
}

static void test_path(void)
{
    g_autofree char *path = NULL, *path_512 = NULL;
    BerthDigest digest;

    g_assert_true(berth_digest_parse(ABC_256, &digest, NULL));
    path = berth_digest_path(&digest);
    g_assert_cmpstr(
        path, ==, "blobs/sha256/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    g_assert_true(berth_digest_parse(ABC_512, &digest, NULL));
    path_512 = berth_digest_path(&digest);
    g_assert_true(g_str_has_prefix(path_512, "blobs/sha512/ddaf35a1"));
    g_assert_cmpuint(strlen(path_512), ==, strlen("blobs/sha512/") + 128);
}

static void assert_hash(BerthDigestAlgorithm algorithm, const char *data, size_t length,
                        size_t piece, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthHash) hash = berth_hash_new(algorithm, &error);
    BerthDigest digest;

    g_assert_no_error(error);
    for (size_t at = 0; at < length; at += piece)
        g_assert_true(berth_hash_update(hash, data + at, MIN(piece, length - at), &error));
    g_assert_true(berth_hash_finish(hash, &digest, &error));
    g_assert_no_error(error);
    g_assert_cmpint(digest.algorithm, ==, algorithm);
    g_assert_cmpstr(digest.text, ==, expected);
}

static void test_hash(void)
{
    g_autofree char *million = g_strnfill(1000000, 'a');
    static const size_t pieces[] = { 1, 63, 64, 65, 4096, 999999, 1000000 };
    BerthDigest digest;

    assert_hash(BERTH_DIGEST_SHA256, "", 0, 1, EMPTY_256);
    assert_hash(BERTH_DIGEST_SHA256, "abc", 3, 3, ABC_256);
    assert_hash(BERTH_DIGEST_SHA512, "abc", 3, 2, ABC_512);
    for (guint i = 0; i < G_N_ELEMENTS(pieces); i++)
        assert_hash(BERTH_DIGEST_SHA256, million, 1000000, pieces[i], MILLION_256);
    g_assert_true(berth_digest_compute(BERTH_DIGEST_SHA256, "abc", 3, &digest, NULL));
    g_assert_cmpstr(digest.text, ==, ABC_256);
}

static void test_unfinished(void)
{
    BerthHash *hash = berth_hash_new(BERTH_DIGEST_SHA256, NULL);

    g_assert_true(berth_hash_update(hash, "abc", 3, NULL));
    berth_hash_free(hash);
    berth_hash_free(NULL);
}

static void test_verify(void)
{
    g_autoptr(GError) error = NULL;
    BerthDigest a, b;

    g_assert_true(berth_digest_parse(ABC_256, &a, NULL) && berth_digest_parse(EMPTY_256, &b, NULL));
    g_assert_true(berth_digest_verify(&a, &a, "layer 1", &error));
    g_assert_false(berth_digest_verify(&a, &b, "layer 1", &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
    g_assert_true(g_str_has_prefix(error->message,
                                   "layer 1: expected " ABC_256 ", but its bytes are " EMPTY_256));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/digest/valid", test_valid);
    g_test_add_func("/digest/invalid", test_invalid);
    g_test_add_func("/digest/path", test_path);
    g_test_add_func("/digest/hash", test_hash);
    g_test_add_func("/digest/unfinished", test_unfinished);
    g_test_add_func("/digest/verify", test_verify);
    return g_test_run();
}
