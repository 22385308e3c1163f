/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "oci/store.h"
#include "oci/threads.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * BerthFlow: the bytes of one blob on their way through the threads: each block is hashed and
 * written, by two threads at once, both in order.
 */
typedef struct BerthFlow BerthFlow;

/** BerthFlowSpec: where it goes. */
typedef struct {
    BerthStore *store;
    BerthDigest digest;
    bool unknown;    /* only the algorithm of the digest is known; nothing is put in place */
    int64_t size;    /* bytes, or -1: not known */
    int fd;          /* of the file in ingest/, locked; ownership passes. -1: hash only */
    uint64_t before; /* bytes that are in the file already: they are hashed first */
    const char
        *owner; /* (nullable) (static): attribute of the file that goes when it is complete */
} BerthFlowSpec;

/** BerthFlowEvents: called from the loop. */
typedef struct {
    void (*room)(void *userdata);
    void (*finished)(const GError *error, void *userdata);
} BerthFlowEvents;

/** berth_flow_name: Returns: (transfer full): the name of a blob's file in ingest/. */
char *berth_flow_name(const BerthDigest *digest);

/**
 * berth_flow_new:
 * @pool: of the store
 * @spec: copied
 * @events: kept by reference
 * @error: BERTH_ERROR_FAILED
 *
 * Returns: (transfer full) (nullable): end it with berth_flow_free().
 */
BerthFlow *berth_flow_new(BerthThreads *pool, const BerthFlowSpec *spec,
                          const BerthFlowEvents *events, void *userdata, GError **error);

/** berth_flow_write: see berth_ingest_write(). */
bool berth_flow_write(BerthFlow *flow, const void *data, size_t length, bool *full, GError **error);

/** berth_flow_restart: see berth_ingest_restart(). */
bool berth_flow_restart(BerthFlow *flow, GError **error);

/** berth_flow_set_origin: see berth_ingest_set_origin(). */
void berth_flow_set_origin(BerthFlow *flow, const char *origin);

/** berth_flow_finish: see berth_ingest_finish(). */
void berth_flow_finish(BerthFlow *flow);

/** berth_flow_digest: Returns: (transfer none): what it is; once it is finished, what it was. */
const BerthDigest *berth_flow_digest(const BerthFlow *flow);

/** berth_flow_free: see berth_ingest_free(). */
void berth_flow_free(BerthFlow *flow);
