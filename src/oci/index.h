/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/descriptor.h"

#include <glib.h>
#include <jansson.h>

#define BERTH_INDEX_MANIFESTS_MAX 4096 /* of an index from a registry */

/** BerthIndex: several images under one name: OCI image index, or Docker's manifest list. */
typedef struct {
    GPtrArray *manifests;     /* (element-type BerthDescriptor) in their order; may be empty */
    BerthDescriptor *subject; /* (nullable) what it was attached to */
    char *artifact_type;      /* (nullable) */
    GHashTable *annotations;  /* (nullable) text to text */
} BerthIndex;

/**
 * berth_index_from_json:
 * @root: a document that is known to be an index; see berth_document_parse()
 * @max: how many manifests it may have
 * @error: BERTH_ERROR_MANIFEST_INVALID or BERTH_ERROR_DIGEST_MISMATCH, naming the member
 *
 * Returns: (transfer full) (nullable): the index.
 */
BerthIndex *berth_index_from_json(const json_t *root, size_t max, GError **error);

/** berth_index_free: frees @index (nullable). */
void berth_index_free(BerthIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthIndex, berth_index_free)

/**
 * berth_index_choose:
 * @index: an index
 * @wanted: what shall run
 * @error: BERTH_ERROR_PLATFORM_UNAVAILABLE, listing what there is
 *
 * Looks for the entry that says it is for @wanted or the nearest older variant (see
 * berth_platform_rank()); of equal ones the first. When there is none, those that do not say what
 * they are for are worth a look: images, whose config says it, and nested indexes. Attached
 * artifacts are not.
 *
 * Returns: (transfer container) (element-type BerthDescriptor) (nullable): either the one entry, or
 *   the ones worth a look, in their order and without a platform; never empty. They belong to
 *   @index.
 */
GPtrArray *berth_index_choose(const BerthIndex *index, const BerthPlatform *wanted, GError **error);
