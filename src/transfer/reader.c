/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where one repository is read from: its mirrors, then the registry itself. Nothing here asks any
 * of them; documents and blobs do, see fetch-document.c and fetch-blob.c.
 */

#include "transfer/reader.h"

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
