/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker asks for while it runs, since only then it turns out that it is needed: to push
 * layers that may not be redistributed. The question's word is the action's. What is asked about is
 * what the transfer is about, whatever the worker says, and each transfer has one question, so that
 * nobody can be made to see a prompt again and again.
 */

#include "daemon/transfer-question.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/objects.h"

/* Tells the worker, and keeps why: its own error can only say that it was not allowed. */
static void refuse(BerthTransfer *transfer, GError *reason)
{
    g_clear_error(&transfer->refusal);
    transfer->refusal = reason;
    berth_worker_answer(transfer->worker, false);
}

static void on_polkit(BerthPolkitAnswer answer, void *userdata)
{
    BerthTransfer *transfer = userdata;
    const BerthDemand demand = { .action = transfer->kind->question };
    GError *reason = NULL;

    transfer->check = NULL;
    if (answer == BERTH_POLKIT_GRANTED) {
        berth_worker_answer(transfer->worker, true);
        return;
    }
    berth_set_refused(&reason, transfer->owner, &demand,
                      answer == BERTH_POLKIT_CHALLENGE
                          ? BERTH_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
                          : BERTH_ERROR_ACCESS_DENIED);
    refuse(transfer, reason);
}

static void refuse_gone(BerthTransfer *transfer)
{
    GError *reason = NULL;

    berth_set_error(&reason, BERTH_ERROR_ACCESS_DENIED,
                    "who asked for the transfer has left the message bus, so that nobody can be "
                    "authorized for it; stay until it is done");
    refuse(transfer, reason);
}

bool berth_transfer_ask(BerthDaemon *daemon, BerthTransfer *transfer, const char *question)
{
    const BerthTransferKind *kind = transfer->kind;
    BERTH_AUTO_REQUEST request = { .n = 0 };
    GError *error = NULL;

    if (transfer->asked || !kind->question || !g_str_equal(kind->question, question) ||
        !kind->may_ask(transfer))
        return false;
    transfer->asked = true;
    if (transfer->owner == 0) {
        berth_worker_answer(transfer->worker, true);
        return true;
    }
    if (transfer->caller_left) {
        refuse_gone(transfer);
        return true;
    }
    berth_fill_image_details(berth_request_add(&request, kind->question), transfer->reference);
    transfer->check = berth_polkit_check(daemon->bus, transfer->caller, &request.demands[0],
                                         transfer->interactive, on_polkit, transfer, &error);
    if (!transfer->check)
        refuse(transfer, error);
    return true;
}

void berth_transfer_caller_left(BerthTransfer *transfer)
{
    transfer->caller_left = true;
    if (!transfer->check)
        return;
    berth_polkit_cancel(g_steal_pointer(&transfer->check));
    refuse_gone(transfer);
}

GError *berth_transfer_explain(const BerthTransfer *transfer, const GError *error)
{
    GError *copy = g_error_copy(error);

    if (transfer->refusal &&
        g_error_matches(error, BERTH_ERROR, BERTH_ERROR_NONDISTRIBUTABLE_REFUSED)) {
        g_free(copy->message);
        copy->message = g_strconcat(error->message, ": ", transfer->refusal->message, NULL);
    }
    return copy;
}
