/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `pull`: an image from a registry into the store. First its documents, then its blobs,
 * last its name: whoever looks at the store sees an image only when all of it is there. What came
 * before a failure stays below ingest/ and blobs/ and is not fetched again.
 */

#include "transfer/kinds.h"

#include "base/error.h"
#include "oci/images.h"
#include "transfer/blobs.h"
#include "transfer/config.h"
#include "transfer/endpoints.h"
#include "transfer/network.h"
#include "transfer/referrers.h"
#include "transfer/store-job.h"
#include "transfer/tree.h"

#include <systemd/sd-bus.h>

typedef struct {
    BerthStoreKeys store;
    char *reference, *platform;
    bool all_platforms;
    GPtrArray *endpoints; /* (element-type BerthEndpointRow) */
    char *foreign_layers;
    GStrv foreign_url_hosts;
    uint32_t max_downloads;
    uint64_t max_bandwidth;
    bool referrers;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Reference", "s", offsetof(Arguments, reference), .required = true },
    { "Platform", "s", offsetof(Arguments, platform) },
    { "AllPlatforms", "b", offsetof(Arguments, all_platforms) },
    { "Endpoints", "aa{sv}", offsetof(Arguments, endpoints), .required = true,
      .rows = berth_endpoint_keys, .row_size = sizeof(BerthEndpointRow) },
    { "ForeignLayers", "s", offsetof(Arguments, foreign_layers), .required = true },
    { "ForeignUrlHosts", "as", offsetof(Arguments, foreign_url_hosts) },
    { "MaxDownloads", "u", offsetof(Arguments, max_downloads), .required = true },
    { "MaxBandwidth", "t", offsetof(Arguments, max_bandwidth) },
    { "Referrers", "b", offsetof(Arguments, referrers) },
    { NULL },
};

/* Everything of one pull. The job's data. */
typedef struct {
    BerthJob *job;
    const Arguments *arguments;
    BerthReference *reference;
    BerthPlatform *platform;
    BerthStore *store;
    BerthLease *lease;
    BerthReader *reader;
    BerthTreeWalk *walk;
    BerthTree *tree;
    BerthReferrersWalk *attaching;
    BerthReferrers *attached; /* (nullable) */
    BerthBlobs *blobs;
} Pull;

static void pull_free(void *data)
{
    Pull *pull = data;

    berth_blobs_free(pull->blobs);
    berth_tree_walk_cancel(pull->walk);
    berth_tree_free(pull->tree);
    berth_referrers_walk_cancel(pull->attaching);
    berth_referrers_free(pull->attached);
    berth_reader_free(pull->reader);
    berth_lease_free(pull->lease);
    berth_store_free(pull->store);
    berth_platform_free(pull->platform);
    berth_reference_free(pull->reference);
    g_free(pull);
}

/* The end */

static BerthImage *describe(const Pull *pull, const BerthDocument *document)
{
    BerthImage *image = g_new0(BerthImage, 1);
    const uid_t uid = pull->arguments->store.uid;

    image->digest = document->digest;
    image->size = (int64_t)g_bytes_get_size(document->raw);
    image->media_type = g_strdup(berth_media_type_to_string(document->type));
    image->pulled_usec = (uint64_t)g_get_real_time();
    image->platform = g_strdup("");
    image->owners = g_array_new(FALSE, FALSE, sizeof(uid_t));
    g_array_append_val(image->owners, uid);
    return image;
}

/* What the store's index shall say of the image: the one manifest, or the index with all of them.
 */
static BerthImage *describe_image(const Pull *pull)
{
    const BerthDocument *top = pull->tree->documents->pdata[0];
    const BerthDocument *document =
        pull->arguments->all_platforms ? top : pull->tree->manifests->pdata[0];
    BerthImage *image = describe(pull, document);
    g_autoptr(BerthPlatform) platform = NULL;

    image->reference = berth_reference_to_string(pull->reference);
    if (document != top)
        image->index_digest = g_strdup(top->digest.text);
    if (document->manifest && !pull->tree->platform)
        platform = berth_config_platform(pull->store, document->manifest);
    if (platform || pull->tree->platform) {
        g_free(image->platform);
        image->platform =
            platform ? berth_platform_to_string(platform) : g_strdup(pull->tree->platform);
    }
    return image;
}

/* What is attached to an image has no name, but says what it is attached to. */
static bool name_attached(const Pull *pull, GError **error)
{
    for (guint i = 0; pull->attached && i < pull->attached->tops->len; i++) {
        const BerthDocument *document = pull->attached->tops->pdata[i];
        g_autoptr(BerthImage) image = describe(pull, document);

        image->subject = g_strdup(berth_document_subject(document)->digest.text);
        if (!berth_store_name(pull->store, image, error))
            return false;
    }
    return true;
}

