/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/libarchive.h"
#include "ipc/snapshot-actor.h"

/**
 * berth_restore_top_note: notes in the log @log what the shm @shm itself becomes at the end.
 * @entry: the member
 * @error: BERTH_ERROR_ACCESS_DENIED for what only root can restore
 */
bool berth_restore_top_note(int shm, int log, const BerthActor *actor, struct archive_entry *entry,
                            GError **error);

/**
 * berth_restore_top_set: gives the shm @shm what the records of a log say.
 * @records: (element-type utf8): others are skipped
 */
bool berth_restore_top_set(int shm, const GPtrArray *records, GError **error);
