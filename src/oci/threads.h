/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#define BERTH_BLOCK_SIZE (128 * 1024) /* bytes; of a blob known to be smaller, what it takes */

/**
 * BerthThreads: the threads that hash and write for a store, and the memory that they work on. What
 * they tell is told on the loop's thread.
 */
typedef struct BerthThreads BerthThreads;

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
 * berth_threads_new:
 * @event: the loop that notices are delivered on
 * @error: BERTH_ERROR_FAILED
 *
 * Threads are made when there is work for them.
 */
BerthThreads *berth_threads_new(sd_event *event, GError **error);

/** berth_threads_free: (nullable); waits until everything that was begun has been done. */
void berth_threads_free(BerthThreads *pool);

/* The lock is held for what follows, unless it says something else. */

/** berth_threads_lock: the one lock of the pool and of all that it works on. */
void berth_threads_lock(BerthThreads *pool);
void berth_threads_unlock(BerthThreads *pool);

/** berth_threads_run: has a thread run @task, which is not waiting or running now. */
void berth_threads_run(BerthThreads *pool, BerthTask *task);

/** berth_threads_wait: waits for a berth_threads_wake(); without the lock meanwhile. */
void berth_threads_wait(BerthThreads *pool);
void berth_threads_wake(BerthThreads *pool);

/** berth_threads_tell: delivers @notice, once. */
void berth_threads_tell(BerthThreads *pool, BerthNotice *notice);
/** berth_threads_forget: @notice is not delivered any more. */
void berth_threads_forget(BerthThreads *pool, BerthNotice *notice);

/** berth_threads_take: Returns: (transfer full): memory for @size bytes at most. Without the lock.
 */
BerthBlock *berth_threads_take(BerthThreads *pool, size_t size);
/** berth_threads_give_back: @block is needed no more. */
void berth_threads_give_back(BerthThreads *pool, BerthBlock *block);

/**
 * berth_threads_queued:
 * @change: blocks that were filled, or negative: worked off
 *
 * Returns: whether so many wait now that their sources should pause. When they have become few,
 *   the notices of berth_threads_await_room() are delivered.
 */
bool berth_threads_queued(BerthThreads *pool, int change);
void berth_threads_await_room(BerthThreads *pool, BerthNotice *notice);

/**
 * berth_thread_start: Returns: (transfer full) (nullable): a thread that gets no signals, which are
 * the loop's business.
 */
GThread *berth_thread_start(const char *name, GThreadFunc func, void *data);
