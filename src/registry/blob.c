/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs, from a registry or from a URL: any number of tries, each going on where the last one
 * ended. What a server says about ranges and lengths is checked before a byte is taken, since a
 * byte in the wrong place costs the whole download. A server that ignores ranges is let send from
 * the start, and what is there already is dropped.
 */

#include "registry/blob.h"

#include "base/error.h"
#include "registry/failure.h"
#include "registry/headers.h"
#include "registry/request.h"

#include <inttypes.h>

#define BULK_SIZE (1024 * 1024) /* bytes from which on a connection of its own pays */
#define KEEP_MAX  (64 * 1024)   /* bytes of an answer that reports a failure */

typedef struct {
    BerthRequest request; /* first */
    BerthBlobSink sink;
    void *userdata;
    int64_t size;    /* -1: unknown */
    int64_t total;   /* as the server says, for want of size; -1: it does not */
    uint64_t offset; /* bytes the sink has */
    uint64_t skip;   /* bytes to drop, that it has already */
    bool ranged;     /* this try asked for a range */
    bool no_ranges;  /* the server gets them wrong */
} BlobRequest;

static bool enough(BerthRequest *request)
{
    BlobRequest *blob = (BlobRequest *)request;

    return blob->size >= 0 && blob->sink.offset(blob->userdata) == (uint64_t)blob->size;
}

static void prepare(BerthRequest *request, GPtrArray *headers)
{
    BlobRequest *blob = (BlobRequest *)request;

    blob->offset = blob->sink.offset(blob->userdata);
    blob->skip = 0;
    blob->ranged = blob->offset > 0 && !blob->no_ranges;
    if (blob->ranged)
        g_ptr_array_add(headers, g_strdup_printf("Range: bytes=%" PRIu64 "-", blob->offset));
}

static GError *wrong_size(const BlobRequest *blob, int64_t size)
{
    GError *error = NULL;

    berth_set_error(&error, BERTH_ERROR_REGISTRY_ERROR,
                    "%s: the server has %" PRId64 " bytes, but the manifest says %" PRId64
                    ": one of the two was changed; ask who publishes it",
                    blob->request.what, size, blob->size);
    return error;
}

/* Part of it: 206 */
static bool check_range(BlobRequest *blob, const BerthResponse *response)
{
    const char *text = berth_response_get(response, "content-range");
    int64_t length = berth_response_length(response);
    BerthContentRange range;
    GError *error = NULL;

    if (text && berth_content_range_parse(text, &range) && blob->ranged &&
        range.first == (int64_t)blob->offset &&
        (blob->size < 0 ||
         (range.total < 0 ? range.last < blob->size : range.total == blob->size)) &&
        (length < 0 || length == range.last - range.first + 1)) {
        blob->total = range.total;
        return true;
    }
    berth_set_error(&error, BERTH_ERROR_REGISTRY_ERROR,
                    "%s: the server sends another part than what was asked for, or says nothing "
                    "about which; ask who runs it",
                    blob->request.what);
    berth_request_set_error(&blob->request, error, !blob->ranged);
    blob->no_ranges = true;
    return false;
}

/* All of it: 200 */
static bool check_whole(BlobRequest *blob, const BerthResponse *response)
{
    int64_t length = berth_response_length(response);
    GError *error = NULL;

    if (blob->size >= 0 && length >= 0 && length != blob->size) {
        berth_request_set_error(&blob->request, wrong_size(blob, length), true);
        return false;
    }
    if (length >= 0 && length < (int64_t)blob->offset) {
        if (!blob->sink.restart(blob->userdata, &error)) {
            berth_request_set_error(&blob->request, error, true);
            return false;
        }
        blob->offset = 0;
    }
    blob->total = length;
    blob->skip = blob->offset;
    return true;
}

static BerthBody head(BerthRequest *request, const BerthResponse *response)
{
    BlobRequest *blob = (BlobRequest *)request;
    GError *error = NULL;
    bool ok;

    if (!berth_failure_check_coding(request, berth_response_get(response, "content-encoding"),
                                    &error)) {
        berth_request_set_error(request, error, true);
        return BERTH_BODY_NONE;
    }
    if (response->status == 206)
        ok = check_range(blob, response);
    else if (response->status == 200)
        ok = check_whole(blob, response);
    else
        return BERTH_BODY_KEEP;
    return ok ? BERTH_BODY_PASS : BERTH_BODY_NONE;
}

