/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-index.h"
#include "ipc/snapshot-refusals.h"
#include "ipc/snapshot-writer.h"

/**
 * berth_sysv_survey:
 * @maps: directory descriptor of /proc/self/map_files
 * @index: gets the SysV objects of the IPC namespace that the thread is in
 * @refusals: gets what cannot be kept
 *
 * The memory of each segment is opened, so that it is there when it is written; nobody sees it
 * attached after this.
 */
bool berth_sysv_survey(int maps, BerthIndex *index, BerthRefusals *refusals, GError **error);

/** berth_sysv_write: writes the contents of segments and message queues of @index. */
bool berth_sysv_write(BerthSnapshotWriter *writer, const BerthIndex *index, GError **error);
