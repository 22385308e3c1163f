/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/restore-reader.h"
#include "ipc/snapshot-actor.h"
#include "ipc/snapshot-index.h"

/** BerthRestoreQueues: the POSIX message queues of a snapshot. Nothing in it is owned but fds. */
typedef struct {
    const BerthIndex *index;
    const BerthActor *actor;
    const char *const *leave_out;
    int log;
    uint64_t *message_room; /* see BerthRestoreSysv */
    GArray *fds;            /* owned (element-type int): of the queues of the index, -1: left out */
    GArray *filled;         /* owned (element-type gboolean) */
    guint next;             /* of the index: where the last member was found */
} BerthRestoreQueues;

/**
 * berth_restore_queues_make: makes all queues, open to their owners only.
 * @error: BERTH_ERROR_QUOTA_EXCEEDED when the owner has no room for more queues
 */
bool berth_restore_queues_make(BerthRestoreQueues *queues, GError **error);

/** berth_restore_queues_add: fills the queue that the member @path is of. */
bool berth_restore_queues_add(BerthRestoreQueues *queues, const char *path,
                              BerthRestoreReader *reader, GError **error);

/** berth_restore_queues_finish: gives all of them their permissions. */
bool berth_restore_queues_finish(BerthRestoreQueues *queues, GError **error);
