/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a request: it waits for a free connection, for the scheme of its registry to be
 * known, for an overloaded server, for a token, and then sends what its kind prepares. All of that
 * happens in steps that the loop calls, so that nobody who asks for something is called back before
 * it has returned, and nothing happens after berth_request_cancel(). What follows from an answer is
 * in outcome.c.
 */

#include "registry/request.h"

#include "base/error.h"
#include "registry/auth.h"
#include "registry/outcome.h"
#include "registry/proxy.h"
#include "registry/secret.h"

#include <string.h>

/* How long a TLS handshake may take before plain HTTP is tried. */
#define SLOW_HANDSHAKE          (2 * UINT64_C(1000000))
#define SLOW_LOOPBACK_HANDSHAKE (UINT64_C(1000000) / 4)

static void request_free(BerthRequest *request)
{
    BerthClient *client = request->client;

    if (request->exchange)
        berth_exchange_free(request->exchange);
    sd_event_source_disable_unref(request->step);
    sd_event_source_disable_unref(request->timer);
    g_ptr_array_remove_fast(client->requests, request);
    g_ptr_array_remove(client->parked, request);
    g_queue_remove(&client->queue, request);
    if (request->prober) {
        client->prober = NULL;
        berth_client_wake(client);
    }
    if (request->slot)
        client->active--;
    berth_client_next(client);
    if (request->kind->destroy)
        request->kind->destroy(request);
    g_free(request->what);
    g_free(request->path);
    g_free(request->scope);
    g_free(request->gated);
    g_free(request->via);
    berth_url_free(request->url);
    berth_url_free(request->hop);
    berth_url_free(request->asked);
    g_clear_error(&request->error);
    if (client->stranger)
        berth_client_free(client);
    g_free(request);
}

void berth_request_finish(BerthRequest *request, const GError *error)
{
    request->kind->finish(request, error);
    request_free(request);
}

void berth_request_cancel(BerthRequest *request)
{
    request_free(request);
}

void berth_request_resume(BerthRequest *request)
{
    if (request->exchange)
        berth_exchange_resume(request->exchange);
}

void berth_request_set_error(BerthRequest *request, GError *error, bool final)
{
    g_clear_error(&request->error);
    request->error = error;
    request->error_is_final = final;
}

void berth_request_go(BerthRequest *request)
{
    (void)sd_event_source_set_enabled(request->step, SD_EVENT_ONESHOT);
}

void berth_request_go_after(BerthRequest *request, uint64_t usec)
{
    if (usec == 0) {
        berth_request_go(request);
        return;
    }
    (void)sd_event_source_set_time(request->timer, berth_http_now(request->client->http) + usec);
    (void)sd_event_source_set_enabled(request->timer, SD_EVENT_ONESHOT);
}

BerthUrl *berth_request_url(const BerthRequest *request, GError **error)
{
    const BerthUrl *base;

    if (request->hop)
        return berth_url_parse(request->hop->text, NULL, error);
    if (!request->path)
        return berth_url_parse(request->url->text, NULL, error);
    base = berth_client_base(request->client);
    return berth_url_parse(request->path, base, error);
}

bool berth_request_was_refused(BerthRequest *request)
{
    if (!request->kind->refused || !request->kind->refused(request))
        return false;
    request->auth_rounds = 0;
    return true;
}

static BerthBody on_head(const BerthResponse *response, void *userdata)
{
    BerthRequest *request = userdata;

    if (request->kind->head && response->status >= 200 && response->status < 300)
        return request->kind->head(request, response);
    return BERTH_BODY_KEEP;
}

static bool on_body(const void *data, size_t length, bool *pause, void *userdata)
{
    BerthRequest *request = userdata;

    return request->kind->body(request, data, length, pause);
}

static ssize_t on_source_read(void *data, size_t length, void *userdata)
{
    BerthRequest *request = userdata;

    return request->kind->source.read(data, length, request);
}

static bool on_source_rewind(void *userdata)
{
    BerthRequest *request = userdata;

    return request->kind->source.rewind(request);
}

static void on_done(const BerthExchange *exchange, void *userdata)
{
    BerthRequest *request = userdata;

    request->exchange = NULL;
    berth_outcome(request, exchange);
}

static bool only_public(const char *host, int port, const BerthAddress *address, void *userdata)
{
    return address && berth_address_is_public(address);
}

/* Where a connection may go and what it shows; @proxy is to be kept until it was copied. */
static void plan_route(BerthRequest *request, const BerthUrl *url, const char *proxy,
                       BerthRoute *route)
{
    BerthClient *client = request->client;
    const BerthEndpoint *endpoint = client->endpoint;

    bool own = !client->stranger && berth_url_same_origin(berth_client_base(client), url);

    *route = (BerthRoute){
        .trust = client->trust,
        .identify = own,
        .verify = !berth_client_is_lenient(client, url),
        .connect_timeout = endpoint->connect_timeout,
        .stall_timeout = endpoint->stall_timeout,
        .proxy = proxy,
        .allow = client->allow,
        .allow_data = client->allow_data,
    };
    if (client->stranger && *proxy)
        route->connect_to = request->via;
    /* whoever runs a public registry has no business inside */
    if (!client->stranger && !own && client->is_public)
        route->allow = only_public;
    if (own && endpoint->addresses->len > 0)
        route->connect_to = endpoint->addresses->pdata[client->address % endpoint->addresses->len];
    if (request->prober && client->guess == BERTH_SCHEME_HTTPS && endpoint->insecure &&
        !client->https_was_slow)
        route->connect_timeout =
            MIN(route->connect_timeout,
                berth_endpoint_is_loopback(endpoint) ? SLOW_LOOPBACK_HANDSHAKE : SLOW_HANDSHAKE);
}

