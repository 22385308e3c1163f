/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Join, by name on the root object or on a sandbox object: descriptors of what the sandbox consists
 * of. What was given away cannot be taken back, so a private or none sandbox is given up first and
 * then sent: should sending fail, its descriptors close here and it is gone, but it is never held
 * twice.
 */

#include "base/error.h"
#include "base/fd.h"
#include "daemon/objects.h"
#include "daemon/sandboxes.h"

static int append_fd(sd_bus_message *reply, const char *key, int fd)
{
    return fd < 0 ? 0 : sd_bus_message_append(reply, "{sh}", key, fd);
}

static BerthVerdict reply_fds(BerthCall *call, const BerthSlotFds *fds, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);
    int r;

    if (!reply)
        return BERTH_CALL_FAILED;
    r = sd_bus_message_open_container(reply, 'a', "{sh}");
    if (r >= 0)
        r = append_fd(reply, "ipc", fds->ipc);
    if (r >= 0)
        r = append_fd(reply, "shm", fds->shm);
    if (r >= 0)
        r = append_fd(reply, "mqueue", fds->mqueue);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return berth_call_reply(call, reply, r, error);
}

/*
 * Whether the kernel lets @caller into the namespace: root into any, others into what lies in a
 * user namespace of theirs. Whom it would refuse gets no descriptor of it. The owner of one with
 * mode host is there already, and recognizes it by the descriptor.
 */
static bool may_enter(const BerthCaller *caller, const BerthSandbox *sandbox)
{
    return caller->uid == 0 || sandbox->contents->owner == caller->uid;
}

BerthVerdict berth_join(BerthCall *call, BerthSandbox *sandbox, const char *given, GError **error)
{
    BerthSandboxes *sandboxes = call->daemon->sandboxes;
    BERTH_AUTO_SLOT_FDS fds = BERTH_SLOT_FDS_INIT;

    if (!berth_sandbox_check_held(sandbox, given, error) ||
        !berth_sandboxes_open(sandboxes, sandbox, &fds, error))
        return BERTH_CALL_FAILED;
    if (berth_ipc_mode_is_handed_over(sandbox->mode) &&
        !berth_sandboxes_hand_over(sandboxes, sandbox, &fds, error))
        return BERTH_CALL_FAILED;
    if (!may_enter(call->caller, sandbox))
        fds.ipc = berth_close(fds.ipc);
    return reply_fds(call, &fds, error);
}
