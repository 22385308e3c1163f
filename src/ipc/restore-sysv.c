/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SysV objects out of a snapshot, with the keys and IDs they had: the kernel takes a wish for the
 * next ID (kernel.*_next_id) and, when its place is taken, silently gives another, so each is
 * compared. An object is made by who made it before, and is open to nobody else until all is there.
 * Each is noted in the log before it is made.
 */

#include "ipc/restore-sysv.h"

#include "base/error.h"
#include "base/names.h"
#include "ipc/restore-log.h"
#include "ipc/snapshot-refusals.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

/* semctl(2): the caller defines it */
union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *__buf;
};

/* msgop(2): the caller defines it */
typedef struct {
    long type;
    char data[];
} Message;

typedef enum {
    SEGMENT,
    SEMAPHORE,
    MESSAGES,
} Kind;

static const struct {
    const char *member;
    char record;
} kinds[] = {
    [SEGMENT] = { BERTH_SNAPSHOT_SEGMENT, BERTH_LOG_SEGMENT },
    [SEMAPHORE] = { BERTH_SNAPSHOT_SEMAPHORE, BERTH_LOG_SEMAPHORE },
    [MESSAGES] = { BERTH_SNAPSHOT_MESSAGES, BERTH_LOG_MESSAGES },
};

static char *member_of(Kind kind, const BerthSysvPerm *perm)
{
    return g_strdup_printf("%s/%d", kinds[kind].member, perm->id);
}

static bool is_left_out(const BerthRestoreSysv *sysv, Kind kind, const BerthSysvPerm *perm)
{
    g_autofree char *member = member_of(kind, perm);

    return berth_is_left_out(sysv->leave_out, member);
}

static bool set_failed(GError **error, const char *what, const char *member)
{
    if (errno == ENOSPC || errno == ENOMEM)
        return berth_set_error_errno(error, BERTH_ERROR_QUOTA_EXCEEDED, errno,
                                     "the sandbox has no room for %s (kernel.shmall follows its "
                                     "size; berthctl resize)",
                                     member);
    return berth_set_error_errno(
        error, errno == EPERM || errno == EACCES ? BERTH_ERROR_ACCESS_DENIED : BERTH_ERROR_FAILED,
        errno, "cannot %s %s", what, member);
}

/* Who may not become its creator cannot make it. */
static bool check_creator(const BerthRestoreSysv *sysv, const BerthSysvPerm *perm,
                          const char *member, GError **error)
{
    const BerthActor *actor = sysv->actor;

    if (actor->uid == 0 || (perm->cuid == actor->uid && perm->cgid == actor->gid))
        return true;
    return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                           "%s was made by user %u and group %u, and only root can restore what "
                           "others than user %u made; name it in LeaveOut to go on without it",
                           member, perm->cuid, perm->cgid, actor->uid);
}

static bool write_next_id(int fd, int id, const char *member, GError **error)
{
    char text[16];
    int n = g_snprintf(text, sizeof(text), "%d", id);

    return pwrite(fd, text, (size_t)n, 0) == n || set_failed(error, "choose the ID of", member);
}

static void remove_made(Kind kind, int id)
{
    if (kind == SEGMENT)
        (void)shmctl(id, IPC_RMID, NULL);
    else if (kind == SEMAPHORE)
        (void)semctl(id, 0, IPC_RMID);
    else
        (void)msgctl(id, IPC_RMID, NULL);
}

/* What is done between these is done as the user and group that made an object before. */
static bool begin_as_creator(const BerthRestoreSysv *sysv, const BerthSysvPerm *perm)
{
    return sysv->actor->uid != 0 || (setegid(perm->cgid) == 0 && seteuid(perm->cuid) == 0);
}

/* Keeps errno. */
static void end_as_creator(const BerthRestoreSysv *sysv)
{
    int err = errno;

    if (sysv->actor->uid == 0 && (seteuid(0) < 0 || setegid(0) < 0))
        g_error("cannot become root again"); /* it is, by its real uid */
    errno = err;
}

/* Returns: its ID; -1 and errno on error. */
static int get_as_creator(const BerthRestoreSysv *sysv, Kind kind, const BerthSysvPerm *perm,
                          size_t size)
{
    const int flags = IPC_CREAT | IPC_EXCL | 0600;
    int id;

    if (!begin_as_creator(sysv, perm))
        return -1;
    if (kind == SEGMENT)
        id = shmget(perm->key, size, flags);
    else if (kind == SEMAPHORE)
        id = semget(perm->key, (int)size, flags);
    else
        id = msgget(perm->key, flags);
    end_as_creator(sysv);
    return id;
}

