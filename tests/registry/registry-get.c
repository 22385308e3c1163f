/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gets one thing through src/registry, for tests: a manifest, a blob or what is at a URL, to
 * standard output. Nothing is verified but what the library verifies. The last line on standard
 * error says how it ended: `ok BYTES` or the name of the error and its message.
 */

#include "base/error.h"
#include "registry/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    sd_event *event;
    BerthEndpoint *endpoint;
    unsigned pending;
    int64_t size;
    bool pausing; /* after each part, until the loop comes round */
    bool allow_all;
    int copies;
    bool failed;
} Tool;

typedef struct {
    Tool *tool;
    BerthRequest *request;
    uint64_t offset;
    FILE *out;
    sd_event_source *resume;
} Sink;

static void ended(Tool *tool, uint64_t bytes, const GError *error)
{
    if (error)
        fprintf(stderr, "%s: %s\n", strrchr(berth_error_dbus_name(error->code), '.') + 1,
                error->message);
    else
        fprintf(stderr, "ok %" G_GUINT64_FORMAT "\n", bytes);
    tool->failed = tool->failed || error;
    if (--tool->pending == 0)
        (void)sd_event_exit(tool->event, tool->failed ? 1 : 0);
}

static void on_manifest(const BerthManifestReply *reply, const GError *error, void *userdata)
{
    if (reply)
        (void)fwrite(g_bytes_get_data(reply->body, NULL), 1, g_bytes_get_size(reply->body), stdout);
    ended(userdata, reply ? g_bytes_get_size(reply->body) : 0, error);
}

static uint64_t sink_offset(void *userdata)
{
    const Sink *sink = userdata;

    return sink->offset;
}

static bool sink_restart(void *userdata, GError **error)
{
    Sink *sink = userdata;

    sink->offset = 0;
    (void)fseek(sink->out, 0, SEEK_SET);
    return true;
}

static int on_resume(sd_event_source *source, void *userdata)
{
    Sink *sink = userdata;

    berth_request_resume(sink->request);
    return 0;
}

static bool sink_write(const void *data, size_t length, bool *pause, void *userdata, GError **error)
{
    Sink *sink = userdata;

    if (sink->out && fwrite(data, 1, length, sink->out) != length)
        return berth_set_error_errno(error, BERTH_ERROR_STORE_FULL, errno, "cannot write");
    sink->offset += length;
    if (sink->tool->pausing) {
        *pause = true;
        (void)sd_event_source_set_enabled(sink->resume, SD_EVENT_ONESHOT);
    }
    return true;
}

static void sink_done(const GError *error, void *userdata)
{
    Sink *sink = userdata;
    Tool *tool = sink->tool;
    uint64_t offset = sink->offset;

    sd_event_source_disable_unref(sink->resume);
    g_free(sink);
    ended(tool, offset, error);
}

static const BerthBlobSink blob_sink = { sink_offset, sink_restart, sink_write, sink_done };

static Sink *new_sink(Tool *tool, uint64_t offset)
{
    Sink *sink = g_new0(Sink, 1);

    sink->tool = tool;
    sink->offset = offset;
    sink->out = tool->pending == 0 ? stdout : NULL; /* of copies only one */
    (void)sd_event_add_defer(tool->event, &sink->resume, on_resume, sink);
    (void)sd_event_source_set_enabled(sink->resume, SD_EVENT_OFF);
    return sink;
}

static bool allow(const char *host, int port, const BerthAddress *address, void *userdata)
{
    const Sink *sink = userdata;

    return sink->tool->allow_all || (address && berth_address_is_public(address));
}

static GBytes *read_file(const char *path)
{
    char *data;
    gsize length;

    if (!g_file_get_contents(path, &data, &length, NULL)) {
        fprintf(stderr, "registry-get: cannot read %s\n", path);
        exit(2);
    }
    return g_bytes_new_take(data, length);
}

typedef struct {
    char *ca, *certificate, *key, *credentials, *proxy, *space;
    char **addresses;
    gboolean insecure, mirror, pausing, allow_all;
    int stall, connect, retries, connections, bandwidth, copies;
    gint64 size, offset;
} Options;

static BerthEndpoint *make_endpoint(const char *host, const char *repository,
                                    const Options *options)
{
    BerthEndpoint *endpoint = berth_endpoint_new(host, repository);

    endpoint->insecure = options->insecure;
    endpoint->mirror = options->mirror;
    endpoint->stall_timeout = (uint64_t)options->stall * 1000;
    endpoint->connect_timeout = (uint64_t)options->connect * 1000;
    endpoint->retries = (unsigned)options->retries;
    endpoint->max_connections = (unsigned)options->connections;
    endpoint->max_bandwidth = (uint64_t)options->bandwidth;
    if (options->ca)
        endpoint->ca = read_file(options->ca);
    if (options->certificate)
        endpoint->client_certificate = read_file(options->certificate);
    if (options->key)
        endpoint->client_key = read_file(options->key);
    if (options->credentials)
        endpoint->credentials = read_file(options->credentials);
    if (options->proxy) {
        g_free(endpoint->proxy);
        endpoint->proxy = g_strdup(options->proxy);
    }
    if (options->space) {
        g_free(endpoint->space);
        endpoint->space = g_strdup(options->space);
    }
    for (char **address = options->addresses; address && *address; address++)
        g_ptr_array_add(endpoint->addresses, g_strdup(*address));
    return endpoint;
}

