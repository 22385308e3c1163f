/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#define BERTH_BLOCK_SIZE (256 * 1024) /* bytes; of a blob known to be smaller, what it takes */

/**
 * BerthPool: the threads that hash and write for a store, and the memory that they work on. What
 * they tell is told on the loop's thread.
 */
typedef struct BerthPool BerthPool;

/** BerthTask: something for a thread to do; part of what it is about. */
typedef struct BerthTask {
    void (*run)(struct BerthTask *task);
    struct BerthTask *next; /* while it waits */
} BerthTask;

/** BerthNotice: something to tell on the loop's thread; part of what it is about. */
typedef struct BerthNotice {
    void (*deliver)(struct BerthNotice *notice);
    GList link; /* of the pool's list, while it waits */
    bool queued;
} BerthNotice;

/** BerthBlock: bytes of a blob. */
typedef struct {
    size_t size;
    size_t length;
    unsigned uses; /* how many lanes still need it */
    unsigned char data[];
} BerthBlock;

/**
 * berth_pool_new:
 * @event: the loop that notices are delivered on
 * @error: BERTH_ERROR_FAILED
 *
 * Threads are made when there is work for them.
 */
BerthPool *berth_pool_new(sd_event *event, GError **error);

/** berth_pool_free: (nullable); waits until everything that was begun has been done. */
void berth_pool_free(BerthPool *pool);

/* The lock is held for what follows, unless it says something else. */

/** berth_pool_lock: the one lock of the pool and of all that it works on. */
void berth_pool_lock(BerthPool *pool);
void berth_pool_unlock(BerthPool *pool);

/** berth_pool_run: has a thread run @task, which is not waiting or running now. */
void berth_pool_run(BerthPool *pool, BerthTask *task);

/** berth_pool_wait: waits for a berth_pool_wake(); without the lock meanwhile. */
void berth_pool_wait(BerthPool *pool);
void berth_pool_wake(BerthPool *pool);

/** berth_pool_tell: delivers @notice, once. */
void berth_pool_tell(BerthPool *pool, BerthNotice *notice);
/** berth_pool_forget: @notice is not delivered any more. */
void berth_pool_forget(BerthPool *pool, BerthNotice *notice);

/** berth_pool_take: Returns: (transfer full): memory for @size bytes at most. Without the lock. */
BerthBlock *berth_pool_take(BerthPool *pool, size_t size);
/** berth_pool_give_back: @block is needed no more. */
void berth_pool_give_back(BerthPool *pool, BerthBlock *block);

/**
 * berth_pool_queued:
 * @change: blocks that were filled, or negative: worked off
 *
 * Returns: whether so many wait now that their sources should pause. When they have become few,
 *   the notices of berth_pool_await_room() are delivered.
 */
bool berth_pool_queued(BerthPool *pool, int change);
void berth_pool_await_room(BerthPool *pool, BerthNotice *notice);
