/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `tag`: a further name for an image that is here. Whether the caller may is decided
 * before, about the image of a certain digest; when the name has come to mean another one since,
 * nothing happens.
 */

#include "base/error.h"
#include "transfer/kinds.h"
#include "transfer/store-job.h"

typedef struct {
    BerthStoreKeys store;
    char *image, *expect, *reference;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Image", "s", offsetof(Arguments, image), .required = true },
    { "Expect", "s", offsetof(Arguments, expect) },
    { "NewReference", "s", offsetof(Arguments, reference), .required = true },
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
    return store && berth_store_tag(store, arguments->image, arguments->expect ? &expect : NULL,
                                    arguments->reference, arguments->store.uid, error);
}

const BerthKind berth_kind_tag = {
    .name = "tag",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_store_job_prepare,
    .work = work,
};
