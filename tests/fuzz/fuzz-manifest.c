/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: manifests and indexes. The input is a Content-Type header, a line feed, and a
 * document. What is taken keeps its bytes, is one of the two kinds and within every bound; an image
 * is then chosen from an index. What is refused gives an error that can be sent over the bus.
 */

#include "base/error.h"
#include "oci/document.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const GError *error)
{
    g_assert(error && error->domain == BERTH_ERROR);
    g_assert(error->code == BERTH_ERROR_MANIFEST_INVALID ||
             error->code == BERTH_ERROR_DIGEST_MISMATCH);
    g_assert(g_utf8_validate(error->message, -1, NULL));
    g_assert(!strchr(error->message, '\n'));
    g_assert(strlen(error->message) < 1000);
}

static void check_descriptor(const BerthDescriptor *descriptor)
{
    BerthDigest digest;

    if (!descriptor)
        return;
    g_assert(berth_media_type_is_valid(descriptor->media_type));
    g_assert(berth_media_type_from_string(descriptor->media_type) == descriptor->type);
    g_assert(berth_digest_parse(descriptor->digest.text, &digest, NULL));
    g_assert(berth_digest_equal(&descriptor->digest, &digest));
    g_assert(descriptor->size >= 0 && descriptor->size <= BERTH_BLOB_SIZE_MAX);
    g_assert(!descriptor->urls || g_strv_length(descriptor->urls) <= BERTH_URLS_MAX);
    g_assert(!descriptor->data || g_bytes_get_size(descriptor->data) == (uint64_t)descriptor->size);
}

static void check_all(const GPtrArray *descriptors, guint max)
{
    g_assert(descriptors->len <= max);
    for (guint i = 0; i < descriptors->len; i++)
        check_descriptor(descriptors->pdata[i]);
}

static void try_choice(const BerthIndex *index)
{
    static const char *const wanted[] = { "linux/amd64", "linux/arm/v7" };

    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
        g_autoptr(BerthPlatform) platform = berth_platform_parse(wanted[i], NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) chosen = berth_index_choose(index, platform, &error);

        g_assert(!chosen == !!error);
        if (chosen) {
            g_assert(chosen->len > 0);
            continue;
        }
        g_assert(error->code == BERTH_ERROR_PLATFORM_UNAVAILABLE);
        g_assert(g_utf8_validate(error->message, -1, NULL) && !strchr(error->message, '\n'));
        g_assert(strlen(error->message) < 10000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    g_autofree char *content_type = end ? g_strndup((const char *)data, (gsize)(end - data)) : NULL;
    g_autoptr(GBytes) raw = end ? g_bytes_new(end + 1, size - (size_t)(end + 1 - data)) : NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthDocument) document = NULL;

    if (!end)
        return 0;
    document = berth_document_parse(raw, content_type, NULL, &error);
    if (!document) {
        check_error(error);
        return 0;
    }
    g_assert(!error && g_bytes_equal(document->raw, raw));
    g_assert(!document->manifest != !document->index);
    if (document->manifest) {
        check_descriptor(document->manifest->config);
        check_descriptor(document->manifest->subject);
        check_all(document->manifest->layers, BERTH_MANIFEST_LAYERS_MAX);
    } else {
        check_descriptor(document->index->subject);
        check_all(document->index->manifests, BERTH_INDEX_MANIFESTS_MAX);
        try_choice(document->index);
    }
    return 0;
}
