/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-index.h"
#include "ipc/snapshot-refusals.h"
#include "ipc/snapshot-writer.h"

/**
 * berth_files_find_unlinked:
 * @shm: directory descriptor of the shm
 * @index: gets what is in use
 * @refusals: gets `unlinked` when files without a name are in use
 *
 * To be called by whoever may read every directory.
 */
bool berth_files_find_unlinked(int shm, BerthIndex *index, BerthRefusals *refusals, GError **error);

/**
 * berth_files_survey:
 * @refusals: gets what cannot be kept
 *
 * Looks at every file and reads none.
 */
bool berth_files_survey(int shm, BerthRefusals *refusals, GError **error);

/**
 * berth_files_write: writes the files below @shm, but for those that @leave_out names.
 */
bool berth_files_write(BerthSnapshotWriter *writer, int shm, const char *const *leave_out,
                       GError **error);
