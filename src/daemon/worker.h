/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "base/layer.h"
#include "base/options.h"
#include "daemon/daemon.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/**
 * BerthWorker: a berth-transfer process, see berthd(8). It does one job. It may be in somebody
 * else's hands: what it says is checked here, and it is ended as soon as it says anything that it
 * must not.
 */
typedef struct BerthWorker BerthWorker;

/** BerthWorkerLayer: a layer of a transfer, as the worker says; syntax and bounds are checked. */
typedef struct {
    unsigned index; /* below BERTH_LAYERS_MAX */
    BerthDigest digest;
    BerthLayerState state;
    uint64_t done, total; /* bytes; @total 0 while unknown, else @done is at most @total */
    BerthLayerSource source;
} BerthWorkerLayer;

/**
 * BerthWorkerEvents: what is told of a worker. All are called from the event loop, none before
 * berth_worker_run() has returned. The worker may be freed in progress.
 */
typedef struct {
    /**
     * progress: (nullable)
     * @done, @total: bytes of the whole transfer; @total 0 while unknown
     * @layers: (array length=n_layers) (transfer none): those that changed
     */
    void (*progress)(uint64_t done, uint64_t total, const BerthWorkerLayer *layers,
                     unsigned n_layers, void *userdata);
    /**
     * ask: (nullable): the worker asks and goes on when berth_worker_answer() was called, which can
     *   be in here. Until then it may be silent.
     * @details: (element-type utf8 utf8)
     *
     * Returns: whether it may ask that; else it has lied, as with every question without this
     *   function.
     */
    bool (*ask)(const char *question, GHashTable *details, void *userdata);
    /**
     * finished: called once, unless the worker was freed before. The worker is gone already: do
     *   not free it.
     * @result: (nullable) (transfer none): positioned at its `a{sv}`, see
     *   berth_worker_read_result()
     * @error: (nullable): why there is none: what the job ended with, or how the worker died or
     *   lied
     */
    void (*finished)(sd_bus_message *result, const GError *error, void *userdata);

    uint64_t silence_usec; /* the worker is ended when it says nothing for so long; 0: 3 minutes */
    uint64_t limit_usec;   /* and when it takes longer than that; 0: no limit */
} BerthWorkerEvents;

/**
 * berth_worker_start:
 * @kind: of the job
 * @error: BERTH_ERROR_FAILED: there is no launcher; BERTH_ERROR_LIMITS_EXCEEDED: too many workers
 *
 * Has a worker started, without waiting for it. A job can be given to it at once; what goes wrong
 * in the start is told by @finished of berth_worker_run().
 *
 * Returns: (transfer full): the worker, to be given to berth_worker_run() or berth_worker_free().
 */
BerthWorker *berth_worker_start(BerthDaemon *daemon, const char *kind, GError **error);

/**
 * berth_worker_new_job:
 *
 * Returns: (transfer full): a message for the worker, opened inside of the job's `a{sv}`: append
 *   `{sv}` entries to it.
 */
sd_bus_message *berth_worker_new_job(BerthWorker *worker, GError **error);

/**
 * berth_worker_run:
 * @worker: (transfer full): it lives until @events->finished or berth_worker_free()
 * @job: (transfer none): what berth_worker_new_job() gave, with its container still open
 * @events: copied
 *
 * Gives the job to the worker. When this fails, nothing is called and the worker is the caller's
 * still.
 */
bool berth_worker_run(BerthWorker *worker, sd_bus_message *job, const BerthWorkerEvents *events,
                      void *userdata, GError **error);

/**
 * berth_worker_set_bandwidth: tells a worker that uses the network what it may use from now on;
 * what its job says is known already.
 * @rate: bytes a second; 0: no limit
 */
void berth_worker_set_bandwidth(BerthWorker *worker, uint64_t rate);

/** berth_worker_answer: the answer to the question under way. */
void berth_worker_answer(BerthWorker *worker, bool yes);

/**
 * berth_worker_read_result:
 * @result: what @finished got
 * @options: its keys
 * @target: structure to fill, see berth_options_read()
 * @error: BERTH_ERROR_FAILED: the worker said something else
 */
bool berth_worker_read_result(sd_bus_message *result, const BerthOption *options, void *target,
                              uint32_t *seen, GError **error);

/**
 * berth_worker_free:
 * @worker: (nullable) (transfer full): the process is killed, and nothing is called any more
 */
void berth_worker_free(BerthWorker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthWorker, berth_worker_free)
