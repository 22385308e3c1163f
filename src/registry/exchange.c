/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One request and its one answer, on a libcurl handle of its own. libcurl does what is HTTP and
 * TLS; what it would do by itself beyond that (redirects, netrc, cookies, decoding, authentication)
 * stays off, since each of them could carry something to where it does not belong. Here are the
 * bounds that libcurl lacks: time without a byte that counts no pauses of ours, and the size of
 * headers.
 */

#include "registry/exchange.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BULK_BUFFER  (256 * 1024L)
#define SMALL_BUFFER (16 * 1024L)
#define EXPECT_SIZE                                                                                \
    (16 * 1024 * 1024)   /* from which on a body is worth to be asked for first, and */
#define EXPECT_MSEC 500L /* that a server may take to say whether it wants it */
#define PATIENCE    4    /* times the stall timeout */
#define USER_AGENT  "berth/" BERTH_VERSION

struct BerthExchange {
    BerthPoolEntry entry; /* first */
    BerthExchangeEvents events;
    void *userdata;
    BerthRoute route;
    BerthBodySource source;
    char *host; /* of the URL */
    int port;
    struct curl_slist *headers, *connect_to;
    char text[CURL_ERROR_SIZE];
    BerthResponse response;
    BerthExchangeResult result;
    BerthBody taking;
    size_t keep_max;

    BerthLimiter *limiters[2];
    BerthLimiterWaiter waiter;
    bool held;      /* body() paused it */
    bool throttled; /* waiter waits */
    sd_event_source *unpause;

    sd_event_source *watchdog;
    uint64_t last;  /* µs: when a byte came or went */
    bool writing;   /* the server changes something */
    uint64_t sent;  /* bytes of the body */
    uint64_t until; /* µs: when it must have ended; 0: whenever */
};

static uint64_t now(const BerthExchange *exchange)
{
    uint64_t usec = 0;

    (void)sd_event_now(berth_pool_event(exchange->entry.pool), CLOCK_MONOTONIC, &usec);
    return usec;
}

/* Secrets may be in it. */
static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *h = headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(headers);
}

static void destroy(BerthPoolEntry *entry)
{
    BerthExchange *exchange = (BerthExchange *)entry;

    curl_easy_cleanup(entry->easy);
    free_headers(exchange->headers);
    curl_slist_free_all(exchange->connect_to);
    berth_trust_unref(exchange->route.trust);
    berth_response_clear(&exchange->response);
    g_free(exchange->host);
    g_free(exchange);
}

/* Nothing may call back any more. */
static void silence(BerthExchange *exchange)
{
    berth_limiter_forget(&exchange->waiter);
    exchange->unpause = sd_event_source_disable_unref(exchange->unpause);
    exchange->watchdog = sd_event_source_disable_unref(exchange->watchdog);
}

