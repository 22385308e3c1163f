/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-actor.h"
#include "ipc/vault.h"

#include <stdint.h>

/** BerthSnapshotOptions: how a sandbox was made, for whoever makes another. Nothing is owned. */
typedef struct {
    const char *name; /* (nullable) */
    const char *mode;
    uid_t owner;
    uint64_t shm_size, shm_inodes;
    bool shmall_set;         /* kernel.shmall was chosen */
    const char *huge, *numa; /* (nullable) */
    GHashTable *labels;      /* (nullable) (element-type utf8 utf8) */
    const GArray *users;     /* (nullable) (element-type uint32_t) */
    const GArray *groups;    /* (nullable) (element-type uint32_t) */
    const char *lifetime;
    bool published;
} BerthSnapshotOptions;

/** BerthSnapshotSpec: what to save, and how. Nothing in it is owned. */
typedef struct {
    const char *id; /* of a sandbox with a namespace and a shm of its own */
    int archive;    /* to write to */
    BerthActor actor;
    bool stopped;                 /* the programs in it are frozen */
    const char *const *leave_out; /* (nullable): what may be left out */
    BerthSnapshotOptions options;
} BerthSnapshotSpec;

/**
 * berth_snapshot:
 * @error: BERTH_ERROR_SANDBOX_BUSY, BERTH_ERROR_NOT_SUPPORTED or BERTH_ERROR_ACCESS_DENIED for what
 * cannot be kept, by name; then nothing was touched. BERTH_ERROR_FAILED when writing failed
 *
 * Writes an archive, see berth-snapshot(5). To be called in a child of the service,
 * single-threaded, which outlives the service for as long as messages are taken out of a queue; it
 * ends with the sandbox as it was.
 */
bool berth_snapshot(const BerthVault *vault, const BerthSnapshotSpec *spec, GError **error);

/**
 * berth_snapshot_recover: finishes or undoes what interrupted snapshots and restores left. What
 * belongs to a process that still works is left to it.
 * @id: (nullable): a sandbox; NULL: every one
 */
bool berth_snapshot_recover(const BerthVault *vault, const char *id, GError **error);