static bool make(const BerthRestoreSysv *sysv, Kind kind, const BerthSysvPerm *perm, int next,
                 size_t size, GError **error)
{
    g_autofree char *member = member_of(kind, perm);
    g_autofree char *record = g_strdup_printf("%d", perm->id);
    int id;

    if (!check_creator(sysv, perm, member, error) ||
        !berth_restore_log_add(sysv->log, kinds[kind].record, record, error) ||
        !write_next_id(next, perm->id, member, error))
        return false;
    id = get_as_creator(sysv, kind, perm, size);
    if (id == perm->id)
        return true;
    if (id < 0 && errno != EEXIST)
        return set_failed(error, "make", member);
    if (id >= 0)
        remove_made(kind, id);
    return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                           "a program made something in the sandbox that is in the way of %s; "
                           "stop the programs, empty the sandbox and try again",
                           member);
}

bool berth_restore_sysv_make(BerthRestoreSysv *sysv, GError **error)
{
    const BerthIndex *index = sysv->index;

    for (guint i = 0; i < index->segments->len; i++) {
        const BerthSegment *one = &g_array_index(index->segments, BerthSegment, i);

        if (!is_left_out(sysv, SEGMENT, &one->perm) &&
            !make(sysv, SEGMENT, &one->perm, sysv->next.shm, one->size, error))
            return false;
    }
    for (guint i = 0; i < index->semaphores->len; i++) {
        const BerthSemaphores *one = &g_array_index(index->semaphores, BerthSemaphores, i);
        g_autofree char *member = member_of(SEMAPHORE, &one->perm);
        const union semun values = { .array = (unsigned short *)(void *)one->values->data };

        if (is_left_out(sysv, SEMAPHORE, &one->perm))
            continue;
        if (!make(sysv, SEMAPHORE, &one->perm, sysv->next.sem, one->values->len, error))
            return false;
        if (semctl(one->perm.id, 0, SETALL, values) < 0)
            return set_failed(error, "set the values of", member);
    }
    for (guint i = 0; i < index->messages->len; i++) {
        const BerthMessages *one = &g_array_index(index->messages, BerthMessages, i);

        if (!is_left_out(sysv, MESSAGES, &one->perm) &&
            !make(sysv, MESSAGES, &one->perm, sysv->next.msg, 0, error))
            return false;
    }
    return true;
}

static bool read_segment(const BerthSegment *segment, BerthRestoreReader *reader,
                         const char *member, GError **error)
{
    char *memory = shmat(segment->perm.id, NULL, 0);
    bool ok = true;

    if (memory == (void *)-1) // NOLINT(performance-no-int-to-ptr): as shmop(2) has it
        return set_failed(error, "attach", member);
    while (ok) {
        const void *data;
        uint64_t offset;
        size_t length;

        ok = berth_restore_reader_block(reader, &data, &length, &offset, error);
        if (!ok || length == 0)
            break;
        if (offset > segment->size || length > segment->size - offset)
            ok = berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                                 "the snapshot is damaged: %s is larger than its index says",
                                 member);
        else
            memcpy(memory + offset, data, length);
    }
    (void)shmdt(memory);
    return ok;
}

typedef struct {
    int id;
    const char *member;
} Queue;

static bool put_message(uint64_t type, const void *data, size_t length, void *userdata,
                        GError **error)
{
    const Queue *queue = userdata;
    g_autofree Message *message = g_malloc(sizeof(*message) + length);

    if (type == 0 || type > LONG_MAX)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is damaged: %s has a message of type 0",
                               queue->member);
    message->type = (long)type;
    if (length > 0)
        memcpy(message->data, data, length);
    if (msgsnd(queue->id, message, length, IPC_NOWAIT) == 0)
        return true;
    if (errno == EAGAIN)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is damaged: %s has more messages than it may hold",
                               queue->member);
    return set_failed(error, "send into", queue->member);
}

static bool read_messages(BerthRestoreSysv *sysv, const BerthMessages *messages,
                          BerthRestoreReader *reader, const char *member, GError **error)
{
    Queue queue = { messages->perm.id, member };
    struct msqid_ds ds;

    if (msgctl(queue.id, IPC_STAT, &ds) < 0)
        return set_failed(error, "look at", member);
    ds.msg_qbytes = messages->qbytes;
    if (msgctl(queue.id, IPC_SET, &ds) < 0)
        return set_failed(error, "set the size of", member);
    return berth_restore_messages(reader, member, BERTH_MESSAGES_MAX, &sysv->message_room,
                                  put_message, &queue, error);
}

/*
 * Finds the object of a member in the index. Members come in its order, so the look begins where
 * the last one ended.
 */
static gconstpointer find(const GArray *objects, guint *next, Kind kind, const char *path)
{
    size_t size = g_array_get_element_size((GArray *)objects), length = strlen(kinds[kind].member);
    guint64 id;

    if (!g_str_has_prefix(path, kinds[kind].member) || path[length] != '/' ||
        !g_ascii_string_to_unsigned(path + length + 1, 10, 0, INT_MAX, &id, NULL))
        return NULL;
    for (guint i = 0; i < objects->len; i++) {
        guint at = (*next + i) % objects->len;
        const BerthSysvPerm *perm =
            (const BerthSysvPerm *)(const void *)(objects->data + at * size);

        if ((guint64)perm->id == id) {
            *next = at + 1;
            return perm;
        }
    }
    return NULL;
}

