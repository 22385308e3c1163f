/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/** Floor: a process in a mount namespace of its own with nothing in it, as the service's vault. */
typedef struct {
    int proc;     /* /proc as it was outside */
    int home_ipc; /* the namespace the process belongs in */
} Floor;

/* Every function here ends the process with a message when the kernel refuses something. */

/**
 * floor_enter: moves the process into an empty mount namespace of its own; the vault's file system
 * is mounted for a moment on @mountpoint.
 */
void floor_enter(Floor *floor, const char *mountpoint);

/**
 * floor_create: makes an IPC namespace and a tmpfs of 64 MiB and puts both into the vault.
 * @shmall: whether to write kernel.shmall too
 */
void floor_create(const Floor *floor, bool shmall);

/** floor_join: opens @fds: the namespace, a clone of the tmpfs, a new mqueue mount. */
void floor_join(const Floor *floor, int fds[3]);

/** floor_remove: removes what floor_create() made. */
void floor_remove(void);

/** floor_shm: Returns: a detached tmpfs of 64 MiB. */
int floor_shm(void);

/** floor_mqueue: Returns: a detached mount of the message queues of this process's namespace. */
int floor_mqueue(void);
