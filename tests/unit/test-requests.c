/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that are given up: from everywhere and at any time, after which nothing may be called
 * and nothing may be left. A small server in threads of this program answers; what the protocol is
 * like is tested by the suite registry.
 */

#include "base/error.h"
#include "base/fd.h"
#include "registry/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define SIZE   (4 * 1024 * 1024)
#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define N      4

/* The server */

/* `manifests/stall` is never answered, `manifests/busy` with 503, all else is SIZE bytes. */
static gpointer serve(gpointer data)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n";
    static const char busy[] = "HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 100\r\n\r\n";
    static const char body[SIZE];
    BERTH_AUTO_FD fd = GPOINTER_TO_INT(data);
    char request[4096] = "";

    for (;;) {
        ssize_t n = recv(fd, request, sizeof(request) - 1, 0);

        if (n <= 0 || request[0] == 22) /* TLS */
            return NULL;
        request[n] = '\0';
        if (strstr(request, "/stall"))
            continue;
        if (strstr(request, "/busy"))
            (void)send(fd, busy, strlen(busy), MSG_NOSIGNAL);
        else if (send(fd, head, strlen(head), MSG_NOSIGNAL) < 0 ||
                 send(fd, body, sizeof(body), MSG_NOSIGNAL) < 0)
            return NULL;
    }
}

static gpointer accept_all(gpointer data)
{
    int listener = GPOINTER_TO_INT(data), fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        g_thread_unref(g_thread_new("connection", serve, GINT_TO_POINTER(fd)));
    return NULL;
}

/* What a test works with */

typedef struct Fixture Fixture;

typedef struct {
    Fixture *fixture;
    BerthRequest *request; /* (nullable) */
    uint64_t offset;
    GError *error; /* (nullable): what done() got */
    bool is_done;
} Item;

struct Fixture {
    int listener;
    GThread *acceptor;
    sd_event *event;
    BerthHttp *http;
    BerthEndpoint *endpoint;
    BerthClient *client;
    Item items[N];
    unsigned done;
    void (*on_write)(Fixture *fixture, const Item *item);
    void (*on_done)(Fixture *fixture, const Item *item);
    bool refuse;
};

static void setup(Fixture *fixture, gconstpointer data)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    g_autofree char *host = NULL;
    g_autoptr(GError) error = NULL;

    (void)signal(SIGPIPE, SIG_IGN);
    fixture->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fixture->listener, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(fixture->listener, 64), ==, 0);
    g_assert_cmpint(getsockname(fixture->listener, (struct sockaddr *)&address, &length), ==, 0);
    fixture->acceptor = g_thread_new("acceptor", accept_all, GINT_TO_POINTER(fixture->listener));

    host = g_strdup_printf("127.0.0.1:%d", ntohs(address.sin_port));
    fixture->endpoint = berth_endpoint_new(host, "r");
    fixture->endpoint->insecure = true;
    g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
    fixture->http = berth_http_new(fixture->event, 0, 4, &error);
    g_assert_no_error(error);
    fixture->client = berth_client_new(fixture->http, fixture->endpoint, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < N; i++)
        fixture->items[i].fixture = fixture;
}

/* Whatever was to be called wrongly would be called now. */
static void run_for(Fixture *fixture, uint64_t usec)
{
    uint64_t end = (uint64_t)g_get_monotonic_time() + usec;

    for (;;) {
        uint64_t now = (uint64_t)g_get_monotonic_time();

        if (now >= end)
            return;
        (void)sd_event_run(fixture->event, end - now);
    }
}

static void teardown(Fixture *fixture, gconstpointer data)
{
    berth_client_free(fixture->client);
    run_for(fixture, 50000);
    berth_http_free(fixture->http);
    berth_endpoint_free(fixture->endpoint);
    sd_event_unref(fixture->event);
    (void)shutdown(fixture->listener, SHUT_RDWR);
    g_thread_join(fixture->acceptor);
    berth_close(fixture->listener);
    for (unsigned i = 0; i < N; i++)
        g_clear_error(&fixture->items[i].error);
}

static uint64_t sink_offset(void *userdata)
{
    const Item *item = userdata;

    return item->offset;
}

static bool sink_restart(void *userdata, GError **error)
{
    g_assert_not_reached();
}

static bool sink_write(const void *data, size_t length, bool *pause, void *userdata, GError **error)
{
    Item *item = userdata;
    Fixture *fixture = item->fixture;

    g_assert_nonnull(item->request);
    item->offset += length;
    if (fixture->on_write)
        fixture->on_write(fixture, item);
    return !fixture->refuse || berth_set_error(error, BERTH_ERROR_STORE_FULL, "the disk is full");
}

static void sink_done(const GError *error, void *userdata)
{
    Item *item = userdata;
    Fixture *fixture = item->fixture;

    g_assert_nonnull(item->request);
    g_assert_false(item->is_done);
    item->is_done = true;
    item->request = NULL;
    item->error = error ? g_error_copy(error) : NULL;
    fixture->done++;
    if (fixture->on_done)
        fixture->on_done(fixture, item);
}

static void begin_blob(Fixture *fixture, Item *item)
{
    static const BerthBlobSink sink = { sink_offset, sink_restart, sink_write, sink_done };
    BerthDigest digest;

    g_assert_true(berth_digest_parse(DIGEST, &digest, NULL));
    item->request = berth_client_get_blob(fixture->client, &digest, SIZE, &sink, item);
}

static void begin_blobs(Fixture *fixture)
{
    for (unsigned i = 0; i < N; i++)
        begin_blob(fixture, &fixture->items[i]);
}

static void on_manifest(const BerthManifestReply *reply, const GError *error, void *userdata)
{
    sink_done(error, userdata);
}

