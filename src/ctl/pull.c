/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `pull`, `push` and `copy`: ask the service to move an image and follow the transfer. berthctl
 * itself talks to no registry; it contributes the calling user's credentials.
 */

#include "base/fd.h"
#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/credentials.h"
#include "ctl/follow.h"

#include <stdlib.h>

/* Calls @member with @words and the options. @images are those whose registries are asked. */
static int transfer(Ctl *ctl, const char *member, const char *const *words,
                    const char *const *images)
{
    CTL_AUTO_MESSAGE *message = NULL;
    BERTH_AUTO_FD credentials = -1;
    int r = 0;

    if (!ctl_credentials_open(ctl, images, &credentials) ||
        !ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, member, &message))
        return EXIT_FAILURE;
    for (; r >= 0 && *words; words++)
        r = sd_bus_message_append_basic(message, 's', *words);
    if (r >= 0)
        r = ctl_transfer_spec_append(&ctl->transfer, credentials, message);
    return ctl_follow_call(ctl, message, r);
}

int ctl_verb_pull(Ctl *ctl)
{
    const char *const words[] = { ctl->operands[0], NULL };

    return transfer(ctl, "Pull", words, words);
}

int ctl_verb_push(Ctl *ctl)
{
    const char *to = ctl->n_operands > 1 ? ctl->operands[1] : "";
    const char *const words[] = { ctl->operands[0], to, NULL };
    const char *const images[] = { *to ? to : ctl->operands[0], NULL };

    return transfer(ctl, "Push", words, images);
}

int ctl_verb_copy(Ctl *ctl)
{
    const char *const words[] = { ctl->operands[0], ctl->operands[1], NULL };

    return transfer(ctl, "Copy", words, words);
}
