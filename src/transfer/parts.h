/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/document.h"
#include "oci/images.h"
#include "oci/store.h"

#include <glib.h>
#include <stdbool.h>

/** BerthPart: one blob of images in the store. */
typedef struct {
    BerthDigest digest;
    int64_t size;
    bool is_document; /* a manifest or an index */
    bool is_blob;     /* a config or a layer, which a document can be too */
    bool is_layer;
    bool nondistributable;
    bool present;
} BerthPart;

/** BerthParts: what images of the store consist of, each blob once. */
typedef struct {
    GPtrArray *documents; /* (element-type BerthDocument) each after those that it names */
    GArray *parts;        /* (element-type BerthPart) in the order in which they were met */
    GHashTable *seen;     /* digest as text → index in parts + 1 */
    bool authorized;      /* set it for each that is added: to carry what is not the user's */
} BerthParts;

BerthParts *berth_parts_new(void);
/** berth_parts_free: @parts: (nullable) */
void berth_parts_free(BerthParts *parts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthParts, berth_parts_free)

/**
 * berth_parts_add:
 * @store: has it
 * @digest: of a manifest or an index
 * @media_type: (nullable): what it is
 * @error: BERTH_ERROR_STORE_CORRUPT: a document is missing or damaged, or a blob that must be there
 *   is not. Non-distributable layers may be missing, and count as missing when the store's user has
 *   not shown to have access to them: the image alone does not show it
 *
 * Returns: (transfer none) (nullable): the document of @digest.
 */
const BerthDocument *berth_parts_add(BerthParts *parts, BerthStore *store,
                                     const BerthDigest *digest, const char *media_type,
                                     GError **error);

/**
 * berth_parts_add_origin:
 * @digest: of an index that an image was chosen from
 *
 * Adds that document alone: what else it names may not be there. It is none of @parts' documents.
 *
 * Returns: whether @store has such an index.
 */
bool berth_parts_add_origin(BerthParts *parts, BerthStore *store, const BerthDigest *digest);

/**
 * berth_parts_limit_to_user:
 * @store: theirs
 * @error: BERTH_ERROR_STORE_CORRUPT, as if it were missing
 *
 * Refuses what is in the store for others only: an index can name any manifest, and who has one
 * image of it has not shown to have access to the others.
 */
bool berth_parts_limit_to_user(const BerthParts *parts, BerthStore *store, GError **error);

/** berth_parts_find_document: Returns: (transfer none) (nullable): the one with @digest. */
const BerthDocument *berth_parts_find_document(const BerthParts *parts, const BerthDigest *digest);
