/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/** BerthLimiter: bytes a second that several transfers may take together. */
typedef struct BerthLimiter BerthLimiter;

/** BerthLimiterWaiter: who waits until there are bytes again; belongs to the waiting one. */
typedef struct {
    void (*go)(void *userdata);
    void *userdata;
    GList link; /* the limiter's */
    BerthLimiter *limiter;
} BerthLimiterWaiter;

/**
 * berth_limiter_new:
 * @rate: bytes a second; 0: no limit
 * @error: BERTH_ERROR_FAILED
 */
BerthLimiter *berth_limiter_new(sd_event *event, uint64_t rate, GError **error);
/** berth_limiter_free: @limiter: (nullable): nobody may wait any more. */
void berth_limiter_free(BerthLimiter *limiter);

/** berth_limiter_set_rate: from here on @rate holds, also for who waits; see berth_limiter_new().
 */
void berth_limiter_set_rate(BerthLimiter *limiter, uint64_t rate);

/** berth_limiter_rate: Returns: bytes a second, 0: no limit. */
uint64_t berth_limiter_rate(const BerthLimiter *limiter);

/**
 * berth_limiter_take: takes @bytes that came already, which may leave a debt.
 * Returns: whether more may come; if not, wait.
 */
bool berth_limiter_take(BerthLimiter *limiter, uint64_t bytes);

/** berth_limiter_wait: @waiter's go() is called, from the loop, when the debt is paid; in order. */
void berth_limiter_wait(BerthLimiter *limiter, BerthLimiterWaiter *waiter);
/** berth_limiter_forget: @waiter, which may not wait at all, is not called any more. */
void berth_limiter_forget(BerthLimiterWaiter *waiter);
