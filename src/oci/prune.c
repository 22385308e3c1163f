/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removing what nobody needs: mark and sweep, beside running transfers. Marking takes long and
 * happens first, without a lock. Then nobody can lease or name anything while what came meanwhile
 * is marked and what is unmarked is moved out of blobs/, which takes milliseconds; deleting it,
 * which takes long again, comes after that. What it cannot read just now may need anything, so
 * nothing is removed then. A manifest that is damaged is of no use to anybody: it keeps itself and
 * what it still seems to name, and is told of, so that nobody's image can stop every prune.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/names.h"
#include "oci/descriptor.h"
#include "oci/index-file.h"
#include "oci/reach.h"
#include "oci/store-internal.h"

#include <string.h>
#include <sys/file.h>

#define DOOMED "del-" /* in ingest/: what a sweep took out of blobs/ */

typedef enum {
    MARK_NONE,
    MARK_NEEDED,
    MARK_FOLLOWED, /* needed, and so is what it names */
} Mark;

typedef struct {
    BerthStore *store;
    GHashTable *blobs; /* digests, as texts, to their Mark */
    uint64_t bytes;
    unsigned count;
    bool quiet; /* what is damaged was told already */
} Sweep;

typedef bool (*EntryFunc)(Sweep *sweep, int directory, const char *name, GError **error);

/* Calls @func for every file in @directory until it says false. */
static bool each_file(Sweep *sweep, int directory, EntryFunc func, GError **error)
{
    int fd = berth_store_openat(directory, ".", O_RDONLY | O_DIRECTORY);
    BERTH_AUTO_DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (!stream) {
        berth_close(fd);
        return berth_store_set_errno(error, errno, "cannot read a directory of the store");
    }
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(stream)); errno = 0)
        if (entry->d_name[0] != '.' && !func(sweep, directory, entry->d_name, error))
            return false;
    return errno == 0 ||
           berth_store_set_errno(error, errno, "cannot read a directory of the store");
}

/* Removes a file, and counts it. */
static void remove_file(Sweep *sweep, int directory, const char *name)
{
    struct stat st;

    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        unlinkat(directory, name, 0) == 0)
        sweep->bytes += (uint64_t)st.st_size;
}

/* Marking */

static bool list_blob(Sweep *sweep, int directory, const char *name, GError **error)
{
    /* other tools keep temporary files there, with other names */
    for (int a = 0; a < _BERTH_DIGEST_MAX; a++) {
        g_autofree char *text = g_strconcat(berth_digest_algorithm_to_string(a), ":", name, NULL);
        BerthDigest digest;

        if (directory == sweep->store->blobs[a] && berth_digest_parse(text, &digest, NULL))
            g_hash_table_insert(sweep->blobs, g_steal_pointer(&text), GINT_TO_POINTER(MARK_NONE));
    }
    return true;
}

static bool mark(const BerthDigest *digest, int64_t size, bool deep, void *userdata)
{
    Sweep *sweep = userdata;
    Mark wanted = deep ? MARK_FOLLOWED : MARK_NEEDED;
    gpointer key, before;

    if (!g_hash_table_lookup_extended(sweep->blobs, digest->text, &key, &before)) {
        /* one that came after the list was made, or is not there at all */
        if (!deep || berth_store_stat_blob(sweep->store, digest, NULL, NULL) <= 0)
            return false;
        before = GINT_TO_POINTER(MARK_NONE);
    }
    if (GPOINTER_TO_INT(before) >= (int)wanted)
        return false;
    g_hash_table_insert(sweep->blobs, g_strdup(digest->text), GINT_TO_POINTER(wanted));
    return deep;
}

