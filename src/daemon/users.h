/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "settings/settings.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** BerthUsers: what each user has of the service. */
typedef struct BerthUsers BerthUsers;

/** BerthCharge: what a sandbox costs its owner. */
typedef struct {
    unsigned sandboxes;
    uint64_t shm;    /* bytes of shm limits */
    uint64_t inodes; /* of inode limits */
} BerthCharge;

BerthUsers *berth_users_new(void);
void berth_users_free(BerthUsers *users);

/** berth_users_pending: Returns: the number of calls of @uid without a reply. */
unsigned berth_users_pending(BerthUsers *users, uid_t uid);
void berth_users_add_pending(BerthUsers *users, uid_t uid, int n);

/**
 * berth_users_check:
 * @settings: with the limits
 * @uid: the user; root has no limits
 * @more: what is to be added to its charge
 * @error: BERTH_ERROR_QUOTA_EXCEEDED naming limit and usage
 */
bool berth_users_check(BerthUsers *users, const BerthSettings *settings, uid_t uid,
                       const BerthCharge *more, GError **error);

/** berth_users_charge: adds @charge to what @uid has. */
void berth_users_charge(BerthUsers *users, uid_t uid, const BerthCharge *charge);
/** berth_users_discharge: takes @charge back. */
void berth_users_discharge(BerthUsers *users, uid_t uid, const BerthCharge *charge);
