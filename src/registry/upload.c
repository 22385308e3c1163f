/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs to a registry. One request goes through several exchanges: it begins an upload, which can
 * end with the mount already; sends all in one piece; and where that breaks asks how far it came
 * and goes on in chunks, or begins anew where the registry has forgotten. What the registry
 * confirms counts as progress; what was merely sent does not, so that a registry that always fails
 * is given up.
 */

#include "registry/push.h"

#include "base/error.h"
#include "registry/failure.h"
#include "registry/headers.h"
#include "registry/request.h"

#include <inttypes.h>
#include <string.h>

#define BULK_SIZE    (1024 * 1024)
#define KEEP_MAX     (64 * 1024)
#define CHUNK_SIZE   (UINT64_C(64) * 1024 * 1024)
#define CHUNK_MAX    (UINT64_C(1) << 40) /* that a registry may ask for */
#define SESSIONS_MAX 8                   /* uploads begun for one blob, without any failure */

typedef enum {
    PHASE_BEGIN,  /* POST: where to send it */
    PHASE_WHOLE,  /* PUT with all of it */
    PHASE_STATUS, /* GET: how much arrived */
    PHASE_CHUNK,  /* PATCH with a part */
    PHASE_CLOSE,  /* PUT with nothing more */
    PHASE_CHECK,  /* HEAD: the upload is gone, perhaps since it was complete */
} Phase;

typedef struct {
    BerthRequest request; /* first */
    BerthDigest digest;
    uint64_t size;
    char *from; /* (nullable): to be tried still */
    bool only_mount;
    BerthUploadSource source; /* with an upload */
    BerthPresenceFunc func;   /* with a mount */
    void *userdata;

    Phase phase;
    BerthUrl *place;   /* (nullable): of the upload, without our digest */
    uint64_t chunk;    /* bytes of a chunk */
    bool chunked;      /* the registry does not want it in one piece */
    uint64_t offset;   /* bytes that have arrived */
    uint64_t furthest; /* bytes that have arrived at best */
    uint64_t sent;     /* bytes of the body of this exchange */
    bool all_sent;     /* the registry may have it, without our knowing */
    unsigned sessions;
    bool mounted;
} Upload;

static const char *method_of(Phase phase)
{
    static const char *const methods[] = {
        [PHASE_BEGIN] = "POST",  [PHASE_WHOLE] = "PUT", [PHASE_STATUS] = "GET",
        [PHASE_CHUNK] = "PATCH", [PHASE_CLOSE] = "PUT", [PHASE_CHECK] = "HEAD",
    };

    return methods[phase];
}

static char *begin_path(const Upload *upload)
{
    const BerthClient *client = upload->request.client;
    g_autofree char *from = upload->from ? g_uri_escape_string(upload->from, "/", FALSE) : NULL;

    if (!from)
        return g_strdup_printf("/v2/%s/blobs/uploads/", client->endpoint->repository);
    return g_strdup_printf("/v2/%s/blobs/uploads/?mount=%s&from=%s", client->endpoint->repository,
                           upload->digest.text, from);
}

/* @place: of the upload; NULL when it becomes too long */
static BerthUrl *place_with_digest(const Upload *upload, const BerthUrl *place, GError **error)
{
    g_autofree char *text = g_strdup_printf(
        "%s%cdigest=%s", place->text, strchr(place->text, '?') ? '&' : '?', upload->digest.text);

    return berth_url_parse(text, NULL, error);
}

static char *scope_of(const Upload *upload)
{
    g_autofree char *own = berth_client_scope(upload->request.client, "pull,push");

    return upload->from ? g_strdup_printf("%s repository:%s:pull", own, upload->from)
                        : g_steal_pointer(&own);
}