/* @entry: that of the image @digest */
static bool mark_all(Sweep *sweep, const json_t *entry, const BerthDigest *digest,
                     const char *media_type, int64_t size, GError **error)
{
    const json_t *annotations = json_object_get(entry, "annotations");
    const char *name = json_string_value(json_object_get(annotations, BERTH_ANNOTATION_NAME));
    g_autofree char *quoted = berth_quote(name ?: digest->text);
    g_autoptr(GError) failure = NULL;

    if (berth_store_reach(sweep->store, digest, media_type, size, BERTH_REACH_ALL, mark, sweep,
                          &failure))
        return true;
    g_prefix_error(&failure, "image '%s': ", quoted);
    if (g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT)) {
        if (!sweep->quiet)
            berth_warning("%s", failure->message);
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

/* Such as the index that the image was chosen from. */
static void mark_annotations(Sweep *sweep, json_t *annotations)
{
    const char *key;
    json_t *value;

    json_object_foreach(annotations, key, value)
    {
        const char *text = json_string_value(value);
        BerthDigest digest;

        if (text && strchr(text, ':') && berth_digest_parse(text, &digest, NULL))
            (void)mark(&digest, -1, false, sweep);
    }
}

/* Whether @text names a blob in a way that others may know. */
static bool is_foreign_digest(const char *text)
{
    for (int a = 0; a < _BERTH_DIGEST_MAX; a++) {
        g_autofree char *prefix = g_strconcat(berth_digest_algorithm_to_string(a), ":", NULL);

        if (g_str_has_prefix(text, prefix))
            return false;
    }
    return strchr(text, ':');
}

/* An entry that makes no sense here. */
static bool mark_odd_entry(Sweep *sweep, const json_t *entry, const char *why, GError **error)
{
    const char *text = json_string_value(json_object_get(entry, "digest"));
    BerthDigest digest;

    if (text && berth_digest_parse(text, &digest, NULL))
        return mark_all(sweep, entry, &digest, "", -1, error);
    if (text && is_foreign_digest(text))
        return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                               BERTH_STORE_INDEX
                               " of the store has an entry whose blobs cannot be found, so nothing "
                               "is removed: %s; mend it, or remove it with the tool that made it",
                               why);
    if (!sweep->quiet)
        berth_warning(BERTH_STORE_INDEX " of the store has an entry that means no image: %s", why);
    return true;
}

static bool mark_entry(Sweep *sweep, const json_t *entry, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(BerthDescriptor) descriptor = berth_descriptor_from_json(entry, &failure);

    mark_annotations(sweep, json_object_get(entry, "annotations"));
    if (!descriptor)
        return mark_odd_entry(sweep, entry, failure->message, error);
    return mark_all(sweep, entry, &descriptor->digest, descriptor->media_type, descriptor->size,
                    error);
}

static bool mark_entries(Sweep *sweep, const BerthIndexFile *file, bool *odd, GError **error)
{
    BerthIndexLine line = { 0 };

    while (berth_index_file_next(file, &line)) {
        g_autoptr(json_t) entry = berth_index_file_entry(file, &line, error);

        *odd = !entry;
        if (!entry || !mark_entry(sweep, entry, error))
            return false;
    }
    return true;
}

static bool mark_images(Sweep *sweep, GError **error)
{
    for (int strict = 0;; strict++) {
        g_autoptr(BerthIndexFile) file = berth_index_file_read(sweep->store, strict, error);
        g_autoptr(GError) failure = NULL;
        bool odd = false;

        if (!file)
            return false;
        if (mark_entries(sweep, file, &odd, &failure))
            return true;
        if (!odd || strict) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
    }
}

/* Whether somebody holds the lock of @fd; if not, it is ours now. */
static bool is_locked(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) < 0;
}

static bool mark_lease(Sweep *sweep, int directory, const char *name, GError **error)
{
    BERTH_AUTO_FD fd = -1;
    BERTH_AUTO_FILE *file = NULL;
    char line[BERTH_DIGEST_LENGTH_MAX + 2];

    if (!g_str_has_prefix(name, BERTH_STORE_LEASE "-"))
        return true;
    fd = berth_store_openat(directory, name, O_RDONLY);
    if (fd < 0)
        return true; /* it has just ended */
    if (!is_locked(fd)) {
        (void)unlinkat(directory, name, 0);
        return true;
    }
    file = fdopen(fd, "r");
    if (!file)
        return berth_store_set_errno(error, errno, "cannot read ingest/%s", name);
    (void)berth_steal_fd(&fd);
    while (fgets(line, sizeof(line), file)) {
        BerthDigest digest;

        /* the transfer itself leases what a manifest needs that cannot be read */
        if (berth_digest_parse(g_strchomp(line), &digest, NULL))
            (void)berth_store_reach(sweep->store, &digest, "", -1, BERTH_REACH_ALL, mark, sweep,
                                    NULL);
    }
    return true;
}

/* Sweeping */

static gboolean is_marked(gpointer key, gpointer marked, gpointer userdata)
{
    return GPOINTER_TO_INT(marked) != MARK_NONE;
}

