/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `copy`: an image from one registry to another. Documents are fetched and verified first,
 * then each blob is fetched and sent on, as far as the destination lacks it, then the documents are
 * put, from the leaves to the top. Nothing stays in the store when it has ended well or badly; what
 * a killed process leaves there goes with the next prune.
 */

#include "base/error.h"
#include "transfer/copy-blobs.h"
#include "transfer/endpoints.h"
#include "transfer/kinds.h"
#include "transfer/network.h"
#include "transfer/push-manifests.h"
#include "transfer/referrers.h"
#include "transfer/store-job.h"
#include "transfer/tree.h"

typedef struct {
    BerthStoreKeys store;
    char *source, *destination, *platform;
    GPtrArray *from, *to; /* (element-type BerthEndpointRow) */
    char *foreign_layers;
    GStrv foreign_url_hosts;
    bool allow_nondistributable;
    uint32_t max_downloads, max_uploads;
    uint64_t max_bandwidth;
    bool all_platforms, referrers;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Source", "s", offsetof(Arguments, source), .required = true },
    { "Destination", "s", offsetof(Arguments, destination), .required = true },
    { "Platform", "s", offsetof(Arguments, platform) },
    { "From", "aa{sv}", offsetof(Arguments, from), .required = true, .rows = berth_endpoint_keys,
      .row_size = sizeof(BerthEndpointRow) },
    { "To", "aa{sv}", offsetof(Arguments, to), .required = true, .rows = berth_endpoint_keys,
      .row_size = sizeof(BerthEndpointRow) },
    { "ForeignLayers", "s", offsetof(Arguments, foreign_layers), .required = true },
    { "ForeignUrlHosts", "as", offsetof(Arguments, foreign_url_hosts) },
    { "AllowNondistributable", "b", offsetof(Arguments, allow_nondistributable) },
    { "MaxDownloads", "u", offsetof(Arguments, max_downloads), .required = true },
    { "MaxUploads", "u", offsetof(Arguments, max_uploads), .required = true },
    { "MaxBandwidth", "t", offsetof(Arguments, max_bandwidth) },
    { "AllPlatforms", "b", offsetof(Arguments, all_platforms) },
    { "Referrers", "b", offsetof(Arguments, referrers) },
    { NULL },
};

/* Everything of one copy. */
typedef struct {
    BerthJob *job;
    const Arguments *arguments;
    BerthReference *source, *destination;
    BerthPlatform *platform;
    BerthStore *store;
    BerthLease *lease;
    BerthReader *reader;
    GPtrArray *sources; /* one BerthSource: the destination */
    BerthTreeWalk *walk;
    BerthTree *tree;
    GPtrArray *documents; /* (element-type BerthDocument) of tree, to be put in this order */
    BerthReferrersWalk *attaching;
    BerthReferrers *attached; /* (nullable) */
    bool put;                 /* the image itself is there */
    BerthCopySpec spec;
    BerthCopyBlobs *blobs;
    BerthPutManifests *manifests;
} Copy;

static void copy_free(void *data)
{
    Copy *copy = data;

    berth_put_manifests_free(copy->manifests);
    berth_tree_walk_cancel(copy->walk);
    berth_copy_blobs_free(copy->blobs);
    berth_referrers_walk_cancel(copy->attaching);
    berth_referrers_free(copy->attached);
    if (copy->documents)
        g_ptr_array_unref(copy->documents);
    berth_tree_free(copy->tree);
    if (copy->sources)
        g_ptr_array_unref(copy->sources);
    berth_reader_free(copy->reader);
    berth_lease_free(copy->lease);
    berth_store_free(copy->store); /* and what was put there */
    berth_platform_free(copy->platform);
    berth_reference_free(copy->source);
    berth_reference_free(copy->destination);
    g_free(copy);
}

/* The end */

static const BerthDocument *top_of(const Copy *copy)
{
    return copy->documents->pdata[copy->documents->len - 1];
}

