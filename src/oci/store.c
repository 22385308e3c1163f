/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store: opening it, making it, and what all of it builds on: files below one directory, their
 * locks, temporary ones and free space. The directory may have been written by other tools and by a
 * worker that somebody took over, so everything is reached with openat2(2) relative to directories
 * that were opened so themselves, and what is found is checked for its type. Whatever moment the
 * process is killed at, and the power cut, the directory must be a valid layout: files are made
 * under ingest/ and get their name when they are complete and, unless told not to, on disk.
 */

#include "oci/store-internal.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/names.h"
#include "oci/index-file.h"
#include "oci/index-prepare.h"
#include "oci/threads.h"

#include <inttypes.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#define LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

/* Bytes between two looks at the free space; what several writers may go below min_free by. */
#define ALLOWANCE (UINT64_C(16) << 20)

/*
 * openat2(2) fails with EXDEV when somebody renames the file to a place outside of the directory in
 * that moment, as another transfer does with what it has fetched. It is worth another try, but not
 * for ever: a hostile process could go on renaming.
 */
#define RACES_MAX 64

static const BerthJsonLimits layout_limits = {
    .bytes = 4096,
    .depth = 8,
    .containers = 64,
    .values = 256,
};

bool berth_store_set_errno(GError **error, int err, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    if (err == ENOSPC || err == EDQUOT)
        return berth_set_error_errno(error, BERTH_ERROR_STORE_FULL, err,
                                     "the store is full: %s; prune it, or give it more room", what);
    if (err == ELOOP || err == EXDEV || err == ENOTDIR || err == EISDIR)
        return berth_set_error_errno(error, BERTH_ERROR_STORE_CORRUPT, err,
                                     "%s, since something else stands there; look at the store's "
                                     "directory",
                                     what);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, err, "%s", what);
}

int berth_store_openat(int directory, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
        .mode = (flags & O_CREAT) ? BERTH_STORE_FILE_MODE : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    int fd, tries = RACES_MAX;

    do
        fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
    while (fd < 0 && (errno == EXDEV || errno == EAGAIN) && --tries > 0);
    return fd;
}

bool berth_store_is_linked(int directory, const char *name, int fd)
{
    struct stat held, named;

    return fstat(fd, &held) == 0 && fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

int berth_store_lock(BerthStore *store, const char *name, int operation, GError **error)
{
    for (;;) {
        BERTH_AUTO_FD fd = berth_store_openat(store->ingest, name, O_RDWR | O_CREAT);
        int r = fd < 0 ? -1 : flock(fd, operation);

        while (r < 0 && fd >= 0 && errno == EINTR)
            r = flock(fd, operation);
        if (r < 0) {
            (void)berth_store_set_errno(error, errno, "cannot lock ingest/%s", name);
            return -1;
        }
        if (berth_store_is_linked(store->ingest, name, fd))
            return berth_steal_fd(&fd);
    }
}

/* Temporary files */

bool berth_temporary_make(BerthStore *store, const char *prefix, BerthTemporary *temporary,
                          GError **error)
{
    temporary->directory = store->ingest;
    for (;;) {
        BERTH_AUTO_FD fd = -1;
        uint64_t number;

        if (getrandom(&number, sizeof(number), 0) != sizeof(number))
            return berth_store_set_errno(error, errno, "cannot get a random number");
        g_snprintf(temporary->name, sizeof(temporary->name), "%.3s-%016" PRIx64, prefix, number);
        fd = berth_store_openat(store->ingest, temporary->name, O_RDWR | O_CREAT | O_EXCL);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return berth_store_set_errno(error, errno, "cannot make a file in ingest/");
        /* a prune may have taken it for a dead process's in between */
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
            berth_store_is_linked(store->ingest, temporary->name, fd)) {
            temporary->fd = berth_steal_fd(&fd);
            return true;
        }
        (void)unlinkat(store->ingest, temporary->name, 0);
    }
}

