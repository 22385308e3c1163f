/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/names.h"
#include "ipc/slot.h"

/* Shared by slot.c and slot-record.c only. */
typedef char BerthSlotPath[64];

_Static_assert(sizeof(BerthSlotPath) > sizeof(BERTH_VAULT_RECORDS "/.new/shm") + BERTH_ID_LENGTH,
               "a path in the vault fits");

/** berth_slot_path: Returns: @path, filled with a path in the vault, such as slot/ID/shm. */
const char *berth_slot_path(BerthSlotPath path, const char *where, const char *id,
                            const char *what);

/** berth_slot_set_failed: sets an error from errno: cannot @what of sandbox @id. Returns: false. */
bool berth_slot_set_failed(GError **error, const char *id, const char *what);

/** berth_slot_store: in the vault: replaces the record of @id atomically. */
bool berth_slot_store(const char *id, const char *record, GError **error);