bool berth_restore_sysv_add(BerthRestoreSysv *sysv, const char *path, BerthRestoreReader *reader,
                            GError **error)
{
    const BerthSegment *segment = find(sysv->index->segments, &sysv->segment, SEGMENT, path);
    const BerthMessages *messages =
        segment ? NULL : find(sysv->index->messages, &sysv->queue, MESSAGES, path);
    g_autofree char *quoted = berth_quote(path);

    if ((!segment && !messages) || !g_hash_table_add(sysv->done, g_strdup(path)))
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is damaged: its member %s is there twice, or not in "
                               "its index",
                               quoted);
    return segment ? read_segment(segment, reader, quoted, error)
                   : read_messages(sysv, messages, reader, quoted, error);
}

/* Every segment's contents must have come: a queue without messages needs no member. */
static bool check_complete(const BerthRestoreSysv *sysv, const BerthSegment *segment,
                           const char *member, GError **error)
{
    return segment->size == 0 || g_hash_table_contains(sysv->done, member) ||
           berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: the contents of %s are not there", member);
}

/* Whose it is may lock it, as far as RLIMIT_MEMLOCK of this process allows. */
static bool lock(const BerthRestoreSysv *sysv, const BerthSysvPerm *perm)
{
    bool ok = begin_as_creator(sysv, perm) && shmctl(perm->id, SHM_LOCK, NULL) == 0;

    end_as_creator(sysv);
    return ok;
}

static bool finish_segment(const BerthRestoreSysv *sysv, const BerthSegment *segment,
                           GError **error)
{
    const BerthSysvPerm *perm = &segment->perm;
    g_autofree char *member = member_of(SEGMENT, perm);
    g_autofree char *lock_name = g_strdup_printf("lock/%d", perm->id);
    struct shmid_ds ds;

    if (!check_complete(sysv, segment, member, error))
        return false;
    if (segment->locked && !berth_is_left_out(sysv->leave_out, lock_name) && !lock(sysv, perm))
        return berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, errno,
                                     "%s was locked in memory, and cannot be locked again; raise "
                                     "LimitMEMLOCK= of the service, or name %s in LeaveOut",
                                     member, lock_name);
    if (shmctl(perm->id, IPC_STAT, &ds) == 0) {
        ds.shm_perm.uid = perm->uid;
        ds.shm_perm.gid = perm->gid;
        ds.shm_perm.mode = (unsigned short)perm->mode;
        if (shmctl(perm->id, IPC_SET, &ds) == 0)
            return true;
    }
    return set_failed(error, "set the owner of", member);
}

static bool finish_set(const BerthSysvPerm *perm, GError **error)
{
    g_autofree char *member = member_of(SEMAPHORE, perm);
    struct semid_ds ds;

    if (semctl(perm->id, 0, IPC_STAT, (union semun){ .buf = &ds }) == 0) {
        ds.sem_perm.uid = perm->uid;
        ds.sem_perm.gid = perm->gid;
        ds.sem_perm.mode = (unsigned short)perm->mode;
        if (semctl(perm->id, 0, IPC_SET, (union semun){ .buf = &ds }) == 0)
            return true;
    }
    return set_failed(error, "set the owner of", member);
}

static bool finish_messages(const BerthMessages *messages, GError **error)
{
    const BerthSysvPerm *perm = &messages->perm;
    g_autofree char *member = member_of(MESSAGES, perm);
    struct msqid_ds ds;

    if (msgctl(perm->id, IPC_STAT, &ds) == 0) {
        ds.msg_perm.uid = perm->uid;
        ds.msg_perm.gid = perm->gid;
        ds.msg_perm.mode = (unsigned short)perm->mode;
        ds.msg_qbytes = messages->qbytes;
        if (msgctl(perm->id, IPC_SET, &ds) == 0)
            return true;
    }
    return set_failed(error, "set the owner of", member);
}

bool berth_restore_sysv_finish(BerthRestoreSysv *sysv, GError **error)
{
    const BerthIndex *index = sysv->index;

    for (guint i = 0; i < index->segments->len; i++) {
        const BerthSegment *one = &g_array_index(index->segments, BerthSegment, i);

        if (!is_left_out(sysv, SEGMENT, &one->perm) && !finish_segment(sysv, one, error))
            return false;
    }
    for (guint i = 0; i < index->semaphores->len; i++) {
        const BerthSysvPerm *perm = &g_array_index(index->semaphores, BerthSemaphores, i).perm;

        if (!is_left_out(sysv, SEMAPHORE, perm) && !finish_set(perm, error))
            return false;
    }
    for (guint i = 0; i < index->messages->len; i++) {
        const BerthMessages *one = &g_array_index(index->messages, BerthMessages, i);

        if (!is_left_out(sysv, MESSAGES, &one->perm) && !finish_messages(one, error))
            return false;
    }
    return true;
}
