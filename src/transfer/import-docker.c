/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The images of an archive of Docker's, as `docker save`, `podman save` and skopeo write them: a
 * config and layers, mostly unpacked, without a manifest. One is made of them, the same each time.
 * Each layer must be the one whose unpacked digest the config names: nothing else in such an
 * archive says what it must be.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/names.h"
#include "oci/document.h"
#include "oci/packing.h"
#include "oci/unpack.h"
#include "transfer/import.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool invalid(GError **error, const char *what)
{
    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the archive's manifest.json: %s",
                           what);
}

static const BerthImportFile *find(const BerthImport *import, const json_t *path, GError **error)
{
    const char *text = json_string_value(path);
    const BerthImportFile *file = text ? berth_import_find(import, text) : NULL;
    g_autofree char *quoted = berth_quote(text ? text : "?");

    if (!file)
        (void)berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                              "the archive lacks '%s', which its manifest.json names", quoted);
    return file;
}

static BerthPacking packing_of(BerthStore *store, const BerthDigest *digest)
{
    BERTH_AUTO_FD fd = berth_store_open_blob(store, digest, NULL);
    unsigned char magic[BERTH_PACKING_MAGIC];
    ssize_t n = fd >= 0 ? pread(fd, magic, sizeof(magic), 0) : 0;

    return berth_packing_of(magic, (size_t)MAX(n, 0));
}

/* (nullable) The digest of what the packed @file unpacks to. Each is unpacked once, however many
 * images name it. */
static const char *unpack(const BerthImport *import, const BerthImportFile *file, GError **error)
{
    const char *known = g_hash_table_lookup(import->unpacked, file->digest.text);
    BerthDigest unpacked = file->digest;
    BERTH_AUTO_FD fd = -1;

    if (known)
        return known;
    fd = berth_store_open_blob(import->store, &file->digest, error);
    if (fd < 0 || !berth_unpack_digest(fd, &unpacked, error))
        return NULL;
    g_hash_table_insert(import->unpacked, g_strdup(file->digest.text), g_strdup(unpacked.text));
    return g_hash_table_lookup(import->unpacked, file->digest.text);
}

static bool check_layer(const BerthImport *import, const BerthImportFile *file, bool is_packed,
                        const char *diff_id, GError **error)
{
    g_autofree char *quoted = berth_quote(diff_id);
    const char *unpacked = is_packed ? unpack(import, file, error) : file->digest.text;

    return unpacked &&
           (g_str_equal(unpacked, diff_id) ||
            berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                            "a layer of the archive is %s, but its image's config says %s",
                            unpacked, quoted));
}

/* The descriptor of a layer; @source (nullable): what LayerSources says of it. */
static json_t *describe_layer(const BerthImport *import, const BerthImportFile *file,
                              const char *diff_id, const json_t *source, GError **error)
{
    static const BerthMediaType types[] = {
        [BERTH_PACKING_NONE] = BERTH_MEDIA_DOCKER_LAYER,
        [BERTH_PACKING_GZIP] = BERTH_MEDIA_DOCKER_LAYER_GZIP,
        [BERTH_PACKING_ZSTD] = BERTH_MEDIA_DOCKER_LAYER_ZSTD,
    };
    BerthPacking packing = packing_of(import->store, &file->digest);
    const char *type;

    if (packing == BERTH_PACKING_BZIP2 || packing == BERTH_PACKING_XZ) {
        (void)invalid(error, "a layer is packed with something else than gzip or zstd");
        return NULL;
    }
    if (!check_layer(import, file, packing != BERTH_PACKING_NONE, diff_id, error))
        return NULL;
    type = berth_media_type_to_string(types[packing]);
    if (source &&
        g_strcmp0(json_string_value(json_object_get(source, "digest")), file->digest.text) == 0)
        return json_deep_copy(source);
    if (source) /* it is foreign, but packed another way than where its URLs lead */
        type = berth_media_type_to_string(packing == BERTH_PACKING_NONE
                                              ? BERTH_MEDIA_DOCKER_FOREIGN
                                              : BERTH_MEDIA_DOCKER_FOREIGN_GZIP);
    return json_pack("{s:s, s:I, s:s}", "mediaType", type, "size", (json_int_t)file->size, "digest",
                     file->digest.text);
}

