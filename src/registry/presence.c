/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a repository has a blob. The answer is a hint for what to upload: a registry that says
 * yes and has it not refuses the manifest later.
 */

#include "registry/push.h"

#include "registry/request.h"

#define KEEP_MAX (64 * 1024)

typedef struct {
    BerthRequest request; /* first */
    BerthPresenceFunc func;
    void *userdata;
    bool present;
    int64_t size;
} Presence;

static void prepare(BerthRequest *request, GPtrArray *headers)
{
}

static bool is_present(BerthRequest *request)
{
    const Presence *presence = (const Presence *)request;

    return presence->present;
}

/* The body of a GET would be the blob: enough is known. */
static BerthBody head(BerthRequest *request, const BerthResponse *response)
{
    Presence *presence = (Presence *)request;

    presence->present = true;
    presence->size = berth_response_length(response);
    return g_str_equal(request->method, "HEAD") ? BERTH_BODY_KEEP : BERTH_BODY_NONE;
}

static BerthVerdict complete(BerthRequest *request, const BerthResponse *response, GError **error)
{
    if (response->status >= 200 && response->status < 300)
        return BERTH_VERDICT_DONE;
    if (response->status == 404)
        return BERTH_VERDICT_DONE;
    if (g_str_equal(request->method, "HEAD") &&
        (response->status == 403 || response->status == 405 || response->status == 501)) {
        request->method = "GET";
        return BERTH_VERDICT_AGAIN;
    }
    return BERTH_VERDICT_FAILED;
}

static void finish(BerthRequest *request, const GError *error)
{
    const Presence *presence = (const Presence *)request;

    presence->func(presence->present, presence->size, error, presence->userdata);
}

BerthRequest *berth_client_has_blob(BerthClient *client, const BerthDigest *digest,
                                    const char *actions, BerthPresenceFunc func, void *userdata)
{
    static const BerthRequestKind kind = {
        .prepare = prepare,
        .enough = is_present,
        .head = head,
        .complete = complete,
        .finish = finish,
        .keep_max = KEEP_MAX,
        .whole_timeout = BERTH_SMALL_TIMEOUT,
    };
    Presence *presence = g_new0(Presence, 1);
    BerthRequest *request = &presence->request;

    presence->func = func;
    presence->userdata = userdata;
    presence->size = -1;
    request->path = berth_client_path(client, "blobs", digest->text);
    request->scope = berth_client_scope(client, actions);
    berth_request_init(request, &kind, client, "HEAD",
                       g_strdup_printf("blob %s of %s", digest->text, client->endpoint->name));
    return request;
}
