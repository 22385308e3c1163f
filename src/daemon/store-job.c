/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs in the store: what a worker gets for each of them, whatever it is about. The service opens
 * the directory and hands it over; it reads nothing there itself.
 */

#include "daemon/store-job.h"

#include "base/error.h"
#include "base/fd.h"
#include "daemon/method.h"
#include "daemon/store-directory.h"

#define NOT_DURABLE "BERTH_NOT_DURABLE" /* for tests/bench: what does durability cost? */

static bool append_store(const BerthDaemon *daemon, const BerthStoreJob *job, int store,
                         sd_bus_message *message, GError **error)
{
    int r = sd_bus_message_append(message, "{sv}{sv}{sv}", "Store", "h", store, "MinFree", "t",
                                  daemon->settings->store_min_free, "Uid", "u", (uint32_t)job->uid);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

BerthWorker *berth_store_job_start(BerthDaemon *daemon, const BerthStoreJob *job,
                                   const BerthWorkerEvents *events, void *userdata, GError **error)
{
    BERTH_AUTO_FD store = job->outside ? -1 : berth_store_directory_open(daemon, error);
    g_autoptr(BerthWorker) worker =
        job->outside || store >= 0 ? berth_worker_start(daemon, job->kind, error) : NULL;
    BERTH_AUTO_MESSAGE *message = worker ? berth_worker_new_job(worker, error) : NULL;

    if (!message || (!job->outside && !append_store(daemon, job, store, message, error)) ||
        !job->fill(message, userdata, error) ||
        !berth_worker_run(worker, message, events, userdata, error))
        return NULL;
    return g_steal_pointer(&worker);
}
