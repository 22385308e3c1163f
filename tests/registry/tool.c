/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The common part of the programs that drive src/registry for tests: options, the loop, and one
 * line on standard error for each thing that ended: `ok ...`, or the name of the error and its
 * message.
 */

#include "tool.h"

#include "base/error.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tool_ended(Tool *tool, const char *note, const GError *error)
{
    if (error)
        fprintf(stderr, "%s: %s\n", strrchr(berth_error_dbus_name(error->code), '.') + 1,
                error->message);
    else
        fprintf(stderr, "ok %s\n", note);
    tool->failed = tool->failed || error;
    if (--tool->pending == 0)
        (void)sd_event_exit(tool->event, tool->failed ? 1 : 0);
}

GBytes *tool_read_file(const char *path)
{
    char *data;
    gsize length;

    if (!g_file_get_contents(path, &data, &length, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    return g_bytes_new_take(data, length);
}

BerthDigest tool_digest(const char *text)
{
    g_autoptr(GError) error = NULL;
    BerthDigest digest;

    if (!berth_digest_parse(text, &digest, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(2);
    }
    return digest;
}

static BerthEndpoint *make_endpoint(const char *host, const char *repository, const Tool *tool)
{
    BerthEndpoint *endpoint = berth_endpoint_new(host, repository);

    endpoint->insecure = tool->insecure;
    endpoint->mirror = tool->mirror;
    endpoint->stall_timeout = (uint64_t)tool->stall * 1000;
    endpoint->connect_timeout = (uint64_t)tool->connect * 1000;
    endpoint->retries = (unsigned)tool->retries;
    endpoint->max_connections = (unsigned)tool->connections;
    endpoint->max_bandwidth = (uint64_t)tool->bandwidth;
    if (tool->ca)
        endpoint->ca = tool_read_file(tool->ca);
    if (tool->certificate)
        endpoint->client_certificate = tool_read_file(tool->certificate);
    if (tool->key)
        endpoint->client_key = tool_read_file(tool->key);
    if (tool->credentials)
        endpoint->credentials = tool_read_file(tool->credentials);
    if (tool->proxy) {
        g_free(endpoint->proxy);
        endpoint->proxy = g_strdup(tool->proxy);
    }
    if (tool->space) {
        g_free(endpoint->space);
        endpoint->space = g_strdup(tool->space);
    }
    for (char **address = tool->addresses; address && *address; address++)
        g_ptr_array_add(endpoint->addresses, g_strdup(*address));
    return endpoint;
}

static int run(Tool *tool, char **words, void (*start)(Tool *tool, char **words))
{
    g_autoptr(GError) error = NULL;
    int r = 1;

    (void)signal(SIGPIPE, SIG_IGN);
    if (sd_event_new(&tool->event) < 0)
        return 2;
    tool->endpoint = make_endpoint(words[1], words[2], tool);
    tool->http = berth_http_new(tool->event, 0, 6, &error);
    tool->client = tool->http ? berth_client_new(tool->http, tool->endpoint, &error) : NULL;
    if (tool->client) {
        start(tool, words);
        r = sd_event_loop(tool->event);
    } else {
        tool->pending++;
        tool_ended(tool, "", error);
    }
    berth_client_free(tool->client);
    berth_http_free(tool->http);
    berth_endpoint_free(tool->endpoint);
    sd_event_unref(tool->event);
    return r;
}

int tool_run(int argc, char **argv, const char *usage, int n_words,
             void (*start)(Tool *tool, char **words))
{
    static Tool t = {
        .stall = 5000, .connect = 5000, .retries = 5, .connections = 6, .copies = 1, .size = -1
    };
    static const GOptionEntry entries[] = {
        { "ca", 0, 0, G_OPTION_ARG_FILENAME, &t.ca, "", "FILE" },
        { "certificate", 0, 0, G_OPTION_ARG_FILENAME, &t.certificate, "", "FILE" },
        { "key", 0, 0, G_OPTION_ARG_FILENAME, &t.key, "", "FILE" },
        { "credentials", 0, 0, G_OPTION_ARG_FILENAME, &t.credentials, "auth.json", "FILE" },
        { "proxy", 0, 0, G_OPTION_ARG_STRING, &t.proxy, "", "URL" },
        { "space", 0, 0, G_OPTION_ARG_STRING, &t.space, "ns of a mirror", "HOST" },
        { "address", 0, 0, G_OPTION_ARG_STRING_ARRAY, &t.addresses, "pinned", "ADDRESS" },
        { "insecure", 0, 0, G_OPTION_ARG_NONE, &t.insecure, "", NULL },
        { "mirror", 0, 0, G_OPTION_ARG_NONE, &t.mirror, "", NULL },
        { "pausing", 0, 0, G_OPTION_ARG_NONE, &t.pausing, "pause after each part", NULL },
        { "allow", 0, 0, G_OPTION_ARG_NONE, &t.allow_all, "URLs to all addresses", NULL },
        { "stall", 0, 0, G_OPTION_ARG_INT, &t.stall, "", "MSEC" },
        { "connect", 0, 0, G_OPTION_ARG_INT, &t.connect, "", "MSEC" },
        { "retries", 0, 0, G_OPTION_ARG_INT, &t.retries, "", "N" },
        { "connections", 0, 0, G_OPTION_ARG_INT, &t.connections, "", "N" },
        { "bandwidth", 0, 0, G_OPTION_ARG_INT, &t.bandwidth, "", "BYTES" },
        { "copies", 0, 0, G_OPTION_ARG_INT, &t.copies, "at the same time", "N" },
        { "size", 0, 0, G_OPTION_ARG_INT64, &t.size, "of the blob", "BYTES" },
        { "offset", 0, 0, G_OPTION_ARG_INT64, &t.offset, "that is there already", "BYTES" },
        { "from", 0, 0, G_OPTION_ARG_STRING, &t.from, "where it may be mounted from",
          "REPOSITORY" },
        { "type", 0, 0, G_OPTION_ARG_STRING, &t.type, "of the manifest", "MEDIA TYPE" },
        { NULL },
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new(usage);

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != n_words + 1) {
        fprintf(stderr, "usage: %s %s\n", argv[0], usage);
        return 2;
    }
    return run(&t, argv + 1, start);
}
