/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POSIX message queues before a snapshot: what there is, and what cannot be kept of it. Their
 * messages can only be read by taking them out and putting them back, which nobody must see: so
 * whoever uses the sandbox has to be stopped. That loses a message even so when somebody waits to
 * send into a full queue, since the kernel lets it in as soon as one is taken out; and it fires a
 * notification that somebody registered for. Nothing is taken out here.
 */

#include "ipc/snapshot-queues.h"

#include "base/error.h"
#include "base/fd.h"
#include "ipc/snapshot-processes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

bool berth_queue_state(int queue, BerthQueueState *state, GError **error)
{
    struct mq_attr attr;
    char text[128];
    ssize_t n = pread(queue, text, sizeof(text) - 1, 0);
    int notify = 0;

    if (n < 0 || mq_getattr(queue, &attr) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot look at a message queue");
    text[n] = '\0';
    /* mq_overview(7) */
    if (sscanf(text, "QSIZE:%" SCNu64 " NOTIFY:%*d SIGNO:%*d NOTIFY_PID:%d", &state->bytes,
               &notify) != 2)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "this kernel describes message queues in another way");
    state->most = (uint64_t)attr.mq_maxmsg;
    state->size = (uint64_t)attr.mq_msgsize;
    state->messages = (uint64_t)attr.mq_curmsgs;
    state->notify = notify;
    return true;
}

int berth_queue_open(int mqueue, const char *name)
{
    const int flags = O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
    int queue = openat(mqueue, name, flags), err;
    struct stat st;

    if (queue >= 0 || errno != EACCES || geteuid() != 0 ||
        fstatat(mqueue, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return queue;
    setfsgid(st.st_gid);
    setfsuid(st.st_uid);
    queue = openat(mqueue, name, flags);
    err = errno;
    setfsuid(0);
    setfsgid(0);
    errno = err;
    return queue;
}

/* A queue that is full, and where it is in the list. */
typedef struct {
    BerthFullQueue queue;
    char *name; /* owned */
} Full;

static void clear_full(gpointer data)
{
    g_free(((Full *)data)->name);
}

typedef struct {
    bool stopped;
    GArray *queues, *full;
    BerthRefusals *refusals;
} Survey;

/* Whether the messages of a queue can be taken out and put back. */
static bool check_messages(const Survey *survey, const char *name, const BerthQueueState *state)
{
    g_autofree char *member = g_strconcat(BERTH_SNAPSHOT_QUEUE "/", name, NULL);
    g_autofree char *notify = g_strconcat("notify/", name, NULL);

    if (!survey->stopped) {
        berth_refuse(survey->refusals, BERTH_ERROR_SANDBOX_BUSY, member,
                     "messages wait in it, which can be read only while nobody uses it; stop the "
                     "programs of the sandbox and say so (Stopped, --stopped)");
        return false;
    }
    if (state->notify && !berth_is_left_out(survey->refusals->leave_out, notify)) {
        g_autofree char *why =
            g_strdup_printf("process %d is registered for a notification of " BERTH_SNAPSHOT_QUEUE
                            "/%s, which reading its messages would fire",
                            state->notify, name);

        berth_refuse(survey->refusals, BERTH_ERROR_SANDBOX_BUSY, notify, why);
        return false;
    }
    return true;
}

/* One queue, whose attributes are read through @fd. */
static bool survey_queue(Survey *survey, const char *name, int fd, GError **error)
{
    BerthQueueState state;
    BerthQueue queue;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot look at a message queue");
    if (!berth_queue_state(fd, &state, error))
        return false;
    if (state.messages > 0 && !check_messages(survey, name, &state))
        return true;
    if (state.messages >= state.most) {
        const Full full = { { st.st_dev, st.st_ino, 0 }, g_strdup(name) };

        g_array_append_val(survey->full, full);
    }
    queue = (BerthQueue){ .name = g_strdup(name),
                          .most = state.most,
                          .size = state.size,
                          .mode = st.st_mode & 07777,
                          .uid = st.st_uid,
                          .gid = st.st_gid,
                          .messages = state.messages,
                          .notify = state.notify };
    g_array_append_val(survey->queues, queue);
    return true;
}

static bool survey_entry(Survey *survey, int mqueue, const char *name, GError **error)
{
    g_autofree char *member = g_strconcat(BERTH_SNAPSHOT_QUEUE "/", name, NULL);
    BERTH_AUTO_FD fd = -1;

    if (berth_is_left_out(survey->refusals->leave_out, member))
        return true;
    if (!g_utf8_validate(name, -1, NULL)) {
        berth_refuse(survey->refusals, BERTH_ERROR_NOT_SUPPORTED, member, "its name is not UTF-8");
        return true;
    }
    fd = openat(mqueue, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    if (fd < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot look at the message queue %s", name);
    return survey_queue(survey, name, fd, error);
}

/* Refuses full queues with somebody waiting: whatever the caller says, a message would be lost. */
static bool check_senders(Survey *survey, int proc, GError **error)
{
    g_autoptr(GPtrArray) full = g_ptr_array_new();

    for (guint i = 0; i < survey->full->len; i++)
        g_ptr_array_add(full, &g_array_index(survey->full, Full, i).queue);
    if (full->len > 0 && !berth_processes_find_senders(proc, full, error))
        return false;
    for (guint i = 0; i < survey->full->len; i++) {
        const Full *one = &g_array_index(survey->full, Full, i);
        g_autofree char *member = g_strconcat(BERTH_SNAPSHOT_QUEUE "/", one->name, NULL);
        g_autofree char *why = g_strdup_printf(
            "it is full and process %d waits to send, whose message would be lost; let it go on",
            one->queue.sender);

        if (one->queue.sender)
            berth_refuse(survey->refusals, BERTH_ERROR_SANDBOX_BUSY, member, why);
    }
    return true;
}

bool berth_queues_survey(int mqueue, int proc, bool stopped, GArray *queues,
                         BerthRefusals *refusals, GError **error)
{
    g_autoptr(GArray) full = g_array_new(FALSE, FALSE, sizeof(Full));
    Survey survey = { stopped, queues, full, refusals };
    BERTH_AUTO_FD fd = openat(mqueue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    g_array_set_clear_func(full, clear_full);
    if (!dir)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot read the message queues");
    (void)berth_steal_fd(&fd); /* closedir() closes it */
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (berth_snapshot_name_is_valid(entry->d_name) &&
            !survey_entry(&survey, mqueue, entry->d_name, error))
            return false;
    return check_senders(&survey, proc, error);
}
