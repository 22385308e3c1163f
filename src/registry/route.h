/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/address.h"
#include "registry/endpoint.h"

#include <curl/curl.h>
#include <stdint.h>

/**
 * BerthAddressFunc:
 * @host: of the URL in question, in lower case; IPv6 without brackets
 * @port: of the URL in question
 * @address: (nullable): one that it leads to; NULL: whether all are allowed, whatever they are
 *
 * Returns: whether a connection may go there.
 */
typedef bool (*BerthAddressFunc)(const char *host, int port, const BerthAddress *address,
                                 void *userdata);

/** BerthTrust: what TLS connections for an endpoint are verified and authenticated with. */
typedef struct BerthTrust BerthTrust;

/**
 * berth_trust_new:
 * @endpoint: its certificates, which are checked
 * @error: BERTH_ERROR_SETTINGS_INVALID
 */
BerthTrust *berth_trust_new(const BerthEndpoint *endpoint, GError **error);
BerthTrust *berth_trust_ref(BerthTrust *trust);
/** berth_trust_unref: @trust: (nullable) */
void berth_trust_unref(BerthTrust *trust);

/** BerthRoute: how to get to one URL. */
typedef struct {
    BerthTrust *trust;
    bool identify;            /* show the client certificate */
    bool verify;              /* who answers */
    uint64_t connect_timeout; /* µs */
    uint64_t stall_timeout;   /* µs without a byte, while nothing pauses it */
    const char *proxy;        /* URL; "": none */
    const char *connect_to;   /* (nullable): literal address that is connected to instead */
    BerthAddressFunc allow;   /* (nullable): asked before each connection that is not to a proxy */
    void *allow_data;
} BerthRoute;

/**
 * berth_route_apply:
 * @route: its trust is to be kept until @easy is gone
 * @easy: gets what is about the connection, but for what needs a callback
 *
 * Returns: (transfer full) (nullable): to be freed with curl_slist_free_all() after @easy.
 */
struct curl_slist *berth_route_apply(const BerthRoute *route, CURL *easy);
