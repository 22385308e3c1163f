/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A token bucket. What comes from the network comes in pieces whose size nobody chooses, so bytes
 * are taken when they have come: the balance may go below zero, and then who took them pauses until
 * time has paid. The kernel's buffers fill meanwhile, and the sender waits.
 */

#include "registry/limiter.h"

#include "base/error.h"

#define SECOND UINT64_C(1000000)
#define BURST  (SECOND / 10) /* µs of the rate that may be saved */

struct BerthLimiter {
    sd_event *event;
    sd_event_source *timer;
    GQueue waiting; /* of BerthLimiterWaiter */
    uint64_t rate;
    double balance;  /* bytes */
    uint64_t filled; /* µs, CLOCK_MONOTONIC: until when the balance is right */
};

static uint64_t now(const BerthLimiter *limiter)
{
    uint64_t usec = 0;

    (void)sd_event_now(limiter->event, CLOCK_MONOTONIC, &usec);
    return usec;
}

static void fill(BerthLimiter *limiter)
{
    uint64_t usec = now(limiter);
    double most = (double)limiter->rate * BURST / SECOND;

    limiter->balance += (double)(usec - limiter->filled) * (double)limiter->rate / SECOND;
    limiter->balance = MIN(limiter->balance, most);
    limiter->filled = usec;
}

static void arm(BerthLimiter *limiter)
{
    double debt = limiter->rate > 0 ? MAX(1.0 - limiter->balance, 0) : 0;
    uint64_t usec = (uint64_t)(debt * SECOND / (double)MAX(limiter->rate, 1)) + 1;

    (void)sd_event_source_set_time(limiter->timer, limiter->filled + usec);
    (void)sd_event_source_set_enabled(limiter->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthLimiter *limiter = userdata;

    /* One after the other: each may take all that there is. */
    fill(limiter);
    while ((limiter->balance > 0 || limiter->rate == 0) && limiter->waiting.length > 0) {
        BerthLimiterWaiter *waiter = g_queue_peek_head(&limiter->waiting);

        berth_limiter_forget(waiter);
        waiter->go(waiter->userdata);
    }
    if (limiter->waiting.length > 0)
        arm(limiter);
    return 0;
}

BerthLimiter *berth_limiter_new(sd_event *event, uint64_t rate, GError **error)
{
    BerthLimiter *limiter = g_new0(BerthLimiter, 1);
    int r;

    limiter->event = sd_event_ref(event);
    limiter->rate = rate;
    limiter->filled = now(limiter);
    g_queue_init(&limiter->waiting);
    r = sd_event_add_time(event, &limiter->timer, CLOCK_MONOTONIC, 0, 1, on_timer, limiter);
    if (r >= 0)
        r = sd_event_source_set_enabled(limiter->timer, SD_EVENT_OFF);
    if (r >= 0)
        return limiter;
    berth_limiter_free(limiter);
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot set up a bandwidth limit");
    return NULL;
}

void berth_limiter_free(BerthLimiter *limiter)
{
    if (!limiter)
        return;
    g_assert(limiter->waiting.length == 0);
    sd_event_source_disable_unref(limiter->timer);
    sd_event_unref(limiter->event);
    g_free(limiter);
}

void berth_limiter_set_rate(BerthLimiter *limiter, uint64_t rate)
{
    fill(limiter); /* time until now was at the old one */
    limiter->rate = rate;
    if (limiter->waiting.length > 0)
        arm(limiter);
}

uint64_t berth_limiter_rate(const BerthLimiter *limiter)
{
    return limiter->rate;
}

bool berth_limiter_take(BerthLimiter *limiter, uint64_t bytes)
{
    if (limiter->rate == 0)
        return true;
    fill(limiter);
    limiter->balance -= (double)bytes;
    return limiter->balance > 0;
}

void berth_limiter_wait(BerthLimiter *limiter, BerthLimiterWaiter *waiter)
{
    g_assert(!waiter->limiter);
    waiter->limiter = limiter;
    waiter->link.data = waiter;
    g_queue_push_tail_link(&limiter->waiting, &waiter->link);
    fill(limiter);
    arm(limiter);
}

void berth_limiter_forget(BerthLimiterWaiter *waiter)
{
    if (!waiter->limiter)
        return;
    g_queue_unlink(&waiter->limiter->waiting, &waiter->link);
    waiter->limiter = NULL;
}
