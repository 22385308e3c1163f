/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-actor.h"
#include "ipc/vault.h"

#include <stdint.h>

/** BerthRestoreSpec: what to restore, and into what. Nothing in it is owned. */
typedef struct {
    const char *id; /* of a sandbox with a namespace and a shm of its own */
    int archive;    /* to read from */
    BerthActor actor;
    const char *const *leave_out; /* (nullable): members that are not wanted */
    uint64_t shm_size;            /* bytes that the sandbox may have */
    uint64_t shm_inodes;
    uint64_t shmall; /* pages that kernel.shmall may allow */
} BerthRestoreSpec;

/**
 * berth_restore:
 * @shmall: (out) (nullable) (transfer full): a kernel.shmall that was chosen for the saved sandbox
 * and is within the limit: it is for the caller to set
 * @error: BERTH_ERROR_SANDBOX_BUSY when the sandbox is not empty, BERTH_ERROR_ARCHIVE_INVALID,
 * BERTH_ERROR_QUOTA_EXCEEDED when the sandbox has no room for it, BERTH_ERROR_ACCESS_DENIED for
 * what only root can restore. In any case the sandbox is then empty as it was
 *
 * Fills an empty sandbox from an archive, see berth-snapshot(5), by whomever that was written. To
 * be called in a child of the service, single-threaded, which outlives the service until the
 * sandbox is in order.
 */
bool berth_restore(const BerthVault *vault, const BerthRestoreSpec *spec, char **shmall,
                   GError **error);