/* Sets the request up for the next exchange. */
static void enter(Upload *upload, Phase phase)
{
    BerthRequest *request = &upload->request;
    uint64_t rest = upload->size - upload->offset;

    upload->phase = phase;
    request->method = method_of(phase);
    g_clear_pointer(&request->path, g_free);
    g_clear_pointer(&request->url, berth_url_free);
    g_clear_pointer(&request->hop, berth_url_free);
    g_free(request->scope);
    request->scope = scope_of(upload);
    if (phase == PHASE_BEGIN)
        request->path = begin_path(upload);
    else if (phase == PHASE_CHECK)
        request->path = berth_client_path(request->client, "blobs", upload->digest.text);
    else if (phase == PHASE_WHOLE || phase == PHASE_CLOSE)
        request->url = place_with_digest(upload, upload->place, NULL); /* see take_place() */
    else
        request->url = berth_url_parse(upload->place->text, NULL, NULL);
    /* a body of nothing too, so that its length is told */
    request->sending = phase != PHASE_STATUS && phase != PHASE_CHECK;
    request->sends = phase == PHASE_WHOLE   ? upload->size
                     : phase == PHASE_CHUNK ? MIN(rest, upload->chunk)
                                            : 0;
    request->bulk = request->sends >= BULK_SIZE;
}

static void forget_place(Upload *upload)
{
    g_clear_pointer(&upload->place, berth_url_free);
    upload->offset = 0;
}

/* Where to go after what was sent. */
static void go_on(Upload *upload)
{
    if (upload->offset == 0 && !upload->chunked)
        enter(upload, PHASE_WHOLE);
    else
        enter(upload, upload->offset < upload->size ? PHASE_CHUNK : PHASE_CLOSE);
}

static void prepare(BerthRequest *request, GPtrArray *headers)
{
    Upload *upload = (Upload *)request;

    upload->sent = 0;
    if (upload->phase == PHASE_WHOLE || upload->phase == PHASE_CHUNK)
        g_ptr_array_add(headers, g_strdup("Content-Type: application/octet-stream"));
    if (upload->phase == PHASE_CHUNK && request->sends > 0)
        g_ptr_array_add(headers,
                        g_strdup_printf("Content-Range: %" PRIu64 "-%" PRIu64, upload->offset,
                                        upload->offset + request->sends - 1));
}

static ssize_t read_source(void *data, size_t length, void *userdata)
{
    Upload *upload = userdata;
    uint64_t left = upload->request.sends - upload->sent;
    g_autoptr(GError) error = NULL;
    bool wait = false;
    ssize_t n;

    if (left == 0)
        return 0;
    n = upload->source.read(upload->offset + upload->sent, data, MIN(length, left), &wait,
                            upload->userdata, &error);
    if (n == 0 && wait)
        return BERTH_SOURCE_WAITS;
    if (n == 0)
        berth_set_error(&error, BERTH_ERROR_STORE_CORRUPT,
                        "%s ends after %" PRIu64 " of %" PRIu64 " bytes", upload->request.what,
                        upload->offset + upload->sent, upload->size);
    if (n <= 0) {
        berth_request_set_error(&upload->request, g_steal_pointer(&error), true);
        return -1;
    }
    upload->sent += (uint64_t)n;
    if (upload->source.progress)
        upload->source.progress(upload->offset + upload->sent, upload->userdata);
    return n;
}

/*
 * libcurl sends a body again when a connection that it used before breaks without an answer. But
 * the registry may have taken a part of it: how much is to be asked first.
 */
static bool rewind_source(void *userdata)
{
    const Upload *upload = userdata;

    return upload->sent == 0;
}

/*
 * Takes the place of the upload from an answer. Registries behind a proxy that ends TLS often name
 * themselves with http: the way there is the one that led here.
 */
static bool take_place(Upload *upload, const BerthResponse *response, GError **error)
{
    const char *location = berth_response_get(response, "location");
    const BerthUrl *at = upload->request.at;
    g_autoptr(BerthUrl) place = NULL, whole = NULL;
    g_autofree char *text = NULL;

    if (!location)
        return upload->place ||
               berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                               "%s: %s does not say where to send it; ask who runs it",
                               upload->request.what, at->authority);
    place = berth_url_parse(location, at, error);
    if (place && at->https && !place->https && g_str_equal(place->host, at->host)) {
        text = g_strdup_printf("https://%s%s", at->authority,
                               place->text + strcspn(place->text + strlen("http://"), "/?") +
                                   strlen("http://"));
        g_clear_pointer(&place, berth_url_free);
        place = berth_url_parse(text, NULL, error);
    }
    if (!place)
        return false;
    if (at->https && !place->https)
        return berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                               "%s: %s wants it sent to %s in plain HTTP; ask who runs it",
                               upload->request.what, at->authority, place->authority);
    whole = place_with_digest(upload, place, error);
    if (!whole)
        return false;
    berth_url_free(upload->place);
    upload->place = g_steal_pointer(&place);
    return true;
}

