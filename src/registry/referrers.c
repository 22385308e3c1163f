/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What refers to a manifest, as a registry lists it: page by page, or from the tag that stands in
 * where the registry does not know the question. Pages are handed on as bytes; their number is
 * bounded, since each one says where the next is.
 */

#include "registry/push.h"

#include "base/error.h"
#include "registry/headers.h"
#include "registry/request.h"

#define PAGES_MAX 64
#define TOTAL_MAX ((size_t)32 * 1024 * 1024) /* bytes */

typedef struct {
    BerthRequest request; /* first */
    BerthReferrersFunc func;
    void *userdata;
    GPtrArray *pages; /* of GBytes */
    size_t total;
    char *tag; /* (nullable): of the fallback, until it was used */
} ReferrersRequest;

static void prepare(BerthRequest *request, GPtrArray *headers)
{
    g_ptr_array_add(headers, g_strdup("Accept: application/vnd.oci.image.index.v1+json"));
}

static void unref(gpointer bytes)
{
    g_bytes_unref(bytes);
}

/* A page is there; another one may follow. */
static BerthVerdict take_page(ReferrersRequest *referrers, const BerthResponse *response,
                              GError **error)
{
    BerthRequest *request = &referrers->request;
    const char *link = berth_response_get(response, "link");
    g_autofree char *next = link && referrers->tag ? berth_link_next(link) : NULL;
    BerthUrl *url;

    g_ptr_array_add(referrers->pages, g_bytes_new(response->body->data, response->body->len));
    referrers->total += response->body->len;
    if (!next)
        return BERTH_VERDICT_DONE;
    if (referrers->pages->len >= PAGES_MAX || referrers->total > TOTAL_MAX) {
        berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: the list is too long: more than %d pages or %zu bytes", request->what,
                        PAGES_MAX, TOTAL_MAX);
        return BERTH_VERDICT_FAILED;
    }
    url = berth_url_parse(next, request->at, error);
    if (url && !berth_url_same_origin(url, request->at)) {
        berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: the list goes on at another host, %s, which is not followed",
                        request->what, url->authority);
        g_clear_pointer(&url, berth_url_free);
    }
    if (!url)
        return BERTH_VERDICT_FAILED;
    g_clear_pointer(&request->path, g_free);
    berth_url_free(request->url);
    request->url = url;
    return BERTH_VERDICT_AGAIN;
}

/* The registry does not know the question. */
static BerthVerdict use_tag(ReferrersRequest *referrers)
{
    BerthRequest *request = &referrers->request;

    g_free(request->path);
    request->path = berth_client_path(request->client, "manifests", referrers->tag);
    g_clear_pointer(&request->url, berth_url_free);
    g_clear_pointer(&referrers->tag, g_free);
    g_ptr_array_set_size(referrers->pages, 0);
    return BERTH_VERDICT_AGAIN;
}

static BerthVerdict complete(BerthRequest *request, const BerthResponse *response, GError **error)
{
    ReferrersRequest *referrers = (ReferrersRequest *)request;

    if (response->status == 200)
        return take_page(referrers, response, error);
    if (referrers->tag && (response->status == 404 || response->status == 405))
        return use_tag(referrers);
    return response->status == 404 ? BERTH_VERDICT_DONE : BERTH_VERDICT_FAILED;
}

static void finish(BerthRequest *request, const GError *error)
{
    const ReferrersRequest *referrers = (const ReferrersRequest *)request;

    referrers->func(error ? NULL : referrers->pages, referrers->tag != NULL, error,
                    referrers->userdata);
}

static void destroy(BerthRequest *request)
{
    ReferrersRequest *referrers = (ReferrersRequest *)request;

    g_ptr_array_unref(referrers->pages);
    g_free(referrers->tag);
}

BerthRequest *berth_client_list_referrers(BerthClient *client, const BerthDigest *digest,
                                          BerthReferrersFunc func, void *userdata)
{
    static const BerthRequestKind kind = {
        .prepare = prepare,
        .complete = complete,
        .finish = finish,
        .destroy = destroy,
        .keep_max = BERTH_CLIENT_MANIFEST_MAX,
        .whole_timeout = BERTH_SMALL_TIMEOUT,
    };
    ReferrersRequest *referrers = g_new0(ReferrersRequest, 1);
    BerthRequest *request = &referrers->request;

    referrers->func = func;
    referrers->userdata = userdata;
    referrers->pages = g_ptr_array_new_with_free_func(unref);
    /* both parts cut as the specification has it, "Referrers Tag Schema" */
    referrers->tag =
        g_strdup_printf("%.32s-%.64s", berth_digest_algorithm_to_string(digest->algorithm),
                        berth_digest_hex(digest));
    request->path = berth_client_path(client, "referrers", digest->text);
    request->scope = berth_client_scope(client, "pull");
    berth_request_init(
        request, &kind, client, "GET",
        g_strdup_printf("referrers of %s of %s", digest->text, client->endpoint->name));
    return request;
}
