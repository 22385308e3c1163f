/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-writer.h"

/**
 * berth_snapshot_data:
 * @member: all but its extents, which are gone after this; what @fd has less than its size is zeros
 * @fd: a file of a tmpfs
 * @sparse: it may have holes
 *
 * Writes a member with the data of a file.
 */
bool berth_snapshot_data(BerthSnapshotWriter *writer, BerthMember *member, int fd, bool sparse,
                         GError **error);
