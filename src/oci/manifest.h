/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/descriptor.h"

#include <glib.h>
#include <jansson.h>

#define BERTH_MANIFEST_LAYERS_MAX 4096

/** BerthManifest: one image or artifact: OCI image manifest, or Docker's schema 2. */
typedef struct {
    BerthDescriptor *config;
    GPtrArray *layers;        /* (element-type BerthDescriptor) from the bottom up; may be empty */
    BerthDescriptor *subject; /* (nullable) what it was attached to */
    char *artifact_type;      /* (nullable) */
    GHashTable *annotations;  /* (nullable) text to text */
} BerthManifest;

/**
 * berth_manifest_from_json:
 * @root: a document that is known to be a manifest; see berth_document_parse()
 * @error: BERTH_ERROR_MANIFEST_INVALID or BERTH_ERROR_DIGEST_MISMATCH, naming the member
 *
 * Returns: (transfer full) (nullable): the manifest.
 */
BerthManifest *berth_manifest_from_json(const json_t *root, GError **error);

/** berth_manifest_free: frees @manifest (nullable). */
void berth_manifest_free(BerthManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthManifest, berth_manifest_free)
