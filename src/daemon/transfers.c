/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of transfers: who may have how many, which run, when the bus is told, and how long one
 * can be looked at after its end. A transfer gets a worker in the order in which transfers were
 * asked for, but those of a user who has as many as it may have let others pass. Whoever asked may
 * leave: only Cancel and the end of the service end a transfer early, and what its worker has
 * written by then is what a later one goes on with.
 *
 * The bus is told at most eight times a second how far a transfer is. With the two changes of its
 * state that makes no more than ten.
 */

#include "daemon/transfers.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/bandwidth.h"
#include "daemon/idle.h"
#include "daemon/result.h"
#include "daemon/store-job.h"
#include "daemon/transfer-question.h"
#include "daemon/transfer-report.h"

#include <string.h>

#define REPORT_USEC       (125 * UINT64_C(1000))
#define IDLE_REPORT_USEC  (1000 * UINT64_C(1000)) /* while nothing comes: the rate goes down */
#define RETRY_USEC        (250 * UINT64_C(1000))
#define KEEP_USEC         (60 * UINT64_C(1000000))

#define QUEUED_PER_USER   64   /* that wait for a worker; root is exempt */
#define QUEUED_MAX        4096 /* in all, root's too */
#define FINISHED_PER_USER 256  /* that can be looked at after their end; older ones go */
#define FINISHED_MAX      2048
#define LAYERS_PER_USER   (4 * BERTH_LAYERS_MAX) /* of those; there are 184 bytes of each */
#define LAYERS_MAX        (32 * BERTH_LAYERS_MAX)
#define SUBSCRIBERS_MAX   32 /* of one transfer */

struct BerthTransfers {
    BerthDaemon *daemon;
    BerthTransferEvents events;
    GHashTable *table; /* ID → BerthTransfer, owned */
    GQueue line;       /* links of those that are queued, in their order */
    GQueue finished;   /* links of those that are over, oldest first */
    uint32_t last_id;
    unsigned layers;           /* of those that are over */
    unsigned places;           /* of MaxTransfers= that are taken */
    BerthBandwidth *bandwidth; /* owned: shared by those that run */
    sd_event_source *next;     /* enabled when perhaps one more can run */
    sd_event_source *later;    /* while there are too many workers: looks again */
};

static int on_next(sd_event_source *source, void *userdata);

BerthTransfers *berth_transfers_new(BerthDaemon *daemon, const BerthTransferEvents *events,
                                    GError **error)
{
    BerthTransfers *transfers = g_new0(BerthTransfers, 1);
    int r;

    transfers->daemon = daemon;
    transfers->events = *events;
    transfers->bandwidth = berth_bandwidth_new(daemon, transfers);
    transfers->table = g_hash_table_new(NULL, NULL);
    r = sd_event_add_defer(daemon->event, &transfers->next, on_next, transfers);
    if (r >= 0)
        r = sd_event_source_set_enabled(transfers->next, SD_EVENT_OFF);
    if (r >= 0)
        return transfers;
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a table of transfers");
    berth_transfers_free(transfers);
    return NULL;
}

static void see_who_is_next(BerthTransfers *transfers)
{
    (void)sd_event_source_set_enabled(transfers->next, SD_EVENT_ONESHOT);
}

void berth_transfers_free(BerthTransfers *transfers)
{
    GHashTableIter iter;
    BerthTransfer *transfer;

    if (!transfers)
        return;
    g_hash_table_iter_init(&iter, transfers->table);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&transfer))
        berth_transfer_free(transfer);
    g_hash_table_unref(transfers->table);
    sd_event_source_disable_unref(transfers->next);
    sd_event_source_disable_unref(transfers->later);
    berth_bandwidth_free(transfers->bandwidth);
    g_free(transfers);
}

bool berth_transfers_is_empty(BerthTransfers *transfers)
{
    return g_hash_table_size(transfers->table) == 0;
}

unsigned berth_transfers_count(BerthTransfers *transfers)
{
    return g_hash_table_size(transfers->table);
}

void berth_transfers_iter(BerthTransfers *transfers, GHashTableIter *iter)
{
    g_hash_table_iter_init(iter, transfers->table);
}

BerthTransfer *berth_transfers_by_id(BerthTransfers *transfers, uint32_t id)
{
    return g_hash_table_lookup(transfers->table, GUINT_TO_POINTER(id));
}

static bool is_queued(const BerthTransfer *transfer)
{
    return transfer->state == BERTH_TRANSFER_QUEUED;
}

static bool has_place(const BerthTransfer *transfer)
{
    return transfer->has_place;
}

