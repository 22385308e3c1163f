/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where one repository is read from: its mirrors, then the registry itself. Nothing here asks any
 * of them; documents and blobs do, see fetch-document.c and fetch-blob.c.
 */

#include "transfer/reader.h"

#include "base/error.h"
#include "transfer/endpoints.h"

void berth_reader_free(BerthReader *reader)
{
    if (!reader)
        return;
    if (reader->sources)
        g_ptr_array_unref(reader->sources);
    if (reader->http)
        berth_http_free(reader->http);
    berth_registry_settings_free(reader->urls);
    g_free(reader->registry);
    g_free(reader->origin);
    g_free(reader);
}

static bool foreign_from_string(const char *word, BerthForeignLayers *foreign, GError **error)
{
    static const char *const words[] = { "registry-first", "registry-only", "url-only", "skip",
                                         NULL };

    for (int i = 0; words[i]; i++)
        if (g_str_equal(words[i], word)) {
            *foreign = i;
            return true;
        }
    return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "invalid ForeignLayers '%s'", word);
}

BerthReader *berth_reader_new(const BerthReaderSpec *spec, GError **error)
{
    g_autoptr(BerthReader) reader = g_new0(BerthReader, 1);
    static char *const none[] = { NULL };
    unsigned connections = 1;

    reader->event = spec->event;
    reader->store = spec->store;
    reader->lease = spec->lease;
    reader->registry = g_strdup(spec->reference->registry);
    reader->origin = g_strconcat(spec->reference->registry, "/", spec->reference->repository, NULL);
    reader->urls = g_new0(BerthRegistrySettings, 1);
    reader->urls->foreign_url_hosts =
        g_strdupv((char **)(spec->foreign_url_hosts ? spec->foreign_url_hosts : none));
    if (!foreign_from_string(spec->foreign_layers, &reader->foreign_layers, error))
        return NULL;
    for (guint i = 0; i < spec->endpoints->len; i++) {
        const BerthEndpointRow *row = spec->endpoints->pdata[i];

        connections = MAX(connections, row->max_connections);
    }
    reader->http = berth_http_new(spec->event, spec->max_bandwidth, connections, error);
    if (!reader->http)
        return NULL;
    reader->sources = berth_sources_new(reader->http, spec->endpoints, error);
    return reader->sources ? g_steal_pointer(&reader) : NULL;
}

const BerthEndpoint *berth_reader_registry(const BerthReader *reader)
{
    const BerthSource *last = reader->sources->pdata[reader->sources->len - 1];

    return last->endpoint;
}

bool berth_source_serves(const BerthSource *source, bool by_digest)
{
    if (source->serves == BERTH_MIRRORS_FOR_ALL)
        return true;
    return (source->serves == BERTH_MIRRORS_FOR_DIGESTS) == by_digest;
}

void berth_collect_failure(char **failures, const char *place, const GError *error)
{
    g_autofree char *before = *failures;

    *failures = g_strconcat(before ? before : "", before ? "; " : "", place ? place : "",
                            place ? ": " : "", error->message, NULL);
}
