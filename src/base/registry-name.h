/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/address.h"

#include <glib.h>
#include <stdbool.h>

/** BerthRegistryName: one place on the network, `host[:port][/path]`, in its one spelling. */
typedef struct {
    char *host;           /* a DNS name in lower case, or an address without brackets */
    int port;             /* 0 to 65535; -1: none was given */
    char *path;           /* a repository or the first components of one; "": none */
    bool is_address;      /* @host is a literal address: no resolver is needed */
    BerthAddress address; /* with @is_address */
} BerthRegistryName;

/**
 * berth_registry_name_parse:
 * @text: `host[:port][/path]`. The host is a DNS name (labels of at most 63 letters, digits and
 *   inner hyphens, 253 bytes in all; the last one is not a number, since resolvers take such names
 *   for addresses), an IPv4 address, or an IPv6 address, which needs brackets where a port follows.
 *   The path is as in references (distribution specification, "Pulling manifests", `<name>`).
 *   Upper case of the host is lowered, leading zeros of the port dropped, IPv4-mapped IPv6 becomes
 *   IPv4, and `index.docker.io` is `docker.io`
 * @error: BERTH_ERROR_INVALID_REFERENCE naming @text and what is wrong with it. The text for one
 *   with a scheme is fixed, since tools match on it:
 *   `allow-nondistributable-artifacts registry X should not contain '://'`
 *
 * Returns: (transfer full): the name, or NULL.
 */
BerthRegistryName *berth_registry_name_parse(const char *text, GError **error);

/**
 * berth_registry_name_new:
 * @at: for host and port
 * @path: "" or a valid path, which may be longer than what berth_registry_name_parse() takes
 */
BerthRegistryName *berth_registry_name_new(const BerthRegistryName *at, const char *path);

/** berth_registry_name_free: @name: (nullable) */
void berth_registry_name_free(BerthRegistryName *name);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthRegistryName, berth_registry_name_free)

/** berth_registry_name_authority: Returns: (transfer full): `host[:port]`, IPv6 in brackets. */
char *berth_registry_name_authority(const BerthRegistryName *name);

/** berth_registry_name_format: Returns: (transfer full): `host[:port][/path]`, IPv6 in brackets. */
char *berth_registry_name_format(const BerthRegistryName *name);

/**
 * berth_registry_name_is_docker_hub: Returns: whether the host is `docker.io` without a port, a
 * name that no server answers to: `registry-1.docker.io` does, and there a repository of one
 * component lies below `library/`.
 */
bool berth_registry_name_is_docker_hub(const BerthRegistryName *name);

/** berth_registry_name_is_loopback: Returns: whether it is `localhost` or a loopback address. */
bool berth_registry_name_is_loopback(const BerthRegistryName *name);

/** BerthRegistryPattern: what a group of registries.d is about, or an entry of an allow-list. */
typedef struct {
    enum {
        BERTH_PATTERN_NAME,    /* host[:port][/path] */
        BERTH_PATTERN_DOMAIN,  /* *.domain[:port] */
        BERTH_PATTERN_NETWORK, /* ADDRESS/PREFIX */
    } kind;
    char *text;              /* its one spelling; two patterns with the same are the same */
    BerthRegistryName *name; /* of a domain the host is what follows `*.`; NULL for a network */
    BerthNetwork network;    /* with BERTH_PATTERN_NETWORK */
} BerthRegistryPattern;

/**
 * berth_registry_pattern_parse:
 * @text: as for berth_registry_name_parse(); or `*.domain`, or `*.domain:port`; or a network, as
 *   for berth_network_parse(). An address, a slash and a number is always a network, never a path
 * @error: BERTH_ERROR_INVALID_REFERENCE, as for berth_registry_name_parse()
 *
 * Returns: (transfer full): the pattern, or NULL.
 */
BerthRegistryPattern *berth_registry_pattern_parse(const char *text, GError **error);

/** berth_registry_pattern_free: @pattern: (nullable) */
void berth_registry_pattern_free(BerthRegistryPattern *pattern);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthRegistryPattern, berth_registry_pattern_free)

/**
 * berth_registry_pattern_matches_name:
 * @pattern: a name or domain; a network matches no name, see berth_network_contains()
 *
 * A name matches the same host and port, and of paths itself and what is below it: `h/team` matches
 * `h/team/app`, not `h/teams`; `h` does not match `h:443`. A domain matches every host below it but
 * not itself and no address, on every port unless it names one.
 */
bool berth_registry_pattern_matches_name(const BerthRegistryPattern *pattern,
                                         const BerthRegistryName *name);

/**
 * berth_registry_pattern_compare:
 *
 * Returns: less than 0 when @a takes precedence over @b: names with the longest path first, then
 *   domains, longest first, then networks, longest prefix first; patterns that never match the same
 *   thing in the order of their text.
 */
int berth_registry_pattern_compare(const BerthRegistryPattern *a, const BerthRegistryPattern *b);
