/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `pull`: asks the service to get an image and follows the transfer. berthctl itself talks to no
 * registry; it contributes the calling user's credentials.
 */

#include "base/fd.h"
#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/credentials.h"
#include "ctl/follow.h"
#include "ctl/report.h"

#include <stdlib.h>

int ctl_verb_pull(Ctl *ctl)
{
    const char *const images[] = { ctl->operands[0], NULL };
    CTL_AUTO_MESSAGE *message = NULL;
    BERTH_AUTO_FD credentials = -1;
    int r;

    if (!ctl_credentials_open(ctl, images, &credentials) ||
        !ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "Pull", &message))
        return EXIT_FAILURE;
    r = sd_bus_message_append_basic(message, 's', images[0]);
    if (r >= 0)
        r = ctl_transfer_spec_append(&ctl->transfer, credentials, message);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    return ctl_follow_call(ctl, message);
}
