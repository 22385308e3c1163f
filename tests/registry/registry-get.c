/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gets one thing through src/registry, for tests: a manifest, a blob or what is at a URL, to
 * standard output. Nothing is verified but what the library verifies.
 */

#include "tool.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    Tool *tool;
    BerthRequest *request;
    uint64_t offset;
    FILE *out; /* (nullable) */
    sd_event_source *resume;
} Sink;

static void ended(Tool *tool, uint64_t bytes, const GError *error)
{
    g_autofree char *note = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);

    tool_ended(tool, note, error);
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

static Sink *new_sink(Tool *tool)
{
    Sink *sink = g_new0(Sink, 1);

    sink->tool = tool;
    sink->offset = (uint64_t)tool->offset;
    sink->out = tool->pending == 0 ? stdout : NULL; /* of copies only one */
    (void)sd_event_add_defer(tool->event, &sink->resume, on_resume, sink);
    (void)sd_event_source_set_enabled(sink->resume, SD_EVENT_OFF);
    tool->pending++;
    return sink;
}

static bool allow(const char *host, int port, const BerthAddress *address, void *userdata)
{
    const Sink *sink = userdata;

    return sink->tool->allow_all || (address && berth_address_is_public(address));
}

static void get_one(Tool *tool, const char *kind, const char *target)
{
    Sink *sink;

    if (g_str_equal(kind, "manifest")) {
        tool->pending++;
        (void)berth_client_get_manifest(tool->client, target, on_manifest, tool);
        return;
    }
    sink = new_sink(tool);
    if (g_str_equal(kind, "blob")) {
        BerthDigest digest = tool_digest(target);

        sink->request = berth_client_get_blob(tool->client, &digest, tool->size, &blob_sink, sink);
    } else
        sink->request = berth_http_get_url(tool->http, tool->endpoint, target, tool->size, allow,
                                           &blob_sink, sink);
}

static void start(Tool *tool, char **words)
{
    for (int i = 0; i < tool->copies; i++)
        get_one(tool, words[0], words[3]);
}

int main(int argc, char **argv)
{
    return tool_run(argc, argv, "manifest|blob|url HOST REPOSITORY TARGET", 4, start);
}
