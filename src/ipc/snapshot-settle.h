/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-spill.h"

/**
 * berth_snapshot_settle:
 * @id: the sandbox
 * @spill: its spill
 * @mqueue: directory descriptor of its message queues
 *
 * Puts back messages that an interrupted snapshot had taken out of a queue, and removes the spill.
 * If a queue has no room for them yet, a process is left behind that waits for it.
 */
bool berth_snapshot_settle(const BerthVault *vault, const char *id, BerthSpill *spill, int mqueue,
                           GError **error);
