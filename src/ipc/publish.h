/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/slot.h"

/** berth_published_path: Returns: (transfer full): RUNTIME/sandbox/ID, there or not. */
char *berth_published_path(const BerthVault *vault, const char *id);

/**
 * berth_publish:
 * @id: ID of a sandbox in the vault
 * @name: (nullable): its name, if it is to appear below by-name
 * @error: BERTH_ERROR_FAILED
 *
 * Makes a sandbox reachable at RUNTIME/sandbox/ID/{ipc,shm,mqueue} in the host's mount namespace.
 * The directory appears with all three in it. Published already is success.
 */
bool berth_publish(const BerthVault *vault, const char *id, const char *name, GError **error);

/** berth_unpublish: takes that back. Not published is success. */
bool berth_unpublish(const BerthVault *vault, const char *id, const char *name, GError **error);

/**
 * berth_published_recover:
 * @known: (element-type utf8): set of IDs that should be published
 *
 * Removes what is published or half-published and not in @known.
 */
bool berth_published_recover(const BerthVault *vault, GHashTable *known, GError **error);
