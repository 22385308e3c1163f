/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what else servers say in headers: Content-Range, Range, Retry-After, Link, Location,
 * and a whole answer. Numbers that come out must make sense together, and a URL must be one of http
 * that means the same when it is read again.
 */

#include "base/error.h"
#include "registry/headers.h"
#include "registry/proxy.h"
#include "registry/response.h"
#include "registry/url.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_ranges(const char *text)
{
    BerthContentRange range;
    uint64_t seconds;
    int64_t last;

    if (berth_content_range_parse(text, &range)) {
        g_assert(range.first >= 0 ? range.last >= range.first : range.last == -1);
        g_assert(range.total == -1 ? range.first >= 0 : range.total > range.last);
    }
    if (berth_range_parse(text, &last))
        g_assert(last >= 0);
    (void)berth_retry_after_parse(text, 784111777, &seconds);
}

static void check_url(const BerthUrl *url)
{
    g_autoptr(BerthUrl) again = berth_url_parse(url->text, NULL, NULL);

    g_assert(g_str_has_prefix(url->text, url->https ? "https://" : "http://"));
    g_assert(url->port >= 0 && url->port <= 65535 && *url->host);
    g_assert(!strpbrk(url->text, " \r\n#"));
    g_assert(again && berth_url_same_origin(url, again));
    g_assert(g_str_equal(url->text, again->text));
    (void)berth_no_proxy_matches("10.0.0.0/8,*.test,[::1]:80,2001:db8::/32", url);
}

static void try_url(const char *text, const BerthUrl *base)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthUrl) url = berth_url_parse(text, base, &error);

    if (url) {
        check_url(url);
        return;
    }
    g_assert(error && error->code == BERTH_ERROR_REGISTRY_ERROR);
    g_assert(g_utf8_validate(error->message, -1, NULL) && strlen(error->message) < 1500);
}

static void try_response(const char *text)
{
    BerthResponse response;

    berth_response_init(&response);
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        if (!berth_response_add_line(&response, text, (size_t)(end + 1 - text)))
            break;
    for (unsigned i = 0; i < response.fields->len; i++) {
        const char *field = response.fields->pdata[i];

        g_assert(strstr(field, ": ") && field[0] != ':');
    }
    g_assert(berth_response_length(&response) >= -1);
    g_assert(!response.complete || (response.status >= 200 && response.status <= 999));
    berth_response_clear(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(BerthUrl) base = berth_url_parse("https://registry.test:5000/v2/a/b?c", NULL, NULL);
    g_autofree char *next = berth_link_next(text);

    try_ranges(text);
    try_url(text, NULL);
    try_url(text, base);
    if (next)
        try_url(next, base);
    try_response(text);
    return 0;
}
