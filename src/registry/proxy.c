/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which proxy leads to a URL. libcurl could read the environment itself, but whether there is a
 * proxy decides what else is checked, so both must not come to different answers: libcurl is always
 * told.
 */

#include "registry/proxy.h"

#include "base/address.h"

#include <stdlib.h>
#include <string.h>

static bool is_name_below(const char *host, const char *domain)
{
    size_t host_length = strlen(host), length = strlen(domain);

    if (host_length < length || length == 0)
        return false;
    return g_ascii_strcasecmp(host + host_length - length, domain) == 0 &&
           (host_length == length || host[host_length - length - 1] == '.');
}

/* Cuts `:port` off @entry; false when it is another port. */
static bool take_port(char *entry, int port)
{
    char *colon = strrchr(entry, ':'), *bracket = strrchr(entry, ']');
    guint64 number;

    if (!colon || (bracket && bracket > colon) || (!bracket && strchr(entry, ':') != colon))
        return true; /* none, or an IPv6 address */
    *colon = '\0';
    return g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &number, NULL) &&
           (int)number == port;
}

static bool entry_matches(const char *text, const BerthUrl *url)
{
    g_autofree char *entry = g_strdup(text);
    const char *plain = entry;
    BerthAddress address, host;
    BerthNetwork network;

    if (g_str_equal(entry, "*"))
        return true;
    if (!take_port(entry, url->port))
        return false;
    if (plain[0] == '[' && g_str_has_suffix(plain, "]")) {
        entry[strlen(entry) - 1] = '\0';
        plain++;
    }
    if (berth_address_parse(url->host, &host)) {
        if (berth_network_parse(plain, &network))
            return berth_network_contains(&network, &host);
        return berth_address_parse(plain, &address) && berth_address_equal(&address, &host);
    }
    if (plain[0] == '*')
        plain++;
    if (plain[0] == '.')
        plain++;
    return is_name_below(url->host, plain);
}

bool berth_no_proxy_matches(const char *list, const BerthUrl *url)
{
    g_auto(GStrv) entries = g_strsplit_set(list, ", \t", -1);

    for (char **entry = entries; *entry; entry++)
        if (**entry && entry_matches(*entry, url))
            return true;
    return false;
}

static const char *from_environment(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);

        if (value && *value)
            return value;
    }
    return "";
}

char *berth_proxy_for(const char *setting, const BerthUrl *url)
{
    /* no HTTP_PROXY: for a CGI program that is a header of a stranger's request */
    static const char *const http[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
    static const char *const https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                         NULL };
    static const char *const none[] = { "no_proxy", "NO_PROXY", NULL };

    if (g_str_equal(setting, "none"))
        return g_strdup("");
    if (*setting)
        return g_strdup(setting);
    if (url->loopback || berth_no_proxy_matches(from_environment(none), url))
        return g_strdup("");
    return g_strdup(from_environment(url->https ? https : http));
}
