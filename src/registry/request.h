/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/client-internal.h"
#include "registry/exchange.h"

/* Requests, as the files of this directory see them. */

/** BerthVerdict: what to do after an answer. */
typedef enum {
    BERTH_VERDICT_DONE,
    BERTH_VERDICT_FAILED, /* for good, with the error that was set */
    BERTH_VERDICT_RETRY,  /* this try failed, with the error that was set: count it, wait, try again
                           */
    BERTH_VERDICT_AGAIN,  /* ask again at once: something was learned, and it cannot go on for ever
                           */
} BerthVerdict;

/** BerthRequestKind: what differs between requests. Most are called by libcurl: no requests there.
 */
typedef struct {
    /* of this try; appends `Name: value` to @headers */
    void (*prepare)(BerthRequest *request, GPtrArray *headers);
    /* (nullable) whether it has got all it needs, although an exchange failed or was not made yet
     */
    bool (*enough)(BerthRequest *request);
    /* (nullable) the headers of an answer 2xx: what to do with its body. BERTH_BODY_NONE with an
     * error set by berth_request_set_error(). NULL: the body is kept */
    BerthBody (*head)(BerthRequest *request, const BerthResponse *response);
    /* (nullable) a part of a body that is passed on */
    bool (*body)(BerthRequest *request, const void *data, size_t length, bool *pause);
    /* a whole answer that is neither a redirect nor something to be tried again */
    BerthVerdict (*complete)(BerthRequest *request, const BerthResponse *response, GError **error);
    /* (nullable) authentication failed; whether the request has changed and is to go on */
    bool (*refused)(BerthRequest *request);
    /* (nullable) a try failed and another one follows, which may be another exchange */
    void (*failed)(BerthRequest *request);
    /* the end; @error: NULL for success. The request is freed afterwards */
    void (*finish)(BerthRequest *request, const GError *error);
    void (*destroy)(BerthRequest *request); /* (nullable) what the kind added */
    BerthBodySource source;                 /* what a request with @sending sends, but its size */
    bool limited;                           /* what is sent counts for limits of bandwidth */
    size_t keep_max;                        /* bytes of a body that is kept */
    uint64_t whole_timeout;                 /* µs for one try; 0: no limit */
} BerthRequestKind;

typedef enum {
    BERTH_REQUEST_PLAIN = 1,       /* to a token server: no authentication */
    BERTH_REQUEST_AT_ONCE = 2,     /* does not count as one of the endpoint's connections */
    BERTH_REQUEST_NO_REDIRECT = 4, /* redirects count as answers */
} BerthRequestFlags;

struct BerthRequest {
    const BerthRequestKind *kind;
    BerthClient *client;
    unsigned flags;
    const char *method;
    char *what;         /* `manifest latest of team/app`, for messages */
    char *path;         /* (nullable) at the registry; NULL: @url */
    BerthUrl *url;      /* (nullable) where it starts, if not at the registry */
    BerthUrl *hop;      /* (nullable) where it was redirected to */
    const BerthUrl *at; /* in complete(): where the answer came from */
    char *scope;        /* of the token it needs */
    bool sending;       /* a body of */
    uint64_t sends;     /* bytes */
    bool bulk;          /* much comes */

    BerthExchange *exchange; /* (nullable) under way */
    BerthUrl *asked;         /* (nullable) where the last one went, or goes */
    sd_event_source *step;   /* runs it: at once, or */
    sd_event_source *timer;  /* when it has waited */
    bool slot;               /* counts as one of the endpoint's connections */
    bool prober;             /* finds out the scheme for the others */
    unsigned hops, auth_rounds;
    unsigned failures; /* since there was progress */
    unsigned tries;
    bool progress;    /* bytes came in this try */
    bool on_own_host; /* where credentials may be shown */
    char *gated;      /* (nullable) host of a stranger's URL whose addresses were checked, and */
    char *via;        /* one of them */
    bool is_refused;
    GError *error; /* (nullable) what a callback found */
    bool error_is_final;

    unsigned token_serial; /* of the token that was shown */
    bool awaits_token;
};

/**
 * berth_request_init:
 * @request: zeroed; the first member of what the kind adds, allocated with g_new0()
 * @what: (transfer full)
 *
 * Sets it up and starts it; path or url and the like are to be set before.
 */
void berth_request_init(BerthRequest *request, const BerthRequestKind *kind, BerthClient *client,
                        const char *method, char *what);

/** berth_request_set_error: in a callback. @final: no further try. Takes @error over. */
void berth_request_set_error(BerthRequest *request, GError *error, bool final);

/** BerthGate: what comes of berth_stranger_gate(). */
typedef enum {
    BERTH_GATE_OPEN,
    BERTH_GATE_WAIT, /* it goes on when that is known */
    BERTH_GATE_SHUT,
} BerthGate;

/**
 * berth_stranger_gate: whether a proxy may be asked for a stranger's URL. A proxy goes to addresses
 * that we do not see, so the name is resolved here first, and what comes of it is what the proxy is
 * told.
 * @error: with BERTH_GATE_SHUT
 */
BerthGate berth_stranger_gate(BerthRequest *request, const BerthUrl *url, GError **error);

/** berth_request_go: goes on, from the loop: something it waited for has changed. */
void berth_request_go(BerthRequest *request);
