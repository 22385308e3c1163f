/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/**
 * ctl_follow_call:
 * @ctl: the run
 * @message: a call of a method of Images that answers with the path of a transfer
 * @r: what filling @message returned; negative: reported, nothing is sent
 *
 * Makes the call and follows the transfer to its end: progress on standard error, as bars on a
 * terminal and else as lines; the digest on standard output, or events with --json; nothing there
 * if ctl->transfer.output says that an archive goes there. Ctrl-C and SIGTERM leave the transfer
 * alone and say how to cancel it.
 *
 * Returns: the exit status; a failure is reported.
 */
int ctl_follow_call(Ctl *ctl, sd_bus_message *message, int r);