/* How much arrived, as a Range says; false: it does not. */
static bool take_range(Upload *upload, const BerthResponse *response)
{
    const char *text = berth_response_get(response, "range");
    int64_t last;

    if (!text || !berth_range_parse(text, &last) || (uint64_t)last >= upload->size)
        return false;
    /* nothing is written like one byte, and one byte is soon sent again */
    upload->offset = last == 0 ? 0 : (uint64_t)last + 1;
    if (upload->offset > upload->furthest) {
        upload->furthest = upload->offset;
        upload->request.progress = true;
    }
    return true;
}

/* A chunk was taken. Registries may take less than was sent, but not for ever. */
static bool take_chunk(Upload *upload, const BerthResponse *response, GError **error)
{
    uint64_t before = upload->offset;

    if (!take_range(upload, response)) {
        upload->offset += upload->request.sends;
        upload->furthest = MAX(upload->furthest, upload->offset);
    }
    return upload->offset > before || ++upload->sessions <= SESSIONS_MAX ||
           berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                           "%s: %s takes parts again and again, and does not go on behind byte "
                           "%" PRIu64 "; ask who runs it",
                           upload->request.what, upload->request.at->authority, upload->offset);
}

static void take_chunk_size(Upload *upload, const BerthResponse *response)
{
    const char *text = berth_response_get(response, "oci-chunk-min-length");
    guint64 least;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 1, CHUNK_MAX, &least, NULL))
        return;
    upload->chunked = true;
    upload->chunk = MAX(upload->chunk, least);
}

static BerthVerdict begin_anew(Upload *upload)
{
    if (++upload->sessions > SESSIONS_MAX)
        return BERTH_VERDICT_FAILED;
    forget_place(upload);
    enter(upload, upload->all_sent ? PHASE_CHECK : PHASE_BEGIN);
    upload->all_sent = false;
    return BERTH_VERDICT_AGAIN;
}

static BerthVerdict begun(Upload *upload, const BerthResponse *response, GError **error)
{
    bool mounting = upload->from;

    if (response->status == 201 && mounting) {
        upload->mounted = true;
        return BERTH_VERDICT_DONE;
    }
    if (upload->only_mount && response->status < 300)
        berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: the registry does not take it from %s of its own",
                        upload->request.what, upload->from);
    if (upload->only_mount)
        return BERTH_VERDICT_FAILED;
    g_clear_pointer(&upload->from, g_free);
    if (response->status == 200 || response->status == 201 || response->status == 202 ||
        response->status == 204) {
        if (!take_place(upload, response, error))
            return BERTH_VERDICT_FAILED;
        take_chunk_size(upload, response);
        upload->offset = 0;
        go_on(upload);
        return BERTH_VERDICT_AGAIN;
    }
    if (!mounting)
        return BERTH_VERDICT_FAILED;
    enter(upload, PHASE_BEGIN);
    return BERTH_VERDICT_AGAIN;
}

/* The registry did not take what was sent, but not for ever. */
static BerthVerdict not_taken(Upload *upload, const BerthResponse *response)
{
    switch (response->status) {
    case 404:
        return begin_anew(upload);
    case 405:
    case 411:
    case 413:
        if (upload->phase != PHASE_WHOLE || upload->size == 0)
            return BERTH_VERDICT_FAILED;
        upload->chunked = true;
        return begin_anew(upload);
    case 416:
        if (upload->phase == PHASE_STATUS || ++upload->sessions > SESSIONS_MAX)
            return BERTH_VERDICT_FAILED;
        upload->chunked = true;
        if (take_range(upload, response))
            go_on(upload);
        else
            enter(upload, PHASE_STATUS);
        return BERTH_VERDICT_AGAIN;
    default:
        return BERTH_VERDICT_FAILED;
    }
}

