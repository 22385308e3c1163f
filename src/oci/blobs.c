/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs that are complete, where they came from, and who may use them without fetching them again.
 * What is in memory is verified both ways: nothing is put in place that is not what its digest
 * says, and what is read here is hashed before anybody looks at it. Large blobs come by ingest.c.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "oci/hash.h"
#include "oci/reach.h"
#include "oci/store-internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/xattr.h>

/* Begin of origins that are users, which no registry can have */
#define BRINGER          "@"
#define ORIGIN_ATTRIBUTE "user.berth.from"
#define ORIGIN_BYTES_MAX 2048 /* ext4 has about 4000 for all attributes of a file */

int berth_store_stat_blob(BerthStore *store, const BerthDigest *digest, int64_t *size,
                          GError **error)
{
    int directory = berth_store_blobs(store, digest->algorithm, false);
    struct stat st;

    if (directory < 0 ||
        fstatat(directory, berth_digest_hex(digest), &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return 0;
        (void)berth_store_set_errno(error, errno, "cannot look at blob %s", digest->text);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                              "blob %s in the store is not a file; remove it", digest->text);
        return -1;
    }
    if (size)
        *size = st.st_size;
    return 1;
}

int berth_store_open_blob(BerthStore *store, const BerthDigest *digest, GError **error)
{
    int directory = berth_store_blobs(store, digest->algorithm, false);
    BERTH_AUTO_FD fd =
        directory < 0 ? -1 : berth_store_openat(directory, berth_digest_hex(digest), O_RDONLY);
    struct stat st;

    if (fd < 0 && errno == ENOENT) {
        (void)berth_set_error(error, BERTH_ERROR_NO_SUCH_IMAGE,
                              "blob %s is not in the store; pull an image that has it",
                              digest->text);
        return -1;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)berth_store_set_errno(error, errno, "cannot open blob %s", digest->text);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                              "blob %s in the store is not a file; remove it", digest->text);
        return -1;
    }
    return berth_steal_fd(&fd);
}

static bool set_changed(GError **error, const BerthDigest *digest, const char *why)
{
    return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                           "blob %s in the store is damaged: %s; remove blobs/%s/%s there and pull "
                           "the image again",
                           digest->text, why, berth_digest_algorithm_to_string(digest->algorithm),
                           berth_digest_hex(digest));
}

/* Reads all of @fd, which has @size bytes by now. */
static GBytes *read_all(int fd, size_t size, const BerthDigest *digest, GError **error)
{
    g_autofree char *data = g_malloc(size + 1);
    size_t length = 0;

    while (length <= size) {
        ssize_t n = read(fd, data + length, size + 1 - length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            (void)berth_store_set_errno(error, errno, "cannot read blob %s", digest->text);
            return NULL;
        }
        if (n == 0)
            return g_bytes_new_take(g_steal_pointer(&data), length);
        length += (size_t)n;
    }
    (void)set_changed(error, digest, "it grows while it is read");
    return NULL;
}

GBytes *berth_store_read_blob(BerthStore *store, const BerthDigest *digest, size_t max,
                              GError **error)
{
    BERTH_AUTO_FD fd = berth_store_open_blob(store, digest, error);
    g_autoptr(GBytes) bytes = NULL;
    BerthDigest actual;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0) {
        (void)berth_store_set_errno(error, errno, "cannot look at blob %s", digest->text);
        return NULL;
    }
    if ((uint64_t)st.st_size > max) {
        (void)berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                              "blob %s has %" PRId64 " bytes; at most %zu are read here",
                              digest->text, (int64_t)st.st_size, max);
        return NULL;
    }
    bytes = read_all(fd, (size_t)st.st_size, digest, error);
    if (!bytes || !berth_digest_compute(digest->algorithm, g_bytes_get_data(bytes, NULL),
                                        g_bytes_get_size(bytes), &actual, error))
        return NULL;
    if (!berth_digest_equal(digest, &actual)) {
        (void)set_changed(error, digest, "its bytes are others");
        return NULL;
    }
    return g_steal_pointer(&bytes);
}