void berth_temporary_clear(BerthTemporary *temporary)
{
    if (temporary->fd >= 0 && temporary->name[0])
        (void)unlinkat(temporary->directory, temporary->name, 0);
    temporary->fd = berth_close(temporary->fd);
}

bool berth_temporary_sync(BerthStore *store, BerthTemporary *temporary, const char *name,
                          GError **error)
{
    if (!temporary->synced && store->durable && fsync(temporary->fd) < 0)
        return berth_store_set_errno(error, errno, "cannot write %s", name);
    temporary->synced = true;
    return true;
}

bool berth_temporary_move(BerthStore *store, BerthTemporary *temporary, int directory,
                          const char *name, GError **error)
{
    if (!berth_temporary_sync(store, temporary, name, error))
        return false;
    if (renameat(temporary->directory, temporary->name, directory, name) < 0)
        return berth_store_set_errno(error, errno, "cannot put %s in place", name);
    temporary->name[0] = '\0';
    return true;
}

bool berth_store_write(int fd, const void *data, size_t length, GError **error)
{
    const char *p = data;

    while (length > 0) {
        ssize_t n = write(fd, p, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return berth_store_set_errno(error, n < 0 ? errno : EIO, "cannot write");
        p += n;
        length -= (size_t)n;
    }
    return true;
}

/* Free space */

static bool free_space(BerthStore *store, uint64_t *available, GError **error)
{
    struct statvfs st;

    if (fstatvfs(store->root, &st) < 0)
        return berth_store_set_errno(error, errno, "cannot look at the free space");
    *available = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}

bool berth_store_check_room(BerthStore *store, uint64_t bytes, GError **error)
{
    uint64_t available = 0;

    if (!free_space(store, &available, error))
        return false;
    return (available >= store->min_free && available - store->min_free >= bytes) ||
           berth_set_error(error, BERTH_ERROR_STORE_FULL,
                           "the store is full: %" PRIu64 " bytes are needed, %" PRIu64
                           " are free, and %" PRIu64 " must stay free (MinFree=); prune it, or give"
                           " it more room",
                           bytes, available, store->min_free);
}

bool berth_store_claim(BerthStore *store, uint64_t bytes, GError **error)
{
    bool ok = true;

    g_mutex_lock(&store->lock);
    if (store->allowance < bytes) {
        uint64_t wanted = MAX(bytes, ALLOWANCE);

        /* the last of it is looked at write by write */
        if (!berth_store_check_room(store, wanted, NULL)) {
            wanted = bytes;
            ok = berth_store_check_room(store, bytes, error);
        }
        store->allowance = ok ? wanted : 0;
    }
    if (ok)
        store->allowance -= bytes;
    g_mutex_unlock(&store->lock);
    return ok;
}

/* Blob directories */

int berth_store_blobs(BerthStore *store, BerthDigestAlgorithm algorithm, bool make)
{
    const char *name = berth_digest_algorithm_to_string(algorithm);
    g_autofree char *path = NULL;

    if (store->blobs[algorithm] >= 0)
        return store->blobs[algorithm];
    path = g_strconcat("blobs/", name, NULL);
    store->blobs[algorithm] = berth_store_openat(store->root, path, O_RDONLY | O_DIRECTORY);
    if (store->blobs[algorithm] < 0 && errno == ENOENT && make) {
        BERTH_AUTO_FD blobs = berth_store_openat(store->root, "blobs", O_RDONLY | O_DIRECTORY);

        if (blobs < 0 || (mkdirat(blobs, name, BERTH_STORE_DIRECTORY_MODE) < 0 && errno != EEXIST))
            return -1;
        if (store->durable && fsync(blobs) < 0)
            return -1;
        store->blobs[algorithm] = berth_store_openat(store->root, path, O_RDONLY | O_DIRECTORY);
    }
    return store->blobs[algorithm];
}

void berth_store_blob_placed(BerthStore *store, const BerthDigest *digest)
{
    g_atomic_int_set(&store->unsynced[digest->algorithm], 1);
    g_mutex_lock(&store->lock);
    if (store->placed)
        g_array_append_vals(store->placed, digest, 1);
    g_mutex_unlock(&store->lock);
}

void berth_store_keep_nothing(BerthStore *store)
{
    if (!store->placed)
        store->placed = g_array_new(FALSE, FALSE, sizeof(BerthDigest));
}

bool berth_store_sync_blobs(BerthStore *store, GError **error)
{
    for (int a = 0; a < _BERTH_DIGEST_MAX; a++)
        if (g_atomic_int_exchange(&store->unsynced[a], 0) && store->durable &&
            fsync(store->blobs[a]) < 0)
            return berth_store_set_errno(error, errno, "cannot write blobs/%s",
                                         berth_digest_algorithm_to_string(a));
    return true;
}

/* Opening */

/* Whether an `oci-layout` says that we can work with it; -1: there is none. */
static int check_layout(BerthStore *store, GError **error)
{
    BERTH_AUTO_FD fd = berth_store_openat(store->root, BERTH_STORE_LAYOUT, O_RDONLY);
    g_autoptr(GError) failure = NULL;
    g_autoptr(json_t) layout = NULL;
    const char *version = NULL;
    char text[4096];
    ssize_t length;

    if (fd < 0 && errno == ENOENT)
        return -1;
    length = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (length < 0)
        return berth_store_set_errno(error, errno, "cannot read " BERTH_STORE_LAYOUT);
    if ((size_t)length == strlen(LAYOUT_TEXT) && memcmp(text, LAYOUT_TEXT, (size_t)length) == 0)
        return true;
    layout = berth_json_load(text, (size_t)length, &layout_limits, &failure);
    if (layout && berth_json_get_string(layout, "imageLayoutVersion", 16, &version, &failure) &&
        version && g_str_has_prefix(version, "1."))
        return true;
    return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                           BERTH_STORE_LAYOUT " of the store does not say that it is an image "
                                              "layout of version 1: %s",
                           failure ? failure->message : "\"imageLayoutVersion\" is not 1");
}

