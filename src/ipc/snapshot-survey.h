/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-index.h"
#include "ipc/snapshot-refusals.h"

/**
 * berth_files_survey:
 * @shm: directory descriptor of the shm
 * @index: gets what is in use
 * @refusals: gets what cannot be kept, and `unlinked` when files without a name are in use
 *
 * To be called by whoever may read every directory. It changes the working directory.
 */
bool berth_files_survey(int shm, BerthIndex *index, BerthRefusals *refusals, GError **error);

/** berth_files_check_access: @refusals gets what this process may not read. */
bool berth_files_check_access(int shm, BerthRefusals *refusals, GError **error);
