/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What follows from the end of an exchange: done, redirected, asked to authenticate, to be tried
 * again, or failed. Tries are counted between two signs of progress, so that a connection that is
 * cut again and again still gets there, and one that never gives a byte ends. Every path from here
 * ends the request or has it go on, never both.
 */

#include "registry/outcome.h"

#include "base/error.h"
#include "registry/auth.h"
#include "registry/failure.h"
#include "registry/headers.h"

#define SECOND          UINT64_C(1000000)
#define PAUSE_FIRST     (SECOND / 5)
#define PAUSE_MAX       (30 * SECOND)
#define PAUSE_PROGRESS  (SECOND / 20)
#define RETRY_AFTER_MAX (120 * SECOND)

#define MIRROR_WAIT_MAX (5 * SECOND) /* then what it mirrors is asked */

#define HOPS_MAX        10
#define AUTH_ROUNDS_MAX 3 /* without progress: no token, an old one, one for another scope */
#define ABSENT_RETRIES  2

/* Half of @usec to one and a half of it, so that many do not come back at once. */
static uint64_t jitter(uint64_t usec)
{
    return usec / 2 + (uint64_t)(g_random_double() * (double)usec);
}

static uint64_t pause_before(const BerthRequest *request)
{
    unsigned doublings = MIN(request->failures - 1, 10);

    if (request->progress)
        return jitter(PAUSE_PROGRESS);
    return jitter(MIN(PAUSE_FIRST << doublings, PAUSE_MAX));
}

static unsigned allowed_failures(const BerthRequest *request, BerthFailureClass class)
{
    const BerthEndpoint *endpoint = request->client->endpoint;
    unsigned retries = endpoint->retries, others = MAX(endpoint->addresses->len, 1) - 1;

    if (class == BERTH_FAILURE_ABSENT)
        return others + (endpoint->mirror ? 0 : MIN(retries, ABSENT_RETRIES));
    return class == BERTH_FAILURE_FINAL ? 0 : retries;
}

/* The try failed: another one, or the end. Redirects are asked for anew, they may have expired.
 * @busy: (nullable): a host that wants to be left alone, by everybody. */
static void fail_try(BerthRequest *request, const GError *error, BerthFailureClass class,
                     uint64_t least, const BerthUrl *busy)
{
    uint64_t pause;

    if (request->progress)
        request->failures = request->auth_rounds = 0;
    if (busy)
        berth_http_postpone(request->client->http, busy, least);
    if (request->failures >= allowed_failures(request, class) ||
        (request->client->endpoint->mirror && least > MIRROR_WAIT_MAX)) {
        berth_request_finish(request, error);
        return;
    }
    if (request->kind->failed)
        request->kind->failed(request);
    request->failures++;
    request->hops = 0;
    g_clear_pointer(&request->hop, berth_url_free);
    pause = MAX(least, pause_before(request));
    if (busy)
        berth_http_postpone(request->client->http, busy, pause);
    berth_request_go_after(request, pause);
    request->progress = false;
}

/* What the server asks for, as far as it is reasonable. */
static uint64_t retry_after(const BerthResponse *response)
{
    const char *text = berth_response_get(response, "retry-after");
    uint64_t seconds;

    if (!text || !berth_retry_after_parse(text, g_get_real_time() / (int64_t)SECOND, &seconds))
        return 0;
    return MIN(seconds, RETRY_AFTER_MAX / SECOND) * SECOND;
}

static bool is_redirect(const BerthRequest *request, const BerthResponse *response)
{
    bool plain = g_str_equal(request->method, "GET") || g_str_equal(request->method, "HEAD");

    if ((request->flags & BERTH_REQUEST_NO_REDIRECT) || !berth_response_get(response, "location"))
        return false;
    switch (response->status) {
    case 301:
    case 302:
    case 303:
        return plain;
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

static void follow(BerthRequest *request, const BerthUrl *from, const BerthResponse *response)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthUrl) to =
        berth_url_parse(berth_response_get(response, "location"), from, &error);

    if (!to)
        g_prefix_error(&error, "%s: %s redirects: ", request->what, from->authority);
    else if (from->https && !to->https)
        berth_set_error(&error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: %s redirects from https to http at %s, which is not followed; ask who "
                        "runs it",
                        request->what, from->authority, to->authority);
    else if (++request->hops > HOPS_MAX)
        berth_set_error(&error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: more than %d redirects, the last one from %s to %s; ask who runs it",
                        request->what, HOPS_MAX, from->authority, to->authority);
    if (error) {
        berth_request_finish(request, error);
        return;
    }
    berth_url_free(request->hop);
    request->hop = g_steal_pointer(&to);
    berth_request_go(request);
}

