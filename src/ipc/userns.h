/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/places.h"

#include <sys/types.h>

/**
 * BerthOwnerSteps: between a helper and the service, over a SOCK_SEQPACKET pair, one byte each. The
 * helper sends USER when it is in its user namespace, waits for MAPPED, sends IPC when it is in its
 * IPC namespace, and lives until the service closes the socket.
 */
enum {
    BERTH_OWNER_USER = 'u',
    BERTH_OWNER_MAPPED = 'm',
    BERTH_OWNER_IPC = 'i',
    BERTH_OWNER_FAILED = 'f', /* followed by an int32_t errno */
};

/**
 * berth_owner_child: the helper: becomes @uid, makes a user namespace and in it an IPC namespace.
 * @socket: its end of the pair
 * @gid: a group of the user
 *
 * To be called in a forked child. Never returns.
 */
G_NORETURN void berth_owner_child(int socket, uid_t uid, gid_t gid);

/**
 * berth_owner_map: maps @uid and its groups, and nothing else, in the user namespace of the helper
 * @pid, which sent BERTH_OWNER_USER. Uid 0 stays unmapped, so that nobody in there can raise limits
 * @groups: (element-type gid_t)
 */
bool berth_owner_map(const BerthPlaces *places, pid_t pid, uid_t uid, const GArray *groups,
                     GError **error);

/** berth_owner_open: Returns: (transfer full): the IPC namespace of the helper, or -1. */
int berth_owner_open(const BerthPlaces *places, pid_t pid, GError **error);
