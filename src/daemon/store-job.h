/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/worker.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/** BerthStoreJob: a job for a worker that works in the store, or @outside of it. */
typedef struct {
    const char *kind; /* (static) */
    uid_t uid;        /* for whom: what the worker may touch of others depends on it; 0: all */
    /* appends the entries, `{sv}`, that this job has besides those of every one */
    bool (*fill)(sd_bus_message *job, void *userdata, GError **error);
    bool outside; /* it gets no store, nor any entry of every one */
} BerthStoreJob;

/**
 * berth_store_job_start:
 * @job: what to do
 * @events: as for berth_worker_run()
 * @userdata: for @job and @events
 * @error: BERTH_ERROR_FAILED and what @job->fill sets: then nothing was started
 *
 * Starts a worker on the store and gives it its job.
 *
 * Returns: (transfer full): the worker, as after berth_worker_run().
 */
BerthWorker *berth_store_job_start(BerthDaemon *daemon, const BerthStoreJob *job,
                                   const BerthWorkerEvents *events, void *userdata, GError **error);