/* It is out of the pool. */
static void conclude(BerthExchange *exchange, CURLcode code)
{
    long proxy_status = 0;

    silence(exchange);
    exchange->result.code = code;
    exchange->result.text = *exchange->text ? exchange->text : curl_easy_strerror(code);
    if (code == CURLE_SEND_FAIL_REWIND)
        exchange->result.text = "the connection was closed instead of an answer";
    (void)curl_easy_getinfo(exchange->entry.easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    exchange->result.proxy_status = (unsigned)proxy_status;
    exchange->events.done(exchange, exchange->userdata);
    destroy(&exchange->entry);
}

static void on_done(BerthPoolEntry *entry, CURLcode code)
{
    conclude((BerthExchange *)entry, code);
}

/* Whether to count the silence: ours is not the server's. */
static bool is_waiting(const BerthExchange *exchange)
{
    return !exchange->held && !exchange->throttled;
}

/* A server that has it all may have much to do before it answers. */
static uint64_t patience(const BerthExchange *exchange)
{
    bool all = exchange->writing && exchange->sent >= exchange->source.size;

    return exchange->route.stall_timeout * (all ? PATIENCE : 1);
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthExchange *exchange = userdata;
    uint64_t next;

    if (!is_waiting(exchange))
        exchange->last = usec;
    next = exchange->last + patience(exchange);
    if (exchange->until)
        next = MIN(next, exchange->until);
    if (next > usec) {
        (void)sd_event_source_set_time(source, next);
        return 0;
    }
    exchange->result.stalled = true;
    berth_pool_stop(&exchange->entry);
    conclude(exchange, CURLE_OPERATION_TIMEDOUT);
    return 0;
}

static size_t header_function(char *data, size_t size, size_t n, void *userdata)
{
    BerthExchange *exchange = userdata;
    bool complete = exchange->response.complete;

    if (exchange->entry.removed)
        return 0;
    exchange->last = now(exchange);
    if (!berth_response_add_line(&exchange->response, data, size * n)) {
        exchange->result.too_long = true;
        return 0;
    }
    if (complete || !exchange->response.complete)
        return size * n;
    exchange->taking = exchange->events.head(&exchange->response, exchange->userdata);
    return exchange->taking == BERTH_BODY_NONE || exchange->entry.removed ? 0 : size * n;
}

/* Lets the limits count @bytes, and pauses if they say so. */
static void count(BerthExchange *exchange, size_t bytes)
{
    BerthLimiter *in_debt = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(exchange->limiters); i++)
        if (exchange->limiters[i] && !berth_limiter_take(exchange->limiters[i], bytes))
            in_debt = exchange->limiters[i];
    if (!in_debt || exchange->throttled)
        return;
    exchange->throttled = true;
    berth_limiter_wait(in_debt, &exchange->waiter);
}

static size_t body_function(char *data, size_t size, size_t n, void *userdata)
{
    BerthExchange *exchange = userdata;
    size_t length = size * n;
    bool paused = !is_waiting(exchange), pause = false;

    if (exchange->entry.removed)
        return 0;
    exchange->last = now(exchange);
    if (exchange->taking == BERTH_BODY_KEEP) {
        if (exchange->response.body->len + length > exchange->keep_max) {
            exchange->result.too_long = true;
            return 0;
        }
        g_byte_array_append(exchange->response.body, (const guint8 *)data, (guint)length);
        return length;
    }
    if (!exchange->events.body(data, length, &pause, exchange->userdata) || exchange->entry.removed)
        return 0;
    exchange->held = exchange->held || pause;
    count(exchange, length);
    if (!paused && !is_waiting(exchange))
        (void)curl_easy_pause(exchange->entry.easy, CURLPAUSE_RECV);
    return length;
}

static size_t source_function(char *data, size_t size, size_t n, void *userdata)
{
    BerthExchange *exchange = userdata;
    ssize_t length;

    if (exchange->entry.removed)
        return CURL_READFUNC_ABORT;
    exchange->last = now(exchange);
    if (!is_waiting(exchange))
        return CURL_READFUNC_PAUSE;
    length = exchange->source.read(data, size * n, exchange->userdata);
    if (exchange->entry.removed)
        return CURL_READFUNC_ABORT;
    if (length == BERTH_SOURCE_WAITS) {
        exchange->held = true;
        return CURL_READFUNC_PAUSE;
    }
    if (length < 0)
        return CURL_READFUNC_ABORT;
    exchange->sent += (uint64_t)length;
    count(exchange, (size_t)length);
    return (size_t)length;
}

