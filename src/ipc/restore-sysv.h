/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/restore-reader.h"
#include "ipc/snapshot-actor.h"
#include "ipc/snapshot-index.h"

/** BerthNextIds: sysctls kernel.*_next_id, open for writing; owned by who has opened them. */
typedef struct {
    int shm, sem, msg;
} BerthNextIds;

/** BerthRestoreSysv: the SysV objects of a snapshot. Nothing in it is owned but done. */
typedef struct {
    const BerthIndex *index;
    const BerthActor *actor;
    const char *const *leave_out;
    BerthNextIds next;
    int log;
    uint64_t message_room; /* bytes of messages that may be restored; UINT64_MAX: any */
    GHashTable *done;      /* owned: members that were read */
    guint segment, queue;  /* of the index: where the last member was found */
} BerthRestoreSysv;

/**
 * berth_restore_sysv_make: makes all objects with their keys and IDs, open to their creator only.
 * @error: BERTH_ERROR_SANDBOX_BUSY when somebody else made one that is in the way
 */
bool berth_restore_sysv_make(BerthRestoreSysv *sysv, GError **error);

/** berth_restore_sysv_add: fills the segment or queue that the member @path is of. */
bool berth_restore_sysv_add(BerthRestoreSysv *sysv, const char *path, BerthRestoreReader *reader,
                            GError **error);

/** berth_restore_sysv_finish: gives all of them their owners and permissions. */
bool berth_restore_sysv_finish(BerthRestoreSysv *sysv, GError **error);

/**
 * berth_restore_messages: reads messages as a snapshot has them.
 * @most: bytes of one
 * @room: (inout): bytes of all that may be restored
 * @put: called with each in order; @number: its type or priority
 */
bool berth_restore_messages(BerthRestoreReader *reader, const char *path, size_t most,
                            uint64_t *room,
                            bool (*put)(uint64_t number, const void *data, size_t length,
                                        void *userdata, GError **error),
                            void *userdata, GError **error);
