/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `import`, `import-blob` and `export`: files go to the service as descriptors, opened here as the
 * calling user, so that the service needs no path of anybody's. It never looks into them.
 */

#include "base/fd.h"
#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/follow.h"
#include "ctl/report.h"
#include "ctl/target.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MODE 0666 /* of an archive */

/* Opens what is to be read. Returns: false when it failed and was reported, in *@status. */
static bool open_input(const Ctl *ctl, const char *path, int *fd, int *status)
{
    if (strcmp(path, "-") == 0 && isatty(STDIN_FILENO)) {
        *status = ctl_usage(ctl, "standard input is a terminal; redirect it, or name a file");
        return false;
    }
    *fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (*fd < 0)
        *status = ctl_fail(ctl, SD_BUS_ERROR_FAILED, "cannot read %s: %s", path, g_strerror(errno));
    return *fd >= 0;
}

int ctl_verb_import(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *message = NULL;
    BERTH_AUTO_FD archive = -1;
    int r, status;

    if (!open_input(ctl, ctl->operands[0], &archive, &status))
        return status;
    if (!ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "Import", &message))
        return EXIT_FAILURE;
    r = sd_bus_message_append_basic(message, 'h', &archive);
    if (r >= 0)
        r = ctl_transfer_spec_append(&ctl->transfer, -1, message);
    return ctl_follow_call(ctl, message, r);
}

int ctl_verb_import_blob(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *message = NULL;
    BERTH_AUTO_FD blob = -1;
    int status;

    if (!open_input(ctl, ctl->operands[1], &blob, &status))
        return status;
    if (!ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "ImportBlob", &message))
        return EXIT_FAILURE;
    return ctl_follow_call(ctl, message,
                           sd_bus_message_append(message, "sha{sv}", ctl->operands[0], blob, 0));
}

/* Whether the archive can go where the command line says. Returns: an exit status. */
static int check_output(const Ctl *ctl)
{
    const char *output = ctl->transfer.output;

    if (!output)
        return ctl_usage(ctl, "export needs -o FILE, or -o - for standard output");
    if (strcmp(output, "-") != 0)
        return EXIT_SUCCESS;
    if (isatty(STDOUT_FILENO))
        return ctl_usage(ctl, "an archive is nothing for a terminal; redirect standard output, or "
                              "use -o FILE");
    if (ctl->json != CTL_JSON_OFF)
        return ctl_usage(ctl, "--json= and the archive cannot both go to standard output; use -o "
                              "FILE");
    return EXIT_SUCCESS;
}

/* Fills the call of Export. */
static int append_export(const Ctl *ctl, int archive, sd_bus_message *message)
{
    int r = sd_bus_message_append_strv(message, ctl->operands);

    if (r >= 0)
        r = sd_bus_message_append_basic(message, 'h', &archive);
    return r < 0 ? r : ctl_transfer_spec_append(&ctl->transfer, -1, message);
}

int ctl_verb_export(Ctl *ctl)
{
    CTL_AUTO_TARGET target = { .fd = -1 };
    CTL_AUTO_MESSAGE *message = NULL;
    g_autoptr(GError) error = NULL;
    int status = check_output(ctl);

    if (status != EXIT_SUCCESS)
        return status;
    if (!ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "Export", &message))
        return EXIT_FAILURE;
    if (!ctl_target_open(&target, ctl->transfer.output, MODE, &error))
        return ctl_fail_error(ctl, error);
    status = ctl_follow_call(ctl, message, append_export(ctl, target.fd, message));
    /* what the service still writes is the user's to find */
    if ((status == EXIT_SUCCESS || ctl->detached) && !ctl_target_finish(&target, &error))
        return ctl_fail_error(ctl, error);
    return status;
}
