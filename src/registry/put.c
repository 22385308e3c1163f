/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manifests and indexes to a registry, byte for byte. To put the same one twice is harmless, so
 * what fails is simply tried again.
 */

#include "registry/push.h"

#include "registry/request.h"

#include <string.h>

#define KEEP_MAX (64 * 1024)

typedef struct {
    BerthRequest request; /* first */
    BerthPutFunc func;
    void *userdata;
    GBytes *manifest;
    char *media_type;
    size_t sent;
    bool knows_subject;
} PutRequest;

static void prepare(BerthRequest *request, GPtrArray *headers)
{
    PutRequest *put = (PutRequest *)request;

    put->sent = 0;
    g_ptr_array_add(headers, g_strdup_printf("Content-Type: %s", put->media_type));
}

static ssize_t read_manifest(void *data, size_t length, void *userdata)
{
    PutRequest *put = userdata;
    gsize size;
    const char *bytes = g_bytes_get_data(put->manifest, &size);
    size_t n = MIN(length, size - put->sent);

    memcpy(data, bytes + put->sent, n);
    put->sent += n;
    return (ssize_t)n;
}

static bool rewind_manifest(void *userdata)
{
    PutRequest *put = userdata;

    put->sent = 0;
    return true;
}

static BerthVerdict complete(BerthRequest *request, const BerthResponse *response, GError **error)
{
    PutRequest *put = (PutRequest *)request;

    if (response->status < 200 || response->status >= 300)
        return BERTH_VERDICT_FAILED;
    put->knows_subject = berth_response_get(response, "oci-subject");
    return BERTH_VERDICT_DONE;
}

static void finish(BerthRequest *request, const GError *error)
{
    const PutRequest *put = (const PutRequest *)request;

    put->func(put->knows_subject, error, put->userdata);
}

static void destroy(BerthRequest *request)
{
    PutRequest *put = (PutRequest *)request;

    g_bytes_unref(put->manifest);
    g_free(put->media_type);
}

BerthRequest *berth_client_put_manifest(BerthClient *client, const char *target,
                                        const char *media_type, GBytes *manifest, BerthPutFunc func,
                                        void *userdata)
{
    static const BerthRequestKind kind = {
        .prepare = prepare,
        .complete = complete,
        .finish = finish,
        .destroy = destroy,
        .source = { read_manifest, rewind_manifest },
        .keep_max = KEEP_MAX,
        .whole_timeout = BERTH_SMALL_TIMEOUT,
    };
    PutRequest *put = g_new0(PutRequest, 1);
    BerthRequest *request = &put->request;

    put->func = func;
    put->userdata = userdata;
    put->manifest = g_bytes_ref(manifest);
    put->media_type = g_strdup(media_type);
    request->sending = true;
    request->sends = g_bytes_get_size(manifest);
    request->path = berth_client_path(client, "manifests", target);
    request->scope = berth_client_scope(client, "pull,push");
    berth_request_init(request, &kind, client, "PUT",
                       g_strdup_printf("manifest %s of %s", target, client->endpoint->name));
    return request;
}
