/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/store.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/**
 * BerthStages: files that come from an archive or a pipe, one after the other, whose digest is
 * known when all of a file has come, and which belong into the store only when whoever brings them
 * says so. For a thread that blocks: what waits, waits inside of these functions. Hashing and
 * writing go on in other threads meanwhile.
 */
typedef struct BerthStages BerthStages;

/**
 * berth_stages_new:
 * @store: used by nobody else meanwhile; must outlive them
 * @lease: what is put in place is added to it
 * @error: BERTH_ERROR_FAILED
 */
BerthStages *berth_stages_new(BerthStore *store, BerthLease *lease, GError **error);

/** berth_stages_free: @stages: (nullable); what was begun and not ended is thrown away. */
void berth_stages_free(BerthStages *stages);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthStages, berth_stages_free)

/**
 * berth_stages_begin:
 * @algorithm: of its digest
 * @size: bytes, or -1 when it is not known
 * @error: BERTH_ERROR_STORE_FULL, BERTH_ERROR_FAILED
 *
 * Begins a file; the one before was ended.
 */
bool berth_stages_begin(BerthStages *stages, BerthDigestAlgorithm algorithm, int64_t size,
                        GError **error);

/** berth_stages_write: @data: the next @length bytes. @error: as berth_stages_begin() */
bool berth_stages_write(BerthStages *stages, const void *data, size_t length, GError **error);

/**
 * berth_stages_end:
 * @digest: (inout): what the file must be, with an empty text: anything; once the file is in place,
 *   what it is. Must stay until then.
 * @error: BERTH_ERROR_DIGEST_MISMATCH; or as berth_stages_begin(); also of a file before this one
 *
 * The file goes to its place as a blob, complete and as durable as the store is; at once or while
 * the next ones come, see berth_stages_settle(). A blob that is there already stays.
 */
bool berth_stages_end(BerthStages *stages, BerthDigest *digest, GError **error);

/**
 * berth_stages_settle:
 * @error: as berth_stages_end()
 *
 * Waits until all files that were ended are in place.
 */
bool berth_stages_settle(BerthStages *stages, GError **error);

/**
 * berth_stages_discard:
 *
 * Removes the blobs that were put in place and were not there before, unless an image or somebody
 * else's lease needs them: whoever brought them brought nothing of use. Ends the lease.
 */
void berth_stages_discard(BerthStages *stages, BerthLease *lease);
