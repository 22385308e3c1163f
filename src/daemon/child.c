/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work that can block, in a child: the service itself never waits for a process that somebody else
 * controls. The child is a copy of the single-threaded service; it does its work with plain system
 * calls, writes code and message of its error into a pipe and ends. It never touches the bus. A
 * child that takes too long is killed and its caller answered at once, even if the kernel cannot
 * end it yet.
 */

#include "daemon/child.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OF_USER 8   /* children of one user that have not ended; root is exempt */
#define MAX_TOTAL   256 /* of all */

#define CLOSE_USEC  (60 * UINT64_C(1000000)) /* for giving back memory */

#define SUCCESS     (-1) /* no BerthError */

/* What the child writes: this and then the result, or the message of the error. */
typedef struct {
    int32_t code; /* a BerthError, or SUCCESS */
    uint32_t length;
} Header;

typedef struct {
    int pipe; /* owned: reading end */
    pid_t pid;
    sd_event_source *io, *timer;
    GByteArray *report; /* read so far */
    BerthChildDone done;
    void *done_data;
} Child;

static void child_free(Child *child)
{
    sd_event_source_disable_unref(child->io);
    sd_event_source_disable_unref(child->timer);
    g_byte_array_unref(child->report);
    berth_close(child->pipe);
    g_free(child);
}

static void finish(Child *child, const GByteArray *result, const GError *error)
{
    BerthChildDone done = child->done;
    void *data = child->done_data;

    child_free(child);
    done(result, error, data);
}

/* The child closed its end: what it wrote is all there will be. */
static void conclude(Child *child)
{
    g_autoptr(GByteArray) report = g_byte_array_ref(child->report);
    g_autoptr(GError) error = NULL;
    Header header = { 0 };

    if (report->len >= sizeof(header))
        memcpy(&header, report->data, sizeof(header));
    if (report->len < sizeof(header) || report->len - sizeof(header) != header.length) {
        berth_set_error(&error, BERTH_ERROR_TIMEOUT, "the helper process ended without a report");
        finish(child, NULL, error);
        return;
    }
    g_byte_array_remove_range(report, 0, sizeof(header));
    if (header.code == SUCCESS) {
        finish(child, report, NULL);
        return;
    }
    g_byte_array_append(report, (const guint8 *)"", 1);
    g_set_error_literal(&error, BERTH_ERROR, header.code, (const char *)report->data);
    finish(child, NULL, error);
}

static int on_report(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Child *child = userdata;
    guint8 buffer[4096];
    ssize_t n = read(fd, buffer, sizeof(buffer));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n > 0 && child->report->len <= sizeof(Header) + BERTH_CHILD_RESULT_MAX)
        g_byte_array_append(child->report, buffer, (guint)n);
    else
        conclude(child);
    return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Child *child = userdata;
    g_autoptr(GError) error = NULL;

    (void)kill(child->pid, SIGKILL); /* not reaped yet, so the PID is still its */
    berth_set_error(&error, BERTH_ERROR_TIMEOUT, "the helper process did not end in time");
    finish(child, NULL, error);
    return 0;
}

/* Children that were started and not reaped, of each user and in all. */
static GHashTable *running;
static unsigned running_total;

static bool count_in(uid_t uid, GError **error)
{
    unsigned n;

    if (!running)
        running = g_hash_table_new(NULL, NULL);
    n = GPOINTER_TO_UINT(g_hash_table_lookup(running, GUINT_TO_POINTER(uid)));
    if ((uid != 0 && n >= MAX_OF_USER) || running_total >= MAX_TOTAL)
        return berth_set_error(error, BERTH_ERROR_LIMITS_EXCEEDED,
                               "%u helper processes for user %u have not ended yet; try again when "
                               "what they look into answers",
                               n, uid);
    g_hash_table_insert(running, GUINT_TO_POINTER(uid), GUINT_TO_POINTER(n + 1));
    running_total++;
    return true;
}

static void count_out(uid_t uid)
{
    unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(running, GUINT_TO_POINTER(uid)));

    running_total--;
    if (n > 1)
        g_hash_table_insert(running, GUINT_TO_POINTER(uid), GUINT_TO_POINTER(n - 1));
    else
        g_hash_table_remove(running, GUINT_TO_POINTER(uid));
    if (running_total == 0)
        g_clear_pointer(&running, g_hash_table_unref);
}

