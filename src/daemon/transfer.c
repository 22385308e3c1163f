/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One transfer as data: whose it is, how far it is, how it ended. It knows neither bus nor worker;
 * transfers.c moves it on and tells the bus. What it takes in here came from a worker and was
 * checked for its form only (worker.c), so every number may be a lie: nothing is computed from one
 * but what people look at.
 *
 * States and transitions:
 *
 *   queued ──► running ──► done
 *      │          ├──────► failed
 *      │          └──────► cancelled
 *      ├─────────────────► failed      (it could not be started)
 *      └─────────────────► cancelled
 */

#include "daemon/transfer.h"

#include "base/error.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"

#include <string.h>
#include <time.h>

#define RATE_WINDOW_USEC (4 * UINT64_C(1000000)) /* over which the rate is taken */

static const char *const states[_BERTH_TRANSFER_STATE_MAX] = {
    [BERTH_TRANSFER_QUEUED] = "queued",       [BERTH_TRANSFER_RUNNING] = "running",
    [BERTH_TRANSFER_DONE] = "done",           [BERTH_TRANSFER_FAILED] = "failed",
    [BERTH_TRANSFER_CANCELLED] = "cancelled",
};

const char *berth_transfer_state_to_string(BerthTransferState state)
{
    g_assert(state >= 0 && state < _BERTH_TRANSFER_STATE_MAX);
    return states[state];
}

BerthTransfer *berth_transfer_new(uint32_t id, const BerthTransferKind *kind, uid_t owner,
                                  const char *caller, BerthReference *reference, void *job)
{
    BerthTransfer *transfer = g_new0(BerthTransfer, 1);

    transfer->id = id;
    transfer->kind = kind;
    transfer->owner = owner;
    transfer->caller = g_strdup(caller);
    transfer->reference = reference;
    transfer->job = job;
    transfer->layers = g_array_new(FALSE, TRUE, sizeof(BerthTransferLayer));
    transfer->changed = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    transfer->subscribers = g_ptr_array_new_with_free_func(g_free);
    transfer->link.data = transfer;
    return transfer;
}

/* What only a running transfer needs. */
static void drop_job(BerthTransfer *transfer)
{
    berth_worker_free(transfer->worker);
    transfer->worker = NULL;
    berth_polkit_cancel(g_steal_pointer(&transfer->check));
    g_clear_error(&transfer->refusal);
    if (transfer->job)
        transfer->kind->clear(transfer->job);
    transfer->job = NULL;
}

void berth_transfer_free(BerthTransfer *transfer)
{
    if (!transfer)
        return;
    drop_job(transfer);
    sd_event_source_disable_unref(transfer->timer);
    berth_reference_free(transfer->reference);
    g_array_unref(transfer->layers);
    g_array_unref(transfer->changed);
    g_ptr_array_unref(transfer->subscribers);
    g_clear_error(&transfer->error);
    g_free(transfer->digest);
    g_free(transfer->caller);
    g_free(transfer);
}

bool berth_transfer_is_over(const BerthTransfer *transfer)
{
    return transfer->state >= BERTH_TRANSFER_DONE;
}

static uint64_t realtime_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void berth_transfer_set_state(BerthTransfer *transfer, BerthTransferState state, const char *digest,
                              const GError *error)
{
    g_assert(state > transfer->state && !berth_transfer_is_over(transfer));
    g_assert(state != BERTH_TRANSFER_DONE || transfer->state == BERTH_TRANSFER_RUNNING);
    g_assert((state == BERTH_TRANSFER_FAILED || state == BERTH_TRANSFER_CANCELLED) == !!error);
    transfer->state = state;
    if (state == BERTH_TRANSFER_RUNNING) {
        transfer->started_usec = realtime_usec();
        return;
    }
    drop_job(transfer);
    transfer->rate = 0;
    transfer->digest = g_strdup(digest);
    transfer->error = error ? g_error_copy(error) : NULL;
}

