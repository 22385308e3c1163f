/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The digests of unpacked layers, which configs know (OCI image configuration, `rootfs.diff_ids`).
 * The bytes are untrusted: what unpacks to far too much is refused as in archive-reader.c. They are
 * hashed and forgotten, never written anywhere.
 */

#include "oci/unpack.h"

#include "base/error.h"
#include "base/libarchive.h"
#include "base/names.h"
#include "oci/archive-reader.h"
#include "oci/hash.h"
#include "oci/packing.h"

#include <unistd.h>

#define BUFFER_SIZE (256 * 1024) /* bytes */

typedef struct archive Archive;

static void archive_cleanup(Archive *archive)
{
    (void)archive_read_free(archive);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Archive, archive_cleanup)

static bool fail(Archive *archive, GError **error)
{
    const char *text = archive_error_string(archive);
    g_autofree char *quoted = berth_quote(text ? text : "it is damaged");

    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "a layer cannot be unpacked: %s",
                           quoted);
}

static bool hash_all(Archive *archive, BerthHash *hash, GError **error)
{
    g_autofree unsigned char *buffer = g_malloc(BUFFER_SIZE);
    la_ssize_t n;

    while ((n = archive_read_data(archive, buffer, BUFFER_SIZE)) > 0) {
        if (!berth_archive_check_ratio(archive_filter_bytes(archive, 0),
                                       archive_filter_bytes(archive, -1), "a layer", error) ||
            !berth_hash_update(hash, buffer, (size_t)n, error))
            return false;
    }
    return n == 0 || fail(archive, error);
}

/* A reader of all that @fd unpacks to. */
static Archive *open_layer(int fd, GError **error)
{
    g_autoptr(Archive) archive = archive_read_new();
    unsigned char magic[BERTH_PACKING_MAGIC];
    ssize_t n = pread(fd, magic, sizeof(magic), 0);
    struct archive_entry *entry;

    if (!archive || n < 0 || archive_read_support_format_raw(archive) != ARCHIVE_OK ||
        !berth_packing_unpack(archive, berth_packing_of(magic, (size_t)n)) ||
        lseek(fd, 0, SEEK_SET) < 0) {
        (void)berth_set_error(error, BERTH_ERROR_FAILED, "cannot unpack layers");
        return NULL;
    }
    if (archive_read_open_fd(archive, fd, BUFFER_SIZE) != ARCHIVE_OK ||
        archive_read_next_header(archive, &entry) != ARCHIVE_OK) {
        (void)fail(archive, error);
        return NULL;
    }
    return g_steal_pointer(&archive);
}

bool berth_unpack_digest(int fd, BerthDigest *digest, GError **error)
{
    g_autoptr(BerthHash) hash = berth_hash_new(digest->algorithm, error);
    g_autoptr(Archive) archive = hash ? open_layer(fd, error) : NULL;

    return archive && hash_all(archive, hash, error) && berth_hash_finish(hash, digest, error);
}
