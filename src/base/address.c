/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IP addresses and networks, as rules about registries compare them. It relies on inet_pton(3),
 * which takes four plain decimal numbers only; getaddrinfo(3) and inet_aton(3) also take `127.1`,
 * `0x7f000001` and the like and must never be used to tell what a literal address is. It must never
 * resolve a name.
 */

#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define IPV4_BYTES  4
#define IPV6_BYTES  16
#define MAPPED_BITS 96 /* of ::ffff:0:0/96 */

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = { [10] = 0xff, [11] = 0xff };

static void set_ipv4(BerthAddress *address, const void *bytes)
{
    *address = (BerthAddress){ .length = IPV4_BYTES };
    memcpy(address->bytes, bytes, IPV4_BYTES);
}

static void set_ipv6(BerthAddress *address, const void *bytes)
{
    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        set_ipv4(address, (const uint8_t *)bytes + sizeof(mapped_prefix));
        return;
    }
    *address = (BerthAddress){ .length = IPV6_BYTES };
    memcpy(address->bytes, bytes, IPV6_BYTES);
}

bool berth_address_parse(const char *text, BerthAddress *address)
{
    uint8_t bytes[IPV6_BYTES];

    if (inet_pton(AF_INET, text, bytes) == 1) {
        set_ipv4(address, bytes);
        return true;
    }
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        set_ipv6(address, bytes);
        return true;
    }
    return false;
}

bool berth_address_from_sockaddr(const struct sockaddr *sockaddr, BerthAddress *address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    switch (sockaddr->sa_family) {
    case AF_INET:
        memcpy(&in, sockaddr, sizeof(in));
        set_ipv4(address, &in.sin_addr);
        return true;
    case AF_INET6:
        memcpy(&in6, sockaddr, sizeof(in6));
        set_ipv6(address, &in6.sin6_addr);
        return true;
    default:
        return false;
    }
}

char *berth_address_format(const BerthAddress *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(address->length == IPV4_BYTES ? AF_INET : AF_INET6, address->bytes, text,
                    sizeof(text));
    g_assert(*text);
    return g_strdup(text);
}

bool berth_address_equal(const BerthAddress *a, const BerthAddress *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static bool is_in(const BerthAddress *address, const char *network)
{
    BerthNetwork parsed;
    bool ok = berth_network_parse(network, &parsed);

    g_assert(ok);
    return berth_network_contains(&parsed, address);
}

bool berth_address_is_loopback(const BerthAddress *address)
{
    return is_in(address, "127.0.0.0/8") || is_in(address, "::1/128");
}

static bool is_in_any(const BerthAddress *address, const char *const *networks)
{
    for (; *networks; networks++)
        if (is_in(address, *networks))
            return true;
    return false;
}

bool berth_address_is_public(const BerthAddress *address)
{
    /* iana-ipv4-special-registry, what is not globally reachable; multicast; former class E */
    static const char *const special[] = {
        "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",    NULL,
    };
    /* iana-ipv6-special-registry inside 2000::/3; 6to4 could carry any IPv4 address */
    static const char *const special6[] = {
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", NULL,
    };

    if (is_in(address, "64:ff9b::/96")) {
        BerthAddress carried;

        set_ipv4(&carried, address->bytes + MAPPED_BITS / 8);
        return berth_address_is_public(&carried);
    }
    if (address->length == IPV4_BYTES)
        return !is_in_any(address, special);
    return is_in(address, "2000::/3") && !is_in_any(address, special6);
}

static void mask(BerthNetwork *network)
{
    for (unsigned i = 0; i < network->address.length; i++) {
        unsigned kept = network->prefix > 8 * i ? MIN(network->prefix - 8 * i, 8) : 0;

        network->address.bytes[i] &= (uint8_t)(0xff00u >> kept);
    }
}

bool berth_network_parse(const char *text, BerthNetwork *network)
{
    const char *slash = strrchr(text, '/');
    g_autofree char *address = NULL;
    uint8_t bytes[IPV6_BYTES];
    guint64 prefix;
    bool six;

    if (!slash || !g_ascii_isdigit(slash[1]) || (slash[1] == '0' && slash[2]) ||
        !g_ascii_string_to_unsigned(slash + 1, 10, 0, 8 * IPV6_BYTES, &prefix, NULL))
        return false;
    address = g_strndup(text, (gsize)(slash - text));
    six = inet_pton(AF_INET6, address, bytes) == 1;
    if (!six && inet_pton(AF_INET, address, bytes) != 1)
        return false;
    if (!six && prefix > 8 * IPV4_BYTES)
        return false;

    *network = (BerthNetwork){ .address.length = six ? IPV6_BYTES : IPV4_BYTES,
                               .prefix = (unsigned)prefix };
    memcpy(network->address.bytes, bytes, network->address.length);
    mask(network);
    if (six && prefix >= MAPPED_BITS) {
        BerthAddress masked = network->address;

        set_ipv6(&network->address, masked.bytes);
        if (network->address.length == IPV4_BYTES)
            network->prefix -= MAPPED_BITS;
    }
    return true;
}

bool berth_network_contains(const BerthNetwork *network, const BerthAddress *address)
{
    BerthNetwork other = { .address = *address, .prefix = network->prefix };

    if (address->length != network->address.length)
        return false;
    mask(&other);
    return berth_address_equal(&other.address, &network->address);
}

char *berth_network_format(const BerthNetwork *network)
{
    g_autofree char *address = berth_address_format(&network->address);

    return g_strdup_printf("%s/%u", address, network->prefix);
}
