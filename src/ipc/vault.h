/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/places.h"

/* Directories of the vault's one file system, see vault.c. */
#define BERTH_VAULT_SLOTS    "slot"
#define BERTH_VAULT_RECORDS  "record"
#define BERTH_VAULT_TEMPLATE "template"
#define BERTH_VAULT_SPILLS   "spill"   /* made when first needed */
#define BERTH_VAULT_RESTORES "restore" /* likewise */

/** BerthVault: the mount namespace in which the sandboxes lie. */
typedef struct {
    BerthPlaces *places; /* owned */
    char *runtime;       /* owned: the runtime directory, absolute */
    int ns;              /* owned: the vault's mount namespace */
} BerthVault;

/**
 * berth_vault_open:
 * @places: (transfer full): the namespaces of this process
 * @runtime: the runtime directory, absolute; the same directory at home and in the host's mount
 *   namespace
 * @recovered: (out): whether a vault from before was found
 * @error: BERTH_ERROR_FAILED
 *
 * Opens the vault that is pinned below @runtime, or makes and pins one. One that is there and
 * cannot be used is an error, never replaced: there may be sandboxes in it.
 *
 * Returns: (transfer full): the vault, or NULL.
 */
BerthVault *berth_vault_open(BerthPlaces *places, const char *runtime, bool *recovered,
                             GError **error);

/** berth_vault_close: forgets the vault; what lies in it stays. */
void berth_vault_close(BerthVault *vault);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthVault, berth_vault_close)

/**
 * berth_vault_step: steps into the vault. Relative and absolute paths are then the vault's.
 */
static inline bool berth_vault_step(const BerthVault *vault, BerthStep *step, GError **error)
{
    return berth_step_mnt(step, vault->places, vault->ns, error);
}

/**
 * berth_vault_purge:
 * @places: the namespaces of this process
 * @runtime: the runtime directory
 * @error: BERTH_ERROR_FAILED
 *
 * Removes the vault and all that was published: every mount at and below @runtime is detached in
 * the host's mount namespace, and the directories that the service made are removed. Nothing of it
 * is left unless another process still holds it.
 */
bool berth_vault_purge(const BerthPlaces *places, const char *runtime, GError **error);
