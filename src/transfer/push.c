/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `push`: an image of the store to a registry. What can be known to fail is known before
 * anything is sent: what is missing in the store, and whether layers that may not be redistributed
 * may go there. Then blobs, then manifests from the leaves to the top, last the name: at no time a
 * registry has a manifest without its blobs. Manifests go as they are, also when layers are left
 * out: their digests are what people rely on.
 */

#include "base/error.h"
#include "oci/images.h"
#include "transfer/config.h"
#include "transfer/endpoints.h"
#include "transfer/kinds.h"
#include "transfer/network.h"
#include "transfer/parts.h"
#include "transfer/push-manifests.h"
#include "transfer/store-job.h"
#include "transfer/uploads.h"

#define DEPTH_MAX 8 /* of indexes in indexes, as for what is pulled */

typedef struct {
    BerthStoreKeys store;
    char *image, *reference, *platform;
    GPtrArray *endpoints; /* (element-type BerthEndpointRow) one */
    bool allow_nondistributable;
    uint32_t max_uploads;
    uint64_t max_bandwidth;
    bool all_platforms, referrers;
    bool authorized; /* to push an image that is not the user's */
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Image", "s", offsetof(Arguments, image), .required = true },
    { "Reference", "s", offsetof(Arguments, reference), .required = true },
    { "Platform", "s", offsetof(Arguments, platform) },
    { "Endpoints", "aa{sv}", offsetof(Arguments, endpoints), .required = true,
      .rows = berth_endpoint_keys, .row_size = sizeof(BerthEndpointRow) },
    { "AllowNondistributable", "b", offsetof(Arguments, allow_nondistributable) },
    { "MaxUploads", "u", offsetof(Arguments, max_uploads), .required = true },
    { "MaxBandwidth", "t", offsetof(Arguments, max_bandwidth) },
    { "AllPlatforms", "b", offsetof(Arguments, all_platforms) },
    { "Referrers", "b", offsetof(Arguments, referrers) },
    { "Authorized", "b", offsetof(Arguments, authorized) },
    { NULL },
};

/* Everything of one push. */
typedef struct {
    BerthJob *job;
    const Arguments *arguments;
    BerthReference *reference;
    BerthStore *store;
    BerthLease *lease;
    BerthHttp *http;
    GPtrArray *sources; /* one BerthSource */
    BerthParts *parts;
    BerthImage *image;        /* what is pushed */
    const BerthDocument *top; /* of parts */
    GPtrArray *documents;     /* (element-type BerthDocument) of parts: of the image itself */
    GPtrArray *attached;      /* (element-type BerthDocument) of parts: what is attached to it */
    bool put;                 /* the image itself is there */
    BerthUploadsSpec spec;
    BerthUploads *uploads;
    BerthPutManifests *manifests;
} Push;

static void push_free(void *data)
{
    Push *push = data;

    berth_put_manifests_free(push->manifests);
    berth_uploads_free(push->uploads);
    if (push->documents)
        g_ptr_array_unref(push->documents);
    if (push->attached)
        g_ptr_array_unref(push->attached);
    berth_parts_free(push->parts);
    berth_image_free(push->image);
    if (push->sources)
        g_ptr_array_unref(push->sources);
    berth_http_free(push->http);
    berth_lease_free(push->lease);
    berth_store_free(push->store);
    berth_reference_free(push->reference);
    g_free(push);
}

/* The end */

static void on_manifests(const GError *error, void *userdata)
{
    Push *push = userdata;
    const BerthSource *source = push->sources->pdata[0];
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;

    if (!failure && !push->put && push->attached->len > 0) {
        push->put = true;
        berth_put_manifests_free(g_steal_pointer(&push->manifests));
        push->manifests =
            berth_put_manifests(source->client, push->attached, NULL, on_manifests, push);
        return;
    }
    if (!failure)
        (void)berth_store_job_told(
            sd_bus_message_append(push->job->result, "{sv}", "Digest", "s", push->top->digest.text),
            &failure);
    berth_job_end(push->job, failure);
}

static void on_uploads(const GError *error, void *userdata)
{
    Push *push = userdata;
    const BerthSource *source = push->sources->pdata[0];

    if (error) {
        berth_job_end(push->job, error);
        return;
    }
    push->manifests = berth_put_manifests(source->client, push->documents, push->reference->tag,
                                          on_manifests, push);
}

static void begin_uploads(Push *push)
{
    const BerthSource *source = push->sources->pdata[0];

    push->spec = (BerthUploadsSpec){ .event = push->job->event,
                                     .store = push->store,
                                     .client = source->client,
                                     .registry = push->reference->registry,
                                     .repository = push->reference->repository,
                                     .progress = push->job->progress,
                                     .parallel = MAX(push->arguments->max_uploads, 1) };
    push->uploads = berth_uploads_new(&push->spec, push->parts,
                                      push->arguments->allow_nondistributable, on_uploads, push);
    berth_uploads_begin(push->uploads);
}

