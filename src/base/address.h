/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/**
 * BerthAddress: an IP address. One that is IPv4-mapped in IPv6 (RFC 4291, 2.5.5.2) reaches the same
 * host as the IPv4 address in it and is stored as that, so that no rule can be evaded by writing it
 * the other way.
 */
typedef struct {
    uint8_t bytes[16]; /* network order; those behind @length are 0 */
    unsigned length;   /* 4 or 16 */
} BerthAddress;

/** BerthNetwork: the addresses whose first @prefix bits are those of @address. */
typedef struct {
    BerthAddress address; /* bits behind the prefix are 0 */
    unsigned prefix;      /* bits, at most 8 * address.length */
} BerthNetwork;

/**
 * berth_address_parse:
 * @text: `10.0.0.1` (four decimal numbers without leading zeros, nothing else) or `2001:db8::1`,
 *   without brackets and without a zone
 * @address: (out): the address
 */
bool berth_address_parse(const char *text, BerthAddress *address);

/**
 * berth_address_from_sockaddr:
 * @sockaddr: what a resolver gave, as long as its family says
 * @address: (out): the address in it; port, flow and scope are dropped
 *
 * Returns: whether @sockaddr is IPv4 or IPv6.
 */
bool berth_address_from_sockaddr(const struct sockaddr *sockaddr, BerthAddress *address);

/** berth_address_format: Returns: (transfer full): the address, RFC 5952, without brackets. */
char *berth_address_format(const BerthAddress *address);

bool berth_address_equal(const BerthAddress *a, const BerthAddress *b);

/** berth_address_is_loopback: Returns: whether it is in 127.0.0.0/8 or ::1. */
bool berth_address_is_loopback(const BerthAddress *address);

/**
 * berth_address_is_public:
 *
 * What a stranger's URL may make the service connect to. Everything else is in IANA's registries of
 * special-purpose addresses, is multicast, or is not handed out yet. An address that carries an
 * IPv4 one for a translator (64:ff9b::/96, RFC 6052) is as public as that.
 *
 * Returns: whether @address is a unicast address that is the same host all over the Internet.
 */
bool berth_address_is_public(const BerthAddress *address);

/**
 * berth_network_parse:
 * @text: ADDRESS/PREFIX, the prefix a decimal number without leading zeros. Host bits are masked.
 *   IPv4-mapped networks of at least 96 bits are IPv4 networks
 * @network: (out): the network
 */
bool berth_network_parse(const char *text, BerthNetwork *network);

/** berth_network_contains: Returns: whether @address is in @network; never across families. */
bool berth_network_contains(const BerthNetwork *network, const BerthAddress *address);

/** berth_network_format: Returns: (transfer full): `10.10.0.0/16`. */
char *berth_network_format(const BerthNetwork *network);
