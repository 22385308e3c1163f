/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sending blobs to a registry. A blob that came from that registry is mounted from where it was,
 * which is one request and no bytes; of others it is asked first whether they are there. Where a
 * blob is known to be afterwards is remembered in the store, for the next push.
 */

#include "transfer/uploads.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    BerthUploads *uploads;
    BerthDigest digest;
    uint64_t size;
    int row; /* of the progress; -1: a config */
    int fd;
    char *from; /* (nullable) a repository of the same registry that has it */
    BerthRequest *request;
} Upload;

struct BerthUploads {
    const BerthUploadsSpec *spec;
    GPtrArray *blobs; /* (element-type Upload) */
    guint next;
    unsigned running;
    bool failed; /* has been told; what ends after it changes nothing */
    sd_event_source *nothing;
    BerthUploadsFunc func;
    void *userdata;
};

static void upload_free(gpointer data)
{
    Upload *upload = data;

    if (upload->request)
        berth_request_cancel(upload->request);
    berth_close(upload->fd);
    g_free(upload->from);
    g_free(upload);
}

void berth_uploads_free(BerthUploads *uploads)
{
    if (!uploads)
        return;
    sd_event_source_disable_unref(uploads->nothing);
    g_ptr_array_unref(uploads->blobs);
    g_free(uploads);
}

static void tell(const Upload *upload, BerthLayerState state, uint64_t done,
                 BerthLayerSource source)
{
    const BerthLayerProgress layer = { state, done, upload->size, source };

    if (upload->row >= 0)
        berth_progress_set(upload->uploads->spec->progress, (unsigned)upload->row, &layer);
}

/* Another repository of the registry that has the blob, as far as the store remembers. */
static char *find_origin(const BerthUploadsSpec *spec, const BerthDigest *digest)
{
    g_auto(GStrv) origins = berth_store_origins(spec->store, digest);
    size_t length = strlen(spec->registry);

    for (char **origin = origins; *origin; origin++)
        if (strncmp(*origin, spec->registry, length) == 0 && (*origin)[length] == '/')
            return g_strdup(*origin + length + 1);
    return NULL;
}

static void add(BerthUploads *uploads, const BerthPart *part, bool skip)
{
    BerthProgress *progress = uploads->spec->progress;
    Upload *upload = g_new0(Upload, 1);

    upload->uploads = uploads;
    upload->digest = part->digest;
    upload->size = (uint64_t)part->size;
    upload->fd = upload->row = -1;
    if (part->is_layer)
        upload->row = (int)berth_progress_add(progress, &part->digest, upload->size);
    if (skip) {
        tell(upload, BERTH_LAYER_SKIPPED, 0, BERTH_SOURCE_SKIPPED);
        upload_free(upload);
        return;
    }
    g_ptr_array_add(uploads->blobs, upload);
}

BerthUploads *berth_uploads_new(const BerthUploadsSpec *spec, const BerthParts *parts,
                                bool nondistributable, BerthUploadsFunc func, void *userdata)
{
    BerthUploads *uploads = g_new0(BerthUploads, 1);

    uploads->spec = spec;
    uploads->blobs = g_ptr_array_new_with_free_func(upload_free);
    uploads->func = func;
    uploads->userdata = userdata;
    for (guint i = 0; i < parts->parts->len; i++) {
        const BerthPart *part = &g_array_index(parts->parts, BerthPart, i);

        if (part->is_blob)
            add(uploads, part, part->nondistributable && !nondistributable);
    }
    berth_progress_set_complete(spec->progress);
    return uploads;
}

static bool start_next(BerthUploads *uploads);

static void finish(Upload *upload, BerthLayerSource source, const GError *error)
{
    BerthUploads *uploads = upload->uploads;
    const BerthUploadsSpec *spec = uploads->spec;
    g_autofree char *origin = g_strconcat(spec->registry, "/", spec->repository, NULL);

    upload->request = NULL;
    upload->fd = berth_close(upload->fd);
    uploads->running--;
    if (error) {
        tell(upload, BERTH_LAYER_FAILED, 0, BERTH_SOURCE_UNKNOWN);
        if (uploads->failed)
            return;
        uploads->failed = true;
        uploads->func(error, uploads->userdata);
        return;
    }
    tell(upload, BERTH_LAYER_DONE, upload->size, source);
    berth_store_add_origin(spec->store, &upload->digest, origin);
    if (uploads->failed)
        return;
    (void)start_next(uploads);
    if (uploads->running == 0)
        uploads->func(NULL, uploads->userdata);
}

/* The source of an upload */

static ssize_t source_read(uint64_t offset, void *data, size_t length, bool *wait, void *userdata,
                           GError **error)
{
    const Upload *upload = userdata;
    ssize_t n = TEMP_FAILURE_RETRY(pread(upload->fd, data, length, (off_t)offset));

    if (n < 0)
        (void)berth_set_error_errno(error, BERTH_ERROR_STORE_CORRUPT, errno,
                                    "cannot read %s of the store", upload->digest.text);
    return n;
}

static void source_progress(uint64_t sent, void *userdata)
{
    tell(userdata, BERTH_LAYER_RUNNING, sent, BERTH_SOURCE_UNKNOWN);
}

static void source_done(bool mounted, const GError *error, void *userdata)
{
    finish(userdata, mounted ? BERTH_SOURCE_MOUNT : BERTH_SOURCE_STORE, error);
}

static void begin(Upload *upload)
{
    static const BerthUploadSource source = { source_read, source_progress, source_done };
    BerthUploads *uploads = upload->uploads;
    g_autoptr(GError) error = NULL;

    upload->fd = berth_store_open_blob(uploads->spec->store, &upload->digest, &error);
    if (upload->fd < 0) {
        finish(upload, BERTH_SOURCE_UNKNOWN, error);
        return;
    }
    upload->request = berth_client_upload_blob(uploads->spec->client, &upload->digest, upload->size,
                                               upload->from, &source, upload);
}

static void on_presence(bool present, int64_t size, const GError *error, void *userdata)
{
    Upload *upload = userdata;

    upload->request = NULL;
    if (error)
        finish(upload, BERTH_SOURCE_UNKNOWN, error);
    else if (present)
        finish(upload, BERTH_SOURCE_REGISTRY, NULL);
    else
        begin(upload);
}

static bool start_next(BerthUploads *uploads)
{
    const BerthUploadsSpec *spec = uploads->spec;
    Upload *upload;

    if (uploads->next >= uploads->blobs->len)
        return false;
    upload = uploads->blobs->pdata[uploads->next++];
    uploads->running++;
    upload->from = find_origin(spec, &upload->digest);
    if (upload->from && !g_str_equal(upload->from, spec->repository)) {
        begin(upload);
        return true;
    }
    g_clear_pointer(&upload->from, g_free);
    upload->request =
        berth_client_has_blob(spec->client, &upload->digest, "pull,push", on_presence, upload);
    return true;
}

static int on_nothing(sd_event_source *source, void *userdata)
{
    BerthUploads *uploads = userdata;

    uploads->func(NULL, uploads->userdata);
    return 0;
}

void berth_uploads_begin(BerthUploads *uploads)
{
    int r = 0;

    while (!uploads->failed && uploads->running < uploads->spec->parallel && start_next(uploads))
        ;
    if (uploads->blobs->len == 0)
        r = sd_event_add_defer(uploads->spec->event, &uploads->nothing, on_nothing, uploads);
    g_assert(r >= 0); /* fails without memory only */
}
