/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which blobs an image needs: a walk from its manifest or index over what they name. Prune relies
 * on it to find too much rather than too little, the rules of reuse on the opposite. It reads
 * manifests from the store only, verified, within the limits of documents, and never follows deeper
 * than real images nest.
 */

#include "oci/reach.h"

#include "base/error.h"
#include "base/log.h"
#include "oci/document.h"
#include "oci/images.h"

#include <stdio.h>
#include <string.h>

#define USERS_MAX 262144 /* blobs that one user is known to have access to */
#define DEPTH_MAX 8      /* an index of indexes of images, and what those were attached to */

typedef struct {
    BerthStore *store;
    BerthReach how;
    BerthReachFunc func;
    void *userdata;
} Walk;

static bool walk(const Walk *w, const BerthDigest *digest, const char *media_type, int64_t size,
                 unsigned depth, GError **error);

/* Tells whatever looks like a digest in a document that is not understood. */
static void tell_guesses(const Walk *w, GBytes *raw)
{
    gsize length;
    const char *text = g_bytes_get_data(raw, &length);
    const char *end = text + length;

    for (int a = 0; a < _BERTH_DIGEST_MAX; a++) {
        const char *name = berth_digest_algorithm_to_string(a);
        const size_t prefix = strlen(name) + 1;
        const size_t all = prefix + (a == BERTH_DIGEST_SHA256 ? 64 : 128);

        for (const char *p = text; (p = memmem(p, (size_t)(end - p), name, prefix - 1)); p++) {
            char word[BERTH_DIGEST_LENGTH_MAX + 1];
            BerthDigest digest;

            if ((size_t)(end - p) < all)
                break;
            memcpy(word, p, all);
            word[all] = '\0';
            if (berth_digest_parse(word, &digest, NULL))
                (void)w->func(&digest, -1, false, w->userdata);
        }
    }
}

static void tell_parts(const Walk *w, const BerthManifest *manifest)
{
    (void)w->func(&manifest->config->digest, manifest->config->size, false, w->userdata);
    for (guint i = 0; i < manifest->layers->len; i++) {
        const BerthDescriptor *layer = manifest->layers->pdata[i];

        if (w->how != BERTH_REACH_PROVEN || !berth_media_type_is_nondistributable(layer->type))
            (void)w->func(&layer->digest, layer->size, false, w->userdata);
    }
}

static bool walk_index(const Walk *w, const BerthIndex *index, unsigned depth, GError **error)
{
    for (guint i = 0; i < index->manifests->len; i++) {
        const BerthDescriptor *entry = index->manifests->pdata[i];
        BerthMediaKind kind = berth_media_type_kind(entry->type);

        if (w->how == BERTH_REACH_PROVEN && kind != BERTH_MEDIA_KIND_MANIFEST &&
            kind != BERTH_MEDIA_KIND_INDEX)
            continue;
        if (!walk(w, &entry->digest, entry->media_type, entry->size, depth + 1, error))
            return false;
    }
    return true;
}

static bool walk_document(const Walk *w, const BerthDocument *document, unsigned depth,
                          GError **error)
{
    const BerthDescriptor *subject =
        document->manifest ? document->manifest->subject : document->index->subject;

    if (w->how == BERTH_REACH_ALL && subject &&
        !walk(w, &subject->digest, subject->media_type, subject->size, depth + 1, error))
        return false;
    if (!document->manifest)
        return walk_index(w, document->index, depth, error);
    tell_parts(w, document->manifest);
    return true;
}

static bool walk(const Walk *w, const BerthDigest *digest, const char *media_type, int64_t size,
                 unsigned depth, GError **error)
{
    BerthMediaKind kind = berth_media_type_kind(berth_media_type_from_string(media_type));
    bool known = kind == BERTH_MEDIA_KIND_MANIFEST || kind == BERTH_MEDIA_KIND_INDEX;
    bool deep = known || (kind == BERTH_MEDIA_KIND_OTHER && w->how == BERTH_REACH_ALL);
    g_autoptr(BerthDocument) document = NULL;
    g_autoptr(GBytes) raw = NULL;
    int64_t there;
    int found;

    if (!w->func(digest, size, deep, w->userdata) || !deep)
        return true;
    if (depth > DEPTH_MAX)
        return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                               "manifest %s is nested too deeply; remove its image", digest->text);
    found = berth_store_stat_blob(w->store, digest, &there, error);
    if (found <= 0)
        return found == 0;
    if (!known && there > BERTH_DOCUMENT_BYTES_MAX)
        return true; /* not a document, whatever it is */
    raw = berth_store_read_blob(w->store, digest, BERTH_DOCUMENT_BYTES_MAX, error);
    if (!raw)
        return false;
    document =
        berth_document_parse(raw, kind == BERTH_MEDIA_KIND_OTHER ? NULL : media_type, digest, NULL);
    if (document)
        return walk_document(w, document, depth, error);
    if (w->how == BERTH_REACH_ALL)
        tell_guesses(w, raw);
    return true;
}

