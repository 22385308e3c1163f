/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/mode.h"
#include "ipc/shm.h"
#include "ipc/usage.h"
#include "ipc/vault.h"

#include <sys/types.h>

/** BerthSlotSpec: what to make. Nothing in it is owned. */
typedef struct {
    BerthIpcMode mode;   /* resolved: not BERTH_IPC_MODE_DEFAULT */
    const char *donor;   /* ID of a sandbox in the vault, with BERTH_IPC_MODE_CONTAINER */
    BerthShmSpec shm;    /* with private, shareable; its size bounds SysV memory with none too */
    int ns;              /* an IPC namespace to take, or -1: a new one is made. Not owned */
    GHashTable *sysctls; /* (nullable) (element-type utf8 utf8): checked ones, none with host */
} BerthSlotSpec;

/** BerthSlotInfo: what the kernel says about a slot. */
typedef struct {
    uint64_t namespace_id; /* inode number of the IPC namespace */
    dev_t shm_device;      /* device number of the shm; 0 when there is none */
    uint64_t shm_size;     /* bytes; 0 when there is none */
    uint64_t shm_inodes;
} BerthSlotInfo;

/** BerthSlotFds: descriptors to hand out; -1 where there is none. All owned. */
typedef struct {
    int ipc;    /* for setns(2) */
    int shm;    /* a detached mount */
    int mqueue; /* a detached mount */
} BerthSlotFds;

#define BERTH_SLOT_FDS_INIT                                                                        \
    {                                                                                              \
        -1, -1, -1                                                                                 \
    }
void berth_slot_fds_close(BerthSlotFds *fds);
#define BERTH_AUTO_SLOT_FDS __attribute__((cleanup(berth_slot_fds_close))) BerthSlotFds

/** berth_slot_shmall: Returns: kernel.shmall, in pages, for a shm of @size bytes. */
uint64_t berth_slot_shmall(uint64_t size);

/**
 * berth_slot_create:
 * @id: ID of the sandbox, which has no slot yet
 * @spec: what to make
 * @record: what to store about it, see berth_slot_write_record()
 * @info: (out): what was made
 * @error: BERTH_ERROR_LIMITS_EXCEEDED when the kernel has no room for a namespace just now,
 *   BERTH_ERROR_INVALID_OPTION for what it refuses, BERTH_ERROR_NOT_SUPPORTED when the host has no
 *   /dev/shm to share, else BERTH_ERROR_FAILED
 *
 * Makes the namespace and the mounts of a sandbox and puts them into the vault. All or nothing,
 * also when the process is killed in the middle.
 */
bool berth_slot_create(const BerthVault *vault, const char *id, const BerthSlotSpec *spec,
                       const char *record, BerthSlotInfo *info, GError **error);

/** berth_slot_inspect: fills @info for the slot of @id, which has a namespace. */
bool berth_slot_inspect(const BerthVault *vault, const char *id, BerthSlotInfo *info,
                        GError **error);

/**
 * berth_slot_open:
 * @fds: (out): the namespace, and fresh clones of the mounts
 *
 * Opens what a sandbox consists of, to be handed out. Each call makes new clones, since
 * move_mount(2) consumes a mount for every holder of its descriptor.
 */
bool berth_slot_open(const BerthVault *vault, const char *id, BerthSlotFds *fds, GError **error);

/**
 * berth_slot_empty: gives up the namespace and the mounts of a slot, which were handed over; its
 * record stays.
 */
bool berth_slot_empty(const BerthVault *vault, const char *id, GError **error);

/**
 * berth_slot_watch: watches the shm of a slot, see berth_watch_add(); where there is none, its
 * message queues, which end with the namespace and what is mounted of them. @wd: -1 when the slot
 * is empty.
 */
bool berth_slot_watch(const BerthVault *vault, const char *id, int watch, int *wd, GError **error);

/**
 * berth_slot_hold: opens the shm of a slot if more than @bytes are in use of it.
 *
 * Returns: (transfer full): an O_PATH descriptor, or -1.
 */
int berth_slot_hold(const BerthVault *vault, const char *id, uint64_t bytes);

/** berth_slot_remove: removes a slot with all that is in it. None there is success. */
bool berth_slot_remove(const BerthVault *vault, const char *id, GError **error);

/** berth_slot_resize: sets the limits of the shm; @shmall: (nullable) kernel.shmall to follow. */
bool berth_slot_resize(const BerthVault *vault, const char *id, uint64_t size, uint64_t inodes,
                       const char *shmall, GError **error);

/** berth_slot_set_sysctls: writes checked @sysctls (element-type utf8 utf8) in the namespace. */
bool berth_slot_set_sysctls(const BerthVault *vault, const char *id, GHashTable *sysctls,
                            GError **error);

/** berth_slot_get_sysctls: Returns: (transfer full) (element-type utf8 utf8): all, or NULL. */
GHashTable *berth_slot_get_sysctls(const BerthVault *vault, const char *id, GError **error);

/** berth_slot_usage: measures shm (zeroed when there is none) and namespace. */
bool berth_slot_usage(const BerthVault *vault, const char *id, BerthShmUsage *shm,
                      BerthIpcUsage *ipc, GError **error);

/** berth_slot_write_record: replaces the record of a slot atomically. */
bool berth_slot_write_record(const BerthVault *vault, const char *id, const char *record,
                             GError **error);
/** berth_slot_read_record: Returns: (transfer full): the record, or NULL. */
char *berth_slot_read_record(const BerthVault *vault, const char *id, GError **error);

/**
 * berth_slots_recover: removes what a crash left half-made or half-removed.
 *
 * Returns: (transfer full) (element-type utf8): the IDs of the slots in the vault, or NULL.
 */
GPtrArray *berth_slots_recover(const BerthVault *vault, GError **error);
