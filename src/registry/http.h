/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/blob-sink.h"
#include "registry/endpoint.h"
#include "registry/route.h"

#include <systemd/sd-event.h>

/**
 * BerthHttp: what all clients of one process share: the loop, the bandwidth, and what was learned
 * about servers. One thread.
 */
typedef struct BerthHttp BerthHttp;

/**
 * berth_http_new:
 * @event: the loop everything runs on
 * @max_bandwidth: bytes a second that all transfers receive together; 0: no limit
 * @max_connections: to the hosts of URLs, at the same time
 * @error: BERTH_ERROR_FAILED
 *
 * The process must ignore SIGPIPE. libcurl and OpenSSL read files when they are first used; one
 * that confines itself calls curl_global_init() and OPENSSL_init_ssl() before. Needed later: the
 * certificates of the system, resolv.conf and the like, AF_INET, AF_INET6, AF_UNIX and AF_NETLINK
 * sockets, threads.
 */
BerthHttp *berth_http_new(sd_event *event, uint64_t max_bandwidth, unsigned max_connections,
                          GError **error);

/** berth_http_set_bandwidth: from here on, as @max_bandwidth of berth_http_new(). */
void berth_http_set_bandwidth(BerthHttp *http, uint64_t max_bandwidth);

/** berth_http_free: @http: (nullable): no client and no request may be left. */
void berth_http_free(BerthHttp *http);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthHttp, berth_http_free)

/**
 * berth_http_get_url: a blob from a URL of a manifest, for instance a foreign layer.
 * @settings: proxy, CA certificates, timeouts and retries are taken from it; kept by reference
 * @url: as the manifest has it, untrusted. http or https, redirects never from https to http, no
 *   credentials, no client certificate; certificates are always verified
 * @size: of the blob in bytes; -1: unknown
 * @allow: asked for each address that it would connect to, of the URL and of those it is redirected
 *   to. Where a proxy is in force, the name is resolved here, all its addresses must be allowed,
 * and the proxy is told one of them; a name that cannot be resolved here must be allowed as such
 * @sink: as for berth_client_get_blob()
 *
 * Errors: BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE for what is not allowed; else as
 * berth_client_get_blob().
 */
BerthRequest *berth_http_get_url(BerthHttp *http, const BerthEndpoint *settings, const char *url,
                                 int64_t size, BerthAddressFunc allow, const BerthBlobSink *sink,
                                 void *userdata);
