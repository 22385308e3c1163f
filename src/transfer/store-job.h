/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/options.h"
#include "oci/images.h"
#include "transfer/kind.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** BerthStoreKeys: what every job about the store alone gets. First member of its arguments. */
typedef struct {
    int store; /* its directory */
    uint64_t min_free;
    uint32_t uid;     /* whom it is done for; 0: root, who may do all */
    bool not_durable; /* a crash of the machine may cost what is done: for benchmarks */
} BerthStoreKeys;

/** BERTH_STORE_KEYS: their rows, for a structure that begins with them. */
#define BERTH_STORE_KEYS                                                                           \
    { "Store", "h", offsetof(BerthStoreKeys, store), .required = true },                           \
        { "MinFree", "t", offsetof(BerthStoreKeys, min_free) },                                    \
        { "Uid", "u", offsetof(BerthStoreKeys, uid), .required = true },                           \
    {                                                                                              \
        "NotDurable", "b", offsetof(BerthStoreKeys, not_durable)                                   \
    }

/** berth_store_job_prepare: of kinds that read JSON in the store. */
bool berth_store_job_prepare(GError **error);

/**
 * berth_store_job_open:
 * @keys: the store's directory is taken out of them
 *
 * Returns: (transfer full) (nullable): the store.
 */
BerthStore *berth_store_job_open(BerthStoreKeys *keys, GError **error);

/** berth_store_job_expect: @text: (nullable): a digest that an image must have. */
bool berth_store_job_expect(const char *text, BerthDigest *digest, GError **error);

/** berth_store_job_told: Returns: whether @r is no error; else with @error. */
bool berth_store_job_told(int r, GError **error);

/** berth_append_image: the entries that tell of an image, into an open a{sv}. Returns: as sd-bus */
int berth_append_image(sd_bus_message *message, BerthStore *store, const BerthImage *image);

/** berth_append_ids: an entry of type `au`. */
int berth_append_ids(sd_bus_message *message, const char *key, const GArray *ids);
