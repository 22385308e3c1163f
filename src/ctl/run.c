/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `run`: a sandbox for one command. Signals are taken in by a descriptor from before the sandbox is
 * made until after it is removed, so that none can end berthctl in between and leave it behind.
 * With
 * --keep there is nothing to wait for: berthctl becomes the command.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/mode.h"
#include "base/names.h"
#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/create.h"
#include "ctl/join.h"
#include "ctl/report.h"
#include "ctl/supervise.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REMOVE_TIMEOUT_USEC    UINT64_C(25000000)
#define INTERRUPT_TIMEOUT_USEC UINT64_C(1000000) /* how long an answer may take after Ctrl-C */

typedef struct {
    Ctl *ctl;
    CtlSignals signals;
    int interrupted; /* the signal that asked us to end before the command ran, or 0 */
    char *path;      /* the sandbox, NULL: none yet */
    CtlJoin join;
} Run;

static void run_clear(Run *run)
{
    ctl_join_clear(&run->join);
    g_clear_pointer(&run->path, g_free);
    run->signals.fd = berth_close(run->signals.fd);
}

static uint64_t now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Sleeps until the bus or a signal has something, or until @deadline. Returns: 0, or an errno < 0.
 */
static int wait_for_news(Run *run, uint64_t deadline)
{
    struct pollfd fds[] = {
        { .fd = sd_bus_get_fd(run->ctl->bus), .events = POLLIN },
        { .fd = run->signals.fd, .events = POLLIN },
    };
    struct timespec timeout;
    uint64_t until = UINT64_MAX, now = now_usec();
    int r = sd_bus_get_events(run->ctl->bus);

    if (r < 0)
        return r;
    fds[0].events = (short)r;
    (void)sd_bus_get_timeout(run->ctl->bus, &until);
    until = MIN(until, deadline);
    until = until > now ? until - now : 0;
    timeout.tv_sec = (time_t)(until / 1000000);
    timeout.tv_nsec = (long)(until % 1000000) * 1000;
    return ppoll(fds, G_N_ELEMENTS(fds), &timeout, NULL) < 0 && errno != EINTR ? -errno : 0;
}

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    sd_bus_message **reply = userdata;

    *reply = sd_bus_message_ref(message);
    return 1;
}

/* Turns the bus until *reply is there. After an interruption the answer gets a little more time. */
static int wait_for_reply(Run *run, sd_bus_message **reply)
{
    uint64_t deadline = UINT64_MAX;

    while (!*reply) {
        int r = sd_bus_process(run->ctl->bus, NULL);

        if (r == 0)
            r = wait_for_news(run, deadline);
        if (r < 0)
            return r;
        if (!run->interrupted) {
            run->interrupted = ctl_signals_take_early(&run->signals);
            if (run->interrupted)
                deadline = now_usec() + INTERRUPT_TIMEOUT_USEC;
        } else if (now_usec() >= deadline) {
            return -EINTR;
        }
    }
    return 0;
}

/* A call during which a signal is heard. Returns: false when it failed and was reported. */
static bool run_send(Run *run, sd_bus_message *message, sd_bus_message **reply)
{
    __attribute__((cleanup(sd_bus_slot_unrefp))) sd_bus_slot *slot = NULL;
    const sd_bus_error *error;
    int r = sd_bus_call_async(run->ctl->bus, &slot, message, on_reply, reply, 0);

    if (r >= 0)
        r = wait_for_reply(run, reply);
    error = *reply ? sd_bus_message_get_error(*reply) : NULL;
    if (r >= 0 && !error)
        return true;
    if (!run->interrupted)
        ctl_fail_bus(run->ctl, error, r);
    else if (r == -EINTR)
        ctl_warn("interrupted before the service answered; 'berthctl list' shows what it made");
    return false;
}

/*
 * The sandbox goes with this process, however it ends: the service removes it when we leave the
 * bus. We remove it ourselves all the same, so that it is gone when we are.
 */
static bool run_create(Run *run)
{
    CTL_AUTO_MESSAGE *message = NULL;
    CTL_AUTO_MESSAGE *reply = NULL;

    if (!run->ctl->keep)
        run->ctl->spec.lifetime = "connection";
    return ctl_create_new_call(run->ctl, run->ctl->name, &message) &&
           run_send(run, message, &reply) && ctl_create_read_reply(run->ctl, reply, &run->path) &&
           !run->interrupted;
}

