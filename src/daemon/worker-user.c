/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user that workers run as. Packages make it (sysusers.d); where nobody did, workers still do
 * not run as root nor as somebody who has files or processes: they get a UID of the range that
 * systemd keeps free for such uses. The user database is read as a file, since asking all that
 * nsswitch.conf(5) names can take its time and the service never waits.
 */

#include "daemon/worker-user.h"

#include "base/error.h"
#include "base/fd.h"
#include "settings/keys.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

/* "Dynamic service UIDs" of systemd's UIDS-GIDS page */
#define STAND_IN_MIN 61184
#define STAND_IN_MAX 65519

static bool look_up(const char *name, BerthWorkerUser *user)
{
    BERTH_AUTO_FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *entry;

    while (file && (entry = fgetpwent(file)))
        if (g_str_equal(entry->pw_name, name)) {
            *user = (BerthWorkerUser){ entry->pw_uid, entry->pw_gid, true };
            return true;
        }
    return false;
}

static bool is_stand_in(uid_t uid)
{
    return uid >= STAND_IN_MIN && uid <= STAND_IN_MAX;
}

/* The same one each time: the store is its. */
static uid_t stand_in(const char *store)
{
    struct stat st;

    if (lstat(store, &st) == 0 && is_stand_in(st.st_uid))
        return st.st_uid;
    return STAND_IN_MIN + g_str_hash(store) % (STAND_IN_MAX - STAND_IN_MIN + 1);
}

/* Where the setting comes from; NULL when nobody set it. */
static const char *origin(BerthSettings *settings)
{
    const BerthSettingsKey *key = berth_settings_key(BERTH_KEY_WORKER_USER);
    const GPtrArray *rows = berth_settings_rows(settings);

    for (guint i = 0; i < rows->len; i++) {
        const BerthSettingRow *row = rows->pdata[i];

        if (g_str_equal(row->key, key->name) && g_str_equal(row->group, key->group))
            return g_str_equal(row->origin, "built-in") ? NULL : row->origin;
    }
    return NULL;
}

bool berth_worker_user_find(BerthSettings *settings, BerthWorkerUser *user, GError **error)
{
    const char *set_by = origin(settings);

    if (look_up(settings->worker_user, user)) {
        if (user->uid != 0)
            return true;
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "%s%sWorkerUser=%s has the user ID of root; workers must have "
                               "their own user",
                               set_by ? set_by : "", set_by ? ": " : "", settings->worker_user);
    }
    if (set_by)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "%s: WorkerUser=%s is not in /etc/passwd; make that user, for "
                               "example with systemd-sysusers(8), or name another",
                               set_by, settings->worker_user);
    user->uid = user->gid = stand_in(settings->store_path);
    user->named = false;
    return true;
}
