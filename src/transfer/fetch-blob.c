/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fetching one blob. Two things can go wrong, and they are kept apart: a source fails, which only
 * means that the next one is asked, and the store fails, which ends the fetch. Bytes from several
 * connections or sources can make up one blob; when they do and the digest is wrong, nobody knows
 * whose were, so the source that was last gets one try from the start before it is given up.
 *
 * A caller gets no blob that it could not have fetched. For one that is in the store for somebody
 * else from the same registry, it is enough that the registry says that the repository has it; else
 * it is downloaded all the same, verified and dropped.
 */

#include "transfer/fetch-blob.h"

#include "base/error.h"
#include "oci/ingest.h"
#include "registry/push.h"
#include "transfer/network.h"

#include <string.h>

#define LARGE (4 * 1024 * 1024) /* bytes of a blob that is worth some milliseconds */

/* A place to try: a source of the reader, or a URL of the descriptor. */
typedef struct {
    const BerthSource *source; /* NULL: a URL */
    const char *url;           /* inside the fetch's urls */
} Place;

struct BerthBlobFetch {
    BerthReader *reader;
    BerthDigest digest;
    int64_t size;
    GStrv urls;   /* (nullable) */
    GBytes *data; /* (nullable) the descriptor's own */
    bool nondistributable;
    GArray *places; /* (element-type Place) */
    guint next;
    BerthIngest *ingest;
    BerthRequest *request;
    sd_event_source *defer;
    bool asked;  /* whether the registry would give what is there already */
    bool proof;  /* it is there already, for others: download it, but do not keep it */
    bool mixed;  /* not all bytes are of one answer of the present place */
    bool again;  /* the present place has its second try */
    bool broken; /* the ingest failed: no other place helps */
    char *failures;
    unsigned failed; /* places */
    GError *last;
    const BerthBlobEvents *events;
    void *userdata;
};

void berth_blob_fetch_cancel(BerthBlobFetch *fetch)
{
    if (!fetch)
        return;
    if (fetch->request)
        berth_request_cancel(fetch->request);
    if (fetch->ingest)
        berth_ingest_free(fetch->ingest);
    sd_event_source_disable_unref(fetch->defer);
    g_clear_pointer(&fetch->data, g_bytes_unref);
    g_clear_error(&fetch->last);
    g_strfreev(fetch->urls);
    g_array_unref(fetch->places);
    g_free(fetch->failures);
    g_free(fetch);
}

static void finish(BerthBlobFetch *fetch, BerthLayerSource source, const GError *error)
{
    const BerthBlobEvents *events = fetch->events;
    void *userdata = fetch->userdata;
    g_autoptr(GError) copy = error ? g_error_copy(error) : NULL;

    berth_blob_fetch_cancel(fetch);
    events->finished(source, copy, userdata);
}

static const Place *present_place(const BerthBlobFetch *fetch)
{
    return &g_array_index(fetch->places, Place, fetch->next - 1);
}

static BerthLayerSource place_kind(const Place *place)
{
    if (!place->source)
        return BERTH_SOURCE_URL;
    return place->source->endpoint->mirror ? BERTH_SOURCE_MIRROR : BERTH_SOURCE_REGISTRY;
}

static void try_next(BerthBlobFetch *fetch);
static void try_present(BerthBlobFetch *fetch);

/* The present place gave nothing usable. */
static void place_failed(BerthBlobFetch *fetch, const GError *error)
{
    const char *url = present_place(fetch)->url;
    g_autofree char *shown = url ? berth_url_shown(url) : NULL;

    berth_collect_failure(&fetch->failures, shown, error);
    fetch->failed++;
    fetch->again = false;
    g_clear_error(&fetch->last);
    fetch->last = g_error_copy(error);
    try_next(fetch);
}

/* The sink of a request */

static uint64_t sink_offset(void *userdata)
{
    BerthBlobFetch *fetch = userdata;
    uint64_t offset = berth_ingest_offset(fetch->ingest);

    fetch->mixed = fetch->mixed || offset > 0;
    return offset;
}

static bool sink_restart(void *userdata, GError **error)
{
    BerthBlobFetch *fetch = userdata;

    fetch->mixed = false;
    if (berth_ingest_restart(fetch->ingest, error))
        return true;
    fetch->broken = true;
    return false;
}

static bool sink_write(const void *data, size_t length, bool *pause, void *userdata, GError **error)
{
    BerthBlobFetch *fetch = userdata;

    if (!berth_ingest_write(fetch->ingest, data, length, pause, error)) {
        fetch->broken = true;
        return false;
    }
    fetch->events->progress(berth_ingest_offset(fetch->ingest), fetch->userdata);
    return true;
}

static void sink_done(const GError *error, void *userdata)
{
    BerthBlobFetch *fetch = userdata;

    fetch->request = NULL;
    if (!error) {
        berth_ingest_set_origin(fetch->ingest, fetch->reader->origin);
        berth_ingest_finish(fetch->ingest);
    } else if (fetch->broken) {
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
    } else {
        place_failed(fetch, error);
    }
}

