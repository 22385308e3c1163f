/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** BerthIpcUsage: what lies in an IPC namespace. */
typedef struct {
    uint64_t shm_used;   /* bytes of SysV shared memory, allocated to segments */
    uint64_t messages;   /* SysV messages waiting */
    uint64_t semaphores; /* SysV semaphores, of all sets */
    uint32_t queues;     /* message queues, SysV's and POSIX's together */
    uint32_t shm_segments;
    uint32_t semaphore_sets;
} BerthIpcUsage;

/**
 * berth_ipc_usage: measures the IPC namespace that the calling thread is in (shmctl(2) SHM_INFO,
 * semctl(2) SEM_INFO, msgctl(2) MSG_INFO, and the entries of its mqueue file system).
 */
bool berth_ipc_usage(BerthIpcUsage *usage, GError **error);
