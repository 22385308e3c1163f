/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image's config says. Only its platform matters here; everything else is for whoever runs
 * the image. A config that makes no sense says nothing: it is kept as it is.
 */

#include "transfer/config.h"

#include "base/json.h"
#include "oci/document.h"

#include <jansson.h>

/* NULL when it is no image's config or makes no sense. */
static json_t *load(BerthStore *store, const BerthManifest *manifest)
{
    const BerthDescriptor *config = manifest->config;
    g_autoptr(GBytes) bytes = NULL;

    if (berth_media_type_kind(config->type) != BERTH_MEDIA_KIND_CONFIG ||
        config->size > BERTH_DOCUMENT_BYTES_MAX)
        return NULL;
    bytes = berth_store_read_blob(store, &config->digest, BERTH_DOCUMENT_BYTES_MAX, NULL);
    return bytes ? berth_json_load(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                                   &berth_document_limits, NULL)
                 : NULL;
}

BerthPlatform *berth_config_platform(BerthStore *store, const BerthManifest *manifest)
{
    BerthPlatform *platform = NULL;
    json_t *root = load(store, manifest);

    if (root)
        (void)berth_platform_from_json(root, &platform, NULL);
    json_decref(root);
    return platform;
}

GStrv berth_config_diff_ids(BerthStore *store, const BerthManifest *manifest)
{
    json_t *root = load(store, manifest);
    const json_t *list = json_object_get(json_object_get(root, "rootfs"), "diff_ids");
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    const json_t *id;
    size_t i;

    json_array_foreach((json_t *)list, i, id) if (json_is_string(id))
        g_ptr_array_add(ids, g_strdup(json_string_value(id)));
    json_decref(root);
    if (ids->len == 0)
        return NULL;
    g_ptr_array_add(ids, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&ids), FALSE);
}
