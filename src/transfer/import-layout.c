/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The images of an OCI image layout in an archive. Names are found where the tools put them:
 * containerd and Docker write the full name into an annotation of their own; podman and skopeo into
 * that of the specification, where others have only a tag, which is no name.
 */

#include "base/error.h"
#include "base/json.h"
#include "base/reference.h"
#include "oci/document.h"
#include "transfer/import.h"

#include <string.h>

/* An entry is an object with its annotations and a platform; the values are mostly annotations. */
static const BerthJsonLimits limits = { .bytes = BERTH_DOCUMENT_BYTES_MAX,
                                        .depth = 16,
                                        .containers = 8 * BERTH_IMPORT_IMAGES_MAX,
                                        .values = 64 * BERTH_IMPORT_IMAGES_MAX };

/* (nullable) The name of @entry, with the tag alone completed from what the caller gave. */
static char *name_of(const BerthImport *import, const BerthDescriptor *entry)
{
    const char *full = NULL, *name = NULL;
    g_autoptr(BerthReference) base = NULL;

    if (entry->annotations) {
        full = g_hash_table_lookup(entry->annotations, "io.containerd.image.name");
        name = g_hash_table_lookup(entry->annotations, "org.opencontainers.image.ref.name");
    }
    if (full)
        return g_strdup(full);
    if (!name || strpbrk(name, "/:"))
        return g_strdup(name);
    if (!import->reference || !*import->reference)
        return NULL;
    base = berth_reference_parse(import->reference, NULL);
    if (!base || strchr(strrchr(import->reference, '/') ?: import->reference, ':'))
        return NULL; /* has a tag of its own */
    return g_strdup_printf("%s/%s:%s", base->registry, base->repository, name);
}

/*
 * Of an index with images for several platforms an archive may hold only some: then those that are
 * complete count, if there is one.
 */
static bool add_present(BerthImport *import, const BerthDescriptor *entry, const char *name,
                        GError **error)
{
    g_autoptr(GBytes) raw =
        berth_store_read_blob(import->store, &entry->digest, BERTH_DOCUMENT_BYTES_MAX, NULL);
    g_autoptr(BerthDocument) document =
        raw ? berth_document_parse(raw, entry->media_type, &entry->digest, NULL) : NULL;

    for (guint i = 0; document && document->index && i < document->index->manifests->len; i++) {
        const BerthDescriptor *child = document->index->manifests->pdata[i];
        BerthImage *image;

        if (!g_hash_table_contains(import->brought, child->digest.text) ||
            !berth_import_add_image(import, &child->digest, child->media_type, name, NULL))
            continue;
        image = import->images->pdata[import->images->len - 1];
        image->index_digest = g_strdup(entry->digest.text);
        g_hash_table_add(import->needed, g_strdup(entry->digest.text));
        g_clear_error(error);
        return true;
    }
    return false;
}

/* Whether @origin, which was brought, is an index that @image can have been chosen from. */
static bool is_origin(const BerthImport *import, const BerthDigest *origin, const BerthImage *image)
{
    g_autoptr(GBytes) raw =
        berth_store_read_blob(import->store, origin, BERTH_DOCUMENT_BYTES_MAX, NULL);
    g_autoptr(BerthDocument) document = raw ? berth_document_parse(raw, NULL, origin, NULL) : NULL;

    for (guint i = 0; document && document->index && i < document->index->manifests->len; i++) {
        const BerthDescriptor *child = document->index->manifests->pdata[i];

        if (berth_digest_equal(&child->digest, &image->digest) ||
            berth_media_type_kind(child->type) == BERTH_MEDIA_KIND_INDEX) /* with others in it */
            return true;
    }
    return false;
}

/* What an archive of our own says of the image of @entry, the last that was found. */
static void take_origin(BerthImport *import, const BerthDescriptor *entry)
{
    const char *text =
        entry->annotations ? g_hash_table_lookup(entry->annotations, BERTH_ANNOTATION_INDEX) : NULL;
    BerthImage *image =
        import->images->len > 0 ? import->images->pdata[import->images->len - 1] : NULL;
    BerthDigest origin;

    if (!text || !image || image->index_digest || !berth_digest_parse(text, &origin, NULL) ||
        !berth_digest_equal(&image->digest, &entry->digest) ||
        !g_hash_table_contains(import->brought, text) || !is_origin(import, &origin, image))
        return;
    image->index_digest = g_strdup(text);
    g_hash_table_add(import->needed, g_strdup(text));
}

bool berth_import_layout(BerthImport *import, GBytes *bytes, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(json_t) root =
        berth_json_load(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &limits, &failure);
    g_autoptr(BerthIndex) index =
        root ? berth_index_from_json(root, BERTH_IMPORT_IMAGES_MAX, &failure) : NULL;

    if (!index)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the archive's index.json: %s",
                               failure->message);
    for (guint i = 0; i < index->manifests->len; i++) {
        const BerthDescriptor *entry = index->manifests->pdata[i];
        g_autofree char *name = name_of(import, entry);

        if (!berth_import_add_image(import, &entry->digest, entry->media_type, name, &failure) &&
            !add_present(import, entry, name, &failure)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
        take_origin(import, entry);
    }
    return true;
}
