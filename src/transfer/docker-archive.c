/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Docker's archives say of images. The format knows neither indexes nor digests of manifests:
 * of an index it can hold the image for this machine only, and names with a digest are left out.
 */

#include "transfer/docker-archive.h"

#include "base/error.h"
#include "base/json.h"
#include "base/reference.h"
#include "transfer/config.h"

#include <string.h>

/* The manifest to load here: that of the image, or of its index the one for this machine. */
static const BerthDocument *choose(const BerthParts *parts, const BerthDocument *document,
                                   GError **error)
{
    g_autoptr(BerthPlatform) host = NULL;

    while (document && document->index) {
        g_autoptr(GPtrArray) chosen = NULL;
        const BerthDescriptor *first;

        if (!host)
            host = berth_platform_host(error);
        chosen = host ? berth_index_choose(document->index, host, error) : NULL;
        if (!chosen)
            return NULL;
        first = chosen->pdata[0];
        document = berth_parts_find_document(parts, &first->digest);
    }
    return document;
}

static json_t *tags_of(const GPtrArray *images, const BerthImage *image)
{
    json_t *tags = json_array();

    for (guint i = 0; i < images->len; i++) {
        const BerthImage *other = images->pdata[i];
        g_autoptr(BerthReference) reference = NULL;

        if (!other->reference || !berth_digest_equal(&other->digest, &image->digest))
            continue;
        reference = berth_reference_parse(other->reference, NULL);
        if (reference && !reference->has_digest)
            (void)json_array_append_new(tags, json_string(other->reference));
    }
    return tags;
}

static json_t *source_of(const BerthDescriptor *layer)
{
    json_t *urls = json_array();
    json_t *source = json_pack("{s:s, s:I, s:s}", "mediaType", layer->media_type, "size",
                               (json_int_t)layer->size, "digest", layer->digest.text);

    for (char **url = layer->urls; url && *url; url++)
        (void)json_array_append_new(urls, json_string(*url));
    if (json_array_size(urls) > 0)
        (void)json_object_set(source, "urls", urls);
    json_decref(urls);
    return source;
}

/* LayerSources goes by the digests of the unpacked layers, which only the config knows. */
static json_t *sources_of(BerthStore *store, const BerthManifest *manifest)
{
    json_t *sources = json_object();
    g_auto(GStrv) diff_ids = berth_config_diff_ids(store, manifest);

    for (guint i = 0; diff_ids && diff_ids[i] && i < manifest->layers->len; i++) {
        const BerthDescriptor *layer = manifest->layers->pdata[i];

        if (berth_media_type_is_nondistributable(layer->type))
            (void)json_object_set_new(sources, diff_ids[i], source_of(layer));
    }
    return sources;
}

static json_t *describe(BerthStore *store, const GPtrArray *images, const BerthImage *image,
                        const BerthManifest *manifest)
{
    g_autofree char *config = berth_digest_path(&manifest->config->digest);
    json_t *layers = json_array(), *sources = sources_of(store, manifest);
    json_t *entry = json_pack("{s:s, s:o, s:o}", "Config", config, "RepoTags",
                              tags_of(images, image), "Layers", layers);

    for (guint i = 0; i < manifest->layers->len; i++) {
        const BerthDescriptor *layer = manifest->layers->pdata[i];
        g_autofree char *path = berth_digest_path(&layer->digest);

        (void)json_array_append_new(layers, json_string(path));
    }
    if (json_object_size(sources) > 0)
        (void)json_object_set(entry, "LayerSources", sources);
    json_decref(sources);
    return entry;
}

json_t *berth_docker_archive_describe(BerthStore *store, const GPtrArray *images,
                                      const BerthParts *parts, GError **error)
{
    g_autoptr(GHashTable) described = g_hash_table_new(g_str_hash, g_str_equal);
    json_t *list = json_array();

    for (guint i = 0; i < images->len; i++) {
        const BerthImage *image = images->pdata[i];
        const BerthDocument *document =
            choose(parts, berth_parts_find_document(parts, &image->digest), error);

        if (!document ||
            berth_media_type_kind(document->manifest->config->type) != BERTH_MEDIA_KIND_CONFIG) {
            if (document)
                (void)berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                                      "%s is no image but an artifact, for which the format "
                                      "'docker' has no words; use the format 'oci'",
                                      image->digest.text);
            json_decref(list);
            return NULL;
        }
        if (g_hash_table_add(described, (gpointer)image->digest.text))
            (void)json_array_append_new(list, describe(store, images, image, document->manifest));
    }
    return list;
}
