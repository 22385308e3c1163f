/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/exchange.h"
#include "registry/request.h"

/** berth_outcome: what to do after an exchange of @request: finishes it, or has it go on. */
void berth_outcome(BerthRequest *request, const BerthExchange *exchange);

/* For outcome.c only: */

/** berth_request_finish: says how it ended and frees it. */
void berth_request_finish(BerthRequest *request, const GError *error);

/** berth_request_go_after: the next try, in @usec. */
void berth_request_go_after(BerthRequest *request, uint64_t usec);

/** berth_request_was_refused: Returns: whether it can do without what it was refused. */
bool berth_request_was_refused(BerthRequest *request);

/** berth_request_url: Returns: (transfer full) (nullable): where the next exchange goes. */
BerthUrl *berth_request_url(const BerthRequest *request, GError **error);
