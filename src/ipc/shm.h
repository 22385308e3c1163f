/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** BerthShmSpec: a tmpfs for /dev/shm. Strings are not owned. */
typedef struct {
    uint64_t size;    /* bytes, > 0; the kernel rounds up to pages */
    uint64_t inodes;  /* files and directories, the root included, > 0 */
    const char *huge; /* (nullable) tmpfs huge=, checked by berth_machine_check_huge() */
    const char *numa; /* (nullable) tmpfs mpol=, checked by berth_machine_check_mempolicy() */
} BerthShmSpec;

/** BerthShmUsage: limits of a tmpfs and what is used of them. */
typedef struct {
    uint64_t size, used;          /* bytes */
    uint64_t inodes, inodes_used; /* count */
} BerthShmUsage;

/** berth_shm_round: Returns: @size rounded up to pages, as the kernel holds it; saturates. */
uint64_t berth_shm_round(uint64_t size);

/**
 * berth_shm_mount:
 * @spec: what to make
 * @error: BERTH_ERROR_INVALID_OPTION when the kernel refuses an option, with its reason
 *
 * Makes a tmpfs with nosuid, nodev, noexec and mode 1777 (Linux 5.2, fsopen(2)).
 *
 * Returns: (transfer full): a detached mount, an O_PATH descriptor; -1 on error.
 */
int berth_shm_mount(const BerthShmSpec *spec, GError **error);

/**
 * berth_shm_resize:
 * @dir: directory descriptor, or AT_FDCWD
 * @path: the tmpfs below @dir
 * @size: new limit in bytes, > 0
 * @inodes: new limit of files, or 0 to keep it
 * @error: BERTH_ERROR_SANDBOX_BUSY when more is in use than the new limits allow
 */
bool berth_shm_resize(int dir, const char *path, uint64_t size, uint64_t inodes, GError **error);

/** berth_shm_usage: fills @usage from statfs(2) of @fd, a descriptor of the tmpfs. */
bool berth_shm_usage(int fd, BerthShmUsage *usage, GError **error);