static void take_layer(BerthTransfer *transfer, const BerthWorkerLayer *news)
{
    BerthTransferLayer *layer;
    uint32_t index = news->index;

    if (index >= transfer->layers->len)
        g_array_set_size(transfer->layers, index + 1); /* BERTH_LAYERS_MAX at most */
    layer = &g_array_index(transfer->layers, BerthTransferLayer, index);
    if (!layer->changed)
        g_array_append_val(transfer->changed, index);
    *layer = (BerthTransferLayer){ .digest = news->digest,
                                   .state = news->state,
                                   .source = news->source,
                                   .done = news->done,
                                   .total = news->total,
                                   .changed = true };
}

bool berth_transfer_progress(BerthTransfer *transfer, uint64_t done, uint64_t total,
                             const BerthWorkerLayer *layers, unsigned n_layers)
{
    if (done != transfer->bytes_done || total != transfer->bytes_total)
        transfer->progressed = true;
    transfer->bytes_done = done;
    transfer->bytes_total = total;
    for (unsigned i = 0; i < n_layers; i++)
        take_layer(transfer, &layers[i]);
    return transfer->progressed || transfer->changed->len > 0;
}

bool berth_transfer_measure(BerthTransfer *transfer, uint64_t now)
{
    const unsigned size = G_N_ELEMENTS(transfer->samples);
    unsigned oldest = transfer->n_samples > size ? transfer->n_samples - size : 0;
    uint64_t rate = 0;

    while (oldest < transfer->n_samples &&
           now - transfer->samples[oldest % size].usec > RATE_WINDOW_USEC)
        oldest++;
    if (oldest < transfer->n_samples) {
        uint64_t usec = now - transfer->samples[oldest % size].usec;
        uint64_t bytes = transfer->samples[oldest % size].bytes;

        if (usec > 0 && transfer->bytes_done > bytes)
            rate = (uint64_t)((double)(transfer->bytes_done - bytes) * 1e6 / (double)usec);
    }
    transfer->samples[transfer->n_samples % size].usec = now;
    transfer->samples[transfer->n_samples % size].bytes = transfer->bytes_done;
    transfer->n_samples++;
    if (rate == transfer->rate)
        return false;
    transfer->rate = rate;
    return true;
}

void berth_transfer_log_failure(const BerthTransfer *transfer)
{
    g_autofree char *reference = berth_transfer_reference(transfer);
    g_autofree char *id = g_strdup_printf("TRANSFER_ID=%u", transfer->id);
    g_autofree char *uid = g_strdup_printf("TRANSFER_OWNER=%u", transfer->owner);
    g_autofree char *image = g_strconcat("IMAGE_REFERENCE=", reference, NULL);
    g_autofree char *name =
        g_strconcat("ERROR_NAME=", berth_error_dbus_name(transfer->error->code), NULL);

    berth_log_event(LOG_WARNING, BERTH_MESSAGE_TRANSFER_FAILED,
                    ((const char *const[]){ id, uid, image, name, NULL }),
                    "transfer %u (%s of %s for user %u) failed: %s", transfer->id,
                    transfer->kind->name, reference, transfer->owner, transfer->error->message);
}

char *berth_transfer_reference(const BerthTransfer *transfer)
{
    return transfer->reference ? berth_reference_to_string(transfer->reference) : g_strdup("");
}

char *berth_transfer_path(uint32_t id)
{
    return g_strdup_printf(BERTH_TRANSFER_PATH "/%u", id);
}

uint32_t berth_transfer_id_of_path(const char *path)
{
    static const char prefix[] = BERTH_TRANSFER_PATH "/";
    guint64 id;

    /* without leading zeros, or one transfer would have several objects */
    if (!g_str_has_prefix(path, prefix) || path[sizeof(prefix) - 1] == '0' ||
        !g_ascii_string_to_unsigned(path + sizeof(prefix) - 1, 10, 1, UINT32_MAX, &id, NULL))
        return 0;
    return (uint32_t)id;
}