static void begin_manifest(Fixture *fixture, Item *item, const char *target)
{
    item->request = berth_client_get_manifest(fixture->client, target, on_manifest, item);
}

static void cancel(Item *item)
{
    if (item->request)
        berth_request_cancel(item->request);
    item->request = NULL;
}

static void run_until_done(Fixture *fixture, unsigned n)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (fixture->done < n) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        (void)sd_event_run(fixture->event, G_TIME_SPAN_SECOND);
    }
}

/* The tests */

static void test_all(Fixture *fixture, gconstpointer data)
{
    begin_blobs(fixture);
    run_until_done(fixture, N);
    for (unsigned i = 0; i < N; i++) {
        g_assert_no_error(fixture->items[i].error);
        g_assert_cmpuint(fixture->items[i].offset, ==, SIZE);
    }
}

static void test_at_once(Fixture *fixture, gconstpointer data)
{
    begin_blobs(fixture);
    for (unsigned i = 0; i < N; i++)
        cancel(&fixture->items[i]);
    run_for(fixture, 50000);
    g_assert_cmpuint(fixture->done, ==, 0);
}

static void test_at_any_time(Fixture *fixture, gconstpointer data)
{
    for (unsigned steps = 0; steps < 60; steps++) {
        begin_blobs(fixture);
        for (unsigned i = 0; i < steps; i++)
            (void)sd_event_run(fixture->event, 1000);
        for (unsigned i = 0; i < N; i++) {
            cancel(&fixture->items[i]);
            fixture->items[i] = (Item){ .fixture = fixture };
        }
        (void)sd_event_run(fixture->event, 0);
    }
    run_for(fixture, 50000);
}

static void cancel_others(Fixture *fixture, const Item *item)
{
    for (unsigned i = 0; i < N; i++)
        if (&fixture->items[i] != item)
            cancel(&fixture->items[i]);
}

static void test_others_from_write(Fixture *fixture, gconstpointer data)
{
    fixture->on_write = cancel_others;
    begin_blobs(fixture);
    run_until_done(fixture, 1);
    run_for(fixture, 50000);
    g_assert_cmpuint(fixture->done, ==, 1);
}

static void test_client_afterwards(Fixture *fixture, gconstpointer data)
{
    fixture->on_done = cancel_others;
    begin_blobs(fixture);
    run_until_done(fixture, 1);
    g_clear_pointer(&fixture->client, berth_client_free);
    run_for(fixture, 50000);
    g_assert_cmpuint(fixture->done, ==, 1);
}

static void begin_next(Fixture *fixture, const Item *item)
{
    if (!fixture->items[1].request && !fixture->items[1].is_done)
        begin_blob(fixture, &fixture->items[1]);
}

static void test_begin_from_write(Fixture *fixture, gconstpointer data)
{
    fixture->on_write = begin_next;
    begin_blob(fixture, &fixture->items[0]);
    run_until_done(fixture, 2);
    g_assert_no_error(fixture->items[1].error);
}

static void test_refused_write(Fixture *fixture, gconstpointer data)
{
    fixture->refuse = true;
    begin_blobs(fixture);
    run_until_done(fixture, N);
    for (unsigned i = 0; i < N; i++)
        g_assert_error(fixture->items[i].error, BERTH_ERROR, BERTH_ERROR_STORE_FULL);
}

static void test_no_answer(Fixture *fixture, gconstpointer data)
{
    begin_manifest(fixture, &fixture->items[0], "stall");
    run_for(fixture, 100000);
    cancel(&fixture->items[0]);
    run_for(fixture, 50000);
    g_assert_cmpuint(fixture->done, ==, 0);
}

/* One waits for the only connection, is told to go and is given up: the next must not wait. */
static void test_queue(Fixture *fixture, gconstpointer data)
{
    fixture->endpoint->max_connections = 1;
    begin_blobs(fixture);
    while (fixture->items[0].offset == 0)
        (void)sd_event_run(fixture->event, 1000);
    cancel(&fixture->items[0]);
    cancel(&fixture->items[1]);
    while (!fixture->items[N - 1].is_done)
        run_until_done(fixture, fixture->done + 1);
    g_assert_no_error(fixture->items[N - 1].error);
}

static void test_while_waiting(Fixture *fixture, gconstpointer data)
{
    begin_manifest(fixture, &fixture->items[0], "busy");
    begin_manifest(fixture, &fixture->items[1], "other");
    run_for(fixture, 200000);
    begin_manifest(fixture, &fixture->items[2], "other");
    run_for(fixture, 50000);
    g_assert_false(fixture->items[0].is_done);
    g_assert_false(fixture->items[2].is_done);
    for (unsigned i = 0; i < N; i++)
        cancel(&fixture->items[i]);
    run_for(fixture, 50000);
}

static void test_resume_without_pause(Fixture *fixture, gconstpointer data)
{
    begin_blob(fixture, &fixture->items[0]);
    while (!fixture->items[0].is_done) {
        berth_request_resume(fixture->items[0].request);
        (void)sd_event_run(fixture->event, 1000);
    }
    g_assert_no_error(fixture->items[0].error);
}

#define ADD(name, function) g_test_add("/requests/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("all", test_all);
    ADD("at-once", test_at_once);
    ADD("at-any-time", test_at_any_time);
    ADD("others-from-write", test_others_from_write);
    ADD("client-afterwards", test_client_afterwards);
    ADD("begin-from-write", test_begin_from_write);
    ADD("refused-write", test_refused_write);
    ADD("no-answer", test_no_answer);
    ADD("queue", test_queue);
    ADD("while-waiting", test_while_waiting);
    ADD("resume-without-pause", test_resume_without_pause);
    return g_test_run();
}
