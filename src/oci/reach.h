/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "oci/store.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * BerthReachFunc: told of a blob.
 * @size: bytes it should have, or -1
 * @deep: whether it is looked into if this returns true. The same blob may come both ways, since
 *   anybody can make a manifest that calls another one a layer
 *
 * Returns: whether what it names is wanted too; false for what was looked into before.
 */
typedef bool (*BerthReachFunc)(const BerthDigest *digest, int64_t size, bool deep, void *userdata);

/** BerthReach: how far to go. */
typedef enum {
    BERTH_REACH_ALL,    /* everything that may be needed, guessed where it is not understood */
    BERTH_REACH_PARTS,  /* what an image consists of: not what it was attached to */
    BERTH_REACH_PROVEN, /* of that, what must have been downloaded when the image was pulled: no
                           layers that a pull may leave out */
} BerthReach;

/**
 * berth_store_reach:
 * @digest: a manifest or index, or any other blob
 * @media_type: what it is said to be
 * @size: bytes it should have, or -1
 * @how: how far to go
 * @func: called for @digest, and for what it names: config and layers, manifests of an index, what
 *   a referrer was attached to
 * @error: BERTH_ERROR_STORE_CORRUPT: a manifest or index is there but is not what its digest says,
 * so that it is of no use any more. Everything else was told, and with BERTH_REACH_ALL what it
 * seems to name, too. Or BERTH_ERROR_FAILED: something could not be read, and more may be needed
 * than was told
 *
 * What is not in the store is told, but nothing is known of what it names. Nor is anything with
 * BERTH_REACH_PARTS and BERTH_REACH_PROVEN of what lies deeper than a pull goes.
 */
bool berth_store_reach(BerthStore *store, const BerthDigest *digest, const char *media_type,
                       int64_t size, BerthReach how, BerthReachFunc func, void *userdata,
                       GError **error);

/**
 * berth_store_reachable_for:
 * @uid: a user
 *
 * Returns: (transfer full) (element-type utf8): the digests, as texts, of the blobs that @uid has
 *   shown to have access to: those of the images that it owns. What cannot be read is left out.
 */
GHashTable *berth_store_reachable_for(BerthStore *store, uid_t uid);

/**
 * berth_store_readers:
 * @digest: a blob
 * @uid: of interest; 0: everybody is
 * @error: as of berth_store_list()
 *
 * Returns: (transfer full) (element-type uint32_t) (nullable): who of them has shown to have access
 *   to the blob, and who brought it; root comes last, and always.
 */
GArray *berth_store_readers(BerthStore *store, const BerthDigest *digest, uid_t uid,
                            GError **error);
