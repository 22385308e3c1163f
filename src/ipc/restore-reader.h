/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/libarchive.h"

typedef struct BerthRestoreReader BerthRestoreReader;

/**
 * berth_restore_reader_new:
 * @fd: (not owned) a file, from its offset on, a pipe or a socket
 *
 * Returns: (transfer full): a reader of one archive, or NULL.
 */
BerthRestoreReader *berth_restore_reader_new(int fd, GError **error);
void berth_restore_reader_free(BerthRestoreReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthRestoreReader, berth_restore_reader_free)

/**
 * berth_restore_reader_next:
 * @path: (out) (transfer full): of the member, without a slash at its end
 * @entry: (out) (transfer none): the member, valid until the next call
 * @error: BERTH_ERROR_ARCHIVE_INVALID when the archive is damaged or ends too early
 *
 * What was not read of the last member's data is skipped.
 */
bool berth_restore_reader_next(BerthRestoreReader *reader, char **path,
                               struct archive_entry **entry, GError **error);

/**
 * berth_restore_reader_block:
 * @data: (out) (transfer none): valid until the next call
 * @length: (out): bytes of it; 0: there is no more data
 * @offset: (out): where in the member it belongs; what lies between is a hole
 *
 * No block lies outside of the size that the entry says.
 */
bool berth_restore_reader_block(BerthRestoreReader *reader, const void **data, size_t *length,
                                uint64_t *offset, GError **error);

/** berth_restore_reader_text: Returns: (transfer full): all data of a member of at most @most
 * bytes.
 */
GByteArray *berth_restore_reader_text(BerthRestoreReader *reader, size_t most, GError **error);

/**
 * berth_restore_reader_finish: to be called when the last member, BERTH_SNAPSHOT_END, was met:
 * reads it and compares checksum and count, if it has them.
 */
bool berth_restore_reader_finish(BerthRestoreReader *reader, GError **error);
