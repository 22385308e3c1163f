/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the clients of one process share. A server that asks to be left alone for a while is left
 * alone by all of them. Connections are not shared between what trusts a host for different
 * reasons.
 */

#include "registry/http.h"

#include "base/error.h"
#include "registry/http-internal.h"

#include <curl/curl.h>

BerthHttp *berth_http_new(sd_event *event, uint64_t max_bandwidth, unsigned max_connections,
                          GError **error)
{
    g_autoptr(BerthHttp) http = g_new0(BerthHttp, 1);

    http->event = sd_event_ref(event);
    http->max_strangers = max_connections;
    http->not_before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    http->schemes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        berth_set_error(error, BERTH_ERROR_FAILED, "cannot set up libcurl");
        return NULL;
    }
    http->limiter = berth_limiter_new(event, max_bandwidth, error);
    http->strangers = http->limiter ? berth_pool_new(event, error) : NULL;
    return http->strangers ? g_steal_pointer(&http) : NULL;
}

void berth_http_set_bandwidth(BerthHttp *http, uint64_t max_bandwidth)
{
    berth_limiter_set_rate(http->limiter, max_bandwidth);
}

void berth_http_free(BerthHttp *http)
{
    if (!http)
        return;
    berth_pool_free(http->strangers);
    berth_limiter_free(http->limiter);
    g_hash_table_unref(http->not_before);
    g_hash_table_unref(http->schemes);
    sd_event_unref(http->event);
    g_free(http);
}

uint64_t berth_http_now(const BerthHttp *http)
{
    uint64_t usec = 0;

    (void)sd_event_now(http->event, CLOCK_MONOTONIC, &usec);
    return usec;
}

void berth_http_postpone(BerthHttp *http, const BerthUrl *url, uint64_t usec)
{
    uint64_t *until = g_hash_table_lookup(http->not_before, url->authority);

    if (!until) {
        until = g_new0(uint64_t, 1);
        g_hash_table_insert(http->not_before, g_strdup(url->authority), until);
    }
    *until = MAX(*until, berth_http_now(http) + usec);
}

uint64_t berth_http_wait_usec(BerthHttp *http, const BerthUrl *url)
{
    const uint64_t *until = g_hash_table_lookup(http->not_before, url->authority);
    uint64_t now = berth_http_now(http);

    return until && *until > now ? *until - now : 0;
}
