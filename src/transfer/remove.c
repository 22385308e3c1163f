/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `remove`: an image loses its name, or one of its owners. As with `tag`, only the image
 * that was asked about before. Its blobs stay until the store is pruned.
 */

#include "base/error.h"
#include "transfer/kinds.h"
#include "transfer/store-job.h"

typedef struct {
    BerthStoreKeys store;
    char *image, *expect;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Image", "s", offsetof(Arguments, image), .required = true },
    { "Expect", "s", offsetof(Arguments, expect) },
    { NULL },
};

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    g_autoptr(BerthStore) store = NULL;
    BerthDigest expect;

    if (!berth_store_job_expect(arguments->expect, &expect, error))
        return false;
    store = berth_store_job_open(&arguments->store, error);
    return store && berth_store_unname(store, arguments->image, arguments->expect ? &expect : NULL,
                                       arguments->store.uid, error);
}

const BerthKind berth_kind_remove = {
    .name = "remove",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_store_job_prepare,
    .work = work,
};
