/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <curl/curl.h>
#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

/**
 * BerthPool: libcurl's multi interface on an sd-event loop: connections that are reused among the
 * transfers in one pool, and never by those of another.
 */
typedef struct BerthPool BerthPool;

/** BerthPoolEntry: one transfer of libcurl; the first member of what knows more about it. */
typedef struct BerthPoolEntry BerthPoolEntry;
struct BerthPoolEntry {
    CURL *easy; /* owned; CURLOPT_PRIVATE is the pool's to set */
    /* It ended and is out of the pool. Called outside of libcurl, so that it may do anything. */
    void (*done)(BerthPoolEntry *entry, CURLcode result);
    /* frees it; called once berth_pool_remove() may let go of it */
    void (*destroy)(BerthPoolEntry *entry);

    BerthPool *pool; /* while in it; this and the rest are the pool's */
    bool removed;
};

/**
 * berth_pool_new:
 * @event: the loop
 * @error: BERTH_ERROR_FAILED
 */
BerthPool *berth_pool_new(sd_event *event, GError **error);

/**
 * berth_pool_free:
 * @pool: (nullable): must hold no entries but removed ones. May be called from everywhere, also
 *   from a callback of libcurl's
 */
void berth_pool_free(BerthPool *pool);

sd_event *berth_pool_event(const BerthPool *pool);

/**
 * berth_pool_add: starts the transfer; not to be called from callbacks of libcurl's.
 * @error: BERTH_ERROR_FAILED
 */
bool berth_pool_add(BerthPool *pool, BerthPoolEntry *entry, GError **error);

/** berth_pool_stop: takes @entry out, done() is not called; not to be called from libcurl's
 * callbacks. */
void berth_pool_stop(BerthPoolEntry *entry);

/**
 * berth_pool_remove:
 * @entry: in a pool or not. done() is not called any more; destroy() is, at once or, when libcurl
 * is at work, when that returns. Callbacks of libcurl's that come meanwhile see @removed
 */
void berth_pool_remove(BerthPoolEntry *entry);

/**
 * berth_pool_pause:
 * @entry: in a pool
 * @bitmask: as for curl_easy_pause(3). To unpause can make libcurl call back at once
 */
void berth_pool_pause(BerthPoolEntry *entry, int bitmask);
