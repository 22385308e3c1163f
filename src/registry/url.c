/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * URLs that servers and manifests name: where a redirect, an upload or a token request goes.
 * libcurl parses them, as it will when it connects, so that nobody can mean one host to us and
 * another to it. Whether two are of the same origin decides who sees credentials.
 */

#include "registry/url.h"

#include "base/address.h"
#include "base/error.h"
#include "base/names.h"
#include "registry/secret.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

static void url_cleanup(CURLU **url)
{
    curl_url_cleanup(*url);
}

static void text_cleanup(char **text)
{
    curl_free(*text);
}

#define AUTO_CURLU __attribute__((cleanup(url_cleanup))) CURLU *
#define AUTO_TEXT  __attribute__((cleanup(text_cleanup))) char *

/* What may be shown of a URL: nothing behind the path. */
static char *shown(const char *text)
{
    g_autofree char *start = g_strndup(text, MIN(strcspn(text, "?#"), 200));

    return berth_quote(strchr(start, '@') ? "***" : start);
}

static bool refuse(GError **error, const char *text, const char *why)
{
    g_autofree char *quoted = shown(text);

    return berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR, "cannot go to '%s': %s", quoted, why);
}

static bool is_loopback(const char *host)
{
    BerthAddress address;

    return g_str_equal(host, "localhost") ||
           (berth_address_parse(host, &address) && berth_address_is_loopback(&address));
}

/* Without the brackets and the zone of an IPv6 address */
static char *plain_host(const char *host)
{
    size_t length = strlen(host);

    if (host[0] == '[' && host[length - 1] == ']')
        return g_ascii_strdown(host + 1, (gssize)length - 2);
    return g_ascii_strdown(host, -1);
}

static BerthUrl *take_apart(CURLU *parsed, const char *text, GError **error)
{
    g_autoptr(BerthUrl) url = g_new0(BerthUrl, 1);
    AUTO_TEXT scheme = NULL;
    AUTO_TEXT host = NULL;
    AUTO_TEXT port = NULL;
    AUTO_TEXT user = NULL;
    AUTO_TEXT password = NULL;
    AUTO_TEXT zone = NULL;
    AUTO_TEXT whole = NULL;

    (void)curl_url_set(parsed, CURLUPART_FRAGMENT, NULL, 0);
    if (curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK || !*host ||
        curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_URL, &whole, 0) != CURLUE_OK) {
        refuse(error, text, "it is not a URL of http or https");
        return NULL;
    }
    (void)curl_url_get(parsed, CURLUPART_USER, &user, 0);
    (void)curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0);
    (void)curl_url_get(parsed, CURLUPART_ZONEID, &zone, 0);
    if (user || password || zone) {
        refuse(error, text, "a user name, a password or a zone in it is not taken");
        return NULL;
    }
    if (strlen(whole) > BERTH_URL_MAX) { /* with what the base had; it must be taken again */
        refuse(error, text, "it is too long");
        return NULL;
    }
    url->https = g_str_equal(scheme, "https");
    if (!url->https && !g_str_equal(scheme, "http")) {
        refuse(error, text, "only http and https are taken");
        return NULL;
    }
    url->text = g_strdup(whole);
    url->host = plain_host(host);
    url->port = (int)g_ascii_strtoull(port, NULL, 10);
    url->authority = url->port == (url->https ? 443 : 80)
                         ? g_ascii_strdown(host, -1)
                         : g_strdup_printf("%s:%d", host, url->port);
    url->loopback = is_loopback(url->host);
    explicit_bzero(whole, strlen(whole));
    return g_steal_pointer(&url);
}

BerthUrl *berth_url_parse(const char *text, const BerthUrl *base, GError **error)
{
    AUTO_CURLU parsed = curl_url();
    CURLUcode code = CURLUE_OK;

    if (strlen(text) > BERTH_URL_MAX) {
        refuse(error, text, "it is too long");
        return NULL;
    }
    for (const char *p = text; *p; p++)
        if (g_ascii_iscntrl(*p) || *p == ' ') {
            refuse(error, text, "it holds a blank or a control character");
            return NULL;
        }
    if (base)
        code = curl_url_set(parsed, CURLUPART_URL, base->text, 0);
    if (code == CURLUE_OK)
        code = curl_url_set(parsed, CURLUPART_URL, text, 0);
    if (code != CURLUE_OK) {
        refuse(error, text, "it is not a URL of http or https");
        return NULL;
    }
    return take_apart(parsed, text, error);
}

void berth_url_free(BerthUrl *url)
{
    if (!url)
        return;
    berth_secret_free(url->text);
    g_free(url->host);
    g_free(url->authority);
    g_free(url);
}

bool berth_url_same_origin(const BerthUrl *a, const BerthUrl *b)
{
    return a->https == b->https && a->port == b->port && g_str_equal(a->host, b->host);
}
