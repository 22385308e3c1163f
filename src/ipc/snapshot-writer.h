/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/libarchive.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct archive_entry BerthEntry;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthEntry, archive_entry_free)

typedef struct BerthSnapshotWriter BerthSnapshotWriter;

/**
 * berth_snapshot_writer_new:
 * @fd: (not owned) where to write: a file, from its offset on, a pipe or a socket
 *
 * Returns: (transfer full): the writer of one archive, or NULL.
 */
BerthSnapshotWriter *berth_snapshot_writer_new(int fd, GError **error);
void berth_snapshot_writer_free(BerthSnapshotWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthSnapshotWriter, berth_snapshot_writer_free)

/** berth_snapshot_writer_begin: writes the header of @entry; its data follows. */
bool berth_snapshot_writer_begin(BerthSnapshotWriter *writer, struct archive_entry *entry,
                                 GError **error);
/** berth_snapshot_writer_data: writes @length bytes of the data of the entry begun. */
bool berth_snapshot_writer_data(BerthSnapshotWriter *writer, const void *data, size_t length,
                                GError **error);
/** berth_snapshot_writer_hole: goes over @length bytes that the entry said are a hole. */
bool berth_snapshot_writer_hole(BerthSnapshotWriter *writer, uint64_t length, GError **error);

/** berth_snapshot_writer_file: writes a whole member with a plain file of root's. */
bool berth_snapshot_writer_file(BerthSnapshotWriter *writer, const char *path, const void *data,
                                size_t length, GError **error);

/** berth_snapshot_writer_end: writes the last member and all that is not written yet. */
bool berth_snapshot_writer_end(BerthSnapshotWriter *writer, GError **error);