static bool run_join(Run *run)
{
    CTL_AUTO_MESSAGE *message = NULL;
    CTL_AUTO_MESSAGE *reply = NULL;

    return ctl_join_new_call(run->ctl, run->path, &message) && run_send(run, message, &reply) &&
           ctl_join_read_reply(run->ctl, reply, &run->join) && !run->interrupted;
}

/* The command's status stands, so what goes wrong here is only said. */
static void run_remove(Run *run)
{
    CTL_AUTO_ERROR error = SD_BUS_ERROR_NULL;
    CTL_AUTO_MESSAGE *message = NULL;
    int r;

    if (!run->path)
        return;
    r = sd_bus_message_new_method_call(run->ctl->bus, &message, BERTH_BUS_NAME, run->path,
                                       BERTH_IF_SANDBOX, "Remove");
    if (r >= 0)
        r = sd_bus_message_append(message, "a{sv}", 0);
    if (r >= 0)
        r = sd_bus_call(run->ctl->bus, message, REMOVE_TIMEOUT_USEC, &error, NULL);
    /* what was handed over goes by itself, perhaps before us */
    if (r < 0 && !sd_bus_error_has_names(&error, SD_BUS_ERROR_UNKNOWN_OBJECT,
                                         BERTH_BUS_NAME ".Error.NoSuchSandbox"))
        ctl_warn("the sandbox stays, remove it with: berthctl remove %s (%s)",
                 ctl_create_id(run->path), error.message ?: g_strerror(-r));
}

/* In the process that becomes the command. Returns: only on failure, the exit status. */
static int become_command(Run *run)
{
    g_autoptr(GError) error = NULL;

    if (!ctl_join_enter(&run->join, &error))
        return ctl_fail_error(run->ctl, error);
    ctl_signals_restore(&run->signals);
    return ctl_join_exec(run->ctl, run->ctl->command);
}

static int run_command(Run *run)
{
    pid_t child;

    fflush(stdout);
    fflush(stderr);
    child = fork();
    if (child < 0)
        return ctl_fail(run->ctl, SD_BUS_ERROR_FAILED, "cannot start a process: %s",
                        g_strerror(errno));
    if (child == 0) {
        int status = become_command(run);

        fflush(stdout);
        _exit(status);
    }
    /* the command alone keeps the mounts alive, and a private sandbox goes with it */
    ctl_join_clear(&run->join);
    return ctl_supervise(child, &run->signals);
}

static bool word_is_handed_over(const char *word)
{
    BerthIpcMode mode = berth_ipc_mode_from_word(word);

    return (int)mode >= 0 && berth_ipc_mode_is_handed_over(mode);
}

/* A private or none sandbox is gone when its command is: there is nothing to keep. */
static int check_keep(Ctl *ctl)
{
    CTL_AUTO_ERROR error = SD_BUS_ERROR_NULL;
    g_autofree char *fallback = NULL;
    const char *mode = ctl->spec.mode ?: "";
    int r;

    if (!*mode) {
        if (!ctl_bus_open(ctl))
            return EXIT_FAILURE;
        r = sd_bus_get_property_string(ctl->bus, BERTH_BUS_NAME, BERTH_OBJECT_ROOT,
                                       BERTH_IF_MANAGER, "DefaultIpcMode", &error, &fallback);
        if (r < 0)
            return ctl_fail_bus(ctl, &error, r);
        mode = fallback;
    }
    if (word_is_handed_over(mode))
        return ctl_usage(ctl,
                         "--keep does not go with mode %s%s: such a sandbox ends with its command; "
                         "use --ipc=shareable",
                         mode, fallback ? ", the configured default" : "");
    return EXIT_SUCCESS;
}

int ctl_verb_run(Ctl *ctl)
{
    __attribute__((cleanup(run_clear)))
    Run run = { .ctl = ctl, .signals.fd = -1, .join = CTL_JOIN_INIT };
    g_autoptr(GError) error = NULL;
    int status;

    if (ctl->keep && (status = check_keep(ctl)) != EXIT_SUCCESS)
        return status;
    if (!ctl_bus_open(ctl))
        return EXIT_FAILURE;
    if (!ctl_signals_open(&run.signals, &error))
        return ctl_fail_error(ctl, error);

    if (!run_create(&run) || !run_join(&run)) {
        run_remove(&run);
        return run.interrupted ? 128 + run.interrupted : EXIT_FAILURE;
    }
    ctl_agent_close();
    if (ctl->keep) {
        ctl_note(ctl, "the sandbox %s stays", ctl_create_id(run.path));
        return become_command(&run);
    }
    status = run_command(&run);
    run_remove(&run);
    return status;
}
