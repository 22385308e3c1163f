/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MaxBandwidth= of [Transfers] is for all transfers together: whoever runs gets an even share, and
 * is told when others come and go. Workers keep to it by themselves; none of them sees what the
 * others do, so that one that was taken over can take no more from them than the network gives it.
 * Must not write to a worker more often than it can be expected to read.
 */

#include "daemon/bandwidth.h"

#include "base/log.h"

#define TELL_USEC (250 * UINT64_C(1000)) /* between two rounds; what is due meanwhile waits */

struct BerthBandwidth {
    BerthDaemon *daemon;
    BerthTransfers *transfers;
    sd_event_source *timer; /* set while a round is due */
    uint64_t told;          /* µs, CLOCK_MONOTONIC: the last round */
};

void berth_bandwidth_share(uint64_t total, const uint64_t *limits, uint64_t *shares, unsigned n)
{
    uint64_t left = total;
    unsigned open = n;

    for (unsigned i = 0; i < n; i++)
        shares[i] = 0;
    /* In each round those are served whose own limit is less than an even share: n at most. */
    for (bool found = total > 0; found;) {
        uint64_t even = open > 0 ? left / open : 0;

        found = false;
        for (unsigned i = 0; i < n; i++)
            if (shares[i] == 0 && limits[i] > 0 && limits[i] <= even) {
                shares[i] = limits[i];
                left -= limits[i];
                open--;
                found = true;
            }
    }
    for (unsigned i = 0; i < n; i++)
        if (total == 0)
            shares[i] = limits[i];
        else if (shares[i] == 0)
            shares[i] = MAX(left / open, 1); /* 0 would be no limit */
}

static bool takes_part(const BerthTransfer *transfer)
{
    return transfer->kind->max_bandwidth && transfer->state == BERTH_TRANSFER_RUNNING;
}

/*
 * Works out the share of everybody who runs, and of @newcomer (nullable).
 * @running: (out) (element-type BerthTransfer): whose they are
 */
static uint64_t *share_out(BerthBandwidth *bandwidth, const BerthTransfer *newcomer,
                           GPtrArray *running)
{
    g_autofree uint64_t *limits = NULL;
    uint64_t *shares;
    GHashTableIter iter;
    BerthTransfer *transfer;

    berth_transfers_iter(bandwidth->transfers, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&transfer))
        if (transfer == newcomer || takes_part(transfer))
            g_ptr_array_add(running, transfer);
    limits = g_new(uint64_t, running->len);
    shares = g_new(uint64_t, running->len);
    for (guint i = 0; i < running->len; i++) {
        transfer = running->pdata[i];
        limits[i] = transfer->kind->max_bandwidth(transfer->job);
    }
    berth_bandwidth_share(bandwidth->daemon->settings->max_bandwidth, limits, shares, running->len);
    return shares;
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthBandwidth *bandwidth = userdata;
    g_autoptr(GPtrArray) running = g_ptr_array_new();
    g_autofree uint64_t *shares = share_out(bandwidth, NULL, running);

    bandwidth->timer = sd_event_source_disable_unref(bandwidth->timer);
    (void)sd_event_now(bandwidth->daemon->event, CLOCK_MONOTONIC, &bandwidth->told);
    for (guint i = 0; i < running->len; i++) {
        BerthTransfer *transfer = running->pdata[i];

        if (transfer->bandwidth == shares[i])
            continue;
        transfer->bandwidth = shares[i];
        berth_worker_set_bandwidth(transfer->worker, shares[i]);
    }
    return 0;
}

void berth_bandwidth_changed(BerthBandwidth *bandwidth)
{
    int r;

    if (bandwidth->timer)
        return;
    r = sd_event_add_time(bandwidth->daemon->event, &bandwidth->timer, CLOCK_MONOTONIC,
                          bandwidth->told + TELL_USEC, 1, on_due, bandwidth);
    if (r < 0)
        berth_warning("cannot share out bandwidth: %s", g_strerror(-r));
}

void berth_bandwidth_join(BerthBandwidth *bandwidth, BerthTransfer *transfer)
{
    g_autoptr(GPtrArray) running = g_ptr_array_new();
    g_autofree uint64_t *shares = NULL;
    guint i;

    if (!transfer->kind->max_bandwidth)
        return;
    shares = share_out(bandwidth, transfer, running);
    if (g_ptr_array_find(running, transfer, &i))
        transfer->bandwidth = shares[i];
    berth_bandwidth_changed(bandwidth);
}

BerthBandwidth *berth_bandwidth_new(BerthDaemon *daemon, BerthTransfers *transfers)
{
    BerthBandwidth *bandwidth = g_new0(BerthBandwidth, 1);

    bandwidth->daemon = daemon;
    bandwidth->transfers = transfers;
    return bandwidth;
}

void berth_bandwidth_free(BerthBandwidth *bandwidth)
{
    if (!bandwidth)
        return;
    sd_event_source_disable_unref(bandwidth->timer);
    g_free(bandwidth);
}