/* Layers that may not be redistributed */

static const BerthPart *find_nondistributable(const Push *push)
{
    for (guint i = 0; i < push->parts->parts->len; i++) {
        const BerthPart *part = &g_array_index(push->parts->parts, BerthPart, i);

        if (part->nondistributable)
            return part;
    }
    return NULL;
}

static bool check_present(const Push *push, GError **error)
{
    for (guint i = 0; i < push->parts->parts->len; i++) {
        const BerthPart *part = &g_array_index(push->parts->parts, BerthPart, i);

        if (!part->present)
            return berth_set_error(error, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE,
                                   "the layer %s, which goes to %s too, is not in the store; pull "
                                   "the image again with its foreign layers",
                                   part->digest.text, push->reference->registry);
    }
    return true;
}

static void on_answer(bool yes, void *userdata)
{
    Push *push = userdata;
    g_autoptr(GError) error = NULL;

    if (yes) {
        begin_uploads(push);
        return;
    }
    (void)berth_set_error(&error, BERTH_ERROR_NONDISTRIBUTABLE_REFUSED,
                          "the image has layers that may not be redistributed, and pushing them to "
                          "%s was not authorized; nothing was pushed",
                          push->reference->registry);
    berth_job_end(push->job, error);
}

/* The beginning */

static bool is_own(const Push *push, const BerthImage *image)
{
    return berth_image_owned_by(image, push->arguments->store.uid);
}

/* Whether what is attached to the image is for the user: because it is his, or as the image is. */
static bool may_have(const Push *push, const BerthImage *attached)
{
    return is_own(push, attached) ||
           (push->arguments->authorized && berth_images_share_owner(attached, push->image));
}

/*
 * What is attached to the document at @index of parts, and to what that brings with it. The right
 * to the image is none to what the user's own attachments name, of which he can make any.
 */
static bool add_attached_to(Push *push, guint index, GError **error)
{
    const BerthDocument *document = push->parts->documents->pdata[index];
    g_autoptr(GPtrArray) images = berth_store_referrers(push->store, &document->digest, error);

    for (guint i = 0; images && i < images->len; i++) {
        const BerthImage *image = images->pdata[i];

        if (!may_have(push, image))
            continue;
        push->parts->authorized = !is_own(push, image);
        if (!berth_lease_add(push->lease, &image->digest, error) ||
            !berth_parts_add(push->parts, push->store, &image->digest, image->media_type, error))
            return false;
    }
    return images;
}

/* Divides the documents into those of the image and those that are attached to it. */
static bool add_attached(Push *push, GError **error)
{
    GPtrArray *documents = push->parts->documents;
    guint own = documents->len;

    push->documents = g_ptr_array_new();
    push->attached = g_ptr_array_new();
    for (guint i = 0; push->arguments->referrers && i < documents->len; i++)
        if (!add_attached_to(push, i, error))
            return false;
    for (guint i = 0; i < documents->len; i++)
        g_ptr_array_add(i < own ? push->documents : push->attached, documents->pdata[i]);
    return true;
}

static bool set_unavailable(const Push *push, GError **error)
{
    return berth_set_error(
        error, BERTH_ERROR_PLATFORM_UNAVAILABLE,
        "the image %s in the store is not for %s; push it without a platform, or "
        "pull that one",
        push->arguments->image, push->arguments->platform);
}

/*
 * Goes on from @digest to the manifest for @platform below it. What an index does not say, the
 * config of each candidate does, or the index that it is.
 */
static bool find_platform(const Push *push, const BerthPlatform *platform, BerthDigest *digest,
                          unsigned depth, GError **error)
{
    g_autoptr(GBytes) raw =
        berth_store_read_blob(push->store, digest, BERTH_DOCUMENT_BYTES_MAX, error);
    g_autoptr(BerthDocument) document = raw ? berth_document_parse(raw, NULL, digest, error) : NULL;
    g_autoptr(BerthPlatform) known = NULL;
    g_autoptr(GPtrArray) chosen = NULL;

    if (!document)
        return false;
    if (!document->index) {
        known = berth_config_platform(push->store, document->manifest);
        return (known && berth_platform_rank(platform, known) >= 0) || set_unavailable(push, error);
    }
    chosen = berth_index_choose(document->index, platform, error);
    for (guint i = 0; chosen && i < chosen->len; i++) {
        const BerthDescriptor *descriptor = chosen->pdata[i];
        BerthDigest below = descriptor->digest;

        if (descriptor->platform ||
            (depth < DEPTH_MAX && find_platform(push, platform, &below, depth + 1, NULL))) {
            *digest = below;
            return true;
        }
    }
    return chosen && set_unavailable(push, error);
}

