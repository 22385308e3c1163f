/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "settings/settings.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** BerthSettingsKeyId: every key of berth.conf, in the order in which `berthctl config` lists them.
 */
typedef enum {
    BERTH_KEY_DEFAULT_IPC_MODE,
    BERTH_KEY_DEFAULT_SHM_SIZE,
    BERTH_KEY_DEFAULT_SHM_INODES,
    BERTH_KEY_MAX_SHM_SIZE,
    BERTH_KEY_MAX_SANDBOXES_PER_USER,
    BERTH_KEY_MAX_SHM_PER_USER,
    BERTH_KEY_MAX_INODES_PER_USER,
    BERTH_KEY_MAX_PENDING_CALLS_PER_USER,
    BERTH_KEY_MAX_SANDBOXES,
    BERTH_KEY_ALLOWED_MODES,
    BERTH_KEY_MAX_TRANSFERS,
    BERTH_KEY_MAX_TRANSFERS_PER_USER,
    BERTH_KEY_MAX_DOWNLOADS_PER_TRANSFER,
    BERTH_KEY_MAX_UPLOADS_PER_TRANSFER,
    BERTH_KEY_MAX_BANDWIDTH,
    BERTH_KEY_WORKER_USER,
    BERTH_KEY_STORE_PATH,
    BERTH_KEY_STORE_MIN_FREE,
    _BERTH_KEY_MAX,
} BerthSettingsKeyId;

typedef struct BerthSettingsKey BerthSettingsKey;

/**
 * BerthSettingsParse:
 * @key: its row of the table
 * @text: a value as in a file, not empty
 * @total_memory: MemTotal in bytes, what 100% is
 * @field: the field of BerthSettings; a string in it is freed and replaced
 * @error: BERTH_ERROR_SETTINGS_INVALID, naming key and value but not yet where they stand
 */
typedef bool BerthSettingsParse(const BerthSettingsKey *key, const char *text,
                                uint64_t total_memory, void *field, GError **error);

/** BerthSettingsKey: what is known of one key. */
struct BerthSettingsKey {
    const char *group;
    const char *name;
    const char *builtin; /* in the syntax of the file; of Path= below the state directory */
    BerthSettingsParse *parse;
    size_t offset;     /* of the field in BerthSettings */
    uint64_t min, max; /* of numbers */
};

/** berth_settings_key: Returns: (transfer none): the row of @id. */
const BerthSettingsKey *berth_settings_key(BerthSettingsKeyId id);

/** berth_settings_key_find: Returns: the key @name of @group, or -ENOENT. */
int berth_settings_key_find(const char *group, const char *name);

/** berth_settings_group_exists: Returns: whether berth.conf knows a group of that name. */
bool berth_settings_group_exists(const char *group);
