/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Puts one thing through src/registry, for tests, or asks what is there before: a blob from a file,
 * a mount, a manifest, whether there is a blob, and what refers to a manifest.
 */

#include "tool.h"

#include "base/error.h"
#include "registry/push.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    Tool *tool;
    BerthRequest *request;
    GBytes *bytes;
    sd_event_source *resume;
    bool waited;
} Source;

static void on_presence(bool present, int64_t size, const GError *error, void *userdata)
{
    g_autofree char *note =
        g_strdup_printf("%s %" G_GINT64_FORMAT, present ? "present" : "absent", size);

    tool_ended(userdata, note, error);
}

static void on_put(bool knows_subject, const GError *error, void *userdata)
{
    tool_ended(userdata, knows_subject ? "subject" : "plain", error);
}

static void on_referrers(const GPtrArray *pages, bool api, const GError *error, void *userdata)
{
    for (unsigned i = 0; pages && i < pages->len; i++) {
        gsize length;
        const void *data = g_bytes_get_data(pages->pdata[i], &length);

        (void)fwrite(data, 1, length, stdout);
        (void)fputc('\n', stdout);
    }
    tool_ended(userdata, api ? "api" : "tag", error);
}

/* With --pausing only every second call gives something. */
static ssize_t source_read(uint64_t offset, void *data, size_t length, bool *wait, void *userdata,
                           GError **error)
{
    Source *source = userdata;
    gsize size;
    const char *bytes = g_bytes_get_data(source->bytes, &size);
    size_t n = offset < size ? MIN(length, size - offset) : 0;

    source->waited = source->tool->pausing && !source->waited;
    if (source->waited) {
        *wait = true;
        (void)sd_event_source_set_enabled(source->resume, SD_EVENT_ONESHOT);
        return 0;
    }
    memcpy(data, bytes + offset, n);
    return (ssize_t)n;
}

static int on_resume(sd_event_source *event_source, void *userdata)
{
    Source *source = userdata;

    berth_request_resume(source->request);
    return 0;
}

static void source_done(bool mounted, const GError *error, void *userdata)
{
    Source *source = userdata;

    tool_ended(source->tool, mounted ? "mounted" : "uploaded", error);
    g_bytes_unref(source->bytes);
    sd_event_source_disable_unref(source->resume);
    g_free(source);
}

static void upload(Tool *tool, const char *file, const char *digest_text)
{
    static const BerthUploadSource functions = { source_read, NULL, source_done };
    BerthDigest digest = tool_digest(digest_text);
    Source *source = g_new0(Source, 1);

    source->tool = tool;
    source->bytes = tool_read_file(file);
    (void)sd_event_add_defer(tool->event, &source->resume, on_resume, source);
    (void)sd_event_source_set_enabled(source->resume, SD_EVENT_OFF);
    source->request = berth_client_upload_blob(tool->client, &digest,
                                               tool->size >= 0 ? (uint64_t)tool->size
                                                               : g_bytes_get_size(source->bytes),
                                               tool->from, &functions, source);
}

static void put_manifest(Tool *tool, const char *file, const char *target)
{
    g_autoptr(GBytes) bytes = tool_read_file(file);

    (void)berth_client_put_manifest(tool->client, target, tool->type, bytes, on_put, tool);
}

static void put_one(Tool *tool, const char *kind, const char *file, const char *target)
{
    BerthDigest digest;

    tool->pending++;
    if (g_str_equal(kind, "blob"))
        upload(tool, file, target);
    else if (g_str_equal(kind, "manifest"))
        put_manifest(tool, file, target);
    else {
        digest = tool_digest(target);
        if (g_str_equal(kind, "mount"))
            (void)berth_client_mount_blob(tool->client, &digest, tool->from, on_presence, tool);
        else if (g_str_equal(kind, "referrers"))
            (void)berth_client_list_referrers(tool->client, &digest, on_referrers, tool);
        else
            (void)berth_client_has_blob(tool->client, &digest, "pull,push", on_presence, tool);
    }
}

static void start(Tool *tool, char **words)
{
    for (int i = 0; i < tool->copies; i++)
        put_one(tool, words[0], words[3], words[4]);
}

int main(int argc, char **argv)
{
    return tool_run(argc, argv, "blob|manifest|has|mount|referrers HOST REPOSITORY FILE TARGET", 5,
                    start);
}
