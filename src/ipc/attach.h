/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/pidfd.h"
#include "ipc/slot.h"

/**
 * berth_attach:
 * @vault: the vault
 * @target: the process
 * @fds: what to mount; @fds->shm may be -1. Consumed on success
 * @error: BERTH_ERROR_NOT_SUPPORTED when the target cannot be attached to, naming why and what to
 * do; BERTH_ERROR_INVALID_ARGS when it ended
 *
 * Mounts the shm at /dev/shm and the message queues at /dev/mqueue as @target sees them, both or
 * neither. What is mounted there already is covered. Resolving a path in the target can block for
 * as long as the target likes (FUSE): call this in a child that can be killed, never in the main
 * loop.
 */
bool berth_attach(const BerthVault *vault, const BerthTarget *target, const BerthSlotFds *fds,
                  GError **error);