static void on_blobs(const GError *error, void *userdata)
{
    Pull *pull = userdata;
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;
    g_autoptr(BerthImage) image = NULL;

    if (!failure) {
        image = describe_image(pull);
        (void)(name_attached(pull, &failure) && berth_store_name(pull->store, image, &failure));
    }
    if (!failure)
        (void)berth_store_job_told(
            sd_bus_message_append(pull->job->result, "{sv}", "Digest", "s", image->digest.text),
            &failure);
    berth_job_end(pull->job, failure);
}

static void add_blobs(Pull *pull, const GPtrArray *documents)
{
    for (guint i = 0; i < documents->len; i++) {
        const BerthDocument *document = documents->pdata[i];

        if (document->manifest)
            berth_blobs_add(pull->blobs, document->manifest);
    }
}

static void begin_blobs(Pull *pull)
{
    pull->blobs = berth_blobs_new(pull->reader, pull->job->progress,
                                  MAX(pull->arguments->max_downloads, 1), on_blobs, pull);
    add_blobs(pull, pull->tree->manifests);
    if (pull->attached)
        add_blobs(pull, pull->attached->documents);
    berth_blobs_begin(pull->blobs);
}

static void on_attached(BerthReferrers *attached, const GError *error, void *userdata)
{
    Pull *pull = userdata;

    pull->attaching = NULL;
    if (!attached) {
        berth_job_end(pull->job, error);
        return;
    }
    pull->attached = attached;
    begin_blobs(pull);
}

static void on_tree(BerthTree *tree, const GError *error, void *userdata)
{
    Pull *pull = userdata;

    pull->walk = NULL;
    if (!tree) {
        berth_job_end(pull->job, error);
        return;
    }
    pull->tree = tree;
    if (pull->arguments->referrers)
        pull->attaching = berth_referrers_walk(pull->reader, tree->documents, on_attached, pull);
    else
        begin_blobs(pull);
}

/* The beginning */

static bool open_store(Pull *pull, GError **error)
{
    Arguments *arguments = pull->job->arguments;

    pull->store = berth_store_job_open(&arguments->store, error);
    if (!pull->store)
        return false;
    pull->lease = berth_store_lease(pull->store, error);
    return pull->lease;
}

/* While the network is waited for. */
static void prepare_end(Pull *pull)
{
    g_autofree char *name = berth_reference_to_string(pull->reference);

    berth_store_prepare(pull->store, name);
}

static bool make_reader(Pull *pull, GError **error)
{
    const Arguments *arguments = pull->arguments;
    const BerthReaderSpec spec = { .event = pull->job->event,
                                   .store = pull->store,
                                   .lease = pull->lease,
                                   .reference = pull->reference,
                                   .endpoints = arguments->endpoints,
                                   .foreign_layers = arguments->foreign_layers,
                                   .foreign_url_hosts = arguments->foreign_url_hosts,
                                   .max_bandwidth = arguments->max_bandwidth };

    pull->reader = berth_reader_new(&spec, error);
    return pull->reader;
}

static bool set_up(Pull *pull, GError **error)
{
    const Arguments *arguments = pull->arguments;
    bool named = arguments->platform && *arguments->platform;

    pull->reference = berth_reference_parse(arguments->reference, error);
    if (!pull->reference)
        return false;
    if (!arguments->all_platforms)
        pull->platform =
            named ? berth_platform_parse(arguments->platform, error) : berth_platform_host(error);
    return (pull->platform || arguments->all_platforms) && open_store(pull, error) &&
           make_reader(pull, error);
}

static void begin(BerthJob *job)
{
    Pull *pull = g_new0(Pull, 1);
    g_autoptr(GError) error = NULL;
    BerthTreeWish wish;

    job->data = pull;
    pull->job = job;
    pull->arguments = job->arguments;
    if (!set_up(pull, &error)) {
        berth_job_end(pull->job, error);
        return;
    }
    wish = (BerthTreeWish){ .target = berth_reference_target(pull->reference),
                            .platform = pull->platform,
                            .insist = pull->arguments->platform && *pull->arguments->platform };
    prepare_end(pull);
    pull->walk = berth_tree_walk(pull->reader, &wish, on_tree, pull);
}

static void set_bandwidth(BerthJob *job, uint64_t rate)
{
    const Pull *pull = job->data;

    berth_http_set_bandwidth(pull->reader->http, rate);
}

const BerthKind berth_kind_pull = {
    .name = "pull",
    .class = BERTH_CLASS_NETWORK,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_network_prepare,
    .begin = begin,
    .set_bandwidth = set_bandwidth,
    .free = pull_free,
};
