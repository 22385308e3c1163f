/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading archives with libarchive: tar in all its dialects, through the filters that keep memory
 * bounded (xz does not). Entries come out as names and bytes; links are names for other entries and
 * never followed on a file system. What no image needs is refused instead of skipped, since an
 * archive that holds it was not made to hold an image.
 */

#include "oci/archive-reader.h"

#include "base/error.h"
#include "base/libarchive.h"
#include "base/names.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define INPUT_SIZE (256 * 1024) /* bytes */

/* A compressed archive may unpack to so many times its size, once it is past the first bytes. Tar
 * headers and text reach 30; what is larger was made to be. */
#define RATIO_MAX  200
#define RATIO_FROM (UINT64_C(64) << 20) /* bytes */

struct BerthArchiveReader {
    struct archive *archive;
    int fd;
    int read_errno;
    uint64_t unpacked; /* bytes of entries */
    unsigned n_entries;
    GHashTable *seen; /* owned paths */
    BerthArchiveEntry entry;
    bool compressed;
    unsigned char input[INPUT_SIZE];
};

/* libarchive(3): archive_read_open(), the read callback */
static la_ssize_t on_read(struct archive *archive, void *userdata, const void **data)
{
    BerthArchiveReader *reader = userdata;
    ssize_t n = TEMP_FAILURE_RETRY(read(reader->fd, reader->input, sizeof(reader->input)));

    *data = reader->input;
    if (n >= 0)
        return n;
    reader->read_errno = errno;
    archive_set_error(archive, errno, "read");
    return -1;
}

static bool fail(BerthArchiveReader *reader, GError **error)
{
    g_autofree char *quoted = NULL;
    const char *text = archive_error_string(reader->archive);

    if (reader->read_errno)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, reader->read_errno,
                                     "cannot read the archive");
    quoted = berth_quote(text ? text : "it is damaged");
    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "no usable archive: %s; give a tar of an image, as it is or packed with "
                           "gzip, bzip2 or zstd",
                           quoted);
}

static bool refuse(const char *path, const char *why, GError **error)
{
    g_autofree char *quoted = berth_quote(path ? path : "");

    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the archive's entry '%s' %s",
                           quoted, why);
}

BerthArchiveReader *berth_archive_reader_new(int fd, GError **error)
{
    g_autoptr(BerthArchiveReader) reader = g_new0(BerthArchiveReader, 1);

    reader->fd = fd;
    reader->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    reader->archive = archive_read_new();
    if (!reader->archive) {
        (void)berth_set_error_errno(error, BERTH_ERROR_FAILED, ENOMEM, "cannot read archives");
        return NULL;
    }
    if (archive_read_support_format_tar(reader->archive) != ARCHIVE_OK ||
        archive_read_support_filter_gzip(reader->archive) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(reader->archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(reader->archive) != ARCHIVE_OK ||
        archive_read_open(reader->archive, reader, NULL, on_read, NULL) != ARCHIVE_OK) {
        (void)fail(reader, error);
        return NULL;
    }
    for (int i = 0; i < archive_filter_count(reader->archive); i++)
        if (archive_filter_code(reader->archive, i) != ARCHIVE_FILTER_NONE)
            reader->compressed = true;
    return g_steal_pointer(&reader);
}

static void clear_entry(BerthArchiveEntry *entry)
{
    g_clear_pointer(&entry->path, g_free);
    g_clear_pointer(&entry->target, g_free);
    *entry = (BerthArchiveEntry){ 0 };
}

void berth_archive_reader_free(BerthArchiveReader *reader)
{
    if (!reader)
        return;
    clear_entry(&reader->entry);
    g_hash_table_unref(reader->seen);
    (void)archive_read_free(reader->archive);
    g_free(reader);
}

/*
 * @path in its one form, taken from the directory of @base (nullable). NULL when it leads out, is
 * too long or is no text.
 */
static char *normalize(const char *base, const char *path)
{
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    g_autofree char *joined = NULL;
    g_auto(GStrv) parts = NULL;

    if (!path || !*path || *path == '/' || strlen(path) > BERTH_ARCHIVE_PATH_MAX ||
        !g_utf8_validate(path, -1, NULL))
        return NULL;
    if (base && strchr(base, '/'))
        joined = g_strdup_printf("%.*s/%s", (int)(strrchr(base, '/') - base), base, path);
    parts = g_strsplit(joined ? joined : path, "/", -1);
    for (char **part = parts; *part; part++) {
        if (g_str_equal(*part, "") || g_str_equal(*part, "."))
            continue;
        if (!g_str_equal(*part, ".."))
            g_ptr_array_add(kept, *part);
        else if (base && kept->len > 0) /* links only: docker writes ../ID/layer.tar */
            g_ptr_array_remove_index(kept, kept->len - 1);
        else
            return NULL;
    }
    g_ptr_array_add(kept, NULL);
    return g_strjoinv("/", (char **)kept->pdata);
}

static bool take_link(BerthArchiveEntry *taken, const char *base, const char *target,
                      GError **error)
{
    taken->kind = BERTH_ARCHIVE_LINK;
    taken->target = normalize(base, target);
    return taken->target || refuse(taken->path, "is a link that leads out of the archive", error);
}

/* What libarchive says of an entry, as far as an image can hold such a thing. */
static bool take_entry(BerthArchiveReader *reader, struct archive_entry *entry, GError **error)
{
    BerthArchiveEntry *taken = &reader->entry;
    const char *path = archive_entry_pathname(entry);

    taken->path = normalize(NULL, path);
    if (!taken->path)
        return refuse(path, "has a path that leads out of the archive, is too long or is no UTF-8",
                      error);
    if (archive_entry_hardlink(entry)) /* from the root of the archive, tar(5) */
        return take_link(taken, "", archive_entry_hardlink(entry), error);
    switch (archive_entry_filetype(entry)) {
    case AE_IFLNK:
        return take_link(taken, taken->path, archive_entry_symlink(entry), error);
    case AE_IFDIR:
        taken->kind = BERTH_ARCHIVE_DIRECTORY;
        return true;
    case AE_IFREG:
        break;
    default:
        return refuse(path, "is no file; images have neither devices nor pipes at that place",
                      error);
    }
    if (archive_entry_sparse_count(entry) > 0)
        return refuse(path, "is a sparse file; blobs have no holes", error);
    if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0)
        return refuse(path, "has no size", error);
    taken->kind = BERTH_ARCHIVE_FILE;
    taken->size = archive_entry_size(entry);
    return true;
}

