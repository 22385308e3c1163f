/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copying blobs between registries. Each is asked for at the destination, or mounted there when
 * both are one registry; else it is fetched, which verifies it, and sent on. What is fetched lies
 * in the store meanwhile, so that a break costs no byte twice, and leaves it when the copy has
 * ended.
 */

#include "transfer/copy-blobs.h"

#include "base/error.h"
#include "base/fd.h"
#include "transfer/fetch-blob.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    BerthCopyBlobs *blobs;
    const BerthDescriptor *descriptor;
    int row; /* of the progress; -1: a config */
    int fd;
    uint64_t fetched, sent; /* bytes */
    BerthLayerSource source;
    BerthRequest *request;
    BerthBlobFetch *fetch;
} Copy;

struct BerthCopyBlobs {
    const BerthCopySpec *spec;
    GHashTable *seen;  /* digests as text → Copy; NULL: skipped */
    GPtrArray *copies; /* (element-type Copy) */
    guint next;
    unsigned running;
    bool failed; /* has been told; what ends after it changes nothing */
    sd_event_source *nothing;
    BerthCopyBlobsFunc func;
    void *userdata;
};

static void copy_free(gpointer data)
{
    Copy *copy = data;

    if (copy->request)
        berth_request_cancel(copy->request);
    berth_blob_fetch_cancel(copy->fetch);
    berth_close(copy->fd);
    g_free(copy);
}

void berth_copy_blobs_free(BerthCopyBlobs *blobs)
{
    if (!blobs)
        return;
    sd_event_source_disable_unref(blobs->nothing);
    g_ptr_array_unref(blobs->copies);
    g_hash_table_unref(blobs->seen);
    g_free(blobs);
}

BerthCopyBlobs *berth_copy_blobs_new(const BerthCopySpec *spec, BerthCopyBlobsFunc func,
                                     void *userdata)
{
    BerthCopyBlobs *blobs = g_new0(BerthCopyBlobs, 1);

    blobs->spec = spec;
    blobs->seen = g_hash_table_new(g_str_hash, g_str_equal);
    blobs->copies = g_ptr_array_new_with_free_func(copy_free);
    blobs->func = func;
    blobs->userdata = userdata;
    return blobs;
}

/* Half of the way is to here, half from here on. */
static void tell(const Copy *copy, BerthLayerState state, BerthLayerSource source)
{
    const BerthLayerProgress layer = { state, (copy->fetched + copy->sent) / 2,
                                       (uint64_t)copy->descriptor->size, source };

    if (copy->row >= 0)
        berth_progress_set(copy->blobs->spec->progress, (unsigned)copy->row, &layer);
}

static void add(BerthCopyBlobs *blobs, const BerthDescriptor *descriptor, bool is_layer)
{
    BerthProgress *progress = blobs->spec->progress;
    Copy *copy = g_hash_table_lookup(blobs->seen, descriptor->digest.text);
    bool skip =
        berth_media_type_is_nondistributable(descriptor->type) && !blobs->spec->nondistributable;

    /* one that has another type too is carried, and then it is no longer this one's to be freed */
    if (skip && g_hash_table_contains(blobs->seen, descriptor->digest.text))
        return;
    if (!copy) {
        copy = g_new0(Copy, 1);
        copy->blobs = blobs;
        copy->descriptor = descriptor;
        copy->row = copy->fd = -1;
        g_hash_table_insert(blobs->seen, (gpointer)descriptor->digest.text, skip ? NULL : copy);
        if (!skip)
            g_ptr_array_add(blobs->copies, copy);
    }
    if (is_layer && copy->row < 0)
        copy->row =
            (int)berth_progress_add(progress, &descriptor->digest, (uint64_t)descriptor->size);
    if (skip) {
        tell(copy, BERTH_LAYER_SKIPPED, BERTH_SOURCE_SKIPPED);
        copy_free(copy);
    }
}

void berth_copy_blobs_add(BerthCopyBlobs *blobs, const BerthManifest *manifest)
{
    add(blobs, manifest->config, false);
    for (guint i = 0; i < manifest->layers->len; i++)
        add(blobs, manifest->layers->pdata[i], true);
}

static bool start_next(BerthCopyBlobs *blobs);

static void finish(Copy *copy, BerthLayerSource source, const GError *error)
{
    BerthCopyBlobs *blobs = copy->blobs;

    copy->fd = berth_close(copy->fd);
    blobs->running--;
    if (error) {
        tell(copy, BERTH_LAYER_FAILED, BERTH_SOURCE_UNKNOWN);
        if (blobs->failed)
            return;
        blobs->failed = true;
        blobs->func(error, blobs->userdata);
        return;
    }
    copy->fetched = copy->sent = (uint64_t)copy->descriptor->size;
    tell(copy, BERTH_LAYER_DONE, source);
    if (blobs->failed)
        return;
    (void)start_next(blobs);
    if (blobs->running == 0)
        blobs->func(NULL, blobs->userdata);
}

