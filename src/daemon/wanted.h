/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/mode.h"
#include "base/wanted.h"
#include "settings/settings.h"

/**
 * berth_wanted_check:
 * @settings: in force
 * @wanted: sizes are set to what they will be, where nothing was said to the default
 * @mode: (out): the mode, resolved
 * @donor: (out) (transfer none): of container:X, inside @wanted; else NULL
 * @error: BERTH_ERROR_INVALID_MODE, BERTH_ERROR_INVALID_NAME, BERTH_ERROR_INVALID_SIZE,
 *   BERTH_ERROR_INVALID_OPTION, or BERTH_ERROR_NOT_SUPPORTED for what this machine has not got
 *
 * Checks all that can be told without looking at other sandboxes.
 */
bool berth_wanted_check(const BerthSettings *settings, BerthWanted *wanted, BerthIpcMode *mode,
                        const char **donor, GError **error);

/**
 * berth_check_shm_size:
 * @size: (inout): what was asked for, 0: the default; set to what it will be, whole pages
 * @error: BERTH_ERROR_INVALID_SIZE when it is above MaxShmSize=
 */
bool berth_check_shm_size(const BerthSettings *settings, uint64_t *size, GError **error);

/** berth_check_shm_inodes: the same for the number of inodes: BERTH_ERROR_INVALID_OPTION. */
bool berth_check_shm_inodes(const BerthSettings *settings, uint64_t *inodes, GError **error);

/** berth_check_sysctls: whether all of @sysctls (nullable) may be set, with these values. */
bool berth_check_sysctls(GHashTable *sysctls, GError **error);

/** berth_check_shmall: whether kernel.shmall in @sysctls (nullable) goes with @shm_size bytes. */
bool berth_check_shmall(GHashTable *sysctls, uint64_t shm_size, GError **error);
