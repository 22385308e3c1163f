/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What images of the store consist of, for those who carry them elsewhere: archives and registries.
 * Everything is looked at before anything is carried, so that what is missing is known in time.
 */

#include "transfer/parts.h"

#include "base/error.h"

#define DEPTH_MAX 8 /* of indexes in indexes, as for what is pulled */

BerthParts *berth_parts_new(void)
{
    BerthParts *parts = g_new0(BerthParts, 1);

    parts->documents = g_ptr_array_new_with_free_func((GDestroyNotify)berth_document_free);
    parts->parts = g_array_new(FALSE, TRUE, sizeof(BerthPart));
    parts->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return parts;
}

void berth_parts_free(BerthParts *parts)
{
    if (!parts)
        return;
    g_ptr_array_unref(parts->documents);
    g_array_unref(parts->parts);
    g_hash_table_unref(parts->seen);
    g_free(parts);
}

const BerthDocument *berth_parts_find_document(const BerthParts *parts, const BerthDigest *digest)
{
    for (guint i = 0; i < parts->documents->len; i++) {
        const BerthDocument *document = parts->documents->pdata[i];

        if (berth_digest_equal(&document->digest, digest))
            return document;
    }
    return NULL;
}

/* The part of @digest; @added says whether it is new. The pointer is good until the next call. */
static BerthPart *find_or_add(BerthParts *parts, const BerthDigest *digest, int64_t size,
                              bool *added)
{
    guint place = GPOINTER_TO_UINT(g_hash_table_lookup(parts->seen, digest->text));
    const BerthPart part = { .digest = *digest, .size = size };

    *added = place == 0;
    if (*added) {
        g_array_append_val(parts->parts, part);
        place = parts->parts->len;
        g_hash_table_insert(parts->seen, g_strdup(digest->text), GUINT_TO_POINTER(place));
    }
    return &g_array_index(parts->parts, BerthPart, place - 1);
}

static bool set_missing(const BerthPart *part, GError **error)
{
    return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                           "the store lacks %s, which the image needs; pull the image again",
                           part->digest.text);
}

static bool add_blob(BerthParts *parts, BerthStore *store, const BerthDescriptor *descriptor,
                     bool is_layer, GError **error)
{
    bool nondistributable = is_layer && berth_media_type_is_nondistributable(descriptor->type);
    bool added;
    BerthPart *part = find_or_add(parts, &descriptor->digest, descriptor->size, &added);
    int64_t size = -1;
    int present;

    part->is_blob = true;
    part->is_layer = part->is_layer || is_layer;
    if (!added &&
        (!part->nondistributable || (nondistributable && (part->present || !parts->authorized))))
        return true;
    part->nondistributable = nondistributable; /* by all that name it */
    present = berth_store_stat_blob(store, &descriptor->digest, &size, error);
    if (present < 0)
        return false;
    part->present = present && size == descriptor->size &&
                    (!nondistributable || parts->authorized ||
                     berth_store_may_reuse(store, &descriptor->digest, ""));
    return part->present || nondistributable || set_missing(part, error);
}

static bool add_manifest(BerthParts *parts, BerthStore *store, const BerthManifest *manifest,
                         GError **error)
{
    if (!add_blob(parts, store, manifest->config, false, error))
        return false;
    for (guint i = 0; i < manifest->layers->len; i++)
        if (!add_blob(parts, store, manifest->layers->pdata[i], true, error))
            return false;
    return true;
}

static BerthDocument *add_document(BerthParts *parts, BerthStore *store, const BerthDigest *digest,
                                   const char *media_type, unsigned depth, GError **error)
{
    g_autoptr(GBytes) raw = berth_store_read_blob(store, digest, BERTH_DOCUMENT_BYTES_MAX, error);
    g_autoptr(BerthDocument) document = NULL;
    BerthPart *part;
    bool added;

    if (!raw)
        return NULL;
    document = berth_document_parse(raw, media_type, digest, error);
    if (!document)
        return NULL;
    if (depth > DEPTH_MAX) {
        (void)berth_set_error(error, BERTH_ERROR_STORE_CORRUPT, "%s: indexes lie too deep",
                              digest->text);
        return NULL;
    }
    part = find_or_add(parts, digest, (int64_t)g_bytes_get_size(raw), &added);
    part->is_document = part->present = true;
    part->size = (int64_t)g_bytes_get_size(raw);
    part->nondistributable = false;
    for (guint i = 0; document->index && i < document->index->manifests->len; i++) {
        const BerthDescriptor *child = document->index->manifests->pdata[i];

        if (!berth_parts_find_document(parts, &child->digest) &&
            !add_document(parts, store, &child->digest, child->media_type, depth + 1, error))
            return NULL;
    }
    if (document->manifest && !add_manifest(parts, store, document->manifest, error))
        return NULL;
    g_ptr_array_add(parts->documents, document);
    return g_steal_pointer(&document);
}

const BerthDocument *berth_parts_add(BerthParts *parts, BerthStore *store,
                                     const BerthDigest *digest, const char *media_type,
                                     GError **error)
{
    const BerthDocument *document = berth_parts_find_document(parts, digest);

    return document ? document : add_document(parts, store, digest, media_type, 0, error);
}

bool berth_parts_add_origin(BerthParts *parts, BerthStore *store, const BerthDigest *digest)
{
    g_autoptr(GBytes) raw = berth_store_read_blob(store, digest, BERTH_DOCUMENT_BYTES_MAX, NULL);
    g_autoptr(BerthDocument) document = raw ? berth_document_parse(raw, NULL, digest, NULL) : NULL;
    BerthPart *part;
    bool added;

    if (!document || !document->index)
        return false;
    part = find_or_add(parts, digest, (int64_t)g_bytes_get_size(raw), &added);
    part->is_document = part->present = true;
    part->nondistributable = false;
    return true;
}

bool berth_parts_limit_to_user(const BerthParts *parts, BerthStore *store, GError **error)
{
    for (guint i = 0; i < parts->parts->len; i++) {
        const BerthPart *part = &g_array_index(parts->parts, BerthPart, i);

        if (part->present && !berth_store_may_reuse(store, &part->digest, ""))
            return set_missing(part, error);
    }
    return true;
}
