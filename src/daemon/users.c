/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accounts of users: what each has, against what the settings allow. Only numbers are kept here;
 * who is charged what and until when is decided where sandboxes are made and end (sandboxes.c).
 * Root is counted and not limited.
 */

#include "daemon/users.h"

#include "base/error.h"

#include <inttypes.h>

typedef struct {
    unsigned pending;
    BerthCharge charge;
} User;

struct BerthUsers {
    GHashTable *table; /* uid → User; users who have nothing are not in it */
};

BerthUsers *berth_users_new(void)
{
    BerthUsers *users = g_new0(BerthUsers, 1);

    users->table = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return users;
}

void berth_users_free(BerthUsers *users)
{
    if (!users)
        return;
    g_hash_table_unref(users->table);
    g_free(users);
}

static User *get(BerthUsers *users, uid_t uid)
{
    User *user = g_hash_table_lookup(users->table, GUINT_TO_POINTER(uid));

    if (!user) {
        user = g_new0(User, 1);
        g_hash_table_insert(users->table, GUINT_TO_POINTER(uid), user);
    }
    return user;
}

static void drop_empty(BerthUsers *users, uid_t uid, const User *user)
{
    if (!user->pending && !user->charge.sandboxes && !user->charge.shm && !user->charge.inodes)
        g_hash_table_remove(users->table, GUINT_TO_POINTER(uid));
}

unsigned berth_users_pending(BerthUsers *users, uid_t uid)
{
    const User *user = g_hash_table_lookup(users->table, GUINT_TO_POINTER(uid));

    return user ? user->pending : 0;
}

void berth_users_add_pending(BerthUsers *users, uid_t uid, int n)
{
    User *user = get(users, uid);

    g_assert(n >= 0 || user->pending >= (unsigned)-n);
    user->pending += (unsigned)n;
    drop_empty(users, uid, user);
}

static bool fits(uint64_t used, uint64_t more, uint64_t limit)
{
    return more == 0 || (used <= limit && more <= limit - used);
}

bool berth_users_check(BerthUsers *users, const BerthSettings *settings, uid_t uid,
                       const BerthCharge *more, GError **error)
{
    static const BerthCharge nothing;
    const User *user = g_hash_table_lookup(users->table, GUINT_TO_POINTER(uid));
    const BerthCharge *used = user ? &user->charge : &nothing;

    if (uid == 0)
        return true;
    if (!fits(used->sandboxes, more->sandboxes, settings->max_sandboxes_per_user))
        return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                               "user %u has %u sandboxes of at most %u (MaxSandboxesPerUser=); "
                               "remove some first; each counts until nothing uses it any more",
                               uid, used->sandboxes, settings->max_sandboxes_per_user);
    if (!fits(used->shm, more->shm, settings->max_shm_per_user))
        return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                               "user %u has shm limits of %" PRIu64 " bytes and wants %" PRIu64
                               " more, of at most %" PRIu64
                               " (MaxShmPerUser=); memory counts until "
                               "nothing uses it any more",
                               uid, used->shm, more->shm, settings->max_shm_per_user);
    if (!fits(used->inodes, more->inodes, settings->max_inodes_per_user))
        return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                               "user %u has limits of %" PRIu64 " inodes and wants %" PRIu64
                               " more, of at most %" PRIu64
                               " (MaxInodesPerUser=); they count until "
                               "nothing uses them any more",
                               uid, used->inodes, more->inodes, settings->max_inodes_per_user);
    return true;
}

void berth_users_charge(BerthUsers *users, uid_t uid, const BerthCharge *charge)
{
    User *user = get(users, uid);

    user->charge.sandboxes += charge->sandboxes;
    user->charge.shm += charge->shm;
    user->charge.inodes += charge->inodes;
    drop_empty(users, uid, user);
}

void berth_users_discharge(BerthUsers *users, uid_t uid, const BerthCharge *charge)
{
    User *user = get(users, uid);

    g_assert(user->charge.sandboxes >= charge->sandboxes && user->charge.shm >= charge->shm &&
             user->charge.inodes >= charge->inodes);
    user->charge.sandboxes -= charge->sandboxes;
    user->charge.shm -= charge->shm;
    user->charge.inodes -= charge->inodes;
    drop_empty(users, uid, user);
}
