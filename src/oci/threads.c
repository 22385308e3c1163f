/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A few threads with one queue of work, and the way back to the loop. Hashing and writing take as
 * long as receiving does, and fsync(2) waits for the disk, so none of that may happen on the loop's
 * thread; but a thread for each blob would cost more than a small blob does. The memory of blocks
 * is bounded by asking sources to pause, and it is used again and again, since fresh memory costs
 * more than copying into it. Nothing here knows what the work is.
 */

#include "oci/threads.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* Most of them wait for the disk */
#define THREADS_MAX 8
/* Blocks that wait before sources are asked to pause: 2 MiB; more was no faster */
#define QUEUED_HIGH 16
#define QUEUED_LOW  8
/* Blocks that are kept for later */
#define SPARE_MAX 20

struct BerthThreads {
    GMutex lock;
    GCond work;    /* for threads: there is some, or the end has come */
    GCond settled; /* for the loop's thread */
    BerthTask *first, **last;
    unsigned waiting; /* tasks in the queue */
    unsigned idle;    /* threads without work */
    bool ending;
    GThread *threads[THREADS_MAX];
    unsigned count;

    BerthBlock *spare[SPARE_MAX];
    unsigned spares;
    unsigned queued;
    GQueue paused; /* of notices, each by its link */

    GQueue notices;
    int wakeup;
    sd_event_source *source;
};

void berth_threads_lock(BerthThreads *pool)
{
    g_mutex_lock(&pool->lock);
}

void berth_threads_unlock(BerthThreads *pool)
{
    g_mutex_unlock(&pool->lock);
}

/* Threads */

static gpointer work(gpointer data)
{
    BerthThreads *pool = data;

    berth_threads_lock(pool);
    for (;;) {
        BerthTask *task = pool->first;

        if (!task) {
            if (pool->ending)
                break;
            pool->idle++;
            g_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
            continue;
        }
        pool->first = task->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->waiting--;
        berth_threads_unlock(pool);
        task->run(task); /* may end what the task is part of */
        berth_threads_lock(pool);
    }
    berth_threads_unlock(pool);
    return NULL;
}

GThread *berth_thread_start(const char *name, GThreadFunc func, void *data)
{
    sigset_t all, before;
    GThread *thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread = g_thread_try_new(name, func, data, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread;
}

void berth_threads_run(BerthThreads *pool, BerthTask *task)
{
    task->next = NULL;
    *pool->last = task;
    pool->last = &task->next;
    pool->waiting++;
    if (pool->waiting > pool->idle && pool->count < THREADS_MAX) {
        GThread *thread = berth_thread_start("store", work, pool);

        /* the first one was started with the pool, so that there is always one */
        if (thread)
            pool->threads[pool->count++] = thread;
    }
    g_cond_signal(&pool->work);
}

void berth_threads_wait(BerthThreads *pool)
{
    g_cond_wait(&pool->settled, &pool->lock);
}

void berth_threads_wake(BerthThreads *pool)
{
    g_cond_broadcast(&pool->settled);
}

/* Blocks */

BerthBlock *berth_threads_take(BerthThreads *pool, size_t size)
{
    BerthBlock *block = NULL;

    berth_threads_lock(pool);
    if (size >= BERTH_BLOCK_SIZE && pool->spares > 0)
        block = pool->spare[--pool->spares];
    berth_threads_unlock(pool);
    if (!block) {
        size = MIN(size, (size_t)BERTH_BLOCK_SIZE);
        block = g_malloc(sizeof(*block) + size);
        block->size = size;
    }
    block->length = 0;
    block->uses = 0;
    return block;
}

void berth_threads_give_back(BerthThreads *pool, BerthBlock *block)
{
    if (block->size == BERTH_BLOCK_SIZE && pool->spares < SPARE_MAX)
        pool->spare[pool->spares++] = block;
    else
        g_free(block);
}

bool berth_threads_queued(BerthThreads *pool, int change)
{
    pool->queued += (unsigned)change;
    if (pool->queued <= QUEUED_LOW)
        for (GList *link; (link = g_queue_pop_head_link(&pool->paused));) {
            BerthNotice *notice = link->data;

            notice->queued = false;
            berth_threads_tell(pool, notice);
        }
    return pool->queued >= QUEUED_HIGH;
}

void berth_threads_await_room(BerthThreads *pool, BerthNotice *notice)
{
    if (notice->queued)
        return;
    notice->queued = true;
    notice->link = (GList){ .data = notice };
    g_queue_push_tail_link(&pool->paused, &notice->link);
}

/* Notices */

void berth_threads_tell(BerthThreads *pool, BerthNotice *notice)
{
    const uint64_t one = 1;

    if (notice->queued)
        return;
    notice->queued = true;
    notice->link = (GList){ .data = notice };
    if (g_queue_is_empty(&pool->notices) && write(pool->wakeup, &one, sizeof(one)) < 0)
        g_assert(errno == EAGAIN); /* it is readable already */
    g_queue_push_tail_link(&pool->notices, &notice->link);
}

void berth_threads_forget(BerthThreads *pool, BerthNotice *notice)
{
    if (!notice->queued)
        return;
    if (g_queue_link_index(&pool->notices, &notice->link) >= 0)
        g_queue_unlink(&pool->notices, &notice->link);
    else
        g_queue_unlink(&pool->paused, &notice->link);
    notice->queued = false;
}

static int deliver(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    BerthThreads *pool = userdata;
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
    for (;;) {
        BerthNotice *notice;
        GList *link;

        berth_threads_lock(pool);
        link = g_queue_pop_head_link(&pool->notices);
        notice = link ? link->data : NULL;
        if (notice)
            notice->queued = false;
        berth_threads_unlock(pool);
        if (!notice)
            return 0;
        notice->deliver(notice); /* may end what it is part of */
    }
}

BerthThreads *berth_threads_new(sd_event *event, GError **error)
{
    BerthThreads *pool = g_new0(BerthThreads, 1);
    int r;

    g_mutex_init(&pool->lock);
    g_cond_init(&pool->work);
    g_cond_init(&pool->settled);
    g_queue_init(&pool->notices);
    g_queue_init(&pool->paused);
    pool->last = &pool->first;
    pool->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = pool->wakeup < 0
            ? -errno
            : sd_event_add_io(event, &pool->source, pool->wakeup, EPOLLIN, deliver, pool);
    if (r >= 0) {
        pool->threads[0] = berth_thread_start("store", work, pool);
        pool->count = pool->threads[0] ? 1 : 0;
        r = pool->count > 0 ? 0 : -EAGAIN;
    }
    if (r < 0) {
        berth_threads_free(pool);
        (void)berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot start a thread");
        return NULL;
    }
    return pool;
}

void berth_threads_free(BerthThreads *pool)
{
    if (!pool)
        return;
    berth_threads_lock(pool);
    pool->ending = true;
    g_cond_broadcast(&pool->work);
    berth_threads_unlock(pool);
    for (unsigned i = 0; i < pool->count; i++)
        g_thread_join(pool->threads[i]);
    while (pool->spares > 0)
        g_free(pool->spare[--pool->spares]);
    sd_event_source_disable_unref(pool->source);
    berth_close(pool->wakeup);
    g_cond_clear(&pool->settled);
    g_cond_clear(&pool->work);
    g_mutex_clear(&pool->lock);
    g_free(pool);
}