bool berth_store_reach(BerthStore *store, const BerthDigest *digest, const char *media_type,
                       int64_t size, BerthReach how, BerthReachFunc func, void *userdata,
                       GError **error)
{
    const Walk w = { store, how, func, userdata };

    return walk(&w, digest, media_type, size, 0, error);
}

/* The values say whether a blob was looked into. */
static bool add_to(const BerthDigest *digest, int64_t size, bool deep, void *userdata)
{
    GHashTable *digests = userdata;

    if (g_hash_table_lookup(digests, digest->text) || g_hash_table_size(digests) >= USERS_MAX)
        return false;
    g_hash_table_insert(digests, g_strdup(digest->text), GINT_TO_POINTER(deep));
    return deep;
}

GHashTable *berth_store_reachable_for(BerthStore *store, uid_t uid)
{
    GHashTable *digests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) images = berth_store_list(store, "", NULL);

    for (guint i = 0; images && i < images->len; i++) {
        const BerthImage *image = images->pdata[i];
        g_autoptr(GError) error = NULL;

        if (berth_image_owned_by(image, uid) &&
            !berth_store_reach(store, &image->digest, image->media_type, image->size,
                               BERTH_REACH_PROVEN, add_to, digests, &error))
            berth_debug("looking for blobs of user %u: %s", uid, error->message);
    }
    return digests;
}

static bool contains(const GArray *ids, uid_t uid)
{
    for (guint i = 0; i < ids->len; i++)
        if (g_array_index(ids, uint32_t, i) == uid)
            return true;
    return false;
}

/* Whether somebody is among the owners of @image that is not yet among @readers. */
static bool is_of_interest(const BerthImage *image, uid_t uid, const GArray *readers)
{
    for (guint i = 0; i < image->owners->len; i++) {
        uid_t owner = g_array_index(image->owners, uid_t, i);

        if (owner != 0 && (uid == 0 || owner == uid) && !contains(readers, owner))
            return true;
    }
    return false;
}

static bool has_blob(BerthStore *store, const BerthImage *image, const BerthDigest *digest)
{
    g_autoptr(GHashTable) digests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    (void)berth_store_reach(store, &image->digest, image->media_type, image->size,
                            BERTH_REACH_PROVEN, add_to, digests, NULL);
    return g_hash_table_contains(digests, digest->text);
}

/* Who brought the blob himself may have it, whatever the images say of it. */
static void add_bringers(BerthStore *store, const BerthDigest *digest, GArray *readers)
{
    g_auto(GStrv) origins = berth_store_origins(store, digest);

    for (char **origin = origins; *origin; origin++) {
        unsigned bringer;

        if (sscanf(*origin, "@%u/", &bringer) == 1 && bringer != 0 && !contains(readers, bringer))
            g_array_append_val(readers, bringer);
    }
}

GArray *berth_store_readers(BerthStore *store, const BerthDigest *digest, uid_t uid, GError **error)
{
    g_autoptr(GPtrArray) images = berth_store_list(store, "", error);
    const uint32_t root = 0;
    GArray *readers;

    if (!images)
        return NULL;
    readers = berth_store_bringers(store, digest);
    for (guint i = 0; i < images->len; i++) {
        const BerthImage *image = images->pdata[i];

        if (!is_of_interest(image, uid, readers) || !has_blob(store, image, digest))
            continue;
        for (guint o = 0; o < image->owners->len; o++) {
            uint32_t owner = g_array_index(image->owners, uid_t, o);

            if (owner != 0 && !contains(readers, owner))
                g_array_append_val(readers, owner);
        }
    }
    add_bringers(store, digest, readers);
    g_array_append_val(readers, root);
    return readers;
}
