/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BERTH_ARCHIVE_ENTRIES_MAX 65536 /* of one archive; an image has at most 4096 layers */
#define BERTH_ARCHIVE_PATH_MAX    1024  /* bytes of a path in it */
#define BERTH_ARCHIVE_NAMES_MAX   (8 * 1024 * 1024) /* bytes of all paths in it */

/** BerthArchiveKind: what an entry is. Whatever else a tar can hold is refused. */
typedef enum {
    BERTH_ARCHIVE_FILE,
    BERTH_ARCHIVE_LINK,      /* another path of the same archive, by either kind of link */
    BERTH_ARCHIVE_DIRECTORY, /* means nothing */
} BerthArchiveKind;

/** BerthArchiveEntry: one entry; valid until the next. */
typedef struct {
    BerthArchiveKind kind;
    char *path; /* relative, without `.`, `..` and empty components: safe as a key, not as a path */
    char *target; /* with BERTH_ARCHIVE_LINK: what it means, in the same form */
    int64_t size; /* bytes, with BERTH_ARCHIVE_FILE */
} BerthArchiveEntry;

/**
 * BerthArchiveReader: a tar archive from anywhere, plain or compressed with gzip, bzip2 or zstd. It
 * is untrusted: nothing of it ever becomes a path of the file system. Used by one thread, which it
 * may block.
 */
typedef struct BerthArchiveReader BerthArchiveReader;

/**
 * berth_archive_reader_new:
 * @fd: where to read, a file or a pipe; not owned, must outlive the reader
 * @error: BERTH_ERROR_ARCHIVE_INVALID: no archive; BERTH_ERROR_FAILED
 *
 * Returns: (transfer full) (nullable): the reader, before the first entry.
 */
BerthArchiveReader *berth_archive_reader_new(int fd, GError **error);

/** berth_archive_reader_free: @reader: (nullable) */
void berth_archive_reader_free(BerthArchiveReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthArchiveReader, berth_archive_reader_free)

/**
 * berth_archive_reader_next:
 * @error: BERTH_ERROR_ARCHIVE_INVALID naming the entry and what is wrong with it: a path or a link
 *   that leads out, a path that was there before, a device, a sparse file, too many entries,
 * headers or names that are too long; or that the archive is damaged or ends too early
 *
 * Goes on to the next entry; what was not read of the one before is skipped.
 *
 * Returns: (transfer none) (nullable): the entry; NULL at the end, without an error.
 */
const BerthArchiveEntry *berth_archive_reader_next(BerthArchiveReader *reader, GError **error);

/**
 * berth_archive_reader_read:
 * @buffer: room for @size bytes
 * @error: BERTH_ERROR_ARCHIVE_INVALID: damaged, ends too early, or unpacks to much more than it is
 *
 * Returns: bytes of the present file, 0 at its end, -1 on error.
 */
ssize_t berth_archive_reader_read(BerthArchiveReader *reader, void *buffer, size_t size,
                                  GError **error);

/**
 * berth_archive_reader_read_all:
 * @max: bytes it may have
 * @error: as berth_archive_reader_read(), also when it is larger
 *
 * Returns: (transfer full) (nullable): all of the present file.
 */
GBytes *berth_archive_reader_read_all(BerthArchiveReader *reader, size_t max, GError **error);

/**
 * berth_archive_check_ratio:
 * @unpacked: bytes so far
 * @packed: bytes that they came from
 * @what: unpacks to them
 * @error: BERTH_ERROR_ARCHIVE_INVALID: it was made to fill disks
 */
bool berth_archive_check_ratio(int64_t unpacked, int64_t packed, const char *what, GError **error);
