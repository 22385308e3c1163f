/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/options.h"
#include "transfer/reader.h"

/** BerthEndpointRow: an entry of `Endpoints` of a job; made by the service's endpoints.c. */
typedef struct {
    char *name;   /* host[:port]/repository */
    char *source; /* registry or mirror */
    char *serves; /* all, tags or digests */
    bool insecure;
    GStrv addresses;
    char *space;                             /* for ?ns= */
    uint64_t connect_timeout, stall_timeout; /* µs */
    uint32_t retries, max_connections;
    uint64_t max_bandwidth; /* bytes a second; 0: no limit */
    int ca_certificates, client_certificate, client_key, credentials, proxy; /* memfds or -1 */
} BerthEndpointRow;

/** berth_endpoint_keys: of each entry. */
extern const BerthOption berth_endpoint_keys[];

/**
 * berth_sources_new:
 * @http: what connects to them; not owned, freed after the sources
 * @rows: (element-type BerthEndpointRow): what the service says
 * @error: BERTH_ERROR_INVALID_ARGS and what berth_client_new() says
 *
 * Returns: (transfer full) (element-type BerthSource) (nullable): the same order; never empty.
 */
GPtrArray *berth_sources_new(BerthHttp *http, const GPtrArray *rows, GError **error);
