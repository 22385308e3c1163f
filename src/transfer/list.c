/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `list`: what images the store has. Everybody may ask, so nothing is told that is not
 * meant for everybody.
 */

#include "base/error.h"
#include "transfer/kinds.h"
#include "transfer/store-job.h"

typedef struct {
    BerthStoreKeys store;
    char *prefix;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Reference", "s", offsetof(Arguments, prefix) },
    { NULL },
};

static int append(sd_bus_message *result, BerthStore *store, const GPtrArray *images)
{
    int r = sd_bus_message_open_container(result, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append(result, "s", "Images");
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'v', "aa{sv}");
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && i < images->len; i++) {
        r = sd_bus_message_open_container(result, 'a', "{sv}");
        if (r >= 0)
            r = berth_append_image(result, store, images->pdata[i]);
        if (r >= 0)
            r = sd_bus_message_close_container(result);
    }
    for (int i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(result);
    return r;
}

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    g_autoptr(BerthStore) store = berth_store_job_open(&arguments->store, error);
    g_autoptr(GPtrArray) images =
        store ? berth_store_list(store, arguments->prefix ? arguments->prefix : "", error) : NULL;

    return images && berth_store_job_told(append(job->result, store, images), error);
}

const BerthKind berth_kind_list = {
    .name = "list",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_store_job_prepare,
    .work = work,
};
