/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"

#include <stdint.h>

/**
 * BerthCopies: memory that was given away for copies of blobs, by user, for as long as somebody has
 * it. Root's is not looked at.
 */

/** berth_copies_new: Returns: (transfer full): none so far. */
BerthCopies *berth_copies_new(sd_event *event);
/** berth_copies_free: @copies: (nullable) */
void berth_copies_free(BerthCopies *copies);

/**
 * berth_copies_add:
 * @uid: whose it will be
 * @memory: a memfd
 * @size: bytes of it
 * @error: BERTH_ERROR_QUOTA_EXCEEDED: @uid has too much already
 *
 * Returns: (transfer full): a descriptor of @memory to give away: for reading, and nobody else's
 *   file position; or -1. The memory counts until it and all its duplicates are closed.
 */
int berth_copies_add(BerthCopies *copies, uid_t uid, int memory, uint64_t size, GError **error);
