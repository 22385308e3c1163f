/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/transfer.h"

/**
 * berth_transfer_ask: the worker of @transfer asks whether it may do something. It is told that
 * root may; for others polkit decides, in time. Whoever asked for the transfer is the one to
 * decide about, and who has left may nothing more.
 *
 * Returns: whether this is a question that it may ask, and had not asked before.
 */
bool berth_transfer_ask(BerthDaemon *daemon, BerthTransfer *transfer, const char *question);

/**
 * berth_transfer_explain: Returns: (transfer full): @error, with which the worker of @transfer
 * ended, and what it cannot know: why it was refused something.
 */
GError *berth_transfer_explain(const BerthTransfer *transfer, const GError *error);

/** berth_transfer_caller_left: whoever asked for @transfer has left the bus. */
void berth_transfer_caller_left(BerthTransfer *transfer);
