/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading archives with libarchive: tar in all its dialects, through the filters that keep memory
 * bounded (xz does not). Entries come out as names and bytes; links are names for other entries and
 * never followed on a file system. What no image needs is refused instead of skipped, since an
 * archive that holds it was not made to hold an image.
 *
 * One reader of libarchive's unpacks and another one takes the tar apart, so that what the first
 * hands to the second can be counted: libarchive bounds neither what small inputs unpack to nor
 * what it keeps of headers, such as the map of a sparse file.
 */

#include "oci/archive-reader.h"

#include "base/error.h"
#include "base/libarchive.h"
#include "base/names.h"
#include "oci/packing.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define INPUT_SIZE (256 * 1024) /* bytes */

/* What is packed may unpack to so many times its size, once it is past the first bytes. Tar headers
 * and text reach 30; what is larger was made to be. */
#define RATIO_MAX  200
#define RATIO_FROM (INT64_C(64) << 20) /* bytes */

/* Headers of one entry. Those of images need a few blocks; what libarchive keeps of one byte of a
 * map of holes takes 16. */
#define HEADERS_MAX (1024 * 1024) /* bytes */

#define BLOCK       512         /* bytes: tar's unit, and the least that marks its end */
#define TAIL_MAX    (64 * 1024) /* bytes behind the end that are read still, for who writes them */

struct BerthArchiveReader {
    struct archive *packed;  /* unpacks, if there is anything to unpack */
    struct archive *archive; /* takes the tar apart */
    int fd;
    GError *failure;   /* of what is called from libarchive */
    int64_t packed_n;  /* bytes that were read */
    int64_t headers_n; /* bytes that came out of them for the headers of the present entry */
    bool in_headers;
    bool compressed;
    bool unpacked;     /* something */
    int64_t taken;     /* bytes of the entry that were read */
    int64_t entry_end; /* where in the unpacked archive the entry ends, padding included */
    unsigned n_entries;
    size_t names_n;   /* bytes of the names so far */
    GHashTable *seen; /* owned paths */
    BerthArchiveEntry entry;
    unsigned char magic[BERTH_PACKING_MAGIC];
    size_t magic_n; /* bytes of it that were read and not unpacked */
    unsigned char input[INPUT_SIZE];
};

/* Up to @size bytes. Whoever opened the descriptor may have made it one that does not wait. */
static ssize_t read_input(BerthArchiveReader *reader, void *buffer, size_t size)
{
    struct pollfd waiting = { .fd = reader->fd, .events = POLLIN };
    ssize_t n;

    while ((n = read(reader->fd, buffer, size)) < 0)
        if (errno == EAGAIN)
            (void)poll(&waiting, 1, -1);
        else if (errno != EINTR)
            break;
    if (n < 0 && !reader->failure)
        (void)berth_set_error_errno(&reader->failure, BERTH_ERROR_FAILED, errno,
                                    "cannot read the archive");
    reader->packed_n += MAX(n, 0);
    return n;
}

/* The first bytes, which tell how it is packed. */
static bool read_magic(BerthArchiveReader *reader)
{
    ssize_t n = 1;

    while (n > 0 && reader->magic_n < sizeof(reader->magic)) {
        n = read_input(reader, reader->magic + reader->magic_n,
                       sizeof(reader->magic) - reader->magic_n);
        reader->magic_n += (size_t)MAX(n, 0);
    }
    return n >= 0;
}

/* libarchive(3): archive_read_open(), the read callback of the one that unpacks */
static la_ssize_t on_read(struct archive *archive, void *userdata, const void **data)
{
    BerthArchiveReader *reader = userdata;
    ssize_t n = (ssize_t)reader->magic_n;

    *data = reader->magic;
    reader->magic_n = 0;
    if (n > 0)
        return n;
    *data = reader->input;
    n = read_input(reader, reader->input, sizeof(reader->input));
    if (n < 0)
        archive_set_error(archive, ECANCELED, "read");
    return n;
}

static bool set_unusable(struct archive *archive, GError **error)
{
    const char *text = archive_error_string(archive);
    g_autofree char *quoted = berth_quote(text ? text : "it is damaged");

    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "no usable archive: %s; give a tar of an image, as it is or packed with "
                           "gzip, bzip2 or zstd",
                           quoted);
}

bool berth_archive_check_ratio(int64_t unpacked, int64_t packed, const char *what, GError **error)
{
    return unpacked <= RATIO_FROM || unpacked / RATIO_MAX <= packed ||
           berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "%s unpacks to more than %d times its size; give it unpacked", what,
                           RATIO_MAX);
}

/* Whether the tar may have @n more bytes. */
static bool check_bounds(BerthArchiveReader *reader, size_t n, GError **error)
{
    int64_t unpacked = archive_filter_bytes(reader->packed, 0);

    reader->headers_n += reader->in_headers ? (int64_t)n : 0;
    if (reader->headers_n > HEADERS_MAX)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the archive has an entry with headers of more than %d bytes; no "
                               "image needs as many",
                               HEADERS_MAX);
    return !reader->compressed ||
           berth_archive_check_ratio(unpacked, reader->packed_n, "the archive", error);
}

/* Whether the tar is one: what was packed again is not unpacked again. */
static bool check_once(BerthArchiveReader *reader, const void *data, size_t n, GError **error)
{
    bool first = !reader->unpacked;

    reader->unpacked = true;
    return !first || berth_packing_of(data, n) == BERTH_PACKING_NONE ||
           berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the archive is packed more than once; unpack it first");
}