/*
 * Only what we make ourselves, or a file system has by itself, may be there already; also what
 * somebody else has just made of it.
 */
static bool check_empty(BerthStore *store, GError **error)
{
    static const char *const known[] = {
        ".", "..", "blobs", "ingest", BERTH_STORE_INDEX, BERTH_STORE_LAYOUT, "lost+found"
    };
    int fd = berth_store_openat(store->root, ".", O_RDONLY | O_DIRECTORY);
    BERTH_AUTO_DIR *directory = fd < 0 ? NULL : fdopendir(fd);

    if (!directory) {
        berth_close(fd);
        return berth_store_set_errno(error, errno, "cannot read the store's directory");
    }
    for (const struct dirent *entry; (entry = readdir(directory));) {
        bool ours = false;

        for (guint i = 0; i < G_N_ELEMENTS(known); i++)
            ours |= g_str_equal(entry->d_name, known[i]);
        if (!ours) {
            g_autofree char *quoted = berth_quote(entry->d_name);
            return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                                   "the store's directory is no image layout, but holds '%s'; give "
                                   "an empty one, or one with " BERTH_STORE_LAYOUT,
                                   quoted);
        }
    }
    return true;
}

static bool make_directory(BerthStore *store, const char *name, int *fd, GError **error)
{
    *fd = berth_store_openat(store->root, name, O_RDONLY | O_DIRECTORY);
    if (*fd < 0 && errno == ENOENT &&
        (mkdirat(store->root, name, BERTH_STORE_DIRECTORY_MODE) == 0 || errno == EEXIST))
        *fd = berth_store_openat(store->root, name, O_RDONLY | O_DIRECTORY);
    return *fd >= 0 || berth_store_set_errno(error, errno, "cannot open %s/ in the store", name);
}

