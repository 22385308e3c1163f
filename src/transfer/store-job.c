/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the jobs share that are about the store alone: opening it, and how an image is told of. They
 * run in a thread, use no network, and look at the store as any other process may have left it.
 */

#include "transfer/store-job.h"

#include "base/error.h"
#include "base/fd.h"

#include <jansson.h>

bool berth_store_job_prepare(GError **error)
{
    json_object_seed(0);
    return true;
}

BerthStore *berth_store_job_open(BerthStoreKeys *keys, GError **error)
{
    const BerthStoreOptions options = {
        .directory = berth_steal_fd(&keys->store),
        .min_free = keys->min_free,
        .durable = !keys->not_durable,
        .uid = keys->uid,
    };

    return berth_store_open(&options, error);
}

bool berth_store_job_expect(const char *text, BerthDigest *digest, GError **error)
{
    return !text || berth_digest_parse(text, digest, error);
}

bool berth_store_job_told(int r, GError **error)
{
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot write the result");
}

/* What came by another tool is root's. */
static uid_t owner_of(const BerthImage *image)
{
    return image->owners->len > 0 ? g_array_index(image->owners, uid_t, 0) : 0;
}

int berth_append_image(sd_bus_message *message, BerthStore *store, const BerthImage *image)
{
    return sd_bus_message_append(message, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Reference", "s",
                                 image->reference ? image->reference : "", "Digest", "s",
                                 image->digest.text, "MediaType", "s", image->media_type, "Size",
                                 "t", berth_store_total(store, image), "Platform", "s",
                                 image->platform, "PulledUSec", "t", image->pulled_usec, "Owner",
                                 "u", (uint32_t)owner_of(image));
}

int berth_append_ids(sd_bus_message *message, const char *key, const GArray *ids)
{
    int r = sd_bus_message_open_container(message, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append(message, "s", key);
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'v', "au");
    if (r >= 0)
        r = sd_bus_message_append_array(message, 'u', ids->data, ids->len * sizeof(uint32_t));
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}
