/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Image manifests. Only what a transfer needs is read from them; the bytes that were read, not what
 * is kept here, are what gets stored and sent on, so that members which nobody here knows survive.
 */

#include "oci/manifest.h"

#include "base/error.h"
#include "base/json.h"

BerthManifest *berth_manifest_from_json(const json_t *root, GError **error)
{
    g_autoptr(BerthManifest) manifest = g_new0(BerthManifest, 1);
    const char *artifact_type;

    if (!berth_descriptor_member(root, "config", &manifest->config, error) ||
        !berth_descriptors_from_json(root, "layers", BERTH_MANIFEST_LAYERS_MAX, &manifest->layers,
                                     error) ||
        !berth_descriptor_member(root, "subject", &manifest->subject, error) ||
        !berth_json_get_string(root, "artifactType", BERTH_MEDIA_TYPE_LENGTH_MAX, &artifact_type,
                               error) ||
        !berth_json_get_strings(root, "annotations", &manifest->annotations, error))
        return NULL;
    if (!manifest->config || !json_object_get(root, "layers")) {
        (void)berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "\"%s\" is missing",
                              manifest->config ? "layers" : "config");
        return NULL;
    }
    manifest->artifact_type = g_strdup(artifact_type);
    return g_steal_pointer(&manifest);
}

void berth_manifest_free(BerthManifest *manifest)
{
    if (!manifest)
        return;
    berth_descriptor_free(manifest->config);
    berth_descriptor_free(manifest->subject);
    g_clear_pointer(&manifest->layers, g_ptr_array_unref);
    g_free(manifest->artifact_type);
    g_clear_pointer(&manifest->annotations, g_hash_table_unref);
    g_free(manifest);
}
