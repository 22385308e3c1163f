/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service's side of making a namespace for a user: starts the helper, writes its maps when it
 * is in its user namespace, opens its IPC namespace when it has one, and lets it go. Nothing is
 * waited for but in the event loop, and not for longer than a busy machine needs.
 */

#include "daemon/owner-namespace.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "ipc/userns.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_USEC (20 * UINT64_C(1000000))

typedef struct {
    sd_event *event; /* not owned */
    const BerthPlaces *places;
    int socket; /* owned */
    pid_t pid;
    uid_t uid;
    GArray *groups; /* owned reference */
    sd_event_source *io, *timer;
    BerthOwnerFunc done;
    void *userdata;
} Helper;

static int on_exit_status(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    sd_event_source_unref(source);
    return 0;
}

/* Lets the helper go, and reaps it only now: until here its PID could not become another's. */
static void helper_free(Helper *helper)
{
    sd_event_source *reaper = NULL;

    sd_event_source_disable_unref(helper->io);
    sd_event_source_disable_unref(helper->timer);
    berth_close(helper->socket); /* which ends it; only now, its source was registered by number */
    if (sd_event_add_child(helper->event, &reaper, helper->pid, WEXITED, on_exit_status, NULL) < 0)
        berth_warning("cannot reap the helper process %d", helper->pid);
    g_array_unref(helper->groups);
    g_free(helper);
}

static void finish(Helper *helper, int ns, const GError *error)
{
    BerthOwnerFunc done = helper->done;
    void *userdata = helper->userdata;

    helper_free(helper);
    done(ns, error, userdata);
}

static bool set_failed(GError **error, int err)
{
    if (err == ENOSPC || err == ENOMEM)
        return berth_set_error_errno(
            error, BERTH_ERROR_LIMITS_EXCEEDED, err,
            "cannot make a namespace for the user (the limits are the "
            "sysctls user.max_user_namespaces and user.max_ipc_namespaces)");
    return berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, err,
                                 "cannot make a user namespace for the user; does this machine "
                                 "forbid them (kernel.unprivileged_userns_clone)?");
}

/* Handles one message. Returns false on failure; @ns is set when it was the last one. */
static bool proceed(Helper *helper, const char *message, ssize_t length, int *ns, GError **error)
{
    char step = BERTH_OWNER_MAPPED;
    int32_t err = 0;

    switch (length > 0 ? message[0] : 0) {
    case BERTH_OWNER_USER:
        if (!berth_owner_map(helper->places, helper->pid, helper->uid, helper->groups, error))
            return false;
        return send(helper->socket, &step, 1, MSG_NOSIGNAL) == 1 || set_failed(error, errno);
    case BERTH_OWNER_IPC:
        *ns = berth_owner_open(helper->places, helper->pid, error);
        return *ns >= 0;
    case BERTH_OWNER_FAILED:
        if (length == 1 + (ssize_t)sizeof(err))
            memcpy(&err, message + 1, sizeof(err));
        return set_failed(error, err);
    default:
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "the helper that makes a user's namespace ended");
    }
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Helper *helper = userdata;
    g_autoptr(GError) error = NULL;
    char message[16];
    ssize_t length = recv(fd, message, sizeof(message), MSG_DONTWAIT);
    int ns = -1;

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (!proceed(helper, message, length, &ns, &error))
        finish(helper, -1, error);
    else if (ns >= 0)
        finish(helper, ns, NULL);
    return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Helper *helper = userdata;
    g_autoptr(GError) error = NULL;

    (void)kill(helper->pid, SIGKILL);
    berth_set_error(&error, BERTH_ERROR_TIMEOUT,
                    "the helper that makes a user's namespace did not end in time");
    finish(helper, -1, error);
    return 0;
}

static int watch(sd_event *event, Helper *helper)
{
    int r = sd_event_add_io(event, &helper->io, helper->socket, EPOLLIN, on_message, helper);

    if (r >= 0)
        r = sd_event_add_time_relative(event, &helper->timer, CLOCK_MONOTONIC, TIMEOUT_USEC, 0,
                                       on_timeout, helper);
    return r;
}

bool berth_owner_namespace_start(sd_event *event, const BerthPlaces *places,
                                 const BerthCaller *caller, BerthOwnerFunc done, void *userdata,
                                 GError **error)
{
    gid_t gid = caller->groups->len > 0 ? g_array_index(caller->groups, gid_t, 0) : 65534;
    BERTH_AUTO_FD ours = -1;
    BERTH_AUTO_FD theirs = -1;
    Helper *helper;
    int pair[2], r;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make a socket pair");
    ours = pair[0];
    theirs = pair[1];
    pid = fork();
    if (pid < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot start a helper process");
    if (pid == 0) {
        ours = berth_close(ours); /* or it would not see the service close it */
        berth_owner_child(theirs, caller->uid, gid);
    }

    helper = g_new0(Helper, 1);
    *helper = (Helper){ event,   places,      berth_steal_fd(&ours),
                        pid,     caller->uid, g_array_ref(caller->groups),
                        NULL,    NULL,        done,
                        userdata };
    r = watch(event, helper);
    if (r >= 0)
        return true;
    (void)kill(pid, SIGKILL);
    helper_free(helper);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch a helper process");
}