static unsigned count_of(BerthTransfers *transfers, uid_t owner,
                         bool (*which)(const BerthTransfer *))
{
    GHashTableIter iter;
    const BerthTransfer *transfer;
    unsigned n = 0;

    g_hash_table_iter_init(&iter, transfers->table);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&transfer))
        n += transfer->owner == owner && which(transfer);
    return n;
}

bool berth_transfers_check_room(BerthTransfers *transfers, uid_t owner, GError **error)
{
    if (transfers->line.length >= QUEUED_MAX)
        return berth_set_error(
            error, BERTH_ERROR_QUOTA_EXCEEDED,
            "%u transfers wait for their turn, as many as can; wait for some, or "
            "cancel some",
            transfers->line.length);
    if (owner == 0 || count_of(transfers, owner, is_queued) < QUEUED_PER_USER)
        return true;
    return berth_set_error(
        error, BERTH_ERROR_QUOTA_EXCEEDED,
        "user %u has %d transfers that wait for their turn, as many as can; wait "
        "for some, or cancel some",
        owner, QUEUED_PER_USER);
}

/* The object goes. */
static void drop(BerthTransfers *transfers, BerthTransfer *transfer)
{
    g_assert(berth_transfer_is_over(transfer));
    g_queue_unlink(&transfers->finished, &transfer->link);
    transfers->layers -= transfer->layers->len;
    g_hash_table_remove(transfers->table, GUINT_TO_POINTER(transfer->id));
    transfers->events.removed(transfer, transfers->events.userdata);
    berth_transfer_free(transfer);
    berth_idle_touch(transfers->daemon);
}

static int on_kept(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthTransfer *transfer = userdata;

    drop(transfer->transfers, transfer);
    return 0;
}

/* Makes room among those that are over, first among @owner's; the last one stays. */
static void bound_finished(BerthTransfers *transfers, uid_t owner)
{
    unsigned n = 0, layers = 0;
    GList *previous;

    for (GList *link = transfers->finished.tail; link; link = previous) {
        BerthTransfer *transfer = link->data;

        previous = link->prev;
        if (transfer->owner != owner)
            continue;
        layers += transfer->layers->len;
        if (++n > FINISHED_PER_USER || (n > 1 && layers > LAYERS_PER_USER))
            drop(transfers, transfer);
    }
    while (transfers->finished.length > FINISHED_MAX || transfers->layers > LAYERS_MAX)
        drop(transfers, transfers->finished.head->data);
}

static uint64_t now_usec(const BerthTransfers *transfers)
{
    uint64_t now;

    return sd_event_now(transfers->daemon->event, CLOCK_MONOTONIC, &now) >= 0 ? now : 0;
}

static void set_timer(BerthTransfer *transfer, uint64_t usec, sd_event_time_handler_t handler)
{
    int r;

    transfer->timer = sd_event_source_disable_unref(transfer->timer);
    r = sd_event_add_time_relative(transfer->transfers->daemon->event, &transfer->timer,
                                   CLOCK_MONOTONIC, usec, 1, handler, transfer);
    if (r < 0)
        berth_warning("cannot wait for the next report of a transfer: %s", g_strerror(-r));
}

static bool report(BerthTransfer *transfer, bool state)
{
    const BerthTransfers *transfers = transfer->transfers;

    return berth_transfer_report(transfer, &transfers->events, now_usec(transfers), state);
}

static int on_report(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthTransfer *transfer = userdata;
    bool news = transfer->progressed || transfer->changed->len > 0;

    (void)report(transfer, false);
    transfer->timer = sd_event_source_disable_unref(transfer->timer);
    if (news)
        set_timer(transfer, REPORT_USEC, on_report);
    else if (transfer->rate > 0)
        set_timer(transfer, IDLE_REPORT_USEC, on_report);
    return 0;
}

/* Everything was told: somebody else gets its place. */
static void conclude(BerthTransfer *transfer)
{
    BerthTransfers *transfers = transfer->transfers;

    transfers->places -= transfer->has_place;
    transfer->has_place = false;
    transfers->events.finished(transfer, transfers->events.userdata);
    g_ptr_array_set_size(transfer->subscribers, 0);
    g_queue_push_tail_link(&transfers->finished, &transfer->link);
    transfers->layers += transfer->layers->len;
    set_timer(transfer, KEEP_USEC, on_kept);
    bound_finished(transfers, transfer->owner);
    see_who_is_next(transfers);
}

static int on_rest(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthTransfer *transfer = userdata;

    if (report(transfer, false))
        set_timer(transfer, REPORT_USEC, on_rest);
    else
        conclude(transfer);
    return 0;
}

