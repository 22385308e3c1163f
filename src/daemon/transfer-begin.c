/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a method call to a transfer: what every method that begins one has in common.
 */

#include "base/error.h"
#include "daemon/idle.h"
#include "daemon/image-methods.h"
#include "daemon/transfers.h"

bool berth_transfers_may_begin(const BerthCall *call, GError **error)
{
    if (berth_idle_is_ending(call->daemon))
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "the service is just ending, to be started again; try again");
    return berth_transfers_check_room(call->daemon->transfers, call->caller->uid, error);
}

BerthVerdict berth_transfers_begin(BerthCall *call, const BerthTransferKind *kind,
                                   BerthReference *reference, void *job, GError **error)
{
    BerthTransfer *transfer = berth_transfers_add(call->daemon->transfers, kind, call->caller->uid,
                                                  call->caller->name, reference, job, error);
    g_autofree char *path = transfer ? berth_transfer_path(transfer->id) : NULL;

    if (!transfer)
        return BERTH_CALL_FAILED;
    transfer->caller_left = call->gone;
    transfer->interactive = sd_bus_message_get_allow_interactive_authorization(call->message) > 0;
    return berth_call_reply_value(call, 'o', path, error);
}