GBytes *berth_store_read_damaged(BerthStore *store, const BerthDigest *digest, size_t max)
{
    BERTH_AUTO_FD fd = berth_store_open_blob(store, digest, NULL);
    g_autofree char *data = fd < 0 ? NULL : g_malloc(max);
    size_t length = 0;

    while (fd >= 0 && length < max) {
        ssize_t n = read(fd, data + length, max - length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    return fd < 0 ? NULL : g_bytes_new_take(g_steal_pointer(&data), length);
}

bool berth_store_put_blob(BerthStore *store, const BerthDigest *digest, GBytes *bytes,
                          GError **error)
{
    g_auto(BerthTemporary) temporary = BERTH_TEMPORARY_INIT;
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    g_autoptr(GBytes) there = NULL;
    BerthDigest actual;
    int directory;

    if (!berth_digest_compute(digest->algorithm, data, length, &actual, error) ||
        !berth_digest_verify(digest, &actual, "blob", error))
        return false;
    /* one that a tool left damaged is mended */
    there = berth_store_read_blob(store, digest, length, NULL);
    if (there)
        return true;
    directory = berth_store_blobs(store, digest->algorithm, true);
    if (directory < 0)
        return berth_store_set_errno(error, errno, "cannot make blobs/ in the store");
    if (!berth_store_claim(store, length, error) ||
        !berth_temporary_make(store, BERTH_STORE_TEMPORARY, &temporary, error) ||
        !berth_store_write(temporary.fd, data, length, error) ||
        !berth_temporary_move(store, &temporary, directory, berth_digest_hex(digest), error))
        return false;
    berth_store_blob_placed(store, digest);
    return true;
}

/* Origins */

static GStrv read_origins(int fd)
{
    char text[ORIGIN_BYTES_MAX + 1];
    ssize_t length = fgetxattr(fd, ORIGIN_ATTRIBUTE, text, ORIGIN_BYTES_MAX);

    text[length > 0 ? length : 0] = '\0';
    return *text ? g_strsplit(text, " ", -1) : g_new0(char *, 1);
}

GStrv berth_store_origins(BerthStore *store, const BerthDigest *digest)
{
    BERTH_AUTO_FD fd = berth_store_open_blob(store, digest, NULL);

    return fd < 0 ? g_new0(char *, 1) : read_origins(fd);
}

void berth_store_set_origin(int fd, const BerthDigest *digest, const char *origin)
{
    g_autoptr(GString) text = g_string_new(origin);
    g_auto(GStrv) known = NULL;
    unsigned count = 1;

    if (!*origin || strpbrk(origin, " \n") || text->len > ORIGIN_BYTES_MAX)
        return;
    known = read_origins(fd);
    if (known[0] && g_str_equal(known[0], origin))
        return;
    for (char **word = known; *word && count < BERTH_ORIGINS_MAX; word++) {
        if (g_str_equal(*word, origin) || text->len + 1 + strlen(*word) > ORIGIN_BYTES_MAX)
            continue;
        g_string_append_printf(text, " %s", *word);
        count++;
    }
    if (fsetxattr(fd, ORIGIN_ATTRIBUTE, text->str, text->len, 0) < 0 && errno != ENOTSUP)
        berth_debug("cannot remember where blob %s came from: %m", digest->text);
}

void berth_store_add_origin(BerthStore *store, const BerthDigest *digest, const char *origin)
{
    BERTH_AUTO_FD fd = berth_store_open_blob(store, digest, NULL);

    if (fd >= 0)
        berth_store_set_origin(fd, digest, origin);
}

/* @place: a host, for all of its repositories, or one repository. */
static bool came_from(BerthStore *store, const BerthDigest *digest, const char *place)
{
    g_auto(GStrv) origins = berth_store_origins(store, digest);
    char end = strchr(place, '/') ? '\0' : '/';
    size_t length = strlen(place);

    for (char **word = origins; *word; word++)
        if (strncmp(*word, place, length) == 0 && (*word)[length] == end)
            return true;
    return false;
}

void berth_store_add_bringer(BerthStore *store, const BerthDigest *digest)
{
    g_autofree char *origin = g_strdup_printf(BRINGER "%u/", store->uid);

    if (store->uid != 0) /* who may read all */
        berth_store_add_origin(store, digest, origin);
}

GArray *berth_store_bringers(BerthStore *store, const BerthDigest *digest)
{
    g_auto(GStrv) origins = berth_store_origins(store, digest);
    GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    for (char **word = origins; *word; word++) {
        g_autofree char *number =
            g_str_has_prefix(*word, BRINGER) && g_str_has_suffix(*word, "/")
                ? g_strndup(*word + strlen(BRINGER), strlen(*word) - strlen(BRINGER) - 1)
                : NULL;
        guint64 value;
        uint32_t uid;

        if (!number || !g_ascii_string_to_unsigned(number, 10, 1, UINT32_MAX - 1, &value, NULL))
            continue;
        uid = (uint32_t)value;
        g_array_append_val(uids, uid);
    }
    return uids;
}

bool berth_store_may_reuse(BerthStore *store, const BerthDigest *digest, const char *place)
{
    g_autofree char *own = g_strdup_printf(BRINGER "%u", store->uid);

    if (store->uid == 0 || came_from(store, digest, place) || came_from(store, digest, own))
        return true;
    if (!store->own)
        store->own = berth_store_reachable_for(store, store->uid);
    return g_hash_table_contains(store->own, digest->text);
}
