/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leases: files in ingest/ with a digest on each line, locked by the transfer that they belong to.
 * A lock ends with its process, so a dead transfer holds nothing up. They are made and added to
 * under the sweep's lock, shared: what is in a lease before a sweep begins is spared by it, and
 * what comes later is looked for after it.
 */

#include "base/fd.h"
#include "oci/store-internal.h"

#include <string.h>
#include <sys/file.h>

struct BerthLease {
    BerthStore *store;
    BerthTemporary file;
};

BerthLease *berth_store_lease(BerthStore *store, GError **error)
{
    BERTH_AUTO_FD lock = berth_store_lock(store, BERTH_STORE_LOCK_SWEEP, LOCK_SH, error);
    g_autoptr(BerthLease) lease = NULL;

    if (lock < 0)
        return NULL;
    berth_store_tidy(store);
    lease = g_new0(BerthLease, 1);
    lease->store = store;
    lease->file.fd = -1;
    if (!berth_temporary_make(store, BERTH_STORE_LEASE, &lease->file, error))
        return NULL;
    return g_steal_pointer(&lease);
}

bool berth_lease_add(BerthLease *lease, const BerthDigest *digest, GError **error)
{
    BERTH_AUTO_FD lock = berth_store_lock(lease->store, BERTH_STORE_LOCK_SWEEP, LOCK_SH, error);
    char line[BERTH_DIGEST_LENGTH_MAX + 2];
    int length = g_snprintf(line, sizeof(line), "%s\n", digest->text);

    return lock >= 0 && berth_store_write(lease->file.fd, line, (size_t)length, error);
}

void berth_lease_free(BerthLease *lease)
{
    if (!lease)
        return;
    berth_temporary_clear(&lease->file);
    g_free(lease);
}