static void wipe(gpointer text)
{
    berth_secret_free(text);
}

/* Sends it. @authorization: (nullable) a header. */
static bool send_to(BerthRequest *request, const BerthUrl *url, char *authorization, GError **error)
{
    static const BerthExchangeEvents events = { on_head, on_body, on_done };
    const BerthRequestKind *kind = request->kind;
    BerthClient *client = request->client;
    g_autoptr(GPtrArray) headers = g_ptr_array_new_with_free_func(wipe);
    BERTH_AUTO_SECRET proxy = berth_proxy_for(client->endpoint->proxy, url);
    BerthBodySource source = { on_source_read, on_source_rewind, request->sends };
    BerthPool *pool = berth_client_pool(client, url, request->bulk, error);
    BerthRoute route;

    if (!pool)
        return false;
    if (client->stranger && *proxy) {
        BerthGate gate = berth_stranger_gate(request, url, error);

        if (gate != BERTH_GATE_OPEN)
            return gate == BERTH_GATE_WAIT;
    }
    plan_route(request, url, proxy, &route);
    g_ptr_array_add(headers, g_strdup("Accept-Encoding: identity"));
    if (authorization && request->on_own_host)
        g_ptr_array_add(headers, g_strdup(authorization));
    kind->prepare(request, headers);
    g_ptr_array_add(headers, NULL);

    const BerthExchangeSpec spec = {
        .method = request->method,
        .url = url,
        .route = &route,
        .headers = (const char *const *)headers->pdata,
        .source = request->sending ? &source : NULL,
        .bulk = request->bulk,
        .keep_max = kind->keep_max,
        .whole_timeout = kind->whole_timeout,
        .limiters = { kind->body || kind->limited ? client->http->limiter : NULL,
                      kind->body || kind->limited ? client->limiter : NULL },
    };
    request->tries++;
    g_clear_error(&request->error);
    request->exchange = berth_exchange_new(pool, &spec, &events, request, error);
    return request->exchange != NULL;
}

static void park(BerthRequest *request)
{
    g_ptr_array_add(request->client->parked, request);
}

/*
 * One finds out the scheme, the others wait: until it is known, or until HTTPS is out of question,
 * since what comes then is to be tried by all anyway.
 */
static bool take_scheme(BerthRequest *request)
{
    BerthClient *client = request->client;

    if (!request->path || client->scheme != BERTH_SCHEME_UNKNOWN || request->prober)
        return true;
    if (client->prober && client->guess == BERTH_SCHEME_HTTP && !client->https_was_slow)
        return true;
    if (client->prober) {
        park(request);
        return false;
    }
    client->prober = request;
    request->prober = true;
    return true;
}

/* Whether to go on; false with @error: it cannot; without: it waits for a token. */
static bool take_token(BerthRequest *request, char **authorization, GError **error)
{
    *authorization = NULL;
    if ((request->flags & BERTH_REQUEST_PLAIN) || !request->on_own_host || !request->client->auth)
        return true;
    switch (berth_auth_prepare(request->client->auth, request, authorization, error)) {
    case BERTH_AUTH_GO:
        return true;
    case BERTH_AUTH_WAIT:
        park(request);
        return false;
    default:
        return false;
    }
}

static bool is_own_host(const BerthRequest *request, const BerthUrl *url)
{
    if (request->client->stranger)
        return false;
    if (request->flags & BERTH_REQUEST_PLAIN)
        return berth_url_same_origin(request->url, url);
    return berth_url_same_origin(berth_client_base(request->client), url);
}

static int on_step(sd_event_source *source, void *userdata)
{
    BerthRequest *request = userdata;
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthUrl) url = NULL;
    BERTH_AUTO_SECRET authorization = NULL;
    uint64_t wait;

    if (request->error) {
        berth_request_finish(request, request->error);
        return 0;
    }
    if (request->kind->enough && request->kind->enough(request)) {
        berth_request_finish(request, NULL);
        return 0;
    }
    if (!take_scheme(request))
        return 0;
    url = berth_request_url(request, &error);
    if (url) {
        request->on_own_host = is_own_host(request, url);
        wait = berth_http_wait_usec(request->client->http, url);
        if (wait > 0) {
            berth_request_go_after(request, wait);
            return 0;
        }
        if (take_token(request, &authorization, &error) &&
            send_to(request, url, authorization, &error)) {
            berth_url_free(request->asked);
            request->asked = g_steal_pointer(&url);
        }
    }
    if (error && error->code == BERTH_ERROR_AUTHENTICATION_REQUIRED &&
        berth_request_was_refused(request))
        berth_request_go(request);
    else if (error)
        berth_request_finish(request, error);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    return on_step(source, userdata);
}

void berth_request_init(BerthRequest *request, const BerthRequestKind *kind, BerthClient *client,
                        const char *method, char *what)
{
    sd_event *event = client->http->event;
    int r;

    request->kind = kind;
    request->client = client;
    request->method = method;
    request->what = what;
    g_ptr_array_add(client->requests, request);
    r = sd_event_add_defer(event, &request->step, on_step, request);
    if (r >= 0)
        r = sd_event_source_set_enabled(request->step, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(event, &request->timer, CLOCK_MONOTONIC, 0, 1, on_timer, request);
    if (r >= 0)
        r = sd_event_source_set_enabled(request->timer, SD_EVENT_OFF);
    g_assert(r >= 0); /* only memory could be missing */
    if (request->flags & BERTH_REQUEST_AT_ONCE) {
        berth_request_go(request);
        return;
    }
    g_queue_push_tail(&client->queue, request);
    berth_client_next(client);
}
