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
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define INPUT_SIZE (256 * 1024) /* bytes */

/* What is packed may unpack to so many times its size, once it is past the first bytes. Tar headers
 * and text reach 30; what is larger was made to be. */
#define RATIO_MAX  200
#define RATIO_FROM (INT64_C(64) << 20) /* bytes */

#define BLOCK      512         /* bytes: tar's unit, and the least that marks its end */
#define TAIL_MAX   (64 * 1024) /* bytes behind the end that are read still, for who writes them */

struct BerthArchiveReader {
    struct archive *archive;
    int fd;
    int read_errno;
    int64_t taken;     /* bytes of the entry that were read */
    int64_t entry_end; /* where in the unpacked archive the entry ends, padding included */
    unsigned n_entries;
    GHashTable *seen; /* owned paths */
    BerthArchiveEntry entry;
    bool compressed;
    unsigned char input[INPUT_SIZE];
};

/* Whoever opened the descriptor may have made it one that does not wait. */
static ssize_t read_input(BerthArchiveReader *reader)
{
    struct pollfd waiting = { .fd = reader->fd, .events = POLLIN };
    ssize_t n;

    while ((n = read(reader->fd, reader->input, sizeof(reader->input))) < 0)
        if (errno == EAGAIN)
            (void)poll(&waiting, 1, -1);
        else if (errno != EINTR)
            break;
    return n;
}

/* libarchive(3): archive_read_open(), the read callback */
static la_ssize_t on_read(struct archive *archive, void *userdata, const void **data)
{
    BerthArchiveReader *reader = userdata;
    ssize_t n = read_input(reader);

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
    /* one that does nothing counts too */
    reader->compressed = archive_filter_count(reader->archive) > 1;
    if (archive_filter_count(reader->archive) > 2) {
        (void)berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                              "the archive is packed more than once; unpack it first");
        return NULL;
    }
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

bool berth_archive_check_ratio(int64_t unpacked, int64_t packed, const char *what, GError **error)
{
    return unpacked <= RATIO_FROM || unpacked / RATIO_MAX <= packed ||
           berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "%s unpacks to more than %d times its size; give it unpacked", what,
                           RATIO_MAX);
}

/* Headers count as well as what they are of: it takes nothing to pack those. */
static bool check_ratio(const BerthArchiveReader *reader, GError **error)
{
    return !reader->compressed ||
           berth_archive_check_ratio(archive_filter_bytes(reader->archive, 0),
                                     archive_filter_bytes(reader->archive, -1), "the archive",
                                     error);
}

/* What is not wanted is read all the same, so that it is looked at like the rest. */
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

/*
 * The end of the archive: blocks of zeros, without which it was cut off between two entries. What
 * stands behind them is read so that whoever writes a pipe gets rid of it.
 */
static bool finish(BerthArchiveReader *reader, GError **error)
{
    int64_t end = archive_filter_bytes(reader->archive, 0);
    size_t rest = 0;

    if (reader->n_entries == 0)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the archive is empty");
    if (end < reader->entry_end + BLOCK)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the archive ends too early: its end is not marked");
    for (ssize_t n = 1; n > 0 && rest < TAIL_MAX; rest += (size_t)MAX(n, 0))
        n = read_input(reader);
    return true;
}

/* Goes to the next entry, within the bounds of all of them. NULL at the end, or with @error. */
static struct archive_entry *next_header(BerthArchiveReader *reader, GError **error)
{
    struct archive_entry *entry;
    int r = archive_read_next_header(reader->archive, &entry);

    if (r == ARCHIVE_EOF) {
        (void)finish(reader, error);
        return NULL;
    }
    if (r != ARCHIVE_OK) {
        (void)fail(reader, error);
        return NULL;
    }
    if (!check_ratio(reader, error))
        return NULL;
    if (++reader->n_entries <= BERTH_ARCHIVE_ENTRIES_MAX)
        return entry;
    (void)berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                          "the archive has more than %d entries; no image has as many",
                          BERTH_ARCHIVE_ENTRIES_MAX);
    return NULL;
}

const BerthArchiveEntry *berth_archive_reader_next(BerthArchiveReader *reader, GError **error)
{
    struct archive_entry *entry;

    if (!skip_rest(reader, error))
        return NULL;
    clear_entry(&reader->entry);
    reader->taken = 0;
    entry = next_header(reader, error);
    if (!entry || !take_entry(reader, entry, error))
        return NULL;
    reader->entry_end =
        archive_filter_bytes(reader->archive, 0) + (reader->entry.size + BLOCK - 1) / BLOCK * BLOCK;
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
    if (!check_ratio(reader, error))
        return -1;
    reader->taken += n;
    if (n == 0 ? reader->taken < reader->entry.size : reader->taken > reader->entry.size) {
        (void)refuse(reader->entry.path, "has another size than its header says", error);
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
