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

/* What the child writes, less than PIPE_BUF so that it arrives whole. */
typedef struct {
    int32_t code; /* -1: success */
    char message[1020];
} Report;

typedef struct {
    int pipe; /* owned: reading end */
    pid_t pid;
    sd_event_source *io, *timer;
    BerthChildDone done;
    void *done_data;
} Child;

static void child_free(Child *child)
{
    sd_event_source_disable_unref(child->io);
    sd_event_source_disable_unref(child->timer);
    berth_close(child->pipe);
    g_free(child);
}

static void finish(Child *child, const GError *error)
{
    BerthChildDone done = child->done;
    void *data = child->done_data;

    child_free(child);
    done(error, data);
}

static int on_report(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Child *child = userdata;
    g_autoptr(GError) error = NULL;
    Report report = { 0 };
    ssize_t n = read(fd, &report, sizeof(report));

    if (n != (ssize_t)sizeof(report))
        berth_set_error(&error, BERTH_ERROR_FAILED, "the helper process ended without a report");
    else if (report.code >= 0)
        g_set_error_literal(&error, BERTH_ERROR, report.code, report.message);
    finish(child, error);
    return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Child *child = userdata;
    g_autoptr(GError) error = NULL;

    (void)kill(child->pid, SIGKILL); /* not reaped yet, so the PID is still its */
    berth_set_error(&error, BERTH_ERROR_TIMEOUT,
                    "the target did not let the helper process finish in time");
    finish(child, error);
    return 0;
}

/* Reaps; the report says how it went. */
static int on_exit_status(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    if (info->si_code != CLD_EXITED && info->si_status != SIGKILL)
        berth_warning("helper process %d was ended by signal %d", info->si_pid, info->si_status);
    sd_event_source_unref(source);
    return 0;
}

static G_GNUC_NORETURN void run(int pipe, BerthChildFunc func, void *func_data)
{
    g_autoptr(GError) error = NULL;
    Report report = { .code = -1 };

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!func(func_data, &error)) {
        report.code = error->code;
        g_strlcpy(report.message, error->message, sizeof(report.message));
    }
    _exit(write(pipe, &report, sizeof(report)) == (ssize_t)sizeof(report) ? 0 : 1);
}

/* Adds the sources that watch a child which runs already. */
static int watch(sd_event *event, Child *child, uint64_t usec)
{
    sd_event_source *reaper = NULL;
    int r = sd_event_add_child(event, &reaper, child->pid, WEXITED, on_exit_status, NULL);

    if (r < 0)
        return r;
    r = sd_event_add_io(event, &child->io, child->pipe, EPOLLIN, on_report, child);
    if (r < 0)
        return r;
    return sd_event_add_time_relative(event, &child->timer, CLOCK_MONOTONIC, usec, 0, on_timeout,
                                      child);
}

bool berth_child_start(sd_event *event, uint64_t usec, BerthChildFunc func, void *func_data,
                       BerthChildDone done, void *done_data, GError **error)
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
    pid = fork();
    if (pid < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot start a helper process");
    if (pid == 0)
        run(writing, func, func_data);

    child = g_new0(Child, 1);
    *child = (Child){ berth_steal_fd(&reading), pid, NULL, NULL, done, done_data };
    r = watch(event, child, usec);
    if (r >= 0)
        return true;
    (void)kill(pid, SIGKILL);
    child_free(child);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch a helper process");
}