static bool make_file(BerthStore *store, const char *name, const char *text, GError **error)
{
    g_auto(BerthTemporary) temporary = BERTH_TEMPORARY_INIT;

    if (faccessat(store->root, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    return berth_temporary_make(store, BERTH_STORE_TEMPORARY, &temporary, error) &&
           berth_store_write(temporary.fd, text, strlen(text), error) &&
           berth_temporary_move(store, &temporary, store->root, name, error);
}

/* `oci-layout` comes last: until it is there, this is done again. */
static bool make_layout(BerthStore *store, GError **error)
{
    BERTH_AUTO_FD lock = -1;

    if (!check_empty(store, error) || !make_directory(store, "ingest", &store->ingest, error))
        return false;
    lock = berth_store_lock(store, BERTH_STORE_LOCK_INDEX, LOCK_EX, error);
    if (lock < 0)
        return false;
    for (int a = 0; a <= BERTH_DIGEST_SHA256; a++) {
        BERTH_AUTO_FD blobs = -1;

        if (!make_directory(store, "blobs", &blobs, error))
            return false;
        if (berth_store_blobs(store, a, true) < 0)
            return berth_store_set_errno(error, errno, "cannot make blobs/ in the store");
    }
    if (!make_file(store, BERTH_STORE_INDEX, BERTH_INDEX_FILE_EMPTY, error))
        return false;
    if (store->durable && fsync(store->root) < 0)
        return berth_store_set_errno(error, errno, "cannot write the store's directory");
    if (!make_file(store, BERTH_STORE_LAYOUT, LAYOUT_TEXT, error))
        return false;
    if (store->durable && fsync(store->root) < 0)
        return berth_store_set_errno(error, errno, "cannot write the store's directory");
    return true;
}

static bool open_parts(BerthStore *store, GError **error)
{
    int found = check_layout(store, error);

    if (found == 0)
        return false;
    if (found < 0)
        return make_layout(store, error);
    if (!make_directory(store, "ingest", &store->ingest, error))
        return false;
    for (int a = 0; a < _BERTH_DIGEST_MAX; a++)
        if (berth_store_blobs(store, a, false) < 0 && errno != ENOENT)
            return berth_store_set_errno(error, errno, "cannot open blobs/%s",
                                         berth_digest_algorithm_to_string(a));
    return true;
}

BerthStore *berth_store_open(const BerthStoreOptions *options, GError **error)
{
    g_autoptr(BerthStore) store = g_new0(BerthStore, 1);
    BERTH_AUTO_FD directory = options->directory;

    g_mutex_init(&store->lock);
    store->min_free = options->min_free;
    store->durable = options->durable;
    store->uid = options->uid;
    store->ingest = -1;
    for (int a = 0; a < _BERTH_DIGEST_MAX; a++)
        store->blobs[a] = -1;
    store->root = berth_store_openat(directory, ".", O_RDONLY | O_DIRECTORY);
    if (store->root < 0) {
        (void)berth_store_set_errno(error, errno, "cannot open the store's directory");
        return NULL;
    }
    if (!open_parts(store, error))
        return NULL;
    return g_steal_pointer(&store);
}

void berth_store_free(BerthStore *store)
{
    if (!store)
        return;
    berth_threads_free(store->pool); /* puts nothing in place any more */
    if (store->placed)
        berth_store_discard(store, store->placed);
    g_clear_pointer(&store->placed, g_array_unref);
    berth_prepared_free(store->prepared);
    for (int a = 0; a < _BERTH_DIGEST_MAX; a++)
        berth_close(store->blobs[a]);
    berth_close(store->ingest);
    berth_close(store->root);
    g_clear_pointer(&store->own, g_hash_table_unref);
    g_mutex_clear(&store->lock);
    g_free(store);
}
