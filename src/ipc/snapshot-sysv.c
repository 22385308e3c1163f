/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SysV objects into a snapshot. The memory of a segment is opened as a file, by way of the link
 * that procfs has of a mapping: so holes can be told, are not filled by reading, and the segment
 * lives until it is written, whoever removes it meanwhile. Messages are read with MSG_COPY, which
 * leaves them where they are. Permissions are the kernel's to check: this runs as whoever may see
 * the sandbox.
 */

#include "ipc/snapshot-sysv.h"

#include "base/error.h"
#include "base/fd.h"
#include "ipc/snapshot-data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MESSAGE_ROOM (64 * 1024) /* bytes; grows when a message is larger */

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

static BerthSysvPerm perm_of(int id, const struct ipc_perm *perm)
{
    return (BerthSysvPerm){ .id = id,
                            .key = perm->__key,
                            .mode = perm->mode & 0777,
                            .uid = perm->uid,
                            .cuid = perm->cuid,
                            .gid = perm->gid,
                            .cgid = perm->cgid };
}

static char *member_name(const char *kind, int id)
{
    return g_strdup_printf("%s/%d", kind, id);
}

/* Refuses an object that this process may not read. */
static void refuse_unreadable(BerthRefusals *refusals, const char *name,
                              const struct ipc_perm *perm)
{
    g_autofree char *why =
        g_strdup_printf("it belongs to user %u and may not be read; root can save it", perm->uid);

    berth_refuse(refusals, BERTH_ERROR_ACCESS_DENIED, name, why);
}

/* Opens the memory of segment @id. Returns: a descriptor; -1 and errno on error. */
static int open_memory(int maps, int id, uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    void *memory = shmat(id, NULL, SHM_RDONLY);
    g_autofree char *name = NULL;
    int fd, err;

    if (memory == (void *)-1) // NOLINT(performance-no-int-to-ptr): as shmop(2) has it
        return -1;
    name = g_strdup_printf("%" PRIxPTR "-%" PRIxPTR, (uintptr_t)memory,
                           (uintptr_t)memory + (uintptr_t)((size + page - 1) / page * page));
    fd = openat(maps, name, O_RDONLY | O_CLOEXEC);
    err = errno;
    (void)shmdt(memory);
    errno = err;
    return fd;
}

/* What there is to refuse of a segment by looks. Returns: whether something was. */
static bool refuse_segment(BerthRefusals *refusals, const char *name, const struct shmid_ds *ds,
                           bool forced)
{
    if (ds->shm_perm.mode & SHM_DEST)
        return berth_refuse(refusals, BERTH_ERROR_SANDBOX_BUSY, name,
                            "it is marked for removal and only kept by who has it attached");
    if (forced)
        return berth_refuse(refusals, BERTH_ERROR_NOT_SUPPORTED, name,
                            "kernel.shm_rmid_forced=1 would remove it as soon as it is restored, "
                            "since nobody has it attached; set the sysctl to 0");
    return false;
}

static bool survey_segment(int maps, int id, const struct shmid_ds *ds, BerthIndex *index,
                           BerthRefusals *refusals, GError **error)
{
    g_autofree char *name = member_name(BERTH_SNAPSHOT_SEGMENT, id);
    BerthSegment segment = { .perm = perm_of(id, &ds->shm_perm), .size = ds->shm_segsz };
    struct statfs fs;

    segment.locked = ds->shm_perm.mode & SHM_LOCKED;
    segment.fd = open_memory(maps, id, segment.size);
    if (segment.fd < 0 && errno == EACCES) {
        refuse_unreadable(refusals, name, &ds->shm_perm);
        return true;
    }
    if (segment.fd < 0 && (errno == EINVAL || errno == EIDRM)) /* removed meanwhile */
        return true;
    /* a removed one is mapped in pages of another size, so its name was wrong too */
    if (segment.fd < 0 && errno != ENOENT)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot read the segment %d%s", id,
                                     errno == EMFILE ? " (LimitNOFILE= of the service)" : "");
    if (segment.fd < 0 || (fstatfs(segment.fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)) {
        segment.fd = berth_close(segment.fd);
        berth_refuse(refusals, BERTH_ERROR_NOT_SUPPORTED, name, "it lies in huge pages");
        return true;
    }
    g_array_append_val(index->segments, segment);
    return true;
}

