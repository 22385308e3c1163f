/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * berthctl snapshot and restore: the archive is a file that this opens, as whoever runs it may, and
 * the service gets. A snapshot becomes visible under its name when it is complete, and nothing is
 * left of one that failed. However long it takes is waited for.
 */

#include "base/fd.h"
#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/report.h"
#include "ctl/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define MODE 0600 /* of an archive: its contents are not for everybody */

/* A call of Snapshot or Restore with what the command line says. */
static bool call(Ctl *ctl, const char *member, int archive)
{
    CTL_AUTO_MESSAGE *message = NULL;
    g_autofree char *path = NULL;
    int r;

    if (!ctl_bus_find_sandbox(ctl, ctl->operands[0], &path))
        return false;
    sd_bus_set_method_call_timeout(ctl->bus, UINT64_MAX);
    if (!ctl_bus_new_call(ctl, path, BERTH_IF_SANDBOX, member, &message))
        return false;
    r = sd_bus_message_append(message, "h", archive);
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "{sv}");
    if (r >= 0 && ctl->stopped)
        r = sd_bus_message_append(message, "{sv}", "Stopped", "b", 1);
    if (r >= 0 && ctl->leave_out) {
        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(message, "s", "LeaveOut");
        if (r >= 0)
            r = sd_bus_message_open_container(message, 'v', "as");
        if (r >= 0)
            r = sd_bus_message_open_container(message, 'a', "s");
        for (guint i = 0; r >= 0 && i < ctl->leave_out->len; i++)
            r = sd_bus_message_append(message, "s", (const char *)ctl->leave_out->pdata[i]);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
            r = sd_bus_message_close_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return ctl_bus_send(ctl, message, r, NULL);
}

int ctl_verb_snapshot(Ctl *ctl)
{
    CTL_AUTO_TARGET target = { .fd = -1 };
    const char *path = ctl->operands[1];
    g_autoptr(GError) error = NULL;

    if (g_str_equal(path, "-") && isatty(STDOUT_FILENO))
        return ctl_usage(ctl, "the archive would go to the terminal; name a file, or use a pipe");
    if (!ctl_target_open(&target, path, MODE, &error))
        return ctl_fail_error(ctl, error);
    if (!call(ctl, "Snapshot", target.fd))
        return EXIT_FAILURE;
    return ctl_target_finish(&target, &error) ? EXIT_SUCCESS : ctl_fail_error(ctl, error);
}

int ctl_verb_restore(Ctl *ctl)
{
    const char *path = ctl->operands[1];
    bool standard = g_str_equal(path, "-");
    BERTH_AUTO_FD fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return ctl_fail(ctl, SD_BUS_ERROR_FAILED, "cannot read %s: %s", path, g_strerror(errno));
    return call(ctl, "Restore", fd) ? EXIT_SUCCESS : EXIT_FAILURE;
}
