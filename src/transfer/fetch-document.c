/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fetching manifests and indexes. Bytes are hashed as they came and kept as they came. A tag is
 * always asked for at a source, since it moves and since asking is what proves that the caller may
 * have it. What a source says of its own answer (headers) is never believed beyond the media type,
 * which the document itself must confirm.
 */

#include "transfer/fetch-document.h"

#include "base/error.h"

#include <string.h>

struct BerthDocumentFetch {
    BerthReader *reader;
    char *target;
    bool by_digest;
    BerthDigest digest; /* with by_digest */
    bool described;     /* the next three were given */
    int64_t size;
    char *media_type;
    guint next;             /* in reader->sources */
    BerthRequest *request;  /* under way */
    sd_event_source *defer; /* the first step */
    GBytes *stored;         /* (nullable) the store has it */
    char *failures;         /* of mirrors */
    GError *last;           /* what the last source said */
    BerthDocumentFunc func;
    void *userdata;
};

void berth_document_fetch_cancel(BerthDocumentFetch *fetch)
{
    if (!fetch)
        return;
    if (fetch->request)
        berth_request_cancel(fetch->request);
    sd_event_source_disable_unref(fetch->defer);
    g_clear_pointer(&fetch->stored, g_bytes_unref);
    g_clear_error(&fetch->last);
    g_free(fetch->failures);
    g_free(fetch->media_type);
    g_free(fetch->target);
    g_free(fetch);
}

static void finish(BerthDocumentFetch *fetch, BerthDocument *document, const GError *error)
{
    BerthDocumentFunc func = fetch->func;
    void *userdata = fetch->userdata;
    g_autoptr(GError) copy = error ? g_error_copy(error) : NULL;

    berth_document_fetch_cancel(fetch);
    func(document, copy, userdata);
}

/* The document in @raw, if it is the one that was asked for. */
static BerthDocument *check(const BerthDocumentFetch *fetch, GBytes *raw, const char *content_type,
                            GError **error)
{
    g_autoptr(BerthDocument) document = NULL;

    if (fetch->described && (int64_t)g_bytes_get_size(raw) != fetch->size) {
        (void)berth_set_error(error, BERTH_ERROR_DIGEST_MISMATCH,
                              "%s has %zu bytes where its index says %" G_GINT64_FORMAT,
                              fetch->target, g_bytes_get_size(raw), fetch->size);
        return NULL;
    }
    document = berth_document_parse(raw, fetch->described ? fetch->media_type : content_type,
                                    fetch->by_digest ? &fetch->digest : NULL, error);
    return g_steal_pointer(&document);
}

static bool keep(BerthDocumentFetch *fetch, const BerthDocument *document, GError **error)
{
    BerthReader *reader = fetch->reader;

    if (!berth_lease_add(reader->lease, &document->digest, error) ||
        !berth_store_put_blob(reader->store, &document->digest, document->raw, error))
        return false;
    berth_store_add_origin(reader->store, &document->digest, reader->origin);
    return true;
}

static void ask_next(BerthDocumentFetch *fetch);

/* Takes @document, or goes on to the next source because of @failure. */
static void on_manifest(const BerthManifestReply *reply, const GError *error, void *userdata)
{
    BerthDocumentFetch *fetch = userdata;
    const BerthSource *source = fetch->reader->sources->pdata[fetch->next - 1];
    g_autoptr(BerthDocument) document = NULL;
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;

    fetch->request = NULL;
    if (!failure)
        document = check(fetch, reply->body, reply->content_type, &failure);
    if (document && keep(fetch, document, &failure)) {
        finish(fetch, g_steal_pointer(&document), NULL);
        return;
    }
    if (document) { /* the store's fault: no other source helps */
        finish(fetch, NULL, failure);
        return;
    }
    if (source->endpoint->mirror)
        berth_collect_failure(&fetch->failures, NULL, failure);
    g_clear_error(&fetch->last);
    fetch->last = g_steal_pointer(&failure);
    ask_next(fetch);
}

static void give_up(BerthDocumentFetch *fetch)
{
    g_autoptr(GError) error = NULL;

    if (!fetch->last)
        error = g_error_new(BERTH_ERROR, BERTH_ERROR_REGISTRY_UNREACHABLE,
                            "there is no place to ask for %s: MirrorsFor= keeps it from all of "
                            "them; let one serve it",
                            fetch->target);
    else if (fetch->failures)
        error = g_error_new(fetch->last->domain, fetch->last->code, "%s (mirrors: %s)",
                            fetch->last->message, fetch->failures);
    finish(fetch, NULL, error ? error : fetch->last);
}

static void ask_next(BerthDocumentFetch *fetch)
{
    GPtrArray *sources = fetch->reader->sources;

    while (fetch->next < sources->len) {
        BerthSource *source = sources->pdata[fetch->next++];

        if (!berth_source_serves(source, fetch->by_digest))
            continue;
        fetch->request =
            berth_client_get_manifest(source->client, fetch->target, on_manifest, fetch);
        return;
    }
    give_up(fetch);
}

/* Here, since no callback may come before berth_document_fetch() has returned. */
static int on_begin(sd_event_source *event_source, void *userdata)
{
    BerthDocumentFetch *fetch = userdata;
    g_autoptr(BerthDocument) document =
        fetch->stored ? check(fetch, fetch->stored, NULL, NULL) : NULL;

    fetch->defer = sd_event_source_disable_unref(fetch->defer);
    if (document)
        finish(fetch, g_steal_pointer(&document), NULL);
    else /* not there, or not what the index says; a source will tell */
        ask_next(fetch);
    return 0;
}

/* If the store has it for the caller. */
static void take_from_store(BerthDocumentFetch *fetch)
{
    BerthReader *reader = fetch->reader;
    int64_t size;

    if (!fetch->described || !berth_lease_add(reader->lease, &fetch->digest, NULL) ||
        berth_store_stat_blob(reader->store, &fetch->digest, &size, NULL) != 1 ||
        !berth_store_may_reuse(reader->store, &fetch->digest, reader->origin))
        return;
    fetch->stored =
        berth_store_read_blob(reader->store, &fetch->digest, BERTH_DOCUMENT_BYTES_MAX, NULL);
}

BerthDocumentFetch *berth_document_fetch(BerthReader *reader, const char *target,
                                         const BerthDescriptor *descriptor, BerthDocumentFunc func,
                                         void *userdata)
{
    BerthDocumentFetch *fetch = g_new0(BerthDocumentFetch, 1);
    int r;

    fetch->reader = reader;
    fetch->target = g_strdup(target);
    fetch->by_digest = berth_digest_parse(target, &fetch->digest, NULL);
    fetch->func = func;
    fetch->userdata = userdata;
    if (descriptor) {
        fetch->described = true;
        fetch->size = descriptor->size;
        fetch->media_type = g_strdup(descriptor->media_type);
    }
    take_from_store(fetch);
    r = sd_event_add_defer(reader->event, &fetch->defer, on_begin, fetch);
    g_assert(r >= 0); /* fails without memory only */
    return fetch;
}