/* Ends @transfer, wherever it stands. */
static void finish(BerthTransfer *transfer, BerthTransferState state, const char *digest,
                   const GError *error)
{
    if (transfer->state == BERTH_TRANSFER_QUEUED)
        g_queue_unlink(&transfer->transfers->line, &transfer->link);
    berth_transfer_set_state(transfer, state, digest, error);
    berth_bandwidth_changed(transfer->transfers->bandwidth);
    if (state == BERTH_TRANSFER_FAILED)
        berth_transfer_log_failure(transfer);
    if (report(transfer, true))
        set_timer(transfer, REPORT_USEC, on_rest); /* what is told last comes last */
    else
        conclude(transfer);
}

static void on_progress(uint64_t done, uint64_t total, const BerthWorkerLayer *layers,
                        unsigned n_layers, void *userdata)
{
    BerthTransfer *transfer = userdata;
    uint64_t now = now_usec(transfer->transfers), due;

    if (!berth_transfer_progress(transfer, done, total, layers, n_layers))
        return;
    if (!transfer->timer) { /* after a pause: at once */
        (void)report(transfer, false);
        set_timer(transfer, REPORT_USEC, on_report);
        return;
    }
    if (sd_event_source_get_time(transfer->timer, &due) >= 0 && due > now + REPORT_USEC)
        set_timer(transfer, REPORT_USEC, on_report);
}

static bool on_question(const char *question, GHashTable *details, void *userdata)
{
    BerthTransfer *transfer = userdata;

    return berth_transfer_ask(transfer->transfers->daemon, transfer, question);
}

static void on_finished(sd_bus_message *result, const GError *worker_error, void *userdata)
{
    BerthTransfer *transfer = userdata;
    g_autoptr(GError) error = NULL;
    g_autofree char *digest = NULL;

    transfer->worker = NULL;
    if (g_error_matches(worker_error, BERTH_ERROR, BERTH_ERROR_CANCELLED))
        berth_set_error(&error, BERTH_ERROR_FAILED,
                        "the worker says that it was cancelled, but nobody did that");
    else if (worker_error)
        error = berth_transfer_explain(transfer, worker_error);
    else
        digest = berth_result_read_digest(result, &error);
    finish(transfer, digest ? BERTH_TRANSFER_DONE : BERTH_TRANSFER_FAILED, digest, error);
}

static bool fill(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthTransfer *transfer = userdata;

    return transfer->kind->fill(transfer, transfer->transfers->daemon->settings, job, error);
}

static bool start_worker(BerthTransfer *transfer, GError **error)
{
    const BerthStoreJob job = { transfer->kind->name, transfer->owner, fill };
    const BerthWorkerEvents events = { .progress = on_progress,
                                       .ask = on_question,
                                       .finished = on_finished };

    berth_bandwidth_join(transfer->transfers->bandwidth, transfer);
    transfer->worker =
        berth_store_job_start(transfer->transfers->daemon, &job, &events, transfer, error);
    if (!transfer->worker)
        return false;
    g_queue_unlink(&transfer->transfers->line, &transfer->link);
    berth_transfer_set_state(transfer, BERTH_TRANSFER_RUNNING, NULL, NULL);
    report(transfer, true);
    set_timer(transfer, REPORT_USEC, on_report);
    return true;
}

/* Whether its job is what it would be if it were asked for now. */
static bool is_fresh(const BerthTransfer *transfer)
{
    const BerthTransferKind *kind = transfer->kind;

    return !kind->is_stale || (!transfer->waited &&
                               !kind->is_stale(transfer, transfer->transfers->daemon->registries));
}

/* Starts @transfer, which has its place; or does first what must come before that. */
static bool start(BerthTransfer *transfer, GError **error)
{
    if (is_fresh(transfer))
        return start_worker(transfer, error);
    transfer->refreshing = transfer->kind->refresh(transfer, transfer->transfers->daemon, error);
    transfer->waited = !transfer->refreshing;
    return transfer->refreshing;
}

/* Whether one more of @owner may run. */
static bool may_run(BerthTransfers *transfers, uid_t owner)
{
    const BerthSettings *settings = transfers->daemon->settings;

    return transfers->places < settings->max_transfers &&
           (owner == 0 || count_of(transfers, owner, has_place) < settings->max_transfers_per_user);
}

/* Whether @transfer may run; it keeps its place until it is over. */
static bool take_place(BerthTransfer *transfer)
{
    if (transfer->has_place)
        return true;
    if (!may_run(transfer->transfers, transfer->owner)) {
        transfer->waited = true;
        return false;
    }
    transfer->has_place = true;
    transfer->transfers->places++;
    return true;
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthTransfers *transfers = userdata;

    transfers->later = sd_event_source_disable_unref(transfers->later);
    return on_next(NULL, transfers);
}