static bool body(BerthRequest *request, const void *data, size_t length, bool *pause)
{
    BlobRequest *blob = (BlobRequest *)request;
    size_t skipped = (size_t)MIN(blob->skip, length);
    uint64_t most = blob->size >= 0 ? (uint64_t)blob->size : INT64_MAX;
    GError *error = NULL;

    blob->skip -= skipped;
    length -= skipped;
    if (length == 0)
        return true;
    if (length > most - MIN(blob->offset, most))
        berth_set_error(&error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: the server sends more than the %" PRId64
                        " bytes that the manifest says; ask who publishes it",
                        request->what, blob->size);
    else if (blob->sink.write((const char *)data + skipped, length, pause, blob->userdata,
                              &error)) {
        blob->offset += length;
        request->progress = true;
        return true;
    }
    berth_request_set_error(request, error, true);
    return false;
}

/* The end of what the server had to send */
static BerthVerdict ended(BlobRequest *blob, GError **error)
{
    int64_t total = blob->size >= 0 ? blob->size : blob->total;

    if (blob->skip == 0 && (total < 0 || blob->offset == (uint64_t)total))
        return BERTH_VERDICT_DONE;
    berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                    "%s: the server ended after %" PRIu64 " of %" PRId64 " bytes; try again later",
                    blob->request.what, blob->offset, total);
    return BERTH_VERDICT_RETRY;
}

/* It has no such part: 416 */
static BerthVerdict unsatisfied(BlobRequest *blob, const BerthResponse *response, GError **error)
{
    const char *text = berth_response_get(response, "content-range");
    BerthContentRange range = { -1, -1, -1 };

    if (text && !berth_content_range_parse(text, &range))
        range.total = -1;
    if (blob->size >= 0 && range.total >= 0 && range.total != blob->size) {
        g_propagate_error(error, wrong_size(blob, range.total));
        return BERTH_VERDICT_FAILED;
    }
    if (blob->size < 0 && range.total == (int64_t)blob->offset)
        return BERTH_VERDICT_DONE;
    if (blob->size < 0 && range.total >= 0 && !blob->sink.restart(blob->userdata, error))
        return BERTH_VERDICT_FAILED;
    blob->no_ranges = true;
    berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                    "%s: the server does not go on at byte %" PRIu64 "; ask who runs it",
                    blob->request.what, blob->offset);
    return BERTH_VERDICT_RETRY;
}

static BerthVerdict complete(BerthRequest *request, const BerthResponse *response, GError **error)
{
    BlobRequest *blob = (BlobRequest *)request;

    if (response->status == 200 || response->status == 206)
        return ended(blob, error);
    if (response->status == 416 && blob->ranged)
        return unsatisfied(blob, response, error);
    return BERTH_VERDICT_FAILED;
}

static void finish(BerthRequest *request, const GError *error)
{
    BlobRequest *blob = (BlobRequest *)request;

    blob->sink.done(error, blob->userdata);
}

BerthRequest *berth_blob_request_new(BerthClient *client, char *path, BerthUrl *url, char *what,
                                     int64_t size, const BerthBlobSink *sink, void *userdata)
{
    static const BerthRequestKind kind = {
        .prepare = prepare,
        .enough = enough,
        .head = head,
        .body = body,
        .complete = complete,
        .finish = finish,
        .keep_max = KEEP_MAX,
    };
    BlobRequest *blob = g_new0(BlobRequest, 1);
    BerthRequest *request = &blob->request;

    blob->sink = *sink;
    blob->userdata = userdata;
    blob->size = size;
    blob->total = -1;
    request->path = path;
    request->url = url;
    request->bulk = size < 0 || size >= BULK_SIZE;
    if (!client->stranger)
        request->scope = berth_client_scope(client, "pull");
    berth_request_init(request, &kind, client, "GET", what);
    return request;
}

BerthRequest *berth_client_get_blob(BerthClient *client, const BerthDigest *digest, int64_t size,
                                    const BerthBlobSink *sink, void *userdata)
{
    return berth_blob_request_new(
        client, berth_client_path(client, "blobs", digest->text), NULL,
        g_strdup_printf("blob %s of %s", digest->text, client->endpoint->name), size, sink,
        userdata);
}