/* What is to be pushed of @image when it shall be for one platform. */
static bool choose_platform(const Push *push, const BerthImage *image, BerthDigest *digest,
                            GError **error)
{
    g_autoptr(BerthPlatform) platform = berth_platform_parse(push->arguments->platform, error);
    g_autoptr(BerthPlatform) known =
        platform && *image->platform ? berth_platform_parse(image->platform, NULL) : NULL;

    if (!platform)
        return false;
    if (known && berth_platform_rank(platform, known) == 0) {
        *digest = image->digest;
        return true;
    }
    return find_platform(push, platform, digest, 0, error);
}

/* The document to push: what the image is, one platform of it, or the index it was chosen from. */
static bool choose(Push *push, const BerthImage *image, GError **error)
{
    const Arguments *arguments = push->arguments;
    bool one = arguments->platform && *arguments->platform;
    BerthDigest digest = image->digest;
    bool same;

    /* the lease on one platform does not hold the others */
    if ((arguments->all_platforms || one) && image->index_digest &&
        (!berth_digest_parse(image->index_digest, &digest, error) ||
         !berth_lease_add(push->lease, &digest, error)))
        return false;
    if (one && !choose_platform(push, image, &digest, error))
        return false;
    same = berth_digest_equal(&digest, &image->digest);
    push->parts = berth_parts_new();
    push->parts->authorized = push->arguments->authorized;
    push->top =
        berth_parts_add(push->parts, push->store, &digest, same ? image->media_type : NULL, error);
    return push->top && add_attached(push, error) &&
           (arguments->authorized || berth_parts_limit_to_user(push->parts, push->store, error));
}

static bool check_digest(const Push *push, GError **error)
{
    return !push->reference->has_digest ||
           berth_digest_equal(&push->reference->digest, &push->top->digest) ||
           berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                           "the image is %s, so it cannot be pushed as %s; leave the digest out",
                           push->top->digest.text, push->arguments->reference);
}

static bool find_image(Push *push, GError **error)
{
    const Arguments *arguments = push->arguments;
    const BerthImage *image = push->image = berth_store_find(push->store, arguments->image, error);

    if (!image || !berth_lease_add(push->lease, &image->digest, error))
        return false;
    if (!arguments->authorized && !is_own(push, image))
        return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                               "the image %s has become somebody else's meanwhile",
                               arguments->image);
    return choose(push, image, error) && check_digest(push, error);
}

static bool connect_registry(Push *push, GError **error)
{
    const Arguments *arguments = push->arguments;
    const BerthEndpointRow *row;

    if (arguments->endpoints->len != 1)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "one place to push to is needed");
    row = arguments->endpoints->pdata[0];
    push->http = berth_http_new(push->job->event, arguments->max_bandwidth,
                                MAX(row->max_connections, 1), error);
    if (!push->http)
        return false;
    push->sources = berth_sources_new(push->http, arguments->endpoints, error);
    return push->sources;
}

static bool set_up(Push *push, GError **error)
{
    Arguments *arguments = push->job->arguments;

    push->reference = berth_reference_parse(arguments->reference, error);
    if (!push->reference)
        return false;
    push->store = berth_store_job_open(&arguments->store, error);
    if (!push->store)
        return false;
    push->lease = berth_store_lease(push->store, error);
    return push->lease && find_image(push, error) && connect_registry(push, error);
}

static bool begin_or_ask(Push *push, GError **error)
{
    const BerthPart *part =
        push->arguments->allow_nondistributable ? find_nondistributable(push) : NULL;

    if (!part) {
        begin_uploads(push);
        return true;
    }
    return check_present(push, error) &&
           berth_job_ask(push->job, "push-nondistributable", &part->digest,
                         push->arguments->reference, on_answer, push, error);
}

static void begin(BerthJob *job)
{
    Push *push = g_new0(Push, 1);
    g_autoptr(GError) error = NULL;

    job->data = push;
    push->job = job;
    push->arguments = job->arguments;
    if (!set_up(push, &error) || !begin_or_ask(push, &error))
        berth_job_end(push->job, error);
}

static void set_bandwidth(BerthJob *job, uint64_t rate)
{
    const Push *push = job->data;

    berth_http_set_bandwidth(push->http, rate);
}

const BerthKind berth_kind_push = {
    .name = "push",
    .class = BERTH_CLASS_NETWORK,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_network_prepare,
    .begin = begin,
    .set_bandwidth = set_bandwidth,
    .free = push_free,
};
