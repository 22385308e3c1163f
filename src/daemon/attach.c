/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sandbox.Attach: into a running process. The process may be hostile and can make whoever looks
 * into it wait, so a child does it while the service goes on; the sandbox is looked up again when
 * the child is done, and a private or none one counts as moving meanwhile.
 */

#include "daemon/attach.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/messages.h"
#include "daemon/child.h"
#include "daemon/objects.h"
#include "daemon/sandboxes.h"
#include "ipc/attach.h"

#include <errno.h>
#include <fcntl.h>

#define TIMEOUT_USEC (10 * UINT64_C(1000000)) /* for the child, in a target that answers */

typedef struct {
    int process; /* owned */
    BerthTarget target;
    BerthSlotFds fds;
} Arguments;

const size_t berth_attach_arguments_size = sizeof(Arguments);

static const BerthOption no_options[] = { { NULL } };

bool berth_attach_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    int fd, r = sd_bus_message_read(call->message, "h", &fd);

    *arguments =
        (Arguments){ .process = -1, .target = BERTH_TARGET_INIT, .fds = BERTH_SLOT_FDS_INIT };
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r,
                                     "cannot read the process");
    arguments->process = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (arguments->process < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot keep a file descriptor");
    return berth_options_read(call->message, no_options, NULL, NULL, error) &&
           berth_pidfd_check(arguments->process, error);
}

bool berth_attach_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    Arguments *arguments = call->arguments;
    const BerthSandbox *sandbox = berth_sandboxes_by_id(call->daemon->sandboxes, call->sandbox);

    /* once: what polkit was asked about is what will be entered, wherever the process goes
     * meanwhile */
    if (arguments->target.mnt < 0 &&
        !berth_target_open(call->daemon->vault->places, arguments->process, &arguments->target,
                           error))
        return false;
    berth_authorize_sandbox(call, sandbox, request);
    if (arguments->target.owner != call->caller->uid)
        berth_fill_details(berth_request_add(request, "attach"), sandbox);
    return true;
}

static bool child(void *userdata, GByteArray *result, GError **error)
{
    const BerthCall *call = userdata;
    const Arguments *arguments = call->arguments;

    return berth_attach(call->daemon->vault, &arguments->target, &arguments->fds, error);
}

static void log_timeout(const Arguments *arguments)
{
    g_autofree char *field = g_strdup_printf("OBJECT_PID=%d", arguments->target.pid);

    berth_log_event(
        LOG_WARNING, BERTH_MESSAGE_ATTACH_TIMEOUT, ((const char *const[]){ field, NULL }),
        "attaching to process %d took too long and was given up", arguments->target.pid);
}

/*
 * A private or none sandbox is given up unless the child said that it mounted nothing: one that was
 * killed can have given it to the target already, and it must never have two holders.
 */
static bool settle(BerthCall *call, BerthSandbox *sandbox, const GError *child_error,
                   GError **error)
{
    const Arguments *arguments = call->arguments;
    BerthSandboxes *sandboxes = call->daemon->sandboxes;

    if (!sandbox || !sandbox->moving)
        return true;
    if (child_error && child_error->code != BERTH_ERROR_TIMEOUT)
        return berth_sandboxes_keep(sandboxes, sandbox, error);
    return berth_sandboxes_hand_over(sandboxes, sandbox, &arguments->fds, error);
}

static void on_done(const GByteArray *result, const GError *child_error, void *userdata)
{
    BerthCall *call = userdata;
    BerthSandbox *sandbox = berth_sandboxes_by_id(call->daemon->sandboxes, call->sandbox);
    g_autoptr(GError) error = NULL;
    bool settled = settle(call, sandbox, child_error, &error);
    BerthVerdict verdict = BERTH_CALL_FAILED;

    if (child_error && child_error->code == BERTH_ERROR_TIMEOUT)
        log_timeout(call->arguments);
    if (settled && !child_error)
        verdict = berth_call_reply_empty(call, &error);
    berth_call_finish(call, verdict, error ? error : child_error);
}

BerthVerdict berth_attach_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const BerthPlaces *places = call->daemon->vault->places;
    BerthSandboxes *sandboxes = call->daemon->sandboxes;
    BerthSandbox *sandbox = berth_sandbox_of_call(call, error);

    if (!sandbox || !berth_sandbox_check_held(sandbox, berth_sandbox_title(sandbox), error) ||
        !berth_sandboxes_open(sandboxes, sandbox, &arguments->fds, error) ||
        (berth_ipc_mode_is_handed_over(sandbox->mode) &&
         !berth_sandboxes_move(sandboxes, sandbox, &arguments->fds, error)))
        return BERTH_CALL_FAILED;

    const int keep[] = { places->home_mnt,      places->home_ipc,   places->host_mnt,
                         places->proc,          places->root,       call->daemon->vault->ns,
                         arguments->target.mnt, arguments->process, arguments->fds.shm,
                         arguments->fds.mqueue };
    const BerthChildWork work = { child,        call,
                                  keep,         G_N_ELEMENTS(keep),
                                  TIMEOUT_USEC, call->caller->uid };

    if (berth_child_start(call->daemon->event, &work, on_done, call, error))
        return BERTH_CALL_WAITING;
    if (sandbox->moving)
        (void)berth_sandboxes_keep(sandboxes, sandbox, NULL);
    return BERTH_CALL_FAILED;
}

void berth_attach_clear(void *data)
{
    Arguments *arguments = data;

    berth_slot_fds_close(&arguments->fds);
    berth_target_clear(&arguments->target);
    arguments->process = berth_close(arguments->process);
}
