/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/places.h"

#include <stdint.h>

#include <sys/types.h>

/** BerthTarget: a process and its mount namespace, found through a pidfd. */
typedef struct {
    int pidfd;   /* not owned */
    pid_t pid;   /* valid while pidfd's process lives: check again after each use */
    int mnt;     /* owned: its mount namespace */
    uid_t owner; /* of the user namespace that owns the mount namespace */
} BerthTarget;

#define BERTH_TARGET_INIT                                                                          \
    {                                                                                              \
        .pidfd = -1, .pid = -1, .mnt = -1, .owner = (uid_t)-1                                      \
    }
void berth_target_clear(BerthTarget *target);
#define BERTH_AUTO_TARGET __attribute__((cleanup(berth_target_clear))) BerthTarget

/**
 * berth_pidfd_check:
 * @pidfd: what a caller passed as a process
 * @error: BERTH_ERROR_INVALID_ARGS: no pidfd, or its process has ended
 */
bool berth_pidfd_check(int pidfd, GError **error);

/** berth_pidfd_pid: @pid: (out): the process of @pidfd, in the service's PID namespace. */
bool berth_pidfd_pid(const BerthPlaces *places, int pidfd, pid_t *pid, GError **error);

/**
 * berth_process_start: @start: (out): when process @pid started, in clock ticks since boot
 * (proc(5), stat, field 22). PID and start time together name a process.
 */
bool berth_process_start(const BerthPlaces *places, pid_t pid, uint64_t *start);

/**
 * berth_target_open:
 * @places: for procfs
 * @pidfd: a pidfd
 * @target: (out): the process; refers to @pidfd
 * @error: BERTH_ERROR_INVALID_ARGS as above, or when it lies in another PID namespace;
 *   BERTH_ERROR_NOT_SUPPORTED when it may not be looked into
 */
bool berth_target_open(const BerthPlaces *places, int pidfd, BerthTarget *target, GError **error);
