/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/store.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/**
 * BerthIngest: a large blob on its way into the store, as it comes from elsewhere. All calls are
 * made on the loop's thread; hashing and writing happen in others. What has come is in
 * `ingest/ALG-HEX`, locked; when the process ends there, the next one goes on with it.
 */
typedef struct BerthIngest BerthIngest;

/**
 * BerthIngestEvents: called from the loop, never from within a function of this file. Each may free
 * the ingest.
 */
typedef struct {
    /*
     * It is ours now. @offset: bytes that an earlier try left; go on there. @present: the blob is
     * there, since another transfer finished it meanwhile: nothing is to be done but to ask
     * berth_store_may_reuse() again.
     */
    void (*ready)(BerthIngest *ingest, uint64_t offset, bool present, void *userdata);
    /* Another transfer is at it; a few times a second. @size: bytes it has by now. Nullable. */
    void (*waiting)(BerthIngest *ingest, uint64_t size, void *userdata);
    /* After berth_ingest_write() said full: go on. */
    void (*room)(BerthIngest *ingest, void *userdata);
    /*
     * After berth_ingest_finish(). NULL: the blob is in place. BERTH_ERROR_DIGEST_MISMATCH: its
     * bytes were others, and are gone. BERTH_ERROR_STORE_FULL and others: what has come is kept.
     * Also instead of ready(), when waiting for another transfer failed.
     */
    void (*finished)(BerthIngest *ingest, const GError *error, void *userdata);
} BerthIngestEvents;

/**
 * berth_ingest_new:
 * @store: must outlive it; its digest is in a lease
 * @event: the loop; the same for all ingests of @store
 * @digest: what it is
 * @size: bytes, or -1 when it is not known
 * @drop: verify, but keep nothing: for one that is present, to show that its source gives it
 * @events: kept by reference
 * @error: BERTH_ERROR_STORE_FULL: @size bytes do not fit; BERTH_ERROR_STORE_CORRUPT;
 *   BERTH_ERROR_FAILED
 *
 * While another transfer is at the same blob this waits, and holds up others that wait for those
 * that it has: make it when the source can begin at once, not earlier.
 *
 * What one user downloaded is not continued for another, except for root: it could be completed by
 * guessing; such bytes are thrown away.
 *
 * Returns: (transfer full) (nullable): the ingest; ready() comes.
 */
BerthIngest *berth_ingest_new(BerthStore *store, sd_event *event, const BerthDigest *digest,
                              int64_t size, bool drop, const BerthIngestEvents *events,
                              void *userdata, GError **error);

/**
 * berth_ingest_write:
 * @data: @length bytes that follow those before; copied
 * @full: (out): pause the source until room()
 * @error: BERTH_ERROR_STORE_FULL or BERTH_ERROR_FAILED: an earlier write failed, and no further one
 *   helps; BERTH_ERROR_DIGEST_MISMATCH: more bytes than the size
 */
bool berth_ingest_write(BerthIngest *ingest, const void *data, size_t length, bool *full,
                        GError **error);

/** berth_ingest_offset: Returns: bytes taken so far, which is where the source goes on. */
uint64_t berth_ingest_offset(const BerthIngest *ingest);

/** berth_ingest_restart: throws away what has come; begin at 0. May wait for a write. */
bool berth_ingest_restart(BerthIngest *ingest, GError **error);

/**
 * berth_ingest_resumed: Returns: whether some bytes are of an earlier process; when the digest is
 * wrong then, a start from the beginning may help.
 */
bool berth_ingest_resumed(const BerthIngest *ingest);

/**
 * berth_ingest_set_origin: the blob came from @origin, as for berth_store_add_origin(), which is
 * known as soon as the blob is there. Once, before berth_ingest_finish().
 */
void berth_ingest_set_origin(BerthIngest *ingest, const char *origin);

/** berth_ingest_finish: all bytes were written; finished() comes. */
void berth_ingest_finish(BerthIngest *ingest);

/**
 * berth_ingest_free: (nullable); no callback comes any more. What has come of one that is not
 * finished is kept, and given free for the next, once a thread has written it.
 */
void berth_ingest_free(BerthIngest *ingest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthIngest, berth_ingest_free)
