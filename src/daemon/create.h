/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/method.h"

/* The parts of Sandboxes.Create, for its row in the method table. */
extern const size_t berth_create_arguments_size;
bool berth_create_parse(BerthCall *call, GError **error);
bool berth_create_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_create_act(BerthCall *call, GError **error);
void berth_create_clear(void *arguments);

/** berth_create_options: Returns: (static): the options that Create knows. */
const BerthOption *berth_create_options(void);

/**
 * berth_check_shm_size:
 * @size: (inout): what a caller asked for, 0: the default; set to what it will be, whole pages
 * @error: BERTH_ERROR_INVALID_SIZE when it is above MaxShmSize=
 */
bool berth_check_shm_size(const BerthSettings *settings, uint64_t *size, GError **error);

/** berth_check_shm_inodes: the same for the number of inodes: BERTH_ERROR_INVALID_OPTION. */
bool berth_check_shm_inodes(const BerthSettings *settings, uint64_t *inodes, GError **error);

/** berth_check_sysctls: whether all of @sysctls (nullable) may be set, with these values. */
bool berth_check_sysctls(GHashTable *sysctls, GError **error);

/** berth_check_shmall: whether kernel.shmall in @sysctls (nullable) goes with @shm_size bytes. */
bool berth_check_shmall(GHashTable *sysctls, uint64_t shm_size, GError **error);
