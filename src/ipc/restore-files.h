/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/restore-reader.h"
#include "ipc/snapshot-actor.h"

typedef struct BerthRestoreFiles BerthRestoreFiles;

/**
 * berth_restore_files_new:
 * @shm: (not owned) directory descriptor of an empty shm
 * @log: (not owned) the log, see restore-log.h
 * @prefix: of the names that files at its top get
 * @leave_out: (nullable): what is not added
 */
BerthRestoreFiles *berth_restore_files_new(int shm, int log, const char *prefix,
                                           const BerthActor *actor, const char *const *leave_out);
void berth_restore_files_free(BerthRestoreFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthRestoreFiles, berth_restore_files_free)

/**
 * berth_restore_files_add:
 * @path: `shm`, or a path below it
 * @entry: the member
 * @reader: where its data comes from
 * @error: BERTH_ERROR_ARCHIVE_INVALID, BERTH_ERROR_QUOTA_EXCEEDED when the shm is full,
 * BERTH_ERROR_ACCESS_DENIED for what only root may make
 */
bool berth_restore_files_add(BerthRestoreFiles *files, const char *path,
                             struct archive_entry *entry, BerthRestoreReader *reader,
                             GError **error);

/** berth_restore_files_finish: gives the last directories their attributes. */
bool berth_restore_files_finish(BerthRestoreFiles *files, GError **error);