static const BerthBlobSink sink = { sink_offset, sink_restart, sink_write, sink_done };

static bool allow_address(const char *host, int port, const BerthAddress *address, void *userdata)
{
    /* no address: only a name that the settings have will do, since this one is never public */
    static const BerthAddress any = { .length = 4 };
    const BerthBlobFetch *fetch = userdata;
    const BerthAddresses addresses = { address ? address : &any, 1 };
    g_autofree char *text = g_strdup_printf(strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse(text, NULL);
    g_autoptr(GArray) allowed = NULL;

    if (!name)
        return false;
    allowed = berth_registry_settings_url_addresses(fetch->reader->urls, name, &addresses);
    return allowed->len > 0;
}

/* The ingest */

static bool begin_ingest(BerthBlobFetch *fetch, GError **error);

/* The repository has given the blob, or would. */
static void succeed(BerthBlobFetch *fetch, BerthLayerSource source)
{
    BerthStore *store = fetch->reader->store;

    berth_store_add_origin(store, &fetch->digest, fetch->reader->origin);
    if (fetch->nondistributable) /* of these his image shows nothing */
        berth_store_add_bringer(store, &fetch->digest);
    finish(fetch, source, NULL);
}

/* It is there for somebody with whom the caller has nothing in common. */
static void prove(BerthBlobFetch *fetch)
{
    g_autoptr(GError) error = NULL;

    fetch->proof = true;
    if (!fetch->ingest) {
        try_next(fetch);
        return;
    }
    berth_ingest_free(g_steal_pointer(&fetch->ingest));
    if (!begin_ingest(fetch, &error))
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
}

static void on_presence(bool present, int64_t size, const GError *error, void *userdata)
{
    BerthBlobFetch *fetch = userdata;

    fetch->request = NULL;
    if (!error && present)
        succeed(fetch, BERTH_SOURCE_STORE);
    else
        prove(fetch);
}

/* The store has it. Of foreign layers registries say only what they were told. */
static void on_present(BerthBlobFetch *fetch)
{
    BerthReader *reader = fetch->reader;
    const BerthSource *registry = reader->sources->pdata[reader->sources->len - 1];

    if (berth_store_may_reuse(reader->store, &fetch->digest, reader->origin)) {
        if (fetch->nondistributable)
            berth_store_add_bringer(reader->store, &fetch->digest);
        finish(fetch, BERTH_SOURCE_STORE, NULL);
    } else if (!fetch->asked && !fetch->nondistributable &&
               berth_store_may_reuse(reader->store, &fetch->digest, reader->registry)) {
        fetch->asked = true;
        fetch->request =
            berth_client_has_blob(registry->client, &fetch->digest, "pull", on_presence, fetch);
    } else {
        prove(fetch);
    }
}

static void on_ready(BerthIngest *ingest, uint64_t offset, bool present, void *userdata)
{
    BerthBlobFetch *fetch = userdata;

    if (present) {
        on_present(fetch);
        return;
    }
    fetch->mixed = offset > 0;
    if (offset > 0)
        fetch->events->progress(offset, fetch->userdata);
    try_present(fetch);
}

static void on_waiting(BerthIngest *ingest, uint64_t so_far, void *userdata)
{
    BerthBlobFetch *fetch = userdata;

    fetch->events->progress(so_far, fetch->userdata);
}

static void on_room(BerthIngest *ingest, void *userdata)
{
    BerthBlobFetch *fetch = userdata;

    if (fetch->request)
        berth_request_resume(fetch->request);
}

static void on_finished(BerthIngest *ingest, const GError *error, void *userdata)
{
    BerthBlobFetch *fetch = userdata;
    g_autoptr(GError) failure = NULL;

    if (!error) {
        succeed(fetch, place_kind(present_place(fetch)));
        return;
    }
    if (!g_error_matches(error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH)) {
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
        return;
    }
    failure = g_error_copy(error);
    berth_ingest_free(g_steal_pointer(&fetch->ingest));
    fetch->events->progress(0, fetch->userdata);
    if (fetch->mixed && !fetch->again) {
        fetch->again = true;
        fetch->next--;
        try_next(fetch);
        return;
    }
    place_failed(fetch, failure);
}

static const BerthIngestEvents ingest_events = { on_ready, on_waiting, on_room, on_finished };

static bool begin_ingest(BerthBlobFetch *fetch, GError **error)
{
    BerthReader *reader = fetch->reader;

    fetch->ingest = berth_ingest_new(reader->store, reader->event, &fetch->digest, fetch->size,
                                     fetch->proof, &ingest_events, fetch, error);
    return fetch->ingest;
}

/* Asks the present place for what is still missing. */
static void try_present(BerthBlobFetch *fetch)
{
    const Place *place = present_place(fetch);
    BerthReader *reader = fetch->reader;
    g_autoptr(GError) error = NULL;

    if (!place->source && !berth_url_check(place->url, &error)) {
        place_failed(fetch, error);
        return;
    }
    if (place->source)
        fetch->request =
            berth_client_get_blob(place->source->client, &fetch->digest, fetch->size, &sink, fetch);
    else
        fetch->request = berth_http_get_url(reader->http, berth_reader_registry(reader), place->url,
                                            fetch->size, allow_address, &sink, fetch);
}

static GError *why_not(const BerthBlobFetch *fetch)
{
    int code = fetch->last ? fetch->last->code : BERTH_ERROR_REGISTRY_ERROR;

    if (fetch->nondistributable)
        code = BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE;
    if (!fetch->failures)
        return g_error_new(BERTH_ERROR, code, "%s: ForeignLayers= leaves no place to fetch it from",
                           fetch->digest.text);
    if (fetch->failed == 1)
        return g_error_new_literal(BERTH_ERROR, code, fetch->failures);
    return g_error_new(BERTH_ERROR, code, "%s is to be had nowhere: %s", fetch->digest.text,
                       fetch->failures);
}

static void try_next(BerthBlobFetch *fetch)
{
    g_autoptr(GError) error = NULL;

    if (fetch->next >= fetch->places->len) {
        error = why_not(fetch);
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
        return;
    }
    fetch->next++;
    if (fetch->ingest) {
        fetch->mixed = berth_ingest_offset(fetch->ingest) > 0;
        try_present(fetch);
    } else if (!begin_ingest(fetch, &error)) { /* else on_ready goes on */
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
    }
}

/* Beginning */

static void add_sources(BerthBlobFetch *fetch)
{
    GPtrArray *sources = fetch->reader->sources;

    for (guint i = 0; i < sources->len; i++) {
        const Place place = { .source = sources->pdata[i] };

        if (berth_source_serves(place.source, true))
            g_array_append_val(fetch->places, place);
    }
}

static void add_urls(BerthBlobFetch *fetch)
{
    for (char **url = fetch->urls; url && *url; url++) {
        const Place place = { .url = *url };

        g_array_append_val(fetch->places, place);
    }
}

/* Nothing is asked while the caller sets things up: callbacks come from the event loop. */
static int on_begin(sd_event_source *event_source, void *userdata)
{
    BerthBlobFetch *fetch = userdata;
    BerthStore *store = fetch->reader->store;
    g_autoptr(GError) error = NULL;
    int64_t size;
    int present;

    fetch->defer = sd_event_source_disable_unref(fetch->defer);
    if (!berth_lease_add(fetch->reader->lease, &fetch->digest, &error)) {
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
        return 0;
    }
    present = berth_store_stat_blob(store, &fetch->digest, &size, &error);
    if (present < 0) {
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
        return 0;
    }
    /* another tool's after a power cut: it is replaced */
    if (present && size != fetch->size)
        present = 0;
    if (!present && fetch->size >= LARGE)
        berth_network_give_back();
    if (fetch->data && !berth_store_put_blob(store, &fetch->digest, fetch->data, &error))
        finish(fetch, BERTH_SOURCE_UNKNOWN, error);
    else if (fetch->data)
        succeed(fetch, present ? BERTH_SOURCE_STORE : BERTH_SOURCE_REGISTRY);
    else if (present)
        on_present(fetch);
    else
        try_next(fetch);
    return 0;
}

BerthBlobFetch *berth_blob_fetch(BerthReader *reader, const BerthDescriptor *descriptor,
                                 const BerthBlobEvents *events, void *userdata)
{
    BerthBlobFetch *fetch = g_new0(BerthBlobFetch, 1);
    BerthForeignLayers foreign = reader->foreign_layers;
    int r;

    fetch->reader = reader;
    fetch->digest = descriptor->digest;
    fetch->size = descriptor->size;
    fetch->urls = g_strdupv(descriptor->urls);
    fetch->data = descriptor->data ? g_bytes_ref(descriptor->data) : NULL;
    fetch->nondistributable = berth_media_type_is_nondistributable(descriptor->type);
    fetch->places = g_array_new(FALSE, FALSE, sizeof(Place));
    fetch->events = events;
    fetch->userdata = userdata;
    if (!fetch->nondistributable || foreign == BERTH_FOREIGN_REGISTRY_FIRST ||
        foreign == BERTH_FOREIGN_REGISTRY_ONLY)
        add_sources(fetch);
    if (foreign == BERTH_FOREIGN_REGISTRY_FIRST || foreign == BERTH_FOREIGN_URL_ONLY)
        add_urls(fetch);
    r = sd_event_add_defer(reader->event, &fetch->defer, on_begin, fetch);
    g_assert(r >= 0); /* fails without memory only */
    return fetch;
}
