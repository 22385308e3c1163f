/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "settings/settings.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/** BerthWorkerUser: whom workers run as; the store is this user's. */
typedef struct {
    uid_t uid;
    gid_t gid;
    bool
        named; /* it is [Transfers] WorkerUser=; else that does not exist, and this is a stand-in */
} BerthWorkerUser;

/**
 * berth_worker_user_find:
 * @settings: for WorkerUser= and the store
 * @user: (out)
 * @error: BERTH_ERROR_SETTINGS_INVALID: a WorkerUser= that somebody set does not exist, or is root
 *
 * Looks into the local user database only: it neither asks a network nor waits.
 */
bool berth_worker_user_find(BerthSettings *settings, BerthWorkerUser *user, GError **error);
