/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/layer.h"
#include "oci/descriptor.h"
#include "transfer/reader.h"

/** BerthBlobFetch: a blob on its way into the store. */
typedef struct BerthBlobFetch BerthBlobFetch;

/** BerthBlobEvents: what is told of it, always from the event loop. */
typedef struct {
    /* @done bytes are there, of which some may be of an earlier try */
    void (*progress)(uint64_t done, void *userdata);
    /*
     * It ended, and the fetch has been freed: @source says where it came from, or @error why it did
     * not come
     */
    void (*finished)(BerthLayerSource source, const GError *error, void *userdata);
} BerthBlobEvents;

/**
 * berth_blob_fetch:
 * @reader: where from
 * @descriptor: what; copied as far as it is needed
 * @events: what to call
 * @userdata: for @events
 *
 * Sources in this order, each until it has given all bytes or failed for good: what the store has
 * and the caller may use; the descriptor's own data; mirrors and the registry; the descriptor's
 * URLs. ForeignLayers= says which of these are for non-distributable layers. A source that gave
 * other bytes than the digest's is left for the next.
 *
 * Returns: (transfer full): the fetch; it frees itself after finished().
 */
BerthBlobFetch *berth_blob_fetch(BerthReader *reader, const BerthDescriptor *descriptor,
                                 const BerthBlobEvents *events, void *userdata);

/** berth_blob_fetch_cancel: @fetch: (nullable): ends it without a callback; what came is kept. */
void berth_blob_fetch_cancel(BerthBlobFetch *fetch);
