/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/limiter.h"
#include "registry/pool.h"
#include "registry/response.h"
#include "registry/route.h"
#include "registry/url.h"

/** BerthExchange: one request and its one answer; no retries, no redirects. */
typedef struct BerthExchange BerthExchange;

/** BerthBody: what is done with the body of an answer. */
typedef enum {
    BERTH_BODY_KEEP, /* in BerthResponse.body, up to what the exchange keeps; more is an error */
    BERTH_BODY_PASS, /* to body() */
    BERTH_BODY_NONE, /* the exchange ends here, as a failure of libcurl's */
} BerthBody;

#define BERTH_SOURCE_WAITS (-2) /* nothing for now; berth_exchange_resume() when there is */

/** BerthBodySource: what is sent with a request. Called by libcurl. */
typedef struct {
    /* fills at most @length bytes; -1: failed, and that is remembered where @userdata is;
     * BERTH_SOURCE_WAITS */
    ssize_t (*read)(void *data, size_t length, void *userdata);
    /* to the beginning; false: it must not be sent again, and the exchange fails */
    bool (*rewind)(void *userdata);
    uint64_t size; /* bytes in all */
} BerthBodySource;

/** BerthExchangeEvents: what comes of it. The first two are called by libcurl. */
typedef struct {
    BerthBody (*head)(const BerthResponse *response, void *userdata);
    /* false: ends it. @pause: (out): no more for now; what libcurl has read comes nevertheless */
    bool (*body)(const void *data, size_t length, bool *pause, void *userdata);
    /* It ended and is about to be freed. Not called after berth_exchange_free() */
    void (*done)(const BerthExchange *exchange, void *userdata);
} BerthExchangeEvents;

/** BerthExchangeSpec: what is asked for; copied as far as it is needed. */
typedef struct {
    const char *method;
    const BerthUrl *url;
    const BerthRoute *route;
    const char *const *headers;    /* (nullable) NULL-terminated: `Name: value`, may hold secrets */
    const BerthBodySource *source; /* (nullable) */
    bool bulk;       /* much comes: large buffers, a connection of its own, counted by limits */
    bool fresh;      /* no connection that is there already */
    size_t keep_max; /* bytes of a body that is kept */
    uint64_t whole_timeout;    /* µs for everything; 0: no limit */
    BerthLimiter *limiters[2]; /* (nullable) what comes is taken from */
} BerthExchangeSpec;

/** BerthExchangeResult: how it ended. */
typedef struct {
    CURLcode code;
    const char *text;      /* what libcurl says to @code */
    bool stalled;          /* no byte came for the time the route allows */
    bool too_long;         /* headers or a body that was kept */
    bool refused_address;  /* every address the name led to was refused */
    unsigned proxy_status; /* of CONNECT; 0: none */
    bool proxied;
    BerthAddress peer; /* what was connected to; length 0: nothing */
} BerthExchangeResult;

/**
 * berth_exchange_new: starts it. Nothing is called before the loop runs again.
 * @error: BERTH_ERROR_FAILED
 */
BerthExchange *berth_exchange_new(BerthPool *pool, const BerthExchangeSpec *spec,
                                  const BerthExchangeEvents *events, void *userdata,
                                  GError **error);

/**
 * berth_exchange_free: ends it. Nothing is called any more; may be called from everywhere but
 * done(), after which it is freed anyway.
 */
void berth_exchange_free(BerthExchange *exchange);

/** berth_exchange_resume: after body() paused or read() had nothing; body() is called from the loop
 * only. */
void berth_exchange_resume(BerthExchange *exchange);

const BerthResponse *berth_exchange_response(const BerthExchange *exchange);
const BerthExchangeResult *berth_exchange_result(const BerthExchange *exchange);
