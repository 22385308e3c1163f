/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Image indexes, and the choice of an image from one. What an index says about its entries is a
 * hint: what an entry is, its own bytes decide once they were fetched and their digest was checked.
 */

#include "oci/index.h"

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"

#define LISTED_MAX 32 /* platforms that a message lists */

BerthIndex *berth_index_from_json(const json_t *root, size_t max, GError **error)
{
    g_autoptr(BerthIndex) index = g_new0(BerthIndex, 1);
    const char *artifact_type;

    if (!berth_descriptors_from_json(root, "manifests", max, &index->manifests, error) ||
        !berth_descriptor_member(root, "subject", &index->subject, error) ||
        !berth_json_get_string(root, "artifactType", BERTH_MEDIA_TYPE_LENGTH_MAX, &artifact_type,
                               error) ||
        !berth_json_get_strings(root, "annotations", &index->annotations, error))
        return NULL;
    index->artifact_type = g_strdup(artifact_type);
    return g_steal_pointer(&index);
}

void berth_index_free(BerthIndex *index)
{
    if (!index)
        return;
    g_clear_pointer(&index->manifests, g_ptr_array_unref);
    berth_descriptor_free(index->subject);
    g_free(index->artifact_type);
    g_clear_pointer(&index->annotations, g_hash_table_unref);
    g_free(index);
}

/* The platforms of @index for a message, each once. */
static char *list_platforms(const BerthIndex *index)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GString *list = g_string_new(NULL);

    for (guint i = 0; i < index->manifests->len; i++) {
        const BerthDescriptor *entry = index->manifests->pdata[i];
        g_autofree char *quoted = NULL, *text = NULL;

        if (!entry->platform)
            continue;
        text = berth_platform_to_string(entry->platform);
        quoted = berth_quote(text);
        if (!g_hash_table_add(seen, g_steal_pointer(&text)))
            continue;
        if (g_hash_table_size(seen) > LISTED_MAX) {
            g_string_append(list, ", …");
            break;
        }
        g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", quoted);
    }
    return g_string_free(list, FALSE);
}

static bool set_unavailable(const BerthIndex *index, const BerthPlatform *wanted, GError **error)
{
    g_autofree char *name = berth_platform_to_string(wanted);
    g_autofree char *quoted = berth_quote(name);
    g_autofree char *list = list_platforms(index);

    if (!*list)
        return berth_set_error(error, BERTH_ERROR_PLATFORM_UNAVAILABLE,
                               "there is no image for platform %s, nor for any other", quoted);
    return berth_set_error(error, BERTH_ERROR_PLATFORM_UNAVAILABLE,
                           "there is no image for platform %s; choose from: %s", quoted, list);
}

static bool is_image_or_index(const BerthDescriptor *entry)
{
    BerthMediaKind kind = berth_media_type_kind(entry->type);

    return kind == BERTH_MEDIA_KIND_INDEX || kind == BERTH_MEDIA_KIND_MANIFEST;
}

GPtrArray *berth_index_choose(const BerthIndex *index, const BerthPlatform *wanted, GError **error)
{
    g_autoptr(GPtrArray) unsaid = g_ptr_array_new();
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    BerthDescriptor *best = NULL;
    int best_rank = -1;

    for (guint i = 0; i < index->manifests->len; i++) {
        BerthDescriptor *entry = index->manifests->pdata[i];
        int rank;

        if (!is_image_or_index(entry))
            continue;
        if (!entry->platform) {
            if (!entry->artifact_type)
                g_ptr_array_add(unsaid, entry);
            continue;
        }
        rank = berth_platform_rank(wanted, entry->platform);
        if (rank >= 0 && (!best || rank < best_rank)) {
            best = entry;
            best_rank = rank;
        }
    }
    if (best) {
        g_ptr_array_add(chosen, best);
        return g_steal_pointer(&chosen);
    }
    if (unsaid->len > 0)
        return g_steal_pointer(&unsaid);
    (void)set_unavailable(index, wanted, error);
    return NULL;
}
