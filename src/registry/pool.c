/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcurl on sd-event. libcurl says which sockets it wants watched and when it wants to be called;
 * what has ended is collected after each call, all of it, since libcurl does not call again for
 * what was left. libcurl must not be entered from its own callbacks: whatever these give up is put
 * aside until the call returns. After an entry was removed nothing is called for it but destroy().
 */

#include "registry/pool.h"

#include "base/error.h"

#include <sys/epoll.h>

#define CONNECTIONS_MAX                                                                            \
    256L /* that are kept for later requests; MaxConnections= limits them first */

struct BerthPool {
    sd_event *event;
    CURLM *multi;
    sd_event_source *timer; /* of libcurl's */
    sd_event_source *soon;  /* the same, at once: a timer would cost system calls */
    unsigned inside;        /* calls of libcurl on the stack */
    GPtrArray *removed;     /* entries given up meanwhile */
    unsigned references;
    bool closed;
};

static void pool_unref(BerthPool *pool)
{
    if (--pool->references > 0)
        return;
    (void)curl_multi_cleanup(pool->multi);
    sd_event_source_disable_unref(pool->timer);
    sd_event_source_disable_unref(pool->soon);
    g_ptr_array_unref(pool->removed);
    sd_event_unref(pool->event);
    g_free(pool);
}

static void take_out(BerthPoolEntry *entry)
{
    (void)curl_multi_remove_handle(entry->pool->multi, entry->easy);
    entry->pool = NULL;
}

/* Hands out what has ended. Everything may change under way: nothing is kept over a callback. */
static void collect(BerthPool *pool)
{
    CURLMsg *message;
    int left;

    while (!pool->closed && (message = curl_multi_info_read(pool->multi, &left))) {
        CURLcode result = message->data.result;
        BerthPoolEntry *entry = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&entry);
        take_out(entry);
        entry->done(entry, result);
    }
}

static void enter(BerthPool *pool)
{
    pool->references++;
    pool->inside++;
}

static void leave(BerthPool *pool)
{
    if (--pool->inside == 0)
        while (pool->removed->len > 0) {
            BerthPoolEntry *entry = g_ptr_array_steal_index(pool->removed, pool->removed->len - 1);

            take_out(entry);
            entry->destroy(entry);
        }
}

/* Lets libcurl work. */
static void run(BerthPool *pool, curl_socket_t socket, int events)
{
    int running;

    enter(pool);
    (void)curl_multi_socket_action(pool->multi, socket, events, &running);
    leave(pool);
    if (pool->inside == 0)
        collect(pool);
    pool_unref(pool);
}

static int on_socket_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    int events = 0;

    if (revents & EPOLLIN)
        events |= CURL_CSELECT_IN;
    if (revents & EPOLLOUT)
        events |= CURL_CSELECT_OUT;
    if (revents & (EPOLLERR | EPOLLHUP))
        events |= CURL_CSELECT_ERR;
    run(userdata, fd, events);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    run(userdata, CURL_SOCKET_TIMEOUT, 0);
    return 0;
}

static int on_soon(sd_event_source *source, void *userdata)
{
    run(userdata, CURL_SOCKET_TIMEOUT, 0);
    return 0;
}

static int socket_function(CURL *easy, curl_socket_t socket, int what, void *userdata, void *data)
{
    BerthPool *pool = userdata;
    sd_event_source *source = data;
    uint32_t events = 0;

    if (what == CURL_POLL_REMOVE) {
        sd_event_source_disable_unref(source);
        return 0;
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= EPOLLIN;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= EPOLLOUT;
    if (source)
        return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
    if (sd_event_add_io(pool->event, &source, socket, events, on_socket_ready, pool) < 0)
        return -1;
    (void)curl_multi_assign(pool->multi, socket, source);
    return 0;
}

static int timer_function(CURLM *multi, long msec, void *userdata)
{
    BerthPool *pool = userdata;

    if (pool->closed)
        return 0;
    (void)sd_event_source_set_enabled(pool->soon, msec == 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    if (msec <= 0)
        return sd_event_source_set_enabled(pool->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    if (sd_event_source_set_time_relative(pool->timer, (uint64_t)msec * 1000) < 0)
        return -1;
    return sd_event_source_set_enabled(pool->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

static bool set_up(BerthPool *pool, GError **error)
{
    int r;

    pool->multi = curl_multi_init();
    if (!pool->multi)
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot set up libcurl");
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, socket_function);
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, timer_function);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    /* by itself libcurl keeps as many as a small multiple of what is under way just then, and
     * closes others between two requests */
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);

    r = sd_event_add_time(pool->event, &pool->timer, CLOCK_MONOTONIC, 0, 1, on_timer, pool);
    if (r >= 0)
        r = sd_event_source_set_enabled(pool->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(pool->event, &pool->soon, on_soon, pool);
    if (r >= 0)
        r = sd_event_source_set_enabled(pool->soon, SD_EVENT_OFF);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot put libcurl on the loop");
}

BerthPool *berth_pool_new(sd_event *event, GError **error)
{
    BerthPool *pool = g_new0(BerthPool, 1);

    pool->event = sd_event_ref(event);
    pool->removed = g_ptr_array_new();
    pool->references = 1;
    if (set_up(pool, error))
        return pool;
    berth_pool_free(pool);
    return NULL;
}

void berth_pool_free(BerthPool *pool)
{
    if (!pool)
        return;
    pool->closed = true;
    pool_unref(pool);
}

sd_event *berth_pool_event(const BerthPool *pool)
{
    return pool->event;
}

bool berth_pool_add(BerthPool *pool, BerthPoolEntry *entry, GError **error)
{
    CURLMcode code;

    g_assert(pool->inside == 0 && !entry->pool);
    (void)curl_easy_setopt(entry->easy, CURLOPT_PRIVATE, entry);
    code = curl_multi_add_handle(pool->multi, entry->easy);
    if (code != CURLM_OK)
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot start a transfer: %s",
                               curl_multi_strerror(code));
    entry->pool = pool;
    return true;
}

void berth_pool_stop(BerthPoolEntry *entry)
{
    g_assert(entry->pool->inside == 0);
    take_out(entry);
}

void berth_pool_remove(BerthPoolEntry *entry)
{
    entry->removed = true;
    if (entry->pool && entry->pool->inside > 0) {
        g_ptr_array_add(entry->pool->removed, entry);
        return;
    }
    if (entry->pool)
        take_out(entry);
    entry->destroy(entry);
}

void berth_pool_pause(BerthPoolEntry *entry, int bitmask)
{
    BerthPool *pool = entry->pool;

    enter(pool);
    (void)curl_easy_pause(entry->easy, bitmask);
    leave(pool);
    pool_unref(pool);
}
