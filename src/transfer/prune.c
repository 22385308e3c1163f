/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `prune`: what no image and no transfer needs goes, and is counted.
 */

#include "base/error.h"
#include "transfer/kinds.h"
#include "transfer/store-job.h"

typedef struct {
    BerthStoreKeys store;
} Arguments;

static const BerthOption keys[] = { BERTH_STORE_KEYS, { NULL } };

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    g_autoptr(BerthStore) store = berth_store_job_open(&arguments->store, error);
    uint64_t bytes;
    unsigned blobs;

    return store && berth_store_prune(store, &bytes, &blobs, error) &&
           berth_store_job_told(sd_bus_message_append(job->result, "{sv}{sv}", "Bytes", "t", bytes,
                                                      "Blobs", "u", (uint32_t)blobs),
                                error);
}

const BerthKind berth_kind_prune = {
    .name = "prune",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_store_job_prepare,
    .work = work,
};