static BerthVerdict complete(BerthRequest *request, const BerthResponse *response, GError **error)
{
    Upload *upload = (Upload *)request;
    bool ok = response->status >= 200 && response->status < 300;

    if (upload->phase == PHASE_CHECK && !ok)
        return begin_anew(upload);
    if (upload->phase == PHASE_CHECK)
        return BERTH_VERDICT_DONE;
    if (upload->phase == PHASE_BEGIN)
        return begun(upload, response, error);
    if (!ok)
        return upload->phase == PHASE_STATUS && response->status != 401 && response->status != 403
                   ? begin_anew(upload)
                   : not_taken(upload, response);
    if (upload->phase == PHASE_WHOLE || upload->phase == PHASE_CLOSE)
        return BERTH_VERDICT_DONE;
    if (!take_place(upload, response, error))
        return BERTH_VERDICT_FAILED;
    if (upload->phase == PHASE_CHUNK && !take_chunk(upload, response, error))
        return BERTH_VERDICT_FAILED;
    if (upload->phase == PHASE_STATUS && !take_range(upload, response))
        return begin_anew(upload);
    upload->chunked = true;
    go_on(upload);
    return BERTH_VERDICT_AGAIN;
}

/* A refused mount is no reason to give up. */
static bool refused(BerthRequest *request)
{
    Upload *upload = (Upload *)request;

    if (upload->phase != PHASE_BEGIN || !upload->from || upload->only_mount)
        return false;
    g_clear_pointer(&upload->from, g_free);
    enter(upload, PHASE_BEGIN);
    return true;
}

static void failed(BerthRequest *request)
{
    Upload *upload = (Upload *)request;

    if (upload->phase == PHASE_BEGIN || upload->phase == PHASE_CHECK)
        return;
    if (upload->phase != PHASE_STATUS) {
        upload->all_sent = upload->offset + upload->sent == upload->size;
        enter(upload, PHASE_STATUS);
    } else if (request->failures > 0) {
        forget_place(upload);
        enter(upload, upload->all_sent ? PHASE_CHECK : PHASE_BEGIN);
    }
}

static void finish(BerthRequest *request, const GError *error)
{
    const Upload *upload = (const Upload *)request;

    if (upload->func)
        upload->func(upload->mounted, -1, error, upload->userdata);
    else
        upload->source.done(upload->mounted, error, upload->userdata);
}

static void destroy(BerthRequest *request)
{
    Upload *upload = (Upload *)request;

    g_free(upload->from);
    berth_url_free(upload->place);
}

static const BerthRequestKind kind = {
    .prepare = prepare,
    .complete = complete,
    .refused = refused,
    .failed = failed,
    .finish = finish,
    .destroy = destroy,
    .source = { read_source, rewind_source },
    .keep_max = KEEP_MAX,
    .limited = true,
};

static BerthRequest *start(Upload *upload, BerthClient *client, const BerthDigest *digest,
                           const char *from, void *userdata)
{
    BerthRequest *request = &upload->request;

    upload->digest = *digest;
    upload->from = g_strdup(from);
    upload->userdata = userdata;
    upload->chunk = CHUNK_SIZE;
    request->client = client;
    enter(upload, PHASE_BEGIN);
    berth_request_init(request, &kind, client, request->method,
                       g_strdup_printf("blob %s to %s", digest->text, client->endpoint->name));
    return request;
}

BerthRequest *berth_client_upload_blob(BerthClient *client, const BerthDigest *digest,
                                       uint64_t size, const char *from,
                                       const BerthUploadSource *source, void *userdata)
{
    Upload *upload = g_new0(Upload, 1);

    upload->size = size;
    upload->source = *source;
    return start(upload, client, digest, from, userdata);
}

BerthRequest *berth_client_mount_blob(BerthClient *client, const BerthDigest *digest,
                                      const char *from, BerthPresenceFunc func, void *userdata)
{
    Upload *upload = g_new0(Upload, 1);

    upload->only_mount = true;
    upload->func = func;
    return start(upload, client, digest, from, userdata);
}
