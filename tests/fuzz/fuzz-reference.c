/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: references, digests, platforms and URLs. What is taken must be bounded, safe to
 * build a path and a URL from, and mean the same when it is written out and read again; what is
 * refused must give an error that can be sent over the bus.
 */

#include "base/error.h"
#include "base/reference.h"
#include "oci/descriptor.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, int code, GError *error)
{
    g_assert(ok == (error == NULL));
    if (!error)
        return;
    g_assert(error->domain == BERTH_ERROR && error->code == code);
    g_assert(g_utf8_validate(error->message, -1, NULL));
    g_assert(!strchr(error->message, '\n'));
    g_assert(strlen(error->message) < 1000);
    g_error_free(error);
}

static void check_parts(const BerthReference *reference)
{
    BerthDigest digest;

    g_assert(strlen(reference->registry) <= BERTH_REFERENCE_REGISTRY_MAX);
    g_assert(!strpbrk(reference->registry, "/@?#%\\ ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    g_assert(strlen(reference->repository) <= BERTH_REFERENCE_REPOSITORY_MAX);
    g_assert(!strstr(reference->repository, "..") && !strstr(reference->repository, "//"));
    g_assert(reference->repository[strspn(reference->repository,
                                          "abcdefghijklmnopqrstuvwxyz0123456789/._-")] == '\0');
    g_assert(reference->tag || reference->has_digest);
    if (reference->tag)
        g_assert(reference->tag[0] != '.' && strlen(reference->tag) <= BERTH_REFERENCE_TAG_MAX);
    if (reference->has_digest)
        g_assert(berth_digest_parse(reference->digest.text, &digest, NULL));
}

static void try_reference(const char *text)
{
    GError *error = NULL;
    g_autoptr(BerthReference) reference = berth_reference_parse(text, &error), again = NULL;
    g_autofree char *full = NULL, *full_again = NULL;

    check(reference != NULL, BERTH_ERROR_INVALID_REFERENCE, error);
    if (!reference)
        return;
    check_parts(reference);
    full = berth_reference_to_string(reference);
    again = berth_reference_parse(full, NULL);
    g_assert(again && g_str_equal(again->registry, reference->registry));
    full_again = berth_reference_to_string(again);
    g_assert(g_str_equal(full, full_again));
}

static void try_digest(const char *text)
{
    GError *error = NULL;
    BerthDigest digest;
    bool ok = berth_digest_parse(text, &digest, &error);

    check(ok, BERTH_ERROR_INVALID_REFERENCE, error);
    if (ok) {
        g_autofree char *path = berth_digest_path(&digest);

        g_assert(g_str_equal(digest.text, text) && !strchr(path, '.'));
    }
}

static void try_platform(const char *text)
{
    GError *error = NULL;
    g_autoptr(BerthPlatform) platform = berth_platform_parse(text, &error), again = NULL;
    g_autofree char *full = NULL;

    check(platform != NULL, BERTH_ERROR_INVALID_OPTION, error);
    if (!platform)
        return;
    full = berth_platform_to_string(platform);
    again = berth_platform_parse(full, NULL);
    g_assert(again && berth_platform_rank(platform, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    GError *error = NULL;
    bool ok;

    try_reference(text);
    try_digest(text);
    try_platform(text);
    ok = berth_url_check(text, &error);
    check(ok, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE, error);
    return 0;
}