static void on_manifests(const GError *error, void *userdata)
{
    Copy *copy = userdata;
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;

    if (!failure && !copy->put && copy->attached && copy->attached->documents->len > 0) {
        copy->put = true;
        berth_put_manifests_free(g_steal_pointer(&copy->manifests));
        copy->manifests = berth_put_manifests(copy->spec.client, copy->attached->documents, NULL,
                                              on_manifests, copy);
        return;
    }
    if (!failure)
        (void)berth_store_job_told(sd_bus_message_append(copy->job->result, "{sv}", "Digest", "s",
                                                         top_of(copy)->digest.text),
                                   &failure);
    berth_job_end(copy->job, failure);
}

static void on_blobs(const GError *error, void *userdata)
{
    Copy *copy = userdata;

    if (error)
        berth_job_end(copy->job, error);
    else
        copy->manifests = berth_put_manifests(copy->spec.client, copy->documents,
                                              copy->destination->tag, on_manifests, copy);
}

static void add_blobs(Copy *copy, const GPtrArray *documents)
{
    for (guint i = 0; i < documents->len; i++) {
        const BerthDocument *document = documents->pdata[i];

        if (document->manifest)
            berth_copy_blobs_add(copy->blobs, document->manifest);
    }
}

static void begin_blobs(Copy *copy)
{
    const Arguments *arguments = copy->arguments;
    const BerthSource *to = copy->sources->pdata[0];

    copy->spec = (BerthCopySpec){ .reader = copy->reader,
                                  .from = copy->source->repository,
                                  .client = to->client,
                                  .registry = copy->destination->registry,
                                  .nondistributable = arguments->allow_nondistributable,
                                  .progress = copy->job->progress,
                                  .parallel = MAX(
                                      MIN(arguments->max_downloads, arguments->max_uploads), 1) };
    copy->blobs = berth_copy_blobs_new(&copy->spec, on_blobs, copy);
    add_blobs(copy, copy->tree->manifests);
    if (copy->attached)
        add_blobs(copy, copy->attached->documents);
    berth_copy_blobs_begin(copy->blobs);
}

/* Layers that may not be redistributed */

static const BerthDescriptor *find_nondistributable(const GPtrArray *documents)
{
    for (guint i = 0; i < documents->len; i++) {
        const BerthDocument *document = documents->pdata[i];

        for (guint j = 0; document->manifest && j < document->manifest->layers->len; j++) {
            const BerthDescriptor *layer = document->manifest->layers->pdata[j];

            if (berth_media_type_is_nondistributable(layer->type))
                return layer;
        }
    }
    return NULL;
}

static void on_answer(bool yes, void *userdata)
{
    Copy *copy = userdata;
    g_autoptr(GError) error = NULL;

    if (yes) {
        begin_blobs(copy);
        return;
    }
    (void)berth_set_error(&error, BERTH_ERROR_NONDISTRIBUTABLE_REFUSED,
                          "the image has layers that may not be redistributed, and pushing them to "
                          "%s was not authorized; nothing was pushed",
                          copy->destination->registry);
    berth_job_end(copy->job, error);
}

/* Documents */

static void order_documents(Copy *copy)
{
    const GPtrArray *documents = copy->tree->documents;

    if (!copy->platform) {
        copy->documents = berth_documents_order(documents, documents->pdata[0]);
        return;
    }
    copy->documents = g_ptr_array_new();
    g_ptr_array_add(copy->documents, copy->tree->manifests->pdata[0]);
}

static bool check_digest(const Copy *copy, GError **error)
{
    return !copy->destination->has_digest ||
           berth_digest_equal(&copy->destination->digest, &top_of(copy)->digest) ||
           berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                           "the image is %s, so it cannot be copied to %s; leave the digest out",
                           top_of(copy)->digest.text, copy->arguments->destination);
}

