/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * URLs of proxies. They may hold a password, so nothing here repeats one: what is wrong with
 * it is said by fixed texts.
 */

#include "settings/proxy.h"

#include "base/registry-name.h"

#include <string.h>

#define SEPARATOR "://"

/* RFC 3986, section 3.2.1, without '%' */
#define USERINFO "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:"

static bool is_scheme(const char *text, size_t length)
{
    static const char *const schemes[] = {
        "http", "https", "socks4", "socks4a", "socks5", "socks5h"
    };

    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++)
        if (strlen(schemes[i]) == length && g_ascii_strncasecmp(text, schemes[i], length) == 0)
            return true;
    return false;
}

/* A control character cannot be meant, and could end a line of the protocol. */
static bool is_escape(const char *text)
{
    return text[0] == '%' && g_ascii_isxdigit(text[1]) && g_ascii_isxdigit(text[2]) &&
           text[1] >= '2' && !(text[1] == '7' && g_ascii_tolower(text[2]) == 'f');
}

static bool check_userinfo(const char *text, const char *end)
{
    while (text < end)
        if (is_escape(text))
            text += 3;
        else if (strchr(USERINFO, *text))
            text++;
        else
            return false;
    return text == end;
}

bool berth_proxy_check(const char *text, const char **hint)
{
    const char *separator = strstr(text, SEPARATOR);
    const char *authority = separator ? separator + strlen(SEPARATOR) : text;
    const char *at = strrchr(authority, '@');
    g_autofree char *host = g_strdup(at ? at + 1 : authority);
    g_autoptr(BerthRegistryName) name = NULL;

    if (!separator || !is_scheme(text, (size_t)(separator - text))) {
        *hint = "write a URL, as in http://proxy.example:3128, or none; the scheme is one of http, "
                "https, socks4, socks4a, socks5, socks5h";
        return false;
    }
    if (at && !check_userinfo(authority, at)) {
        *hint = "in user name and password write other characters than letters, digits and "
                "-._~!$&'()*+,;= as %XX";
        return false;
    }
    if (g_str_has_suffix(host, "/"))
        host[strlen(host) - 1] = '\0';
    name = berth_registry_name_parse(host, NULL);
    if (name && !*name->path)
        return true;
    *hint = "after the scheme stands [user[:password]@]host[:port] and nothing else";
    return false;
}
