/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image's config says. Only its platform matters here; everything else is for whoever runs
 * the image. A config that makes no sense says nothing: it is kept as it is.
 */

#include "transfer/config.h"

#include "base/json.h"
#include "oci/document.h"

#include <jansson.h>

BerthPlatform *berth_config_platform(BerthStore *store, const BerthManifest *manifest)
{
    const BerthDescriptor *config = manifest->config;
    g_autoptr(GBytes) bytes = NULL;
    BerthPlatform *platform = NULL;
    json_t *root;

    if (berth_media_type_kind(config->type) != BERTH_MEDIA_KIND_CONFIG ||
        config->size > BERTH_DOCUMENT_BYTES_MAX)
        return NULL;
    bytes = berth_store_read_blob(store, &config->digest, BERTH_DOCUMENT_BYTES_MAX, NULL);
    if (!bytes)
        return NULL;
    root = berth_json_load(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                           &berth_document_limits, NULL);
    if (root)
        (void)berth_platform_from_json(root, &platform, NULL);
    json_decref(root);
    return platform;
}
