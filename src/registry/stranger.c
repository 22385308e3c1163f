/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs from URLs that a manifest names. Whoever wrote the manifest is a stranger: nothing that
 * belongs to the registry goes there, and where the connection leads is asked for each address. A
 * proxy would hide that, so with one the name is resolved here: libcurl is set to connect, and each
 * socket that it wants is noted and refused.
 */

#include "registry/http.h"

#include "base/error.h"
#include "registry/blob.h"
#include "registry/request.h"

/* Takes down an address that the name leads to; no connection is made. */
static bool note_address(const char *host, int port, const BerthAddress *address, void *userdata)
{
    BerthRequest *request = userdata;
    BerthClient *client = request->client;

    if (!client->allow(host, port, address, client->allow_data))
        request->is_refused = true;
    else if (address && !request->via)
        request->via = berth_address_format(address);
    return false;
}

static BerthBody no_head(const BerthResponse *response, void *userdata)
{
    return BERTH_BODY_NONE;
}

static bool no_body(const void *data, size_t length, bool *pause, void *userdata)
{
    return false;
}

static void on_resolved(const BerthExchange *exchange, void *userdata)
{
    BerthRequest *request = userdata;
    GError *error = NULL;

    request->exchange = NULL;
    if (request->is_refused || !request->via)
        berth_set_error(&error, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE,
                        "%s: %s %s; ForeignUrlHosts= can allow it", request->what, request->gated,
                        request->is_refused ? "leads to an address that is not allowed"
                                            : "cannot be resolved here, as is needed with a proxy");
    if (error)
        berth_request_set_error(request, error, true);
    berth_request_go(request);
}

static BerthGate resolve(BerthRequest *request, const BerthUrl *url, GError **error)
{
    static const BerthExchangeEvents events = { no_head, no_body, on_resolved };
    BerthClient *client = request->client;
    const BerthRoute route = {
        .trust = client->trust,
        .verify = true,
        .connect_timeout = client->endpoint->connect_timeout,
        .stall_timeout = client->endpoint->stall_timeout,
        .proxy = "",
        .allow = note_address,
        .allow_data = request,
    };
    const BerthExchangeSpec spec = { .method = "HEAD", .url = url, .route = &route, .fresh = true };

    g_free(request->gated);
    request->gated = g_strdup(url->authority);
    g_clear_pointer(&request->via, g_free);
    request->is_refused = false;
    request->exchange = berth_exchange_new(client->pool, &spec, &events, request, error);
    return request->exchange ? BERTH_GATE_WAIT : BERTH_GATE_SHUT;
}

BerthGate berth_stranger_gate(BerthRequest *request, const BerthUrl *url, GError **error)
{
    BerthClient *client = request->client;
    BerthAddress address;

    if (request->gated && g_str_equal(request->gated, url->authority))
        return BERTH_GATE_OPEN;
    if (!berth_address_parse(url->host, &address)) {
        if (!client->allow(url->host, url->port, NULL, client->allow_data))
            return resolve(request, url, error);
    } else if (!client->allow(url->host, url->port, &address, client->allow_data)) {
        berth_set_error(error, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE,
                        "%s: %s is an address that is not allowed; ForeignUrlHosts= can allow it",
                        request->what, url->host);
        return BERTH_GATE_SHUT;
    }
    g_clear_pointer(&request->via, g_free);
    g_clear_pointer(&request->gated, g_free);
    return BERTH_GATE_OPEN;
}

BerthRequest *berth_http_get_url(BerthHttp *http, const BerthEndpoint *settings, const char *url,
                                 int64_t size, BerthAddressFunc allow, const BerthBlobSink *sink,
                                 void *userdata)
{
    GError *error = NULL;
    BerthClient *client = berth_client_new_stranger(http, settings, allow, userdata, &error);
    BerthUrl *parsed = error ? NULL : berth_url_parse(url, NULL, &error);
    BerthRequest *request;

    request = berth_blob_request_new(
        client, NULL, parsed, g_strdup_printf("layer of %s", settings->name), size, sink, userdata);
    if (error)
        berth_request_set_error(request, error, true);
    return request;
}