/* Reaps; the report says how it went. */
static int on_exit_status(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    if (info->si_code != CLD_EXITED && info->si_status != SIGKILL)
        berth_warning("helper process %d was ended by signal %d", info->si_pid, info->si_status);
    count_out((uid_t)GPOINTER_TO_UINT(userdata));
    sd_event_source_unref(source);
    return 0;
}

static bool write_all(int fd, const void *data, size_t length)
{
    const char *p = data;

    while (length > 0) {
        ssize_t n = write(fd, p, length);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            p += n;
            length -= (size_t)n;
        }
    }
    return true;
}

static G_GNUC_NORETURN void run(int pipe, const BerthChildWork *work)
{
    g_autofree int *keep = g_new(int, work->n_fds + 1);
    GByteArray *result = g_byte_array_new();
    GError *error = NULL;
    Header header = { .code = SUCCESS };

    for (unsigned i = 0; i < work->n_fds; i++)
        keep[i] = work->fds[i];
    keep[work->n_fds] = pipe;
    berth_close_others(keep, work->n_fds + 1);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!work->func(work->data, result, &error)) {
        g_byte_array_set_size(result, 0);
        g_byte_array_append(result, (const guint8 *)error->message, (guint)strlen(error->message));
        header.code = error->code;
    }
    header.length = result->len;
    _exit(write_all(pipe, &header, sizeof(header)) && write_all(pipe, result->data, result->len)
              ? 0
              : 1);
}

/* Adds the sources that watch a child which runs already. */
static int watch(sd_event *event, Child *child, const BerthChildWork *work)
{
    sd_event_source *reaper = NULL;
    int r = sd_event_add_child(event, &reaper, child->pid, WEXITED, on_exit_status,
                               GUINT_TO_POINTER(work->uid));

    if (r < 0) {
        count_out(work->uid);
        return r;
    }
    r = sd_event_add_io(event, &child->io, child->pipe, EPOLLIN, on_report, child);
    if (r < 0 || work->usec == BERTH_CHILD_UNLIMITED)
        return r;
    return sd_event_add_time_relative(event, &child->timer, CLOCK_MONOTONIC, work->usec, 0,
                                      on_timeout, child);
}

bool berth_child_start(sd_event *event, const BerthChildWork *work, BerthChildDone done,
                       void *done_data, GError **error)
{
    BERTH_AUTO_FD reading = -1;
    BERTH_AUTO_FD writing = -1;
    Child *child;
    int fds[2], r;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make a pipe");
    reading = fds[0];
    writing = fds[1];
    if (fcntl(reading, F_SETFL, O_NONBLOCK) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot set up a pipe");
    if (!count_in(work->uid, error))
        return false;
    pid = fork();
    if (pid < 0) {
        count_out(work->uid);
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot start a helper process");
    }
    if (pid == 0)
        run(writing, work);

    child = g_new0(Child, 1);
    *child = (Child){ .pipe = berth_steal_fd(&reading),
                      .pid = pid,
                      .report = g_byte_array_new(),
                      .done = done,
                      .done_data = done_data };
    r = watch(event, child, work);
    if (r >= 0)
        return true;
    (void)kill(pid, SIGKILL);
    child_free(child);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch a helper process");
}

/* In the child: waits until the service has closed its own; the rest is done by the end of the
 * process. */
static bool wait_for_close(void *userdata, GByteArray *result, GError **error)
{
    const int *pipe = userdata;
    char nothing;

    (void)!read(*pipe, &nothing, 1);
    return true;
}

static void on_closed(const GByteArray *result, const GError *error, void *userdata)
{
    if (error)
        berth_debug("closing elsewhere: %s", error->message);
}

void berth_child_close(sd_event *event, int fd, uid_t uid)
{
    BERTH_AUTO_FD ours = fd;
    BERTH_AUTO_FD reading = -1;
    BERTH_AUTO_FD writing = -1;
    g_autoptr(GError) error = NULL;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    reading = fds[0];
    writing = fds[1];

    const int keep[] = { ours, reading };
    const BerthChildWork work = { wait_for_close,     &reading,   keep,
                                  G_N_ELEMENTS(keep), CLOSE_USEC, uid };

    if (!berth_child_start(event, &work, on_closed, NULL, &error))
        berth_debug("cannot close elsewhere: %s", error->message);
}