static void get_blob(Tool *tool, BerthClient *client, const char *text, const Options *options)
{
    g_autoptr(GError) error = NULL;
    BerthDigest digest;

    if (!berth_digest_parse(text, &digest, &error)) {
        fprintf(stderr, "registry-get: %s\n", error->message);
        exit(2);
    }
    for (int i = 0; i < options->copies; i++) {
        Sink *sink = new_sink(tool, (uint64_t)options->offset);

        tool->pending++;
        sink->request = berth_client_get_blob(client, &digest, options->size, &blob_sink, sink);
    }
}

static void get_url(Tool *tool, BerthHttp *http, const char *url, const Options *options)
{
    for (int i = 0; i < options->copies; i++) {
        Sink *sink = new_sink(tool, (uint64_t)options->offset);

        tool->pending++;
        sink->request =
            berth_http_get_url(http, tool->endpoint, url, options->size, allow, &blob_sink, sink);
    }
}

static int run(char **words, const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthHttp) http = NULL;
    g_autoptr(BerthClient) client = NULL;
    g_autoptr(BerthEndpoint) endpoint = make_endpoint(words[1], words[2], options);
    Tool tool = { .endpoint = endpoint,
                  .pausing = options->pausing,
                  .allow_all = options->allow_all };
    int r;

    if (sd_event_new(&tool.event) < 0)
        return 2;
    http = berth_http_new(tool.event, 0, 6, &error);
    client = http ? berth_client_new(http, endpoint, &error) : NULL;
    if (!client) {
        tool.pending++;
        ended(&tool, 0, error);
        sd_event_unref(tool.event);
        return 1;
    }
    if (g_str_equal(words[0], "manifest"))
        for (int i = 0; i < options->copies; i++) {
            tool.pending++;
            (void)berth_client_get_manifest(client, words[3], on_manifest, &tool);
        }
    else if (g_str_equal(words[0], "blob"))
        get_blob(&tool, client, words[3], options);
    else
        get_url(&tool, http, words[3], options);
    r = sd_event_loop(tool.event);
    sd_event_unref(tool.event);
    return r;
}

int main(int argc, char **argv)
{
    static Options o = {
        .stall = 5000, .connect = 5000, .retries = 5, .connections = 6, .copies = 1, .size = -1
    };
    static const GOptionEntry entries[] = {
        { "ca", 0, 0, G_OPTION_ARG_FILENAME, &o.ca, "", "FILE" },
        { "certificate", 0, 0, G_OPTION_ARG_FILENAME, &o.certificate, "", "FILE" },
        { "key", 0, 0, G_OPTION_ARG_FILENAME, &o.key, "", "FILE" },
        { "credentials", 0, 0, G_OPTION_ARG_FILENAME, &o.credentials, "auth.json", "FILE" },
        { "proxy", 0, 0, G_OPTION_ARG_STRING, &o.proxy, "", "URL" },
        { "space", 0, 0, G_OPTION_ARG_STRING, &o.space, "ns of a mirror", "HOST" },
        { "address", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o.addresses, "pinned", "ADDRESS" },
        { "insecure", 0, 0, G_OPTION_ARG_NONE, &o.insecure, "", NULL },
        { "mirror", 0, 0, G_OPTION_ARG_NONE, &o.mirror, "", NULL },
        { "pausing", 0, 0, G_OPTION_ARG_NONE, &o.pausing, "pause after each part", NULL },
        { "allow", 0, 0, G_OPTION_ARG_NONE, &o.allow_all, "URLs to all addresses", NULL },
        { "stall", 0, 0, G_OPTION_ARG_INT, &o.stall, "", "MSEC" },
        { "connect", 0, 0, G_OPTION_ARG_INT, &o.connect, "", "MSEC" },
        { "retries", 0, 0, G_OPTION_ARG_INT, &o.retries, "", "N" },
        { "connections", 0, 0, G_OPTION_ARG_INT, &o.connections, "", "N" },
        { "bandwidth", 0, 0, G_OPTION_ARG_INT, &o.bandwidth, "", "BYTES" },
        { "copies", 0, 0, G_OPTION_ARG_INT, &o.copies, "at the same time", "N" },
        { "size", 0, 0, G_OPTION_ARG_INT64, &o.size, "of the blob", "BYTES" },
        { "offset", 0, 0, G_OPTION_ARG_INT64, &o.offset, "that is there already", "BYTES" },
        { NULL },
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context =
        g_option_context_new("manifest|blob|url HOST REPOSITORY TARGET");

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 5) {
        fprintf(stderr, "usage: registry-get manifest|blob|url HOST REPOSITORY TARGET\n");
        return 2;
    }
    return run(argv + 1, &o);
}