static void completed(BerthRequest *request, const BerthUrl *url, const BerthResponse *response)
{
    g_autoptr(GError) error = NULL;

    request->at = url;
    switch (request->kind->complete(request, response, &error)) {
    case BERTH_VERDICT_DONE:
        berth_request_finish(request, NULL);
        break;
    case BERTH_VERDICT_AGAIN:
        g_clear_pointer(&request->hop, berth_url_free);
        request->hops = request->auth_rounds = 0;
        berth_request_go(request);
        break;
    case BERTH_VERDICT_RETRY:
        fail_try(request, error, BERTH_FAILURE_PASSING, 0, NULL);
        break;
    default:
        if (!error)
            error = berth_failure_of_answer(request, url, response);
        berth_request_finish(request, error);
    }
}

static void refused(BerthRequest *request, const BerthUrl *url, const BerthResponse *response)
{
    g_autoptr(GError) error = NULL;

    if (request->client->auth && ++request->auth_rounds <= AUTH_ROUNDS_MAX &&
        berth_auth_challenged(request->client->auth, request, response, &error)) {
        berth_request_go(request);
        return;
    }
    if (berth_request_was_refused(request)) {
        berth_request_go(request);
        return;
    }
    if (!error)
        error = berth_failure_of_answer(request, url, response);
    berth_request_finish(request, error);
}

static void answered(BerthRequest *request, const BerthUrl *url, const BerthResponse *response)
{
    bool plain = request->flags & BERTH_REQUEST_PLAIN;
    unsigned status = response->status;

    if (is_redirect(request, response))
        follow(request, url, response);
    else if (status == 401 && request->on_own_host && !plain)
        refused(request, url, response);
    else if (berth_failure_is_passing(status) ||
             (request->hop && !request->on_own_host && (status == 401 || status == 403))) {
        bool busy = status == 429 || status == 503;
        g_autoptr(GError) error = berth_failure_of_answer(request, url, response);

        fail_try(request, error, BERTH_FAILURE_PASSING, retry_after(response), busy ? url : NULL);
    } else
        completed(request, url, response);
}

/* Whether a failure of https says that http should be tried. */
static bool may_be_plain(const BerthExchangeResult *result)
{
    switch (result->code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
        return true;
    default:
        return false;
    }
}

/* The scheme is not known yet and there was no answer: whether the other one comes next. */
static bool guess_again(BerthRequest *request, const BerthExchangeResult *result)
{
    BerthClient *client = request->client;

    if (!client->endpoint->insecure)
        return false;
    if (client->guess == BERTH_SCHEME_HTTPS) {
        if (!may_be_plain(result) || client->https_was_slow)
            return false;
        client->https_was_slow = result->code == CURLE_OPERATION_TIMEDOUT;
        berth_client_guess_scheme(client, BERTH_SCHEME_HTTP);
        if (!client->https_was_slow)
            berth_client_wake(client);
        return true;
    }
    berth_client_guess_scheme(client, BERTH_SCHEME_HTTPS);
    return client->https_was_slow;
}

/* What an answer, or none, says about the scheme. */
static bool probed(BerthRequest *request, const BerthResponse *response,
                   const BerthExchangeResult *result)
{
    BerthClient *client = request->client;

    if (!request->prober || request->hop)
        return true;
    /* a server that speaks TLS says so with this status when it is spoken to plainly */
    if (response->status > 0 && client->guess == BERTH_SCHEME_HTTP && client->https_was_slow &&
        response->status == 400) {
        berth_client_guess_scheme(client, BERTH_SCHEME_HTTPS);
        return false;
    }
    if (response->status == 0)
        return !guess_again(request, result);
    berth_client_know_scheme(client, client->guess);
    return true;
}

/* It ended before the answer was complete. */
static void broken(BerthRequest *request, const BerthUrl *url, const BerthExchangeResult *result)
{
    g_autoptr(GError) error = NULL;
    BerthFailureClass class;

    if (!request->error && request->kind->enough && request->kind->enough(request)) {
        berth_request_finish(request, NULL);
        return;
    }
    error = berth_failure_of_exchange(request, url, result, &class);
    if (request->error) {
        g_clear_error(&error);
        error = g_steal_pointer(&request->error);
        class = request->error_is_final ? BERTH_FAILURE_FINAL : BERTH_FAILURE_PASSING;
    }
    /* another of the pinned addresses may be better */
    if (class != BERTH_FAILURE_FINAL && request->on_own_host)
        request->client->address++;
    fail_try(request, error, class, 0, NULL);
}

void berth_outcome(BerthRequest *request, const BerthExchange *exchange)
{
    const BerthResponse *response = berth_exchange_response(exchange);
    const BerthExchangeResult *result = berth_exchange_result(exchange);
    g_autoptr(BerthUrl) url = g_steal_pointer(&request->asked);

    if (request->path && !request->hop && result->peer.length > 0)
        request->client->is_public = !result->proxied && berth_address_is_public(&result->peer);
    if (!probed(request, response, result)) {
        berth_request_go(request);
        return;
    }
    /* of a failure the status is enough, however much is written about it */
    if (response->complete && (result->code == CURLE_OK || response->status >= 300) &&
        !request->error)
        answered(request, url, response);
    else
        broken(request, url, result);
}
