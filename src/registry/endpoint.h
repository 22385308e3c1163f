/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** BerthEndpoint: one repository on one server, and what the settings say about going there. */
typedef struct {
    char *name;           /* host[:port]/repository, for messages */
    char *host;           /* host[:port], where requests go; IPv6 in brackets */
    char *repository;     /* "" with settings that are for URLs only */
    char *space;          /* host that a mirror serves here, for `?ns=`; "": none */
    bool mirror;          /* read from only, and given up sooner */
    bool insecure;        /* plain HTTP is taken where HTTPS does not answer; TLS is not verified */
    GPtrArray *addresses; /* (element-type utf8): where connections must go, literal addresses
                             without brackets; empty: wherever the name leads */
    GBytes *ca;           /* (nullable): this and the next two: PEM; trusted besides the system's */
    GBytes *client_certificate;
    GBytes *client_key;       /* NULL: in @client_certificate */
    GBytes *credentials;      /* (nullable): an auth.json */
    char *proxy;              /* URL, perhaps with a password; "none"; "": the environment's */
    uint64_t connect_timeout; /* µs, for one connection, TLS included */
    uint64_t stall_timeout;   /* µs without a byte */
    unsigned retries;         /* after failures without a byte of progress in between */
    unsigned max_connections; /* at the same time */
    uint64_t max_bandwidth;   /* bytes a second; 0: no limit */
} BerthEndpoint;

/**
 * berth_endpoint_new:
 * @host: host[:port]
 * @repository: or ""
 *
 * Returns: (transfer full): an endpoint with the built-in settings of registries.d, no addresses,
 * no secrets. All texts are set and owned by it.
 */
BerthEndpoint *berth_endpoint_new(const char *host, const char *repository);

/** berth_endpoint_free: @endpoint: (nullable); texts that may hold a secret are wiped, bytes are
 * their owner's to wipe. */
void berth_endpoint_free(BerthEndpoint *endpoint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthEndpoint, berth_endpoint_free)

/** berth_endpoint_is_loopback: Returns: whether its host is `localhost` or a loopback address. */
bool berth_endpoint_is_loopback(const BerthEndpoint *endpoint);
