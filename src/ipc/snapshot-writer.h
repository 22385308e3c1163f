/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-pax.h"

#include <stdbool.h>

typedef struct BerthSnapshotWriter BerthSnapshotWriter;

/**
 * berth_snapshot_writer_new:
 * @fd: (not owned) where to write: a file, from its offset on, a pipe or a socket
 *
 * Returns: (transfer full): the writer of one archive.
 */
BerthSnapshotWriter *berth_snapshot_writer_new(int fd);
void berth_snapshot_writer_free(BerthSnapshotWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthSnapshotWriter, berth_snapshot_writer_free)

/** berth_snapshot_writer_begin: writes the headers of @member; its data follows. */
bool berth_snapshot_writer_begin(BerthSnapshotWriter *writer, const BerthMember *member,
                                 GError **error);
/**
 * berth_snapshot_writer_data: writes @length bytes of the data of the member begun, without its
 * holes; all of them together must be as many as it said.
 */
bool berth_snapshot_writer_data(BerthSnapshotWriter *writer, const void *data, size_t length,
                                GError **error);

/** berth_snapshot_writer_file: writes a whole member with a plain file of root's. */
bool berth_snapshot_writer_file(BerthSnapshotWriter *writer, const char *path, const void *data,
                                size_t length, GError **error);

/** berth_snapshot_writer_end: writes the last member and all that is not written yet. */
bool berth_snapshot_writer_end(BerthSnapshotWriter *writer, GError **error);
