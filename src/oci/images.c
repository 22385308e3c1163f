/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images in the store's index: finding and listing them. The file may come from any tool, so an
 * entry that makes no sense is passed over, and a name is looked for as it would be written here
 * and as the other tool wrote it. Changes are made in image-changes.c.
 */

#include "oci/images-internal.h"

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"
#include "base/reference.h"
#include "oci/image-entry.h"
#include "oci/reach.h"

#include <string.h>

#define PARTS_MAX 65536 /* blobs of one image that are counted */

/* Finding */

bool berth_image_find_lines(const BerthIndexFile *file, const char *image, GArray *lines,
                            GError **error)
{
    g_autoptr(BerthReference) reference = berth_reference_parse(image, NULL);
    g_autofree char *full = reference ? berth_reference_to_string(reference) : NULL;
    g_autofree char *quoted_digest = NULL;
    BerthIndexLine line = { 0 };
    BerthDigest digest;

    if (berth_digest_parse(image, &digest, NULL)) {
        quoted_digest = g_strdup_printf("\"%s\"", digest.text);
        while (berth_index_file_next_with(file, quoted_digest, &line)) {
            g_autoptr(json_t) entry = berth_index_file_entry(file, &line, error);

            if (!entry)
                return false;
            if (g_strcmp0(json_string_value(json_object_get(entry, "digest")), digest.text) == 0)
                g_array_append_val(lines, line);
        }
    } else if (full && berth_index_file_next_named(file, full, &line)) {
        g_array_append_val(lines, line);
    } else {
        line = (BerthIndexLine){ 0 };
        if (berth_index_file_next_named(file, image, &line))
            g_array_append_val(lines, line);
    }
    return true;
}

bool berth_image_set_missing(const char *image, GError **error)
{
    g_autofree char *quoted = berth_quote(image);

    return berth_set_error(
        error, BERTH_ERROR_NO_SUCH_IMAGE,
        "there is no image '%s' in the store; pull it, or see the list of images", quoted);
}

json_t *berth_image_first_entry(const BerthIndexFile *file, const GArray *lines, const char *image,
                                BerthImage **found, GError **error)
{
    for (guint i = 0; i < lines->len; i++) {
        g_autoptr(json_t) entry =
            berth_index_file_entry(file, &g_array_index(lines, BerthIndexLine, i), error);

        if (!entry)
            return NULL;
        *found = berth_image_read(entry);
        if (*found)
            return g_steal_pointer(&entry);
    }
    (void)berth_image_set_missing(image, error);
    return NULL;
}

static BerthImage *find_in(const BerthIndexFile *file, const char *image, GError **error)
{
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(BerthIndexLine));
    g_autoptr(json_t) entry = NULL;
    BerthImage *found = NULL;

    if (!berth_image_find_lines(file, image, lines, error))
        return NULL;
    entry = berth_image_first_entry(file, lines, image, &found, error);
    return found;
}

BerthImage *berth_store_find(BerthStore *store, const char *image, GError **error)
{
    for (int strict = 0;; strict++) {
        g_autoptr(BerthIndexFile) file = berth_index_file_read(store, strict, error);
        g_autoptr(GError) failure = NULL;
        BerthImage *found = file ? find_in(file, image, &failure) : NULL;

        if (found || !file)
            return found;
        if (!g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT) || strict) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
    }
}

/* Listing */

static int compare(gconstpointer a, gconstpointer b)
{
    const BerthImage *one = *(BerthImage *const *)a, *other = *(BerthImage *const *)b;

    if (!one->reference != !other->reference)
        return one->reference ? -1 : 1;
    return one->reference ? strcmp(one->reference, other->reference)
                          : strcmp(one->digest.text, other->digest.text);
}

static GPtrArray *list_in(const BerthIndexFile *file, const char *prefix, GError **error)
{
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)berth_image_free);
    BerthIndexLine line = { 0 };

    while (berth_index_file_next(file, &line)) {
        g_autoptr(json_t) entry = berth_index_file_entry(file, &line, error);
        g_autoptr(BerthImage) image = entry ? berth_image_read(entry) : NULL;

        if (!entry)
            return NULL;
        if (image && g_str_has_prefix(image->reference ? image->reference : "", prefix))
            g_ptr_array_add(images, g_steal_pointer(&image));
    }
    g_ptr_array_sort(images, compare);
    return g_steal_pointer(&images);
}

GPtrArray *berth_store_list(BerthStore *store, const char *prefix, GError **error)
{
    for (int strict = 0;; strict++) {
        g_autoptr(BerthIndexFile) file = berth_index_file_read(store, strict, error);
        g_autoptr(GPtrArray) images = file ? list_in(file, prefix, strict ? error : NULL) : NULL;

        if (images || !file || strict)
            return g_steal_pointer(&images);
    }
}

/* Size, and what is attached */

static bool add_size(const BerthDigest *digest, int64_t size, bool deep, void *userdata)
{
    GHashTable *sizes = userdata;

    return g_hash_table_size(sizes) < PARTS_MAX &&
           g_hash_table_insert(sizes, g_strdup(digest->text), GSIZE_TO_POINTER(MAX(size, 0)));
}

uint64_t berth_store_total(BerthStore *store, const BerthImage *image)
{
    g_autoptr(GHashTable) sizes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    uint64_t total = 0;
    gpointer size;

    if (image->total > 0)
        return image->total;
    if (!berth_store_reach(store, &image->digest, image->media_type, image->size, BERTH_REACH_PARTS,
                           add_size, sizes, NULL))
        return 0;
    g_hash_table_iter_init(&iter, sizes);
    while (g_hash_table_iter_next(&iter, NULL, &size))
        total += GPOINTER_TO_SIZE(size);
    return total;
}

static bool find_referrers(const BerthIndexFile *file, const BerthDigest *subject,
                           GPtrArray *images, GError **error)
{
    g_autofree char *quoted = g_strdup_printf("\"%s\"", subject->text);
    BerthIndexLine line = { 0 };

    while (berth_index_file_next_with(file, quoted, &line)) {
        g_autoptr(json_t) entry = berth_index_file_entry(file, &line, error);
        g_autoptr(BerthImage) image = entry ? berth_image_read(entry) : NULL;

        if (!entry)
            return false;
        if (image && g_strcmp0(image->subject, subject->text) == 0)
            g_ptr_array_add(images, g_steal_pointer(&image));
    }
    return true;
}

GPtrArray *berth_store_referrers(BerthStore *store, const BerthDigest *subject, GError **error)
{
    for (int strict = 0;; strict++) {
        g_autoptr(GPtrArray) images =
            g_ptr_array_new_with_free_func((GDestroyNotify)berth_image_free);
        g_autoptr(BerthIndexFile) file = berth_index_file_read(store, strict, error);
        g_autoptr(GError) failure = NULL;

        if (!file)
            return NULL;
        if (find_referrers(file, subject, images, &failure))
            return g_steal_pointer(&images);
        if (!g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT) || strict) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
    }
}