/* Sending */

static ssize_t source_read(uint64_t offset, void *data, size_t length, bool *wait, void *userdata,
                           GError **error)
{
    const Copy *copy = userdata;
    ssize_t n = TEMP_FAILURE_RETRY(pread(copy->fd, data, length, (off_t)offset));

    if (n < 0)
        (void)berth_set_error_errno(error, BERTH_ERROR_STORE_CORRUPT, errno,
                                    "cannot read %s of the store", copy->descriptor->digest.text);
    return n;
}

static void source_progress(uint64_t sent, void *userdata)
{
    Copy *copy = userdata;

    copy->sent = sent;
    tell(copy, BERTH_LAYER_RUNNING, BERTH_SOURCE_UNKNOWN);
}

static void source_done(bool mounted, const GError *error, void *userdata)
{
    Copy *copy = userdata;

    copy->request = NULL;
    finish(copy, mounted ? BERTH_SOURCE_MOUNT : copy->source, error);
}

static void on_fetched(BerthLayerSource source, const GError *error, void *userdata)
{
    static const BerthUploadSource upload = { source_read, source_progress, source_done };
    Copy *copy = userdata;
    BerthCopyBlobs *blobs = copy->blobs;
    const BerthDigest *digest = &copy->descriptor->digest;
    g_autoptr(GError) failure = NULL;

    copy->fetch = NULL;
    copy->source = source;
    if (error) {
        finish(copy, source, error);
        return;
    }
    copy->fetched = (uint64_t)copy->descriptor->size;
    copy->fd = berth_store_open_blob(blobs->spec->reader->store, digest, &failure);
    if (copy->fd < 0) {
        finish(copy, source, failure);
        return;
    }
    copy->request = berth_client_upload_blob(blobs->spec->client, digest,
                                             (uint64_t)copy->descriptor->size, NULL, &upload, copy);
}

/* Fetching */

static void on_progress(uint64_t done, void *userdata)
{
    Copy *copy = userdata;

    copy->fetched = done;
    tell(copy, BERTH_LAYER_RUNNING, BERTH_SOURCE_UNKNOWN);
}

static void fetch(Copy *copy)
{
    static const BerthBlobEvents events = { on_progress, on_fetched };

    copy->fetch = berth_blob_fetch(copy->blobs->spec->reader, copy->descriptor, &events, copy);
}

/* Asking the destination */

static void on_mount(bool present, int64_t size, const GError *error, void *userdata)
{
    Copy *copy = userdata;

    copy->request = NULL;
    if (!error && present)
        finish(copy, BERTH_SOURCE_MOUNT, NULL);
    else if (!error || g_error_matches(error, BERTH_ERROR, BERTH_ERROR_REGISTRY_ERROR))
        fetch(copy); /* it cannot, or must not */
    else
        finish(copy, BERTH_SOURCE_UNKNOWN, error);
}

static void on_presence(bool present, int64_t size, const GError *error, void *userdata)
{
    Copy *copy = userdata;
    const BerthCopySpec *spec = copy->blobs->spec;

    copy->request = NULL;
    if (error)
        finish(copy, BERTH_SOURCE_UNKNOWN, error);
    else if (present)
        finish(copy, BERTH_SOURCE_REGISTRY, NULL);
    else if (g_str_equal(spec->registry, spec->reader->registry))
        copy->request = berth_client_mount_blob(spec->client, &copy->descriptor->digest, spec->from,
                                                on_mount, copy);
    else
        fetch(copy);
}

static bool start_next(BerthCopyBlobs *blobs)
{
    Copy *copy;

    if (blobs->next >= blobs->copies->len)
        return false;
    copy = blobs->copies->pdata[blobs->next++];
    blobs->running++;
    copy->request = berth_client_has_blob(blobs->spec->client, &copy->descriptor->digest,
                                          "pull,push", on_presence, copy);
    return true;
}

static int on_nothing(sd_event_source *source, void *userdata)
{
    BerthCopyBlobs *blobs = userdata;

    blobs->func(NULL, blobs->userdata);
    return 0;
}

void berth_copy_blobs_begin(BerthCopyBlobs *blobs)
{
    int r = 0;

    berth_progress_set_complete(blobs->spec->progress);
    while (blobs->running < blobs->spec->parallel && start_next(blobs))
        ;
    if (blobs->copies->len == 0)
        r = sd_event_add_defer(blobs->spec->reader->event, &blobs->nothing, on_nothing, blobs);
    g_assert(r >= 0); /* fails without memory only */
}
