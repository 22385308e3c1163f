/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-writer.h"

/**
 * berth_snapshot_data:
 * @entry: all of the member but its size and its holes
 * @fd: a file of a tmpfs
 * @size: bytes of it, as it is to be in the archive; what it lacks of them is zeros
 * @sparse: it may have holes
 *
 * Writes a member with the data of a file.
 */
bool berth_snapshot_data(BerthSnapshotWriter *writer, struct archive_entry *entry, int fd,
                         uint64_t size, bool sparse, GError **error);