/* What is not wanted is read all the same: it counts as unpacked. */
static bool skip_rest(BerthArchiveReader *reader, GError **error)
{
    g_autofree unsigned char *buffer = NULL;
    ssize_t n = 1;

    if (reader->entry.kind != BERTH_ARCHIVE_FILE || !reader->entry.path)
        return true;
    buffer = g_malloc(INPUT_SIZE);
    while (n > 0)
        n = berth_archive_reader_read(reader, buffer, INPUT_SIZE, error);
    return n == 0;
}

const BerthArchiveEntry *berth_archive_reader_next(BerthArchiveReader *reader, GError **error)
{
    struct archive_entry *entry;
    int r;

    if (!skip_rest(reader, error))
        return NULL;
    clear_entry(&reader->entry);
    r = archive_read_next_header(reader->archive, &entry);
    if (r == ARCHIVE_EOF && reader->n_entries > 0)
        return NULL;
    if (r != ARCHIVE_OK) {
        if (r == ARCHIVE_EOF)
            (void)berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the archive is empty");
        else
            (void)fail(reader, error);
        return NULL;
    }
    if (++reader->n_entries > BERTH_ARCHIVE_ENTRIES_MAX) {
        (void)berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                              "the archive has more than %d entries; no image has as many",
                              BERTH_ARCHIVE_ENTRIES_MAX);
        return NULL;
    }
    if (!take_entry(reader, entry, error))
        return NULL;
    if (reader->entry.kind != BERTH_ARCHIVE_DIRECTORY &&
        !g_hash_table_add(reader->seen, g_strdup(reader->entry.path))) {
        (void)refuse(reader->entry.path, "is there twice", error);
        return NULL;
    }
    return &reader->entry;
}

ssize_t berth_archive_reader_read(BerthArchiveReader *reader, void *buffer, size_t size,
                                  GError **error)
{
    la_ssize_t n = archive_read_data(reader->archive, buffer, size);

    if (n < 0) {
        (void)fail(reader, error);
        return -1;
    }
    reader->unpacked += (uint64_t)n;
    if (reader->compressed && reader->unpacked > RATIO_FROM &&
        reader->unpacked / RATIO_MAX > (uint64_t)archive_filter_bytes(reader->archive, -1)) {
        (void)refuse(reader->entry.path, "unpacks to more than 200 times its size", error);
        return -1;
    }
    return n;
}

GBytes *berth_archive_reader_read_all(BerthArchiveReader *reader, size_t max, GError **error)
{
    size_t size = (size_t)reader->entry.size, have = 0;
    g_autofree unsigned char *data = NULL;

    if (reader->entry.size > (int64_t)max) {
        g_autofree char *why = g_strdup_printf("has more than %zu bytes", max);

        (void)refuse(reader->entry.path, why, error);
        return NULL;
    }
    data = g_malloc(size + 1);
    while (have < size) {
        ssize_t n = berth_archive_reader_read(reader, data + have, size - have, error);

        if (n < 0)
            return NULL;
        if (n == 0) {
            (void)refuse(reader->entry.path, "ends too early", error);
            return NULL;
        }
        have += (size_t)n;
    }
    return g_bytes_new_take(g_steal_pointer(&data), size);
}
