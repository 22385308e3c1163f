/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manifests and indexes from a registry, as bytes: what they say and whether they are the right
 * ones is decided elsewhere. All of it is read into memory, which is why the size is bounded.
 */

#include "registry/client.h"

#include "base/error.h"
#include "base/names.h"
#include "registry/failure.h"
#include "registry/request.h"

typedef struct {
    BerthRequest request; /* first */
    BerthManifestFunc func;
    void *userdata;
    GBytes *body; /* (nullable) */
    char *content_type, *digest;
} ManifestRequest;

static void prepare(BerthRequest *request, GPtrArray *headers)
{
    static const char *const accept[] = {
        "Accept: application/vnd.oci.image.index.v1+json",
        "Accept: application/vnd.oci.image.manifest.v1+json",
        "Accept: application/vnd.docker.distribution.manifest.list.v2+json",
        "Accept: application/vnd.docker.distribution.manifest.v2+json",
        "Accept: */*",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(accept); i++)
        g_ptr_array_add(headers, g_strdup(accept[i]));
}

static BerthBody head(BerthRequest *request, const BerthResponse *response)
{
    const char *coding = berth_response_get(response, "content-encoding");
    GError *error = NULL;

    if (!berth_failure_check_coding(request, coding, &error))
        ;
    else if (berth_response_length(response) > BERTH_CLIENT_MANIFEST_MAX)
        berth_set_error(&error, BERTH_ERROR_MANIFEST_INVALID,
                        "%s has %" G_GINT64_FORMAT " bytes; at most %d are taken", request->what,
                        berth_response_length(response), BERTH_CLIENT_MANIFEST_MAX);
    else
        return BERTH_BODY_KEEP;
    berth_request_set_error(request, error, true);
    return BERTH_BODY_NONE;
}

static BerthVerdict complete(BerthRequest *request, const BerthResponse *response, GError **error)
{
    ManifestRequest *manifest = (ManifestRequest *)request;
    g_autofree char *words = NULL;

    if (response->status == 200) {
        manifest->body = g_bytes_new(response->body->data, response->body->len);
        manifest->content_type = g_strdup(berth_response_get(response, "content-type"));
        manifest->digest = g_strdup(berth_response_get(response, "docker-content-digest"));
        return BERTH_VERDICT_DONE;
    }
    if (response->status == 404) {
        words = berth_failure_words(response);
        berth_set_error(error, BERTH_ERROR_MANIFEST_UNKNOWN,
                        "%s: the registry does not have it%s; check name and tag", request->what,
                        words);
    }
    return BERTH_VERDICT_FAILED;
}

static void finish(BerthRequest *request, const GError *error)
{
    ManifestRequest *manifest = (ManifestRequest *)request;
    const BerthManifestReply reply = { manifest->body, manifest->content_type, manifest->digest };

    manifest->func(error ? NULL : &reply, error, manifest->userdata);
}

static void destroy(BerthRequest *request)
{
    ManifestRequest *manifest = (ManifestRequest *)request;

    g_clear_pointer(&manifest->body, g_bytes_unref);
    g_free(manifest->content_type);
    g_free(manifest->digest);
}

BerthRequest *berth_client_get_manifest(BerthClient *client, const char *target,
                                        BerthManifestFunc func, void *userdata)
{
    static const BerthRequestKind kind = {
        .prepare = prepare,
        .head = head,
        .complete = complete,
        .finish = finish,
        .destroy = destroy,
        .keep_max = BERTH_CLIENT_MANIFEST_MAX,
        .whole_timeout = BERTH_SMALL_TIMEOUT,
    };
    ManifestRequest *manifest = g_new0(ManifestRequest, 1);
    BerthRequest *request = &manifest->request;

    manifest->func = func;
    manifest->userdata = userdata;
    request->path = berth_client_path(client, "manifests", target);
    request->scope = berth_client_scope(client, "pull");
    berth_request_init(request, &kind, client, "GET",
                       g_strdup_printf("manifest %s of %s", target, client->endpoint->name));
    return request;
}
