/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/transfers.h"

/** BerthBandwidth: how the transfers that run share MaxBandwidth= of [Transfers]. */
typedef struct BerthBandwidth BerthBandwidth;

/**
 * berth_bandwidth_new:
 * @daemon: whose settings hold; the transfers are not looked at yet
 * @transfers: (transfer none): whose workers are told
 *
 * Returns: (transfer full)
 */
BerthBandwidth *berth_bandwidth_new(BerthDaemon *daemon, BerthTransfers *transfers);
/** berth_bandwidth_free: @bandwidth: (nullable) */
void berth_bandwidth_free(BerthBandwidth *bandwidth);

/**
 * berth_bandwidth_join: works out @transfer->bandwidth, what it may have when it begins to run now.
 * Those that run already are told soon.
 */
void berth_bandwidth_join(BerthBandwidth *bandwidth, BerthTransfer *transfer);

/** berth_bandwidth_changed: one has ended, or the settings have changed; who runs is told soon. */
void berth_bandwidth_changed(BerthBandwidth *bandwidth);

/**
 * berth_bandwidth_share: divides evenly; what one may not use by a limit of its own is for the
 * others.
 * @total: bytes a second of all together; 0: no limit
 * @limits: (array length=n): of each, 0: none
 * @shares: (out) (array length=n): for each, 0: no limit
 */
void berth_bandwidth_share(uint64_t total, const uint64_t *limits, uint64_t *shares, unsigned n);
