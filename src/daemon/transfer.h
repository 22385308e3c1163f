/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "base/reference.h"
#include "daemon/polkit.h"
#include "daemon/worker.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** BerthTransferState: see the transitions in transfer.c. */
typedef enum {
    BERTH_TRANSFER_QUEUED,
    BERTH_TRANSFER_RUNNING,
    BERTH_TRANSFER_DONE,
    BERTH_TRANSFER_FAILED,
    BERTH_TRANSFER_CANCELLED,
    _BERTH_TRANSFER_STATE_MAX,
} BerthTransferState;

/** berth_transfer_state_to_string: Returns: (static): the word of the contract. */
const char *berth_transfer_state_to_string(BerthTransferState state);

/** BerthTransferLayer: how far one layer is. */
typedef struct {
    BerthDigest digest; /* text empty: the worker has not told of it yet */
    BerthLayerState state;
    BerthLayerSource source;
    uint64_t done, total; /* bytes; total 0: not known yet */
    bool changed;         /* since subscribers were told */
} BerthTransferLayer;

typedef struct BerthTransfer BerthTransfer;

/**
 * BerthTransferKind: what a transfer does. Pull, Push, Copy, Import, … are one of these each.
 */
typedef struct {
    const char *name; /* of the property Kind and of the worker's job */
    /* appends its entries, `{sv}`, to the job; those of the store are there already */
    bool (*fill)(const BerthTransfer *transfer, const BerthSettings *settings, sd_bus_message *job,
                 GError **error);
    void (*clear)(void *job);
    /* (nullable): whether the job was made with settings that are not in force any more */
    bool (*is_stale)(const BerthTransfer *transfer, const BerthRegistries *registries);
    /* with @is_stale: puts what is in force now into the job, before the transfer starts;
     * berth_transfers_refreshed() is called later */
    bool (*refresh)(BerthTransfer *transfer, BerthDaemon *daemon, GError **error);
    /* (nullable): bytes a second that the caller gave it at most, 0: any; it uses the network */
    uint64_t (*max_bandwidth)(const void *job);
    /* (nullable) (static): the action that its worker may ask for, see transfer-question.h */
    const char *question;
    bool (*may_ask)(const BerthTransfer *transfer); /* with @question: this one may */
} BerthTransferKind;

/** BerthTransfer: one transfer, from the call that asked for it until a while after its end. */
struct BerthTransfer {
    uint32_t id; /* from 1 */
    const BerthTransferKind *kind;
    uid_t owner;
    char *caller;              /* owned: unique name of who asked */
    bool caller_left;          /* it is not on the bus any more */
    bool interactive;          /* it lets polkit ask for passwords */
    BerthReference *reference; /* owned (nullable): of what, see berth_transfer_reference() */
    void *job;                 /* owned, see kind->clear: what kind->fill needs */

    BerthTransferState state;
    uint64_t bytes_done, bytes_total, rate; /* bytes; 0 while unknown; bytes a second */
    uint64_t started_usec;                  /* since the epoch; 0 while queued */
    char *digest;                           /* owned (nullable): what it led to */
    GError *error;                          /* owned: with FAILED and CANCELLED */
    GArray *layers;                         /* (element-type BerthTransferLayer) by index */
    GArray *changed;                        /* (element-type uint32_t) indices of changed ones */
    GPtrArray *subscribers;                 /* (element-type utf8): unique names */
    bool progressed;                        /* numbers changed since the bus was told */

    /* transfer-question.c */
    BerthPolkitCheck *check; /* set while polkit is asked for the worker */
    bool asked;              /* the worker has asked */
    GError *refusal;         /* owned: why the answer was no */

    /* transfers.c */
    BerthTransfers *transfers;
    BerthWorker *worker;    /* set while RUNNING */
    bool has_place;         /* it counts among those that run, though it can be QUEUED still */
    bool waited;            /* for its place: its job may be stale */
    bool refreshing;        /* its job is being made fresh */
    uint64_t bandwidth;     /* bytes a second that it may use, 0: any; see bandwidth.h */
    sd_event_source *timer; /* RUNNING: the next report; afterwards: the end of the object */
    GList link;             /* in the line while QUEUED, among the finished ones afterwards */
    struct {
        uint64_t usec, bytes;
    } samples[16]; /* of the last seconds, a ring */
    unsigned n_samples;
};

/**
 * berth_transfer_new: a queued transfer.
 * @caller: unique name of who asks
 * @reference: (transfer full) (nullable)
 * @job: (transfer full): for @kind
 */
BerthTransfer *berth_transfer_new(uint32_t id, const BerthTransferKind *kind, uid_t owner,
                                  const char *caller, BerthReference *reference, void *job);
void berth_transfer_free(BerthTransfer *transfer);

/**
 * berth_transfer_set_state: the only way from one state to another.
 * @digest: (nullable): with DONE
 * @error: (nullable): with FAILED and CANCELLED; copied
 */
void berth_transfer_set_state(BerthTransfer *transfer, BerthTransferState state, const char *digest,
                              const GError *error);

/** berth_transfer_is_over: Returns: whether it will not change any more. */
bool berth_transfer_is_over(const BerthTransfer *transfer);

/**
 * berth_transfer_progress: takes in what the worker says, as BerthWorkerEvents.progress.
 *
 * Returns: whether anything changed.
 */
bool berth_transfer_progress(BerthTransfer *transfer, uint64_t done, uint64_t total,
                             const BerthWorkerLayer *layers, unsigned n_layers);

/**
 * berth_transfer_measure: works the rate out anew, from the last seconds.
 * @now: microseconds of CLOCK_MONOTONIC
 *
 * Returns: whether it changed.
 */
bool berth_transfer_measure(BerthTransfer *transfer, uint64_t now);

/** berth_transfer_log_failure: tells the journal why @transfer FAILED. */
void berth_transfer_log_failure(const BerthTransfer *transfer);

/** berth_transfer_reference: Returns: (transfer full): the full reference as text, or "". */
char *berth_transfer_reference(const BerthTransfer *transfer);

/** berth_transfer_path: Returns: (transfer full): its object path. */
char *berth_transfer_path(uint32_t id);
/** berth_transfer_id_of_path: Returns: the ID in the object path @path, or 0. */
uint32_t berth_transfer_id_of_path(const char *path);
