/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-writer.h"

#include <dirent.h>

#define BERTH_FILES_DEPTH_MAX 128 /* directories in each other */

/** berth_files_type: Returns: the type (S_IFMT) of an entry of the directory @dir; 0: it is gone.
 */
mode_t berth_files_type(int dir, const struct dirent *entry);

/**
 * berth_files_write: writes the files below @shm, but for those that @leave_out names.
 * @error: BERTH_ERROR_NOT_SUPPORTED for one that cannot be kept for what shows only when it is open
 */
bool berth_files_write(BerthSnapshotWriter *writer, int shm, const char *const *leave_out,
                       GError **error);
