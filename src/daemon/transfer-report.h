/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/transfers.h"

/**
 * berth_transfer_report: tells the bus what has changed since the last time, of layers as many as
 * it can be expected to take.
 * @now: microseconds of CLOCK_MONOTONIC
 * @state: its state has changed too
 *
 * Returns: whether there are layers left to tell of.
 */
bool berth_transfer_report(BerthTransfer *transfer, const BerthTransferEvents *events, uint64_t now,
                           bool state);