static bool survey_segments(int maps, BerthIndex *index, BerthRefusals *refusals, GError **error)
{
    bool forced =
        g_strcmp0(g_hash_table_lookup(index->sysctls, "kernel.shm_rmid_forced"), "1") == 0;
    struct shm_info info;
    int max = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

    for (int i = 0; i <= max; i++) {
        struct shmid_ds ds = { 0 };
        int id = shmctl(i, SHM_STAT_ANY, &ds);
        g_autofree char *name = id >= 0 ? member_name(BERTH_SNAPSHOT_SEGMENT, id) : NULL;

        if (id < 0 || berth_is_left_out(refusals->leave_out, name) ||
            refuse_segment(refusals, name, &ds, forced))
            continue;
        if (!survey_segment(maps, id, &ds, index, refusals, error))
            return false;
    }
    return true;
}

static void survey_sets(BerthIndex *index, BerthRefusals *refusals)
{
    struct seminfo info;
    int max = semctl(0, 0, SEM_INFO, (union semun){ .__buf = &info });

    for (int i = 0; i <= max; i++) {
        struct semid_ds ds = { 0 };
        int id = semctl(i, 0, SEM_STAT_ANY, (union semun){ .buf = &ds });
        g_autofree char *name = id >= 0 ? member_name(BERTH_SNAPSHOT_SEMAPHORE, id) : NULL;
        BerthSemaphores set;

        if (id < 0 || berth_is_left_out(refusals->leave_out, name))
            continue;
        set = (BerthSemaphores){ perm_of(id, &ds.sem_perm),
                                 g_array_new(FALSE, TRUE, sizeof(uint16_t)) };
        g_array_set_size(set.values, (guint)ds.sem_nsems);
        if (semctl(id, 0, GETALL,
                   (union semun){ .array = (unsigned short *)(void *)set.values->data }) == 0) {
            g_array_append_val(index->semaphores, set);
            continue;
        }
        g_array_unref(set.values);
        if (errno == EACCES)
            refuse_unreadable(refusals, name, &ds.sem_perm);
    }
}

/* Whether a message is longer than kernel.msgmax is by now: the kernel does not copy it. */
static bool has_too_long(int id, size_t most)
{
    g_autofree Message *message = g_malloc(sizeof(*message) + most);

    for (long n = 0;; n++)
        if (msgrcv(id, message, most, n, MSG_COPY | IPC_NOWAIT) < 0)
            return errno == E2BIG;
}

static bool survey_messages(BerthIndex *index, BerthRefusals *refusals, GError **error)
{
    struct msginfo info = { 0 };
    int max = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&info);

    for (int i = 0; i <= max; i++) {
        struct msqid_ds ds = { 0 };
        Message message;
        int id = msgctl(i, MSG_STAT_ANY, &ds);
        g_autofree char *name = id >= 0 ? member_name(BERTH_SNAPSHOT_MESSAGES, id) : NULL;
        BerthMessages queue;

        if (id < 0 || berth_is_left_out(refusals->leave_out, name))
            continue;
        errno = 0;
        if (msgrcv(id, &message, 0, 0, MSG_COPY | IPC_NOWAIT) < 0 && errno == ENOSYS)
            return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                                   "this kernel cannot copy messages of a queue; it was built "
                                   "without CONFIG_CHECKPOINT_RESTORE");
        if (errno == EACCES) {
            refuse_unreadable(refusals, name, &ds.msg_perm);
            continue;
        }
        if (ds.__msg_cbytes > (unsigned long)info.msgmax && has_too_long(id, (size_t)info.msgmax)) {
            berth_refuse(refusals, BERTH_ERROR_NOT_SUPPORTED, name,
                         "a message in it is longer than kernel.msgmax allows by now, and cannot "
                         "be read; raise the sysctl");
            continue;
        }
        queue = (BerthMessages){ perm_of(id, &ds.msg_perm), ds.msg_qbytes };
        g_array_append_val(index->messages, queue);
    }
    return true;
}