/* The same of the one that takes the tar apart. */
static la_ssize_t on_unpack(struct archive *archive, void *userdata, const void **data)
{
    BerthArchiveReader *reader = userdata;
    size_t n = 0;
    la_int64_t offset;
    int r = archive_read_data_block(reader->packed, data, &n, &offset);

    if (r == ARCHIVE_EOF)
        return 0;
    if (r == ARCHIVE_OK && check_once(reader, *data, n, &reader->failure) &&
        check_bounds(reader, n, &reader->failure))
        return (la_ssize_t)n;
    if (!reader->failure)
        (void)set_unusable(reader->packed, &reader->failure);
    archive_set_error(archive, ECANCELED, "unpack");
    return -1;
}

/* The first thing that went wrong is what the user has to know. */
static bool fail(BerthArchiveReader *reader, GError **error)
{
    if (!reader->failure)
        return set_unusable(reader->archive, error);
    if (error && !*error)
        *error = g_error_copy(reader->failure);
    return false;
}

static bool refuse(const char *path, const char *why, GError **error)
{
    g_autofree char *quoted = berth_quote(path ? path : "");

    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the archive's entry '%s' %s",
                           quoted, why);
}

static bool open_packed(BerthArchiveReader *reader, GError **error)
{
    struct archive *packed = reader->packed = archive_read_new();
    struct archive_entry *whole;
    BerthPacking packing;

    if (!packed)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, ENOMEM, "cannot read archives");
    if (!read_magic(reader))
        return fail(reader, error);
    packing = berth_packing_of(reader->magic, reader->magic_n);
    reader->compressed = packing != BERTH_PACKING_NONE;
    if (packing == BERTH_PACKING_XZ)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the archive is packed with xz; unpack it first, or pack it with "
                               "gzip, bzip2 or zstd");
    return (archive_read_support_format_raw(packed) == ARCHIVE_OK &&
            berth_packing_unpack(packed, packing) &&
            archive_read_open(packed, reader, NULL, on_read, NULL) == ARCHIVE_OK &&
            archive_read_next_header(packed, &whole) == ARCHIVE_OK) ||
           (reader->failure ? fail(reader, error) : set_unusable(packed, error));
}

static bool open_archive(BerthArchiveReader *reader, GError **error)
{
    reader->archive = archive_read_new();
    if (!reader->archive)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, ENOMEM, "cannot read archives");
    return (archive_read_support_format_tar(reader->archive) == ARCHIVE_OK &&
            archive_read_open(reader->archive, reader, NULL, on_unpack, NULL) == ARCHIVE_OK) ||
           fail(reader, error);
}

BerthArchiveReader *berth_archive_reader_new(int fd, GError **error)
{
    g_autoptr(BerthArchiveReader) reader = g_new0(BerthArchiveReader, 1);

    reader->fd = fd;
    reader->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return open_packed(reader, error) && open_archive(reader, error) ? g_steal_pointer(&reader)
                                                                     : NULL;
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
    if (reader->archive) /* reads from the other one */
        (void)archive_read_free(reader->archive);
    if (reader->packed)
        (void)archive_read_free(reader->packed);
    g_clear_error(&reader->failure);
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
        n = read_input(reader, reader->input, sizeof(reader->input));
    return true;
}

static void begin_headers(BerthArchiveReader *reader)
{
    reader->headers_n = 0;
    reader->in_headers = true;
}

/* Goes to the next entry, within the bounds of all of them. NULL at the end, or with @error. */
static struct archive_entry *next_header(BerthArchiveReader *reader, GError **error)
{
    struct archive_entry *entry;
    int r;

    begin_headers(reader);
    r = archive_read_next_header(reader->archive, &entry);
    reader->in_headers = false;
    if (r == ARCHIVE_EOF && !reader->failure) {
        (void)finish(reader, error);
        return NULL;
    }
    if (r != ARCHIVE_OK) {
        (void)fail(reader, error);
        return NULL;
    }
    if (++reader->n_entries <= BERTH_ARCHIVE_ENTRIES_MAX)
        return entry;
    (void)berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                          "the archive has more than %d entries; no image has as many",
                          BERTH_ARCHIVE_ENTRIES_MAX);
    return NULL;
}

/* Each name is there once; all of them are kept, here and by who reads the archive. */
static bool keep_names(BerthArchiveReader *reader, GError **error)
{
    const BerthArchiveEntry *entry = &reader->entry;

    if (!g_hash_table_add(reader->seen, g_strdup(entry->path)))
        return refuse(entry->path, "is there twice", error);
    reader->names_n += strlen(entry->path) + (entry->target ? strlen(entry->target) : 0);
    return reader->names_n <= BERTH_ARCHIVE_NAMES_MAX ||
           berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the names of the archive's entries have more than %d bytes; no image "
                           "needs as many",
                           BERTH_ARCHIVE_NAMES_MAX);
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
    return reader->entry.kind == BERTH_ARCHIVE_DIRECTORY || keep_names(reader, error)
               ? &reader->entry
               : NULL;
}

ssize_t berth_archive_reader_read(BerthArchiveReader *reader, void *buffer, size_t size,
                                  GError **error)
{
    la_ssize_t n = archive_read_data(reader->archive, buffer, size);

    if (n < 0) {
        (void)fail(reader, error);
        return -1;
    }
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
