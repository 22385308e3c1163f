/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the bus hears of a transfer. A registry decides how many layers there are and a user how
 * many connections of his listen, so their product is bounded: what the bus does not take, it
 * drops, and that could be the reply to somebody else. What is left has its turn the next time,
 * with what it is by then.
 */

#include "daemon/transfer-report.h"

#define SIGNALS_PER_REPORT 512

/* Returns: whether there are layers left. */
static bool tell_layers(BerthTransfer *transfer, const BerthTransferEvents *events)
{
    guint n = transfer->changed->len, listeners = transfer->subscribers->len;

    if (listeners > 0 && events->busy(events->userdata))
        n = 0;
    else if (listeners > 0)
        n = MIN(n, MAX(SIGNALS_PER_REPORT / listeners, 1));
    for (guint i = 0; i < n; i++) {
        uint32_t index = g_array_index(transfer->changed, uint32_t, i);
        BerthTransferLayer *layer = &g_array_index(transfer->layers, BerthTransferLayer, index);

        layer->changed = false;
        if (listeners > 0)
            events->layer(transfer, index, layer, events->userdata);
    }
    if (n > 0)
        g_array_remove_range(transfer->changed, 0, n);
    return transfer->changed->len > 0;
}

bool berth_transfer_report(BerthTransfer *transfer, const BerthTransferEvents *events, uint64_t now,
                           bool state)
{
    const char *properties[6] = { NULL };
    unsigned n = 0;
    bool measured =
        !state && !berth_transfer_is_over(transfer) && berth_transfer_measure(transfer, now);
    bool left = tell_layers(transfer, events);

    if (state) {
        properties[n++] = "State";
        properties[n++] = "StartedUSec";
    }
    if (state || measured)
        properties[n++] = "Rate";
    if (state || transfer->progressed) {
        properties[n++] = "BytesDone";
        properties[n++] = "BytesTotal";
    }
    transfer->progressed = false;
    if (n > 0)
        events->changed(transfer, properties, events->userdata);
    return left;
}
