/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/http.h"
#include "registry/limiter.h"
#include "registry/pool.h"
#include "registry/url.h"

/* What the files of this directory know of BerthHttp. */
struct BerthHttp {
    sd_event *event;
    BerthLimiter *limiter;
    BerthPool *strangers; /* connections to the hosts of URLs: never those to a registry, which may
                             go where a URL may not */
    unsigned max_strangers;
    GHashTable *not_before; /* host[:port] → µs, CLOCK_MONOTONIC */
    GHashTable *schemes;    /* host[:port] of insecure registries → "http" or "https" */
};

/** berth_http_now: Returns: µs, CLOCK_MONOTONIC. */
uint64_t berth_http_now(const BerthHttp *http);

/**
 * berth_http_postpone: nobody asks the host of @url again for @usec: it is overloaded or gone.
 */
void berth_http_postpone(BerthHttp *http, const BerthUrl *url, uint64_t usec);

/** berth_http_wait_usec: Returns: how long to wait before the host of @url is asked again. */
uint64_t berth_http_wait_usec(BerthHttp *http, const BerthUrl *url);
