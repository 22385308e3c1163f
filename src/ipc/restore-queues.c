/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POSIX message queues out of a snapshot: made as their owner, with the limits they had, filled in
 * order. The kernel charges them to the user who makes them, against RLIMIT_MSGQUEUE of this
 * process. Until all is there, nobody else may open them. Each is noted in the log before it is
 * made.
 */

#include "ipc/restore-queues.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/restore-log.h"
#include "ipc/restore-sysv.h"
#include "ipc/snapshot-refusals.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

static char *member_of(const BerthQueue *queue)
{
    return g_strconcat(BERTH_SNAPSHOT_QUEUE "/", queue->name, NULL);
}

static bool set_failed(GError **error, const char *what, const BerthQueue *queue)
{
    int err = errno;
    g_autofree char *quoted = berth_quote(queue->name);

    if (err == EMFILE || err == ENOSPC || err == ENOMEM)
        return berth_set_error_errno(error, BERTH_ERROR_QUOTA_EXCEEDED, err,
                                     "there is no room for the message queue %s of user %u: the "
                                     "limits are fs.mqueue.queues_max of the sandbox and "
                                     "LimitMSGQUEUE= of the service",
                                     quoted, queue->uid);
    if (err == EEXIST)
        return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                               "a program made the message queue %s in the sandbox; stop the "
                               "programs, empty the sandbox and try again",
                               quoted);
    return berth_set_error_errno(
        error, err == EPERM || err == EACCES ? BERTH_ERROR_ACCESS_DENIED : BERTH_ERROR_FAILED, err,
        "cannot %s the message queue %s", what, quoted);
}

/* What is done between these is done as the owner of @queue. */
static void begin_as_owner(const BerthRestoreQueues *queues, const BerthQueue *queue)
{
    if (queues->actor->uid == 0) {
        setfsgid(queue->gid);
        setfsuid(queue->uid);
    }
}

static void end_as_owner(const BerthRestoreQueues *queues)
{
    if (queues->actor->uid == 0) {
        setfsuid(0);
        setfsgid(0);
    }
}

static bool check_owner(const BerthRestoreQueues *queues, const BerthQueue *queue, GError **error)
{
    g_autofree char *quoted = berth_quote(queue->name);

    return queues->actor->uid == 0 || queue->uid == queues->actor->uid ||
           berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                           BERTH_SNAPSHOT_QUEUE
                           "/%s belongs to user %u, and only root can restore "
                           "what belongs to others than user %u; name it in LeaveOut to go on "
                           "without it",
                           quoted, queue->uid, queues->actor->uid);
}

static bool make(BerthRestoreQueues *queues, const BerthQueue *queue, int *fd, GError **error)
{
    g_autofree char *path = g_strconcat("/", queue->name, NULL);
    struct mq_attr attr = { .mq_maxmsg = (long)queue->most, .mq_msgsize = (long)queue->size };
    struct stat st;
    int err;

    if (!check_owner(queues, queue, error) ||
        !berth_restore_log_add(queues->log, BERTH_LOG_QUEUE, queue->name, error))
        return false;
    begin_as_owner(queues, queue);
    *fd = mq_open(path, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC, 0600, &attr);
    err = errno;
    end_as_owner(queues);
    errno = err;
    if (*fd < 0)
        return set_failed(error, "make", queue);
    if (fstat(*fd, &st) < 0 || (st.st_gid != queue->gid && fchown(*fd, (uid_t)-1, queue->gid) < 0))
        return set_failed(error, "set the group of", queue);
    return true;
}

bool berth_restore_queues_make(BerthRestoreQueues *queues, GError **error)
{
    const gboolean no = FALSE;

    for (guint i = 0; i < queues->index->queues->len; i++) {
        const BerthQueue *queue = &g_array_index(queues->index->queues, BerthQueue, i);
        g_autofree char *member = member_of(queue);
        int fd = -1;

        if (!berth_is_left_out(queues->leave_out, member) && !make(queues, queue, &fd, error))
            return false;
        g_array_append_val(queues->fds, fd);
        g_array_append_val(queues->filled, no);
    }
    return true;
}

typedef struct {
    const BerthQueue *queue;
    int fd;
} Target;

static bool put_message(uint64_t priority, const void *data, size_t length, void *userdata,
                        GError **error)
{
    const Target *target = userdata;
    g_autofree char *quoted = berth_quote(target->queue->name);

    if (priority < (uint64_t)sysconf(_SC_MQ_PRIO_MAX) &&
        mq_send(target->fd, data, length, (unsigned)priority) == 0)
        return true;
    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: the message queue %s has more messages than "
                           "it may hold, or one that it cannot",
                           quoted);
}

/* Members come in the order of the index. */
static const BerthQueue *find(BerthRestoreQueues *queues, const char *path, guint *at)
{
    const GArray *all = queues->index->queues;

    for (guint i = 0; i < all->len; i++) {
        const BerthQueue *queue;

        *at = (queues->next + i) % all->len;
        queue = &g_array_index(all, BerthQueue, *at);
        if (g_str_has_prefix(path, BERTH_SNAPSHOT_QUEUE "/") &&
            g_str_equal(path + strlen(BERTH_SNAPSHOT_QUEUE "/"), queue->name)) {
            queues->next = *at + 1;
            return queue;
        }
    }
    return NULL;
}

bool berth_restore_queues_add(BerthRestoreQueues *queues, const char *path,
                              BerthRestoreReader *reader, GError **error)
{
    guint at = 0;
    const BerthQueue *queue = find(queues, path, &at);
    g_autofree char *quoted = berth_quote(path);

    if (!queue || g_array_index(queues->filled, gboolean, at))
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is damaged: its member %s is there twice, or not in "
                               "its index",
                               quoted);
    Target target = { queue, g_array_index(queues->fds, int, at) };

    g_array_index(queues->filled, gboolean, at) = TRUE;
    return berth_restore_messages(reader, quoted, queue->size, queues->message_room, put_message,
                                  &target, error);
}

bool berth_restore_queues_finish(BerthRestoreQueues *queues, GError **error)
{
    for (guint i = 0; i < queues->fds->len; i++) {
        const BerthQueue *queue = &g_array_index(queues->index->queues, BerthQueue, i);
        int fd = g_array_index(queues->fds, int, i), r, err;

        if (fd < 0)
            continue;
        if (queue->messages > 0 && !g_array_index(queues->filled, gboolean, i)) {
            g_autofree char *quoted = berth_quote(queue->name);

            return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                                   "the snapshot is damaged: the messages of " BERTH_SNAPSHOT_QUEUE
                                   "/%s are not there",
                                   quoted);
        }
        begin_as_owner(queues, queue);
        r = fchmod(fd, queue->mode);
        err = errno;
        end_as_owner(queues);
        errno = err;
        if (r < 0)
            return set_failed(error, "set the permissions of", queue);
        g_array_index(queues->fds, int, i) = berth_close(fd);
    }
    return true;
}
