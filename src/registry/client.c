/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One repository at one server, as its requests share it: connections, the scheme, who waits for
 * what. HTTPS comes first; plain HTTP only where the settings say that the registry is insecure,
 * and only when HTTPS does not answer. The first request finds out, the others wait for it.
 */

#include "registry/client.h"

#include "base/error.h"
#include "registry/auth.h"
#include "registry/request.h"

static BerthClient *new_client(BerthHttp *http, const BerthEndpoint *endpoint, GError **error)
{
    BerthClient *client = g_new0(BerthClient, 1);

    client->http = http;
    client->endpoint = endpoint;
    client->guess = BERTH_SCHEME_HTTPS;
    client->requests = g_ptr_array_new();
    client->parked = g_ptr_array_new();
    g_queue_init(&client->queue);
    client->trust = berth_trust_new(endpoint, error);
    return client;
}

BerthClient *berth_client_new(BerthHttp *http, const BerthEndpoint *endpoint, GError **error)
{
    g_autoptr(BerthClient) client = new_client(http, endpoint, error);
    const char *scheme;

    if (client->trust)
        client->limiter = berth_limiter_new(http->event, endpoint->max_bandwidth, error);
    if (client->limiter)
        client->pool = berth_pool_new(http->event, error);
    if (!client->pool)
        return NULL;
    client->auth = berth_auth_new(client);
    scheme = endpoint->insecure ? g_hash_table_lookup(http->schemes, endpoint->host) : NULL;
    if (scheme)
        client->scheme = g_str_equal(scheme, "http") ? BERTH_SCHEME_HTTP : BERTH_SCHEME_HTTPS;
    return g_steal_pointer(&client);
}

BerthClient *berth_client_new_stranger(BerthHttp *http, const BerthEndpoint *settings,
                                       BerthAddressFunc allow, void *allow_data, GError **error)
{
    BerthClient *client = new_client(http, settings, error);

    client->stranger = true;
    client->allow = allow;
    client->allow_data = allow_data;
    client->pool = http->strangers;
    return client;
}

void berth_client_free(BerthClient *client)
{
    if (!client)
        return;
    berth_auth_free(client->auth); /* with the requests that it made */
    g_assert(client->requests->len == 0);
    if (!client->stranger) {
        berth_pool_free(client->pool);
        berth_pool_free(client->bulk);
    }
    berth_limiter_free(client->limiter);
    berth_trust_unref(client->trust);
    berth_url_free(client->base);
    g_ptr_array_unref(client->requests);
    g_ptr_array_unref(client->parked);
    g_free(client);
}

const BerthUrl *berth_client_base(BerthClient *client)
{
    BerthScheme scheme = client->scheme != BERTH_SCHEME_UNKNOWN ? client->scheme : client->guess;
    bool https = scheme == BERTH_SCHEME_HTTPS;
    g_autofree char *text = NULL;

    if (client->base && client->base->https == https)
        return client->base;
    berth_url_free(client->base);
    text = g_strdup_printf("%s://%s/", https ? "https" : "http", client->endpoint->host);
    client->base = berth_url_parse(text, NULL, NULL);
    g_assert(client->base); /* names of registries are checked long before */
    return client->base;
}

bool berth_client_is_lenient(BerthClient *client, const BerthUrl *url)
{
    return !client->stranger && client->endpoint->insecure &&
           (client->endpoint->addresses->len == 0 ||
            berth_url_same_origin(berth_client_base(client), url));
}

void berth_client_know_scheme(BerthClient *client, BerthScheme scheme)
{
    client->scheme = scheme;
    if (client->endpoint->insecure)
        g_hash_table_insert(client->http->schemes, g_strdup(client->endpoint->host),
                            g_strdup(scheme == BERTH_SCHEME_HTTP ? "http" : "https"));
    client->prober->prober = false;
    client->prober = NULL;
    berth_client_wake(client);
}

void berth_client_guess_scheme(BerthClient *client, BerthScheme scheme)
{
    client->guess = scheme;
}

BerthPool *berth_client_pool(BerthClient *client, const BerthUrl *url, bool bulk, GError **error)
{
    if (client->stranger || !bulk || !url->https)
        return client->pool;
    if (!client->bulk)
        client->bulk = berth_pool_new(client->http->event, error);
    return client->bulk;
}

void berth_client_wake(BerthClient *client)
{
    while (client->parked->len > 0)
        berth_request_go(g_ptr_array_steal_index(client->parked, client->parked->len - 1));
}

void berth_client_next(BerthClient *client)
{
    while (client->active < MAX(client->endpoint->max_connections, 1)) {
        BerthRequest *request = g_queue_pop_head(&client->queue);

        if (!request)
            return;
        client->active++;
        request->slot = true;
        berth_request_go(request);
    }
}

char *berth_client_path(const BerthClient *client, const char *kind, const char *target)
{
    const BerthEndpoint *endpoint = client->endpoint;
    g_autofree char *escaped = g_uri_escape_string(target, ":", FALSE);
    g_autofree char *space = g_uri_escape_string(endpoint->space, NULL, FALSE);

    return g_strdup_printf("/v2/%s/%s/%s%s%s", endpoint->repository, kind, escaped,
                           *space ? "?ns=" : "", space);
}

char *berth_client_scope(const BerthClient *client, const char *actions)
{
    return g_strdup_printf("repository:%s:%s", client->endpoint->repository, actions);
}
