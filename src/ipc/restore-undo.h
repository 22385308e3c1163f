/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/places.h"
#include "ipc/slot.h"

/**
 * berth_restore_commit: gives what was restored its names, as the log @log says, and sets what
 * comes last. The calling thread is in the sandbox's IPC namespace.
 * @fds: its parts
 * @shmall: (out) (nullable) (transfer full): kernel.shmall, if the log has it and it is at most
 * @pages; it is not set
 * @error: BERTH_ERROR_SANDBOX_BUSY when a program made something of the same name; then no file has
 * a name, and berth_restore_undo() can be called
 */
bool berth_restore_commit(BerthPlaces *places, const BerthSlotFds *fds, int log, uint64_t pages,
                          char **shmall, GError **error);

/**
 * berth_restore_undo: removes all that was made as the log @log says, and sets sysctls back. What
 * others made meanwhile stays. A log of a restore that was committed is carried on instead.
 */
bool berth_restore_undo(BerthPlaces *places, const BerthSlotFds *fds, int log, GError **error);