static json_t *describe_layers(const BerthImport *import, const json_t *entry, const json_t *config,
                               GError **error)
{
    const json_t *paths = json_object_get(entry, "Layers");
    const json_t *diff_ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
    const json_t *sources = json_object_get(entry, "LayerSources");
    g_autoptr(json_t) layers = json_array();
    size_t n = json_array_size(paths);

    if (n != json_array_size(diff_ids) || n > BERTH_MANIFEST_LAYERS_MAX) {
        (void)invalid(error, "its layers are not those of the config");
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        const char *diff_id = json_string_value(json_array_get(diff_ids, i));
        const BerthImportFile *file = find(import, json_array_get(paths, i), error);
        json_t *layer = file && diff_id ? describe_layer(import, file, diff_id,
                                                         json_object_get(sources, diff_id), error)
                                        : NULL;

        if (!layer) {
            if (file && !diff_id)
                (void)invalid(error, "the config's diff_ids are no text");
            return NULL;
        }
        (void)json_array_append_new(layers, layer);
    }
    return g_steal_pointer(&layers);
}

static json_t *load_config(const BerthImport *import, const BerthImportFile *file, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GBytes) bytes =
        berth_store_read_blob(import->store, &file->digest, BERTH_DOCUMENT_BYTES_MAX, &failure);
    json_t *config = bytes ? berth_json_load(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                                             &berth_document_limits, &failure)
                           : NULL;

    if (!config)
        (void)berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the config of an image: %s",
                              failure->message);
    return config;
}

static bool put_manifest(BerthImport *import, json_t *manifest, BerthDigest *digest, GError **error)
{
    char *text = json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS);
    size_t length = strlen(text);
    bool ok = berth_stages_begin(import->stages, BERTH_DIGEST_SHA256, (int64_t)length, error) &&
              berth_stages_write(import->stages, text, length, error) &&
              berth_stages_end(import->stages, digest, error) &&
              berth_stages_settle(import->stages, error);

    free(text); /* jansson's, from malloc() */
    if (ok)
        g_hash_table_add(import->brought, g_strdup(digest->text));
    return ok;
}

static bool name_all(BerthImport *import, const BerthDigest *digest, const json_t *tags,
                     GError **error)
{
    size_t n = json_array_size(tags);

    if (n == 0)
        return berth_import_add_image(import, digest, NULL, NULL, error);
    for (size_t i = 0; i < n; i++) {
        const char *tag = json_string_value(json_array_get(tags, i));

        if (!tag)
            return invalid(error, "RepoTags has something that is no text");
        if (!berth_import_add_image(import, digest, NULL, tag, error))
            return false;
    }
    return true;
}

static bool import_one(BerthImport *import, const json_t *entry, GError **error)
{
    const BerthImportFile *file = find(import, json_object_get(entry, "Config"), error);
    g_autoptr(json_t) config = file ? load_config(import, file, error) : NULL;
    json_t *layers = config ? describe_layers(import, entry, config, error) : NULL;
    g_autoptr(json_t) manifest = NULL;
    BerthDigest digest = { .algorithm = BERTH_DIGEST_SHA256 };

    if (!layers)
        return false;
    manifest = json_pack("{s:i, s:s, s:{s:s, s:I, s:s}, s:o}", "schemaVersion", 2, "mediaType",
                         berth_media_type_to_string(BERTH_MEDIA_DOCKER_MANIFEST), "config",
                         "mediaType", berth_media_type_to_string(BERTH_MEDIA_DOCKER_CONFIG), "size",
                         (json_int_t)file->size, "digest", file->digest.text, "layers", layers);
    return put_manifest(import, manifest, &digest, error) &&
           name_all(import, &digest, json_object_get(entry, "RepoTags"), error);
}

bool berth_import_docker(BerthImport *import, GBytes *bytes, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(json_t) list = berth_json_load_array(
        g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &berth_document_limits, &failure);

    if (!list)
        return invalid(error, failure->message);
    if (json_array_size(list) > BERTH_IMPORT_IMAGES_MAX)
        return invalid(error, "it names too many images");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!import_one(import, json_array_get(list, i), error))
            return false;
    return true;
}
