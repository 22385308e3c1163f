/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs from URLs that a manifest names. Whoever wrote the manifest is a stranger: nothing that
 * belongs to the registry goes there, and where the connection leads is asked for each address.
 */

#include "registry/http.h"

#include "base/error.h"
#include "registry/blob.h"
#include "registry/request.h"

BerthRequest *berth_http_get_url(BerthHttp *http, const BerthEndpoint *settings, const char *url,
                                 int64_t size, BerthAddressFunc allow, const BerthBlobSink *sink,
                                 void *userdata)
{
    GError *error = NULL;
    BerthClient *client = berth_client_new_stranger(http, settings, allow, userdata, &error);
    BerthUrl *parsed = error ? NULL : berth_url_parse(url, NULL, &error);
    BerthRequest *request;

    request = berth_blob_request_new(
        client, NULL, parsed, g_strdup_printf("layer of %s", settings->name), size, sink, userdata);
    if (error)
        berth_request_set_error(request, error, true);
    return request;
}
