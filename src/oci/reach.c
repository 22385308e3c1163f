/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which blobs an image needs: a walk from its manifest or index over what they name. Prune relies
 * on it to find too much rather than too little, the rules of reuse on the opposite. It reads
 * manifests from the store only, verified, within the limits of documents. However deep somebody
 * nests them, it needs no stack for that, and looks into each once. One that is damaged can be used
 * by nobody and keeps nobody from going on; one that cannot be read just now may need anything.
 */

#include "oci/reach.h"

#include "base/error.h"
#include "base/log.h"
#include "oci/document.h"
#include "oci/images.h"

#include <string.h>

#define USERS_MAX 262144 /* blobs that one user is known to have access to */
#define DEPTH_MAX 8      /* an index of indexes of images: more a pull refuses */

/* A document that is to be looked into. */
typedef struct {
    BerthDigest digest;
    char *media_type;
    unsigned depth;
} Step;

typedef struct {
    BerthStore *store;
    BerthReach how;
    BerthReachFunc func;
    void *userdata;
    GQueue steps; /* (element-type Step): each blob once, since @func says so */
} Walk;

static void step_free(void *data)
{
    Step *step = data;

    g_free(step->media_type);
    g_free(step);
}

static bool is_document(const char *media_type)
{
    BerthMediaKind kind = berth_media_type_kind(berth_media_type_from_string(media_type));

    return kind == BERTH_MEDIA_KIND_MANIFEST || kind == BERTH_MEDIA_KIND_INDEX;
}

/* @media_type: of a document, if it is to be looked into; what nobody knows could be one */
static void tell(Walk *w, const BerthDigest *digest, const char *media_type, int64_t size,
                 unsigned depth)
{
    BerthMediaKind kind = berth_media_type_kind(berth_media_type_from_string(media_type));
    bool deep =
        is_document(media_type) || (kind == BERTH_MEDIA_KIND_OTHER && w->how == BERTH_REACH_ALL);
    Step *step;

    if (!w->func(digest, size, deep, w->userdata) || !deep ||
        (depth > DEPTH_MAX && w->how != BERTH_REACH_ALL))
        return;
    step = g_new(Step, 1);
    *step = (Step){ *digest, g_strdup(media_type), depth };
    g_queue_push_tail(&w->steps, step);
}

/* A config or a layer. */
static void tell_part(const Walk *w, const BerthDescriptor *part)
{
    (void)w->func(&part->digest, part->size, false, w->userdata);
}

/* Tells whatever looks like a digest in a document that is not understood. */
static void tell_guesses(Walk *w, const Step *step, GBytes *raw)
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
                tell(w, &digest, "", -1, step->depth + 1);
        }
    }
}

static void tell_manifest(const Walk *w, const BerthManifest *manifest)
{
    tell_part(w, manifest->config);
    for (guint i = 0; i < manifest->layers->len; i++) {
        const BerthDescriptor *layer = manifest->layers->pdata[i];

        if (w->how != BERTH_REACH_PROVEN || !berth_media_type_is_nondistributable(layer->type))
            tell_part(w, layer);
    }
}

static void tell_index(Walk *w, const BerthIndex *index, unsigned depth)
{
    for (guint i = 0; i < index->manifests->len; i++) {
        const BerthDescriptor *entry = index->manifests->pdata[i];

        if (w->how != BERTH_REACH_PROVEN || is_document(entry->media_type))
            tell(w, &entry->digest, entry->media_type, entry->size, depth + 1);
    }
}

static void tell_document(Walk *w, const BerthDocument *document, unsigned depth)
{
    const BerthDescriptor *subject =
        document->manifest ? document->manifest->subject : document->index->subject;

    if (w->how == BERTH_REACH_ALL && subject)
        tell(w, &subject->digest, subject->media_type, subject->size, depth + 1);
    if (document->manifest)
        tell_manifest(w, document->manifest);
    else
        tell_index(w, document->index, depth);
}

/* What is damaged names perhaps what it named before. */
static void tell_damaged(Walk *w, const Step *step)
{
    g_autoptr(GBytes) raw =
        berth_store_read_damaged(w->store, &step->digest, BERTH_DOCUMENT_BYTES_MAX);

    if (raw && w->how == BERTH_REACH_ALL)
        tell_guesses(w, step, raw);
}

static bool look_into(Walk *w, const Step *step, GError **error)
{
    bool known = is_document(step->media_type);
    g_autoptr(BerthDocument) document = NULL;
    g_autoptr(GBytes) raw = NULL;
    g_autoptr(GError) failure = NULL;
    int64_t there;
    int found = berth_store_stat_blob(w->store, &step->digest, &there, error);

    if (found <= 0)
        return found == 0;
    if (!known && there > BERTH_DOCUMENT_BYTES_MAX)
        return true; /* not a document, whatever it is */
    raw = berth_store_read_blob(w->store, &step->digest, BERTH_DOCUMENT_BYTES_MAX, &failure);
    if (!raw && g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE))
        return true; /* it has just gone */
    if (!raw) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    document = berth_document_parse(raw, known ? step->media_type : NULL, &step->digest, NULL);
    if (document)
        tell_document(w, document, step->depth);
    else if (w->how == BERTH_REACH_ALL)
        tell_guesses(w, step, raw);
    return true;
}

bool berth_store_reach(BerthStore *store, const BerthDigest *digest, const char *media_type,
                       int64_t size, BerthReach how, BerthReachFunc func, void *userdata,
                       GError **error)
{
    Walk w = { store, how, func, userdata, G_QUEUE_INIT };
    g_autoptr(GError) first = NULL;
    Step *step;

    tell(&w, digest, media_type, size, 0);
    while ((step = g_queue_pop_head(&w.steps))) {
        g_autoptr(GError) failure = NULL;
        bool good = look_into(&w, step, &failure);

        if (!good && g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT)) {
            tell_damaged(&w, step);
            if (!first)
                first = g_steal_pointer(&failure);
        } else if (!good) {
            g_queue_clear_full(&w.steps, step_free);
            g_clear_error(&first);
            first = g_steal_pointer(&failure);
        }
        step_free(step);
    }
    if (!first)
        return true;
    g_propagate_error(error, g_steal_pointer(&first));
    return false;
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
    g_array_append_val(readers, root);
    return readers;
}
