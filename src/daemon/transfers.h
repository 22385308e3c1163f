/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"
#include "daemon/transfer.h"

/** BerthTransferEvents: how changes get onto the bus. */
typedef struct {
    void (*added)(const BerthTransfer *transfer, void *userdata);
    void (*removed)(const BerthTransfer *transfer, void *userdata);
    /* @properties: NULL-terminated */
    void (*changed)(const BerthTransfer *transfer, const char *const *properties, void *userdata);
    /* for each of its subscribers; @index is that of @layer */
    void (*layer)(const BerthTransfer *transfer, uint32_t index, const BerthTransferLayer *layer,
                  void *userdata);
    void (*finished)(const BerthTransfer *transfer, void *userdata);
    /* Returns: whether much of what was told before has not reached the bus yet */
    bool (*busy)(void *userdata);
    void *userdata;
} BerthTransferEvents;

/**
 * berth_transfers_new:
 * @daemon: whose workers are used and whose settings hold; the parts are not looked at yet
 * @events: (transfer none): copied
 *
 * Returns: (transfer full): an empty table, or NULL.
 */
BerthTransfers *berth_transfers_new(BerthDaemon *daemon, const BerthTransferEvents *events,
                                    GError **error);
/** berth_transfers_free: ends every worker; what they left on disk can be gone on with. */
void berth_transfers_free(BerthTransfers *transfers);

/** berth_transfers_is_empty: Returns: whether there is none, not even one that is over. */
bool berth_transfers_is_empty(BerthTransfers *transfers);
unsigned berth_transfers_count(BerthTransfers *transfers);
/** berth_transfers_iter: begins a walk over all, in no order: values are BerthTransfer. */
void berth_transfers_iter(BerthTransfers *transfers, GHashTableIter *iter);
/** berth_transfers_by_id: Returns: (transfer none): the transfer, or NULL. */
BerthTransfer *berth_transfers_by_id(BerthTransfers *transfers, uint32_t id);

/**
 * berth_transfers_check_room: whether @owner may have another one in line.
 * @error: BERTH_ERROR_QUOTA_EXCEEDED
 */
bool berth_transfers_check_room(BerthTransfers *transfers, uid_t owner, GError **error);

/**
 * berth_transfers_add: makes a transfer and announces it. It starts as soon as MaxTransfers= and
 * MaxTransfersPerUser= let it, from the event loop: nobody hears of its end before of itself.
 * The rest as berth_transfer_new(), also when it fails.
 * @error: as berth_transfers_check_room()
 *
 * Returns: (transfer none): the transfer, or NULL.
 */
BerthTransfer *berth_transfers_add(BerthTransfers *transfers, const BerthTransferKind *kind,
                                   uid_t owner, const char *caller, BerthReference *reference,
                                   void *job, GError **error);

/**
 * berth_transfers_refreshed: the job of @transfer, for which kind->refresh was called, is fresh.
 * @error: (nullable): why it is not
 */
void berth_transfers_refreshed(BerthTransfer *transfer, const GError *error);

/** berth_transfers_cancel: ends @transfer; nothing happens when it is over. */
void berth_transfers_cancel(BerthTransfers *transfers, BerthTransfer *transfer);

/**
 * berth_transfers_subscribe: @name, a unique name, gets what happens to @transfer.
 * @error: BERTH_ERROR_LIMITS_EXCEEDED
 */
bool berth_transfers_subscribe(BerthTransfers *transfers, BerthTransfer *transfer, const char *name,
                               GError **error);

/**
 * berth_transfers_peer_gone: @name left the bus: its subscriptions end, its transfers do not, but
 * nothing more can be authorized for them.
 */
void berth_transfers_peer_gone(BerthTransfers *transfers, const char *name);

/** berth_transfers_settings_changed: perhaps more may run at the same time now. */
void berth_transfers_settings_changed(BerthTransfers *transfers);
