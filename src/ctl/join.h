/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

/** CtlJoin: what Sandbox.Join handed over; owned, -1 where the sandbox has none. */
typedef struct {
    int ipc;    /* the namespace, for setns() */
    int shm;    /* a detached mount, for move_mount(); -1: the sandbox has no /dev/shm */
    int mqueue; /* a detached mount */
} CtlJoin;

#define CTL_JOIN_INIT                                                                              \
    {                                                                                              \
        -1, -1, -1                                                                                 \
    }

/** ctl_join_clear: closes what @join holds. */
void ctl_join_clear(CtlJoin *join);

/** CTL_AUTO_JOIN: a CtlJoin that is cleared when its variable goes out of scope. */
#define CTL_AUTO_JOIN __attribute__((cleanup(ctl_join_clear))) CtlJoin

/**
 * ctl_join_new_call:
 * @path: the object of a sandbox
 * @message: (out) (transfer full): a call of its Join
 *
 * Returns: false when it failed and was reported.
 */
bool ctl_join_new_call(Ctl *ctl, const char *path, sd_bus_message **message);

/**
 * ctl_join_read_reply:
 * @reply: the answer to Join
 * @join: (inout): gets duplicates of the descriptors, close-on-exec
 *
 * Returns: false when it failed and was reported; also when there is no namespace in it, which is
 *   how the service answers permitted users who are not the owner.
 */
bool ctl_join_read_reply(Ctl *ctl, sd_bus_message *reply, CtlJoin *join);

/**
 * ctl_join_enter:
 * @join: what to enter
 * @error: BERTH_ERROR_FAILED, or BERTH_ERROR_ACCESS_DENIED where the kernel forbids it
 *
 * Moves the calling process, which must have one thread, into the namespace of a sandbox and into a
 * mount namespace of its own in which /dev/shm and /dev/mqueue are the sandbox's; without shm in
 * @join there is no /dev/shm. Nothing of it shows outside. On an error the process may be half way
 * and must end.
 */
bool ctl_join_enter(const CtlJoin *join, GError **error);

/**
 * ctl_join_exec:
 * @command: (array zero-terminated=1): program, found with PATH, and its arguments
 *
 * Replaces this process. Returns: only on failure, which was reported: the exit status, as env(1)
 *   has it: 127 when there is no such program, else 126.
 */
int ctl_join_exec(const Ctl *ctl, char **command);