/* Moves what is not marked out of blobs/. */
static bool take_out(Sweep *sweep, GError **error)
{
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, sweep->blobs);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_autofree char *doomed = g_strconcat(DOOMED, key, NULL);
        BerthDigest digest;

        g_assert(berth_digest_parse(key, &digest, NULL));
        if (renameat(sweep->store->blobs[digest.algorithm], berth_digest_hex(&digest),
                     sweep->store->ingest, doomed) == 0)
            sweep->count++;
        else if (errno != ENOENT)
            return berth_store_set_errno(error, errno, "cannot remove blob %s", digest.text);
    }
    return true;
}

static bool sweep_blobs(Sweep *sweep, GError **error)
{
    BERTH_AUTO_FD sweep_lock =
        berth_store_lock(sweep->store, BERTH_STORE_LOCK_SWEEP, LOCK_EX, error);
    BERTH_AUTO_FD index_lock =
        sweep_lock < 0 ? -1
                       : berth_store_lock(sweep->store, BERTH_STORE_LOCK_INDEX, LOCK_EX, error);

    sweep->quiet = true;
    if (index_lock < 0 || !mark_images(sweep, error) ||
        !each_file(sweep, sweep->store->ingest, mark_lease, error))
        return false;
    g_hash_table_foreach_remove(sweep->blobs, is_marked, NULL);
    return take_out(sweep, error);
}

static bool remove_doomed(Sweep *sweep, int directory, const char *name, GError **error)
{
    if (g_str_has_prefix(name, DOOMED))
        remove_file(sweep, directory, name);
    return true;
}

/* What nobody is at in ingest/, by now. */
static bool remove_left(Sweep *sweep, int directory, const char *name, GError **error)
{
    BERTH_AUTO_FD fd = -1;

    if (g_str_has_prefix(name, DOOMED))
        return remove_doomed(sweep, directory, name, error);
    if (!g_str_has_prefix(name, "sha256-") && !g_str_has_prefix(name, "sha512-") &&
        !g_str_has_prefix(name, BERTH_STORE_TEMPORARY "-"))
        return true;
    fd = berth_store_openat(directory, name, O_RDONLY);
    if (fd >= 0 && !is_locked(fd) && berth_store_is_linked(directory, name, fd))
        remove_file(sweep, directory, name);
    return true;
}

static bool remove_dead(Sweep *sweep, int directory, const char *name, GError **error)
{
    BERTH_AUTO_FD fd = -1;

    if (!g_str_has_prefix(name, BERTH_STORE_LEASE "-") &&
        !g_str_has_prefix(name, BERTH_STORE_TEMPORARY "-"))
        return true;
    fd = berth_store_openat(directory, name, O_RDONLY);
    if (fd >= 0 && !is_locked(fd) && berth_store_is_linked(directory, name, fd))
        remove_file(sweep, directory, name);
    return true;
}

void berth_store_tidy(BerthStore *store)
{
    Sweep sweep = { .store = store };
    g_autoptr(GError) error = NULL;

    if (!each_file(&sweep, store->ingest, remove_dead, &error))
        berth_debug("what dead processes left stays until the next prune: %s", error->message);
}

void berth_store_discard(BerthStore *store, const GArray *digests)
{
    g_autoptr(GHashTable) table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GError) error = NULL;
    Sweep sweep = { .store = store, .blobs = table, .quiet = true };

    for (guint i = 0; i < digests->len; i++)
        g_hash_table_insert(table, g_strdup(g_array_index(digests, BerthDigest, i).text),
                            GINT_TO_POINTER(MARK_NONE));
    if (digests->len > 0 && (!mark_images(&sweep, &error) || !sweep_blobs(&sweep, &error) ||
                             !each_file(&sweep, store->ingest, remove_doomed, &error)))
        berth_debug("blobs that are of no use stay until the next prune: %s", error->message);
}

bool berth_store_prune(BerthStore *store, uint64_t *bytes, unsigned *blobs, GError **error)
{
    g_autoptr(GHashTable) table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Sweep sweep = { .store = store, .blobs = table };

    for (int a = 0; a < _BERTH_DIGEST_MAX; a++) {
        int directory = berth_store_blobs(store, a, false);

        if (directory >= 0 && !each_file(&sweep, directory, list_blob, error))
            return false;
    }
    if (!mark_images(&sweep, error) || !sweep_blobs(&sweep, error) ||
        !each_file(&sweep, store->ingest, remove_left, error))
        return false;
    *bytes = sweep.bytes;
    *blobs = sweep.count;
    return true;
}