static bool begin_or_ask(Copy *copy, GError **error)
{
    const BerthDescriptor *layer = NULL;

    if (copy->arguments->allow_nondistributable)
        layer = find_nondistributable(copy->tree->manifests);
    if (copy->arguments->allow_nondistributable && !layer && copy->attached)
        layer = find_nondistributable(copy->attached->documents);
    if (layer)
        return berth_job_ask(copy->job, "push-nondistributable", &layer->digest,
                             copy->arguments->destination, on_answer, copy, error);
    begin_blobs(copy);
    return true;
}

static void on_attached(BerthReferrers *attached, const GError *error, void *userdata)
{
    Copy *copy = userdata;
    g_autoptr(GError) failure = NULL;

    copy->attaching = NULL;
    if (!attached) {
        berth_job_end(copy->job, error);
        return;
    }
    copy->attached = attached;
    if (!begin_or_ask(copy, &failure))
        berth_job_end(copy->job, failure);
}

static void on_tree(BerthTree *tree, const GError *error, void *userdata)
{
    Copy *copy = userdata;
    g_autoptr(GError) failure = NULL;

    copy->walk = NULL;
    if (!tree) {
        berth_job_end(copy->job, error);
        return;
    }
    copy->tree = tree;
    order_documents(copy);
    if (check_digest(copy, &failure) && copy->arguments->referrers)
        copy->attaching = berth_referrers_walk(copy->reader, copy->documents, on_attached, copy);
    else if (failure || !begin_or_ask(copy, &failure))
        berth_job_end(copy->job, failure);
}

/* The beginning */

static bool connect_both(Copy *copy, GError **error)
{
    const Arguments *arguments = copy->arguments;
    const BerthReaderSpec spec = { .event = copy->job->event,
                                   .store = copy->store,
                                   .lease = copy->lease,
                                   .reference = copy->source,
                                   .endpoints = arguments->from,
                                   .foreign_layers = arguments->foreign_layers,
                                   .foreign_url_hosts = arguments->foreign_url_hosts,
                                   .max_bandwidth = arguments->max_bandwidth };

    if (arguments->to->len != 1)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "one place to copy to is needed");
    copy->reader = berth_reader_new(&spec, error);
    if (!copy->reader)
        return false;
    copy->sources = berth_sources_new(copy->reader->http, arguments->to, error);
    return copy->sources;
}

static bool set_up(Copy *copy, GError **error)
{
    Arguments *arguments = copy->job->arguments;
    bool named = arguments->platform && *arguments->platform;

    copy->source = berth_reference_parse(arguments->source, error);
    if (!copy->source)
        return false;
    copy->destination = berth_reference_parse(arguments->destination, error);
    if (!copy->destination)
        return false;
    if (!arguments->all_platforms) {
        copy->platform =
            named ? berth_platform_parse(arguments->platform, error) : berth_platform_host(error);
        if (!copy->platform)
            return false;
    }
    copy->store = berth_store_job_open(&arguments->store, error);
    if (!copy->store)
        return false;
    berth_store_keep_nothing(copy->store);
    copy->lease = berth_store_lease(copy->store, error);
    return copy->lease && connect_both(copy, error);
}

static void begin(BerthJob *job)
{
    Copy *copy = g_new0(Copy, 1);
    g_autoptr(GError) error = NULL;
    BerthTreeWish wish;

    job->data = copy;
    copy->job = job;
    copy->arguments = job->arguments;
    if (!set_up(copy, &error)) {
        berth_job_end(copy->job, error);
        return;
    }
    wish = (BerthTreeWish){ .target = berth_reference_target(copy->source),
                            .platform = copy->platform,
                            .insist = copy->arguments->platform && *copy->arguments->platform };
    copy->walk = berth_tree_walk(copy->reader, &wish, on_tree, copy);
}

static void set_bandwidth(BerthJob *job, uint64_t rate)
{
    const Copy *copy = job->data;

    berth_http_set_bandwidth(copy->reader->http, rate);
}

const BerthKind berth_kind_copy = {
    .name = "copy",
    .class = BERTH_CLASS_NETWORK,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_network_prepare,
    .begin = begin,
    .set_bandwidth = set_bandwidth,
    .free = copy_free,
};