static int seek_function(void *userdata, curl_off_t offset, int origin)
{
    BerthExchange *exchange = userdata;

    if (exchange->entry.removed || offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    if (!exchange->source.rewind(exchange->userdata))
        return CURL_SEEKFUNC_FAIL;
    exchange->sent = 0;
    return CURL_SEEKFUNC_OK;
}

static bool is_allowed(BerthExchange *exchange, const BerthAddress *address)
{
    if (!exchange->route.allow || exchange->result.proxied)
        return true;
    return exchange->route.allow(exchange->host, exchange->port, address,
                                 exchange->route.allow_data);
}

static curl_socket_t open_socket_function(void *userdata, curlsocktype purpose,
                                          struct curl_sockaddr *place)
{
    BerthExchange *exchange = userdata;
    BerthAddress address;

    if (exchange->entry.removed)
        return CURL_SOCKET_BAD;
    if (exchange->route.allow &&
        (!berth_address_from_sockaddr(&place->addr, &address) || !is_allowed(exchange, &address))) {
        exchange->result.refused_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(place->family, place->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, place->protocol);
}

/* There is a connection, perhaps one that another exchange opened. */
static int connected_function(void *userdata, char *peer, char *local, int peer_port,
                              int local_port)
{
    BerthExchange *exchange = userdata;
    BerthAddress address;

    if (exchange->entry.removed)
        return CURL_PREREQFUNC_ABORT;
    if (exchange->route.allow &&
        (!berth_address_parse(peer, &address) || !is_allowed(exchange, &address))) {
        exchange->result.refused_address = true;
        return CURL_PREREQFUNC_ABORT;
    }
    exchange->result.refused_address = false;
    (void)berth_address_parse(peer, &exchange->result.peer);
    exchange->last = now(exchange);
    (void)sd_event_source_set_time(exchange->watchdog,
                                   exchange->last + exchange->route.stall_timeout);
    (void)sd_event_source_set_enabled(exchange->watchdog, SD_EVENT_ON);
    return CURL_PREREQFUNC_OK;
}

static int on_unpause(sd_event_source *source, void *userdata)
{
    BerthExchange *exchange = userdata;

    exchange->last = now(exchange);
    if (is_waiting(exchange))
        berth_pool_pause(&exchange->entry, CURLPAUSE_CONT);
    return 0;
}

static void on_bandwidth(void *userdata)
{
    BerthExchange *exchange = userdata;

    exchange->throttled = false;
    (void)sd_event_source_set_enabled(exchange->unpause, SD_EVENT_ONESHOT);
}

static void set_buffer(BerthExchange *exchange, bool bulk)
{
    long size = bulk ? BULK_BUFFER : SMALL_BUFFER;

    /* small pieces, so that a slow limit does not come to silence for minutes */
    for (unsigned i = 0; i < G_N_ELEMENTS(exchange->limiters); i++) {
        uint64_t rate = exchange->limiters[i] ? berth_limiter_rate(exchange->limiters[i]) : 0;

        if (rate > 0)
            size = MIN(size, (long)CLAMP(rate / 10, 1024, BULK_BUFFER));
    }
    (void)curl_easy_setopt(exchange->entry.easy, CURLOPT_BUFFERSIZE, size);
}

static void set_method(BerthExchange *exchange, const BerthExchangeSpec *spec)
{
    CURL *easy = exchange->entry.easy;

    if (spec->source) {
        exchange->source = *spec->source;
        (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)spec->source->size);
        (void)curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_MSEC);
        if (spec->bulk)
            (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BULK_BUFFER);
        (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, source_function);
        (void)curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_function);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, exchange);
    } else if (g_str_equal(spec->method, "HEAD"))
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        (void)curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, spec->method);
}

static void set_headers(BerthExchange *exchange, const BerthExchangeSpec *spec)
{
    for (const char *const *header = spec->headers; header && *header; header++)
        exchange->headers = curl_slist_append(exchange->headers, *header);
    /* libcurl would ask whether even the smallest body is wanted, and wait for an answer to that */
    if (spec->source && spec->source->size < EXPECT_SIZE)
        exchange->headers = curl_slist_append(exchange->headers, "Expect:");
    (void)curl_easy_setopt(exchange->entry.easy, CURLOPT_HTTPHEADER, exchange->headers);
    (void)curl_easy_setopt(exchange->entry.easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
}

static void set_callbacks(BerthExchange *exchange)
{
    CURL *easy = exchange->entry.easy;

    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_function);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_function);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket_function);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, connected_function);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->text);
}

