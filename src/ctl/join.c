/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `enter`, and the talk with the service and the exec that `run` shares with it. What a process
 * does to itself in between is in join-mounts.c.
 */

#include "ctl/join.h"

#include "base/fd.h"
#include "base/names.h"
#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

void ctl_join_clear(CtlJoin *join)
{
    join->ipc = berth_close(join->ipc);
    join->shm = berth_close(join->shm);
    join->mqueue = berth_close(join->mqueue);
}

bool ctl_join_new_call(Ctl *ctl, const char *path, sd_bus_message **message)
{
    int r;

    if (!ctl_bus_new_call(ctl, path, BERTH_IF_SANDBOX, "Join", message))
        return false;
    r = sd_bus_message_append(*message, "a{sv}", 0);
    if (r < 0)
        ctl_fail_bus(ctl, NULL, r);
    return r >= 0;
}

/* Keeps a duplicate of the message's @fd under @key; unknown keys are a newer service's. */
static int keep_fd(CtlJoin *join, const char *key, int fd)
{
    int *place = strcmp(key, "ipc") == 0      ? &join->ipc
                 : strcmp(key, "shm") == 0    ? &join->shm
                 : strcmp(key, "mqueue") == 0 ? &join->mqueue
                                              : NULL;

    if (!place || *place >= 0)
        return 0;
    *place = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return *place < 0 ? -errno : 0;
}

bool ctl_join_read_reply(Ctl *ctl, sd_bus_message *reply, CtlJoin *join)
{
    const char *key;
    int fd;
    int r = sd_bus_message_enter_container(reply, 'a', "{sh}");

    while (r >= 0 && (r = sd_bus_message_read(reply, "{sh}", &key, &fd)) > 0)
        r = keep_fd(join, key, fd);
    if (r < 0) {
        ctl_fail_bus(ctl, NULL, r);
        return false;
    }
    if (join->ipc < 0) {
        ctl_fail(
            ctl, SD_BUS_ERROR_ACCESS_DENIED,
            "the sandbox can be entered by its owner and root only; as another permitted user, "
            "call Join and use the descriptors of its shm and mqueue");
        return false;
    }
    return true;
}

int ctl_join_exec(const Ctl *ctl, char **command)
{
    int saved;

    execvp(command[0], command);
    saved = errno;
    if (saved == ENOENT) {
        ctl_fail(ctl, SD_BUS_ERROR_FILE_NOT_FOUND, "cannot run '%s': no such program in PATH",
                 command[0]);
        return 127;
    }
    ctl_fail(ctl, SD_BUS_ERROR_FAILED, "cannot run '%s': %s", command[0], g_strerror(saved));
    return 126;
}

int ctl_verb_enter(Ctl *ctl)
{
    CTL_AUTO_JOIN join = CTL_JOIN_INIT;
    CTL_AUTO_MESSAGE *message = NULL;
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    if (!ctl_bus_find_sandbox(ctl, ctl->operands[0], &path) ||
        !ctl_join_new_call(ctl, path, &message) || !ctl_bus_send(ctl, message, 0, &reply) ||
        !ctl_join_read_reply(ctl, reply, &join))
        return EXIT_FAILURE;
    ctl_agent_close();
    if (!ctl_join_enter(&join, &error))
        return ctl_fail_error(ctl, error);
    return ctl_join_exec(ctl, ctl->command);
}
