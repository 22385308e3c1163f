/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Members of the archive, see berth-snapshot(5). */
#define BERTH_SNAPSHOT_INDEX     "berth-snapshot.json"
#define BERTH_SNAPSHOT_END       "berth-snapshot-end.json"
#define BERTH_SNAPSHOT_SHM       "shm"
#define BERTH_SNAPSHOT_SEGMENT   "sysv/shm"
#define BERTH_SNAPSHOT_SEMAPHORE "sysv/sem"
#define BERTH_SNAPSHOT_MESSAGES  "sysv/msg"
#define BERTH_SNAPSHOT_QUEUE     "mqueue"

#define BERTH_SNAPSHOT_FORMAT    "org.berthd.snapshot"
#define BERTH_SNAPSHOT_VERSION   1
#define BERTH_INDEX_MAX          (64 << 20) /* bytes of its text */
#define BERTH_MESSAGE_MAX        (16 << 20) /* bytes of a POSIX message: HARD_MSGSIZEMAX */
#define BERTH_MESSAGES_MAX       (1 << 30)  /* bytes of all messages of one queue */

/** BerthSysvPerm: what every SysV object has (ipc(5), svipc(7)). */
typedef struct {
    int id;
    int32_t key;
    uint32_t mode; /* permission bits */
    uid_t uid, cuid;
    gid_t gid, cgid;
} BerthSysvPerm;

/** BerthSegment: SysV shared memory. */
typedef struct {
    BerthSysvPerm perm;
    uint64_t size; /* bytes */
    bool locked;   /* SHM_LOCK */
    int fd;        /* in a survey: its memory; else -1 */
} BerthSegment;

/** BerthSemaphores: a set of SysV semaphores. */
typedef struct {
    BerthSysvPerm perm;
    GArray *values; /* owned (element-type uint16_t) */
} BerthSemaphores;

/** BerthMessages: a SysV message queue, without its messages. */
typedef struct {
    BerthSysvPerm perm;
    uint64_t qbytes;
} BerthMessages;

/** BerthQueue: a POSIX message queue, without its messages. */
typedef struct {
    char *name;    /* owned: without the slash */
    uint64_t most; /* messages */
    uint64_t size; /* bytes of a message at most */
    uint32_t mode; /* permission bits */
    uid_t uid;
    gid_t gid;
    uint64_t messages; /* that wait */
    pid_t notify;      /* who is registered for a notification; 0: nobody */
} BerthQueue;

/** BerthIndex: what a snapshot holds, but for contents. */
typedef struct {
    json_t *sandbox;     /* owned reference: the options it was made with */
    GHashTable *sysctls; /* owned (element-type utf8 utf8) */
    GArray *segments;    /* owned (element-type BerthSegment) */
    GArray *semaphores;  /* owned (element-type BerthSemaphores) */
    GArray *messages;    /* owned (element-type BerthMessages) */
    GArray *queues;      /* owned (element-type BerthQueue) */
    json_t *undo;        /* owned reference: PIDs that hold SEM_UNDO lists; null: not known */
    json_t *left_out;    /* owned reference: names */
    uint64_t shm_bytes;  /* in use of the shm */
    uint64_t shm_inodes; /* in use there, its root included */
    uint64_t created_usec;
} BerthIndex;

/** berth_snapshot_index_new: Returns: (transfer full): an empty one. */
BerthIndex *berth_snapshot_index_new(void);
void berth_snapshot_index_free(BerthIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthIndex, berth_snapshot_index_free)

/** berth_snapshot_index_to_text: Returns: (transfer full): JSON, or NULL: it is too long. */
char *berth_snapshot_index_to_text(const BerthIndex *index, GError **error);

/**
 * berth_snapshot_index_parse:
 * @text: @length bytes of whatever somebody gave for an index
 * @error: BERTH_ERROR_ARCHIVE_INVALID; BERTH_ERROR_NOT_SUPPORTED for a later version of the format
 *
 * Every number is in the range the kernel takes, every name is one that a file can have, and no
 * name, key or ID is there twice.
 *
 * Returns: (transfer full): the index, or NULL.
 */
BerthIndex *berth_snapshot_index_parse(const char *text, size_t length, GError **error);

/** berth_snapshot_name_is_valid: Returns: whether @name can be a name in a directory. */
bool berth_snapshot_name_is_valid(const char *name);