/* There are too many workers, perhaps since ended ones take their time: nobody's fault. */
static void look_again(BerthTransfers *transfers)
{
    int r = 0;

    if (!transfers->later)
        r = sd_event_add_time_relative(transfers->daemon->event, &transfers->later, CLOCK_MONOTONIC,
                                       RETRY_USEC, 0, on_later, transfers);
    if (r < 0)
        berth_warning("cannot wait for a worker: %s", g_strerror(-r));
}

/* Starts whoever in line may run. */
static int on_next(sd_event_source *source, void *userdata)
{
    BerthTransfers *transfers = userdata;
    GList *next;

    for (GList *link = transfers->line.head; link; link = next) {
        BerthTransfer *transfer = link->data;
        g_autoptr(GError) error = NULL;

        next = link->next;
        if (transfer->refreshing || !take_place(transfer) || start(transfer, &error))
            continue;
        if (g_error_matches(error, BERTH_ERROR, BERTH_ERROR_LIMITS_EXCEEDED)) {
            look_again(transfers);
            return 0;
        }
        finish(transfer, BERTH_TRANSFER_FAILED, NULL, error);
    }
    return 0;
}

void berth_transfers_refreshed(BerthTransfer *transfer, const GError *error)
{
    transfer->refreshing = false;
    if (g_error_matches(error, BERTH_ERROR, BERTH_ERROR_LIMITS_EXCEEDED)) {
        transfer->waited = true;
        look_again(transfer->transfers);
    } else if (error) {
        finish(transfer, BERTH_TRANSFER_FAILED, NULL, error);
    } else {
        see_who_is_next(transfer->transfers);
    }
}

static uint32_t next_id(BerthTransfers *transfers)
{
    do
        transfers->last_id = transfers->last_id == UINT32_MAX ? 1 : transfers->last_id + 1;
    while (berth_transfers_by_id(transfers, transfers->last_id));
    return transfers->last_id;
}

BerthTransfer *berth_transfers_add(BerthTransfers *transfers, const BerthTransferKind *kind,
                                   uid_t owner, const char *caller, BerthReference *reference,
                                   void *job, GError **error)
{
    BerthTransfer *transfer =
        berth_transfer_new(next_id(transfers), kind, owner, caller, reference, job);

    if (!berth_transfers_check_room(transfers, owner, error)) {
        berth_transfer_free(transfer);
        return NULL;
    }
    transfer->transfers = transfers;
    g_hash_table_insert(transfers->table, GUINT_TO_POINTER(transfer->id), transfer);
    g_queue_push_tail_link(&transfers->line, &transfer->link);
    transfers->events.added(transfer, transfers->events.userdata);
    see_who_is_next(transfers);
    berth_idle_touch(transfers->daemon);
    return transfer;
}

void berth_transfers_cancel(BerthTransfers *transfers, BerthTransfer *transfer)
{
    const GError error = { BERTH_ERROR, BERTH_ERROR_CANCELLED, (char *)"it was cancelled" };

    if (!berth_transfer_is_over(transfer))
        finish(transfer, BERTH_TRANSFER_CANCELLED, NULL, &error);
}

bool berth_transfers_subscribe(BerthTransfers *transfers, BerthTransfer *transfer, const char *name,
                               GError **error)
{
    if (berth_transfer_is_over(transfer) ||
        g_ptr_array_find_with_equal_func(transfer->subscribers, name, g_str_equal, NULL))
        return true;
    if (transfer->subscribers->len >= SUBSCRIBERS_MAX)
        return berth_set_error(error, BERTH_ERROR_LIMITS_EXCEEDED,
                               "transfer %u has %d subscribers, as many as it can have",
                               transfer->id, SUBSCRIBERS_MAX);
    g_ptr_array_add(transfer->subscribers, g_strdup(name));
    return true;
}

void berth_transfers_peer_gone(BerthTransfers *transfers, const char *name)
{
    GHashTableIter iter;
    BerthTransfer *transfer;
    guint i;

    g_hash_table_iter_init(&iter, transfers->table);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&transfer)) {
        if (g_ptr_array_find_with_equal_func(transfer->subscribers, name, g_str_equal, &i))
            g_ptr_array_remove_index_fast(transfer->subscribers, i);
        if (g_str_equal(transfer->caller, name))
            berth_transfer_caller_left(transfer);
    }
}

void berth_transfers_settings_changed(BerthTransfers *transfers)
{
    berth_bandwidth_changed(transfers->bandwidth);
    see_who_is_next(transfers);
}
