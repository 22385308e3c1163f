/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/client.h"
#include "registry/http-internal.h"
#include "registry/route.h"

/** BerthScheme: how a registry is spoken to. */
typedef enum {
    BERTH_SCHEME_UNKNOWN,
    BERTH_SCHEME_HTTPS,
    BERTH_SCHEME_HTTP,
} BerthScheme;

#define BERTH_SMALL_TIMEOUT (120 * UINT64_C(1000000)) /* µs for what is not large, in one try */

typedef struct BerthAuth BerthAuth;

/* What the files of this directory know of BerthClient. */
struct BerthClient {
    BerthHttp *http;
    const BerthEndpoint *endpoint;
    BerthTrust *trust;
    BerthAuth *auth; /* (nullable): no authentication */
    BerthLimiter *limiter;
    BerthPool *pool;        /* connections; for a stranger's URL shared with others of that kind */
    BerthPool *bulk;        /* (nullable) where pool's connections speak HTTP/2 */
    bool stranger;          /* for URLs of manifests */
    BerthAddressFunc allow; /* (nullable) */
    void *allow_data;

    BerthScheme scheme;
    BerthScheme guess; /* while it is unknown */
    bool https_was_slow;
    BerthRequest *prober; /* (nullable) who finds it out */
    BerthUrl *base;       /* (nullable) of the scheme in use or guessed */
    unsigned address;     /* which pinned one is used */
    bool is_public;       /* its address is a public one */

    unsigned active;     /* requests that hold a slot */
    GPtrArray *requests; /* (element-type BerthRequest): all */
    GQueue queue;        /* of BerthRequest: wait for a slot */
    GPtrArray *parked;   /* (element-type BerthRequest): wait for scheme or token */
};

/**
 * berth_client_new_stranger: for one URL that is not the registry's; shares connections with others
 * of that kind only. Returned also with @error, since a request has to report it.
 */
BerthClient *berth_client_new_stranger(BerthHttp *http, const BerthEndpoint *settings,
                                       BerthAddressFunc allow, void *allow_data, GError **error);

/** berth_client_base: Returns: (transfer none): the root of the registry in the scheme to be used.
 */
const BerthUrl *berth_client_base(BerthClient *client);

/**
 * berth_client_is_lenient: Returns: whether plain HTTP and unverified TLS are taken at @url:
 * Insecure= says so, and if only for some addresses, then it holds for the host that they are of.
 */
bool berth_client_is_lenient(BerthClient *client, const BerthUrl *url);

/** berth_client_know_scheme: it answered, or is to be tried next. */
void berth_client_know_scheme(BerthClient *client, BerthScheme scheme);
void berth_client_guess_scheme(BerthClient *client, BerthScheme scheme);

/** berth_client_pool: Returns: (transfer none) (nullable): where to put a transfer to @url. */
BerthPool *berth_client_pool(BerthClient *client, const BerthUrl *url, bool bulk, GError **error);

/** berth_client_wake: lets all parked requests look again. */
void berth_client_wake(BerthClient *client);

/** berth_client_next: lets those go for whom a connection is free, in the order they came. */
void berth_client_next(BerthClient *client);

/** berth_client_path: Returns: (transfer full): `/v2/REPOSITORY/@kind/@target`, `?ns=` of a mirror
 * added. */
char *berth_client_path(const BerthClient *client, const char *kind, const char *target);

/** berth_client_scope: Returns: (transfer full): of a token for @actions on the repository. */
char *berth_client_scope(const BerthClient *client, const char *actions);
