/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The blobs of an image: configs first, since they are small and others wait for them, then layers
 * in the order of the manifests, as many at once as the settings allow. The first that fails ends
 * all; what had come of the others stays for the next try.
 */

#include "transfer/blobs.h"

#include "transfer/fetch-blob.h"

typedef struct {
    BerthBlobs *blobs;
    const BerthDescriptor *descriptor;
    int row; /* of the progress; -1: a config */
    uint64_t done;
    BerthBlobFetch *fetch;
} Blob;

struct BerthBlobs {
    BerthReader *reader;
    BerthProgress *progress;
    unsigned parallel, running;
    bool failed;                 /* has been told; what ends after it changes nothing */
    GHashTable *seen;            /* digests as text → Blob; NULL for one that is skipped */
    GPtrArray *configs, *layers; /* (element-type Blob) */
    guint next_config, next_layer;
    sd_event_source *nothing;
    BerthBlobsFunc func;
    void *userdata;
};

static void blob_free(gpointer data)
{
    Blob *blob = data;

    berth_blob_fetch_cancel(blob->fetch);
    g_free(blob);
}

void berth_blobs_free(BerthBlobs *blobs)
{
    if (!blobs)
        return;
    sd_event_source_disable_unref(blobs->nothing);
    g_ptr_array_unref(blobs->configs);
    g_ptr_array_unref(blobs->layers);
    g_hash_table_unref(blobs->seen);
    g_free(blobs);
}

BerthBlobs *berth_blobs_new(BerthReader *reader, BerthProgress *progress, unsigned parallel,
                            BerthBlobsFunc func, void *userdata)
{
    BerthBlobs *blobs = g_new0(BerthBlobs, 1);

    blobs->reader = reader;
    blobs->progress = progress;
    blobs->parallel = parallel;
    blobs->seen = g_hash_table_new(g_str_hash, g_str_equal);
    blobs->configs = g_ptr_array_new_with_free_func(blob_free);
    blobs->layers = g_ptr_array_new_with_free_func(blob_free);
    blobs->func = func;
    blobs->userdata = userdata;
    return blobs;
}

/* The blob that @descriptor names; it may be there already. */
static Blob *add(BerthBlobs *blobs, GPtrArray *where, const BerthDescriptor *descriptor)
{
    Blob *blob = g_hash_table_lookup(blobs->seen, descriptor->digest.text);

    if (blob)
        return blob;
    blob = g_new0(Blob, 1);
    blob->blobs = blobs;
    blob->descriptor = descriptor;
    blob->row = -1;
    g_hash_table_insert(blobs->seen, (gpointer)descriptor->digest.text, blob);
    g_ptr_array_add(where, blob);
    return blob;
}

static void skip(BerthBlobs *blobs, const BerthDescriptor *layer)
{
    static const BerthLayerProgress skipped = { .state = BERTH_LAYER_SKIPPED,
                                                .source = BERTH_SOURCE_SKIPPED };

    if (g_hash_table_contains(blobs->seen, layer->digest.text))
        return;
    g_hash_table_insert(blobs->seen, (gpointer)layer->digest.text, NULL);
    berth_progress_set(blobs->progress,
                       berth_progress_add(blobs->progress, &layer->digest, (uint64_t)layer->size),
                       &skipped);
}

/* An artifact's layer can be the same as its config: both are `{}`. */
static void add_layer(BerthBlobs *blobs, const BerthDescriptor *layer)
{
    Blob *blob;

    if (blobs->reader->foreign_layers == BERTH_FOREIGN_SKIP &&
        berth_media_type_is_nondistributable(layer->type)) {
        skip(blobs, layer);
        return;
    }
    blob = add(blobs, blobs->layers, layer);
    if (blob->row < 0)
        blob->row = (int)berth_progress_add(blobs->progress, &layer->digest, (uint64_t)layer->size);
}

void berth_blobs_add(BerthBlobs *blobs, const BerthManifest *manifest)
{
    (void)add(blobs, blobs->configs, manifest->config);
    for (guint i = 0; i < manifest->layers->len; i++)
        add_layer(blobs, manifest->layers->pdata[i]);
}

static void tell(const Blob *blob, BerthLayerState state, uint64_t done, BerthLayerSource source)
{
    const BerthLayerProgress layer = { state, done, (uint64_t)blob->descriptor->size, source };

    if (blob->row >= 0)
        berth_progress_set(blob->blobs->progress, (unsigned)blob->row, &layer);
}

static void on_progress(uint64_t done, void *userdata)
{
    Blob *blob = userdata;

    blob->done = done;
    tell(blob, BERTH_LAYER_RUNNING, done, BERTH_SOURCE_UNKNOWN);
}

static bool start_next(BerthBlobs *blobs);

static void on_finished(BerthLayerSource source, const GError *error, void *userdata)
{
    Blob *blob = userdata;
    BerthBlobs *blobs = blob->blobs;

    blob->fetch = NULL;
    blobs->running--;
    if (error)
        tell(blob, BERTH_LAYER_FAILED, blob->done, BERTH_SOURCE_UNKNOWN);
    else
        tell(blob, BERTH_LAYER_DONE, (uint64_t)blob->descriptor->size, source);
    if (blobs->failed)
        return;
    if (error) {
        blobs->failed = true;
        blobs->func(error, blobs->userdata);
        return;
    }
    (void)start_next(blobs);
    if (blobs->running == 0)
        blobs->func(NULL, blobs->userdata);
}

static const BerthBlobEvents events = { on_progress, on_finished };

static bool start_next(BerthBlobs *blobs)
{
    Blob *blob;

    if (blobs->next_config < blobs->configs->len)
        blob = blobs->configs->pdata[blobs->next_config++];
    else if (blobs->next_layer < blobs->layers->len)
        blob = blobs->layers->pdata[blobs->next_layer++];
    else
        return false;
    blobs->running++;
    blob->fetch = berth_blob_fetch(blobs->reader, blob->descriptor, &events, blob);
    return true;
}

static int on_nothing(sd_event_source *source, void *userdata)
{
    BerthBlobs *blobs = userdata;

    blobs->func(NULL, blobs->userdata);
    return 0;
}

void berth_blobs_begin(BerthBlobs *blobs)
{
    int r = 0;

    berth_progress_set_complete(blobs->progress);
    while (blobs->running < blobs->parallel && start_next(blobs))
        ;
    if (blobs->running == 0)
        r = sd_event_add_defer(blobs->reader->event, &blobs->nothing, on_nothing, blobs);
    g_assert(r >= 0); /* fails without memory only */
}
