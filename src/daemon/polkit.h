/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/access.h"

/** BerthPolkitCheck: a question to polkit that is under way. */
typedef struct BerthPolkitCheck BerthPolkitCheck;

/** BerthPolkitAnswer: what polkit says. */
typedef enum {
    BERTH_POLKIT_GRANTED,
    BERTH_POLKIT_REFUSED,
    BERTH_POLKIT_CHALLENGE, /* authenticating could help, and the caller did not allow a prompt */
} BerthPolkitAnswer;

typedef void (*BerthPolkitFunc)(BerthPolkitAnswer answer, void *userdata);

/**
 * berth_polkit_check:
 * @bus: the system bus
 * @sender: unique name of the caller, the subject
 * @demand: action and details
 * @interactive: whether polkit may prompt
 * @func: called once with the answer, unless the check is cancelled before
 *
 * Asks polkit. Without polkit on the bus the answer is BERTH_POLKIT_REFUSED.
 *
 * Returns: (transfer full): the check, which ends itself before it calls @func; NULL on error.
 */
BerthPolkitCheck *berth_polkit_check(sd_bus *bus, const char *sender, const BerthDemand *demand,
                                     bool interactive, BerthPolkitFunc func, void *userdata,
                                     GError **error);

/** berth_polkit_cancel: withdraws @check: an open prompt closes, and no answer comes. */
void berth_polkit_cancel(BerthPolkitCheck *check);
