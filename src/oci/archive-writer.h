/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * BerthArchiveWriter: a tar archive on its way out, pax where ustar does not suffice (sizes from
 * 8 GiB on). Only regular files, all of them root's, mode 0644, of the epoch: the same contents
 * give the same bytes. Used by one thread, which it may block.
 */
typedef struct BerthArchiveWriter BerthArchiveWriter;

/**
 * berth_archive_writer_new:
 * @fd: where to write, a file or a pipe; not owned, must outlive the writer
 * @error: BERTH_ERROR_FAILED
 *
 * Returns: (transfer full) (nullable): the writer.
 */
BerthArchiveWriter *berth_archive_writer_new(int fd, GError **error);

/** berth_archive_writer_free: @writer: (nullable); what was not finished is no archive. */
void berth_archive_writer_free(BerthArchiveWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthArchiveWriter, berth_archive_writer_free)

/**
 * berth_archive_writer_add:
 * @path: in the archive
 * @error: BERTH_ERROR_FAILED: the archive cannot be written, for example because its reader is gone
 */
bool berth_archive_writer_add(BerthArchiveWriter *writer, const char *path, const void *data,
                              size_t size, GError **error);

/** BerthArchiveFunc: tells that @bytes more of a blob are in the archive. */
typedef void (*BerthArchiveFunc)(uint64_t bytes, void *userdata);

/**
 * berth_archive_writer_add_blob:
 * @path: in the archive
 * @fd: the blob, read from its beginning; not owned
 * @digest: what it must be
 * @size: bytes it must have
 * @progress: (nullable): called now and then
 * @error: BERTH_ERROR_STORE_CORRUPT: it, or a blob before it, is something else, and so is what was
 *   written; BERTH_ERROR_FAILED
 *
 * What it is may be known only with a later blob or the end: until then the archive is not good.
 */
bool berth_archive_writer_add_blob(BerthArchiveWriter *writer, const char *path, int fd,
                                   const BerthDigest *digest, int64_t size,
                                   BerthArchiveFunc progress, void *userdata, GError **error);

/**
 * berth_archive_writer_finish:
 * @error: as berth_archive_writer_add_blob()
 *
 * Writes the end of the archive, once all blobs are known to be what they must be.
 */
bool berth_archive_writer_finish(BerthArchiveWriter *writer, GError **error);