static void set_options(BerthExchange *exchange, const BerthExchangeSpec *spec)
{
    CURL *easy = exchange->entry.easy;

    set_callbacks(exchange);
    set_buffer(exchange, spec->bulk);
    set_method(exchange, spec);
    set_headers(exchange, spec);
    exchange->connect_to = berth_route_apply(&exchange->route, easy);
    exchange->route.proxy = exchange->route.connect_to = NULL; /* libcurl has copies */
    (void)curl_easy_setopt(easy, CURLOPT_URL, spec->url->text);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* do not wait for a resolver that does not answer when the transfer is given up */
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    /* In HTTP/2 one stream that pauses holds up the others of its connection. */
    (void)curl_easy_setopt(
        easy, CURLOPT_HTTP_VERSION,
        (long)(spec->url->https && !spec->bulk ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    (void)curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, spec->fresh ? 1L : 0L);
}

static int add_sources(BerthExchange *exchange, sd_event *event, uint64_t whole_timeout)
{
    uint64_t usec = 0;
    int r;

    (void)sd_event_now(event, CLOCK_MONOTONIC, &usec);
    exchange->last = usec;
    exchange->until = whole_timeout ? usec + whole_timeout : 0;
    r = sd_event_add_time(event, &exchange->watchdog, CLOCK_MONOTONIC, exchange->until, 1,
                          on_watchdog, exchange);
    /* before there is a connection, libcurl counts */
    if (r >= 0)
        r = sd_event_source_set_enabled(exchange->watchdog,
                                        exchange->until ? SD_EVENT_ON : SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(event, &exchange->unpause, on_unpause, exchange);
    if (r >= 0)
        r = sd_event_source_set_enabled(exchange->unpause, SD_EVENT_OFF);
    return r;
}

BerthExchange *berth_exchange_new(BerthPool *pool, const BerthExchangeSpec *spec,
                                  const BerthExchangeEvents *events, void *userdata, GError **error)
{
    BerthExchange *exchange = g_new0(BerthExchange, 1);
    int r;

    exchange->entry =
        (BerthPoolEntry){ .easy = curl_easy_init(), .done = on_done, .destroy = destroy };
    exchange->events = *events;
    exchange->userdata = userdata;
    exchange->route = *spec->route;
    berth_trust_ref(exchange->route.trust);
    exchange->host = g_strdup(spec->url->host);
    exchange->port = spec->url->port;
    exchange->result.proxied = *spec->route->proxy;
    exchange->keep_max = spec->keep_max;
    exchange->writing = !g_str_equal(spec->method, "GET") && !g_str_equal(spec->method, "HEAD");
    exchange->waiter = (BerthLimiterWaiter){ .go = on_bandwidth, .userdata = exchange };
    memcpy(exchange->limiters, spec->limiters, sizeof(exchange->limiters));
    berth_response_init(&exchange->response);
    g_assert(exchange->entry.easy);
    set_options(exchange, spec);

    r = add_sources(exchange, berth_pool_event(pool), spec->whole_timeout);
    if (r >= 0 && berth_pool_add(pool, &exchange->entry, error))
        return exchange;
    if (r < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch a transfer");
    silence(exchange);
    destroy(&exchange->entry);
    return NULL;
}

void berth_exchange_free(BerthExchange *exchange)
{
    silence(exchange);
    berth_pool_remove(&exchange->entry);
}

void berth_exchange_resume(BerthExchange *exchange)
{
    if (!exchange->held)
        return;
    exchange->held = false;
    (void)sd_event_source_set_enabled(exchange->unpause, SD_EVENT_ONESHOT);
}

const BerthResponse *berth_exchange_response(const BerthExchange *exchange)
{
    return &exchange->response;
}

const BerthExchangeResult *berth_exchange_result(const BerthExchange *exchange)
{
    return &exchange->result;
}