bool berth_sysv_survey(int maps, BerthIndex *index, BerthRefusals *refusals, GError **error)
{
    if (!survey_segments(maps, index, refusals, error))
        return false;
    survey_sets(index, refusals);
    return survey_messages(index, refusals, error);
}

static BerthMember member_of(const char *path, const BerthSysvPerm *perm, uint64_t size)
{
    return (BerthMember){ .path = path,
                          .size = size,
                          .mode = S_IFREG | (mode_t)perm->mode,
                          .uid = perm->uid,
                          .gid = perm->gid };
}

static bool is_gone(int id)
{
    struct msqid_ds ds;
    bool gone = msgctl(id, IPC_STAT, &ds) < 0;

    errno = EINVAL;
    return gone;
}

/* Appends each message as `TYPE LENGTH`, a line feed, its text and a line feed. */
static bool copy_messages(int id, GByteArray *out, GError **error)
{
    size_t room = MESSAGE_ROOM;
    g_autofree Message *message = g_malloc(sizeof(*message) + room);

    for (long n = 0;; n++) {
        ssize_t length = msgrcv(id, message, room, n, MSG_COPY | IPC_NOWAIT);
        char head[64];

        if (length < 0 && errno == E2BIG && room < INT_MAX / 2) {
            room *= 2;
            g_free(message);
            message = g_malloc(sizeof(*message) + room);
            n--;
            continue;
        }
        /* ENOMSG: there are no more; EINVAL: it was removed, or kernel.msgmax is too small now */
        if (length < 0 && (errno == ENOMSG || errno == EIDRM || (errno == EINVAL && is_gone(id))))
            return true;
        if (length < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                         "cannot read the message queue %d", id);
        if (out->len > BERTH_MESSAGES_MAX)
            return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                                   "the message queue %d holds more than a snapshot keeps of one, "
                                   "%d MiB",
                                   id, BERTH_MESSAGES_MAX >> 20);
        g_snprintf(head, sizeof(head), "%ld %zd\n", message->type, length);
        g_byte_array_append(out, (const guint8 *)head, (guint)strlen(head));
        g_byte_array_append(out, (const guint8 *)message->data, (guint)length);
        g_byte_array_append(out, (const guint8 *)"\n", 1);
    }
}

static bool write_messages(BerthSnapshotWriter *writer, const BerthMessages *queue, GError **error)
{
    g_autofree char *path = member_name(BERTH_SNAPSHOT_MESSAGES, queue->perm.id);
    g_autoptr(GByteArray) data = g_byte_array_new();
    BerthMember member;

    if (!copy_messages(queue->perm.id, data, error))
        return false;
    member = member_of(path, &queue->perm, data->len);
    return berth_snapshot_writer_begin(writer, &member, error) &&
           berth_snapshot_writer_data(writer, data->data, data->len, error);
}

bool berth_sysv_write(BerthSnapshotWriter *writer, const BerthIndex *index, GError **error)
{
    for (guint i = 0; i < index->segments->len; i++) {
        const BerthSegment *segment = &g_array_index(index->segments, BerthSegment, i);
        g_autofree char *path = member_name(BERTH_SNAPSHOT_SEGMENT, segment->perm.id);
        BerthMember member = member_of(path, &segment->perm, segment->size);

        if (!berth_snapshot_data(writer, &member, segment->fd, true, error))
            return false;
    }
    for (guint i = 0; i < index->messages->len; i++)
        if (!write_messages(writer, &g_array_index(index->messages, BerthMessages, i), error))
            return false;
    return true;
}
