/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/mode.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * BerthSettings: the settings of berth.conf and its drop-ins, typed and checked. Immutable once
 * loaded; Reload() makes a new one. Reference counted.
 */
typedef struct {
    /* [Sandboxes] */
    BerthIpcMode default_ipc_mode; /* shareable or private */
    uint64_t default_shm_size;     /* bytes, > 0 */
    uint64_t default_shm_inodes;   /* at least 2: the root directory and a file */
    uint64_t max_shm_size;         /* bytes, at least default_shm_size */
    unsigned max_sandboxes_per_user;
    uint64_t max_shm_per_user; /* bytes */
    uint64_t max_inodes_per_user;
    unsigned max_pending_calls_per_user;
    unsigned max_sandboxes;
    unsigned allowed_modes; /* bits 1 << BerthIpcMode; has default_ipc_mode's */

    /* [Transfers] */
    unsigned max_transfers;
    unsigned max_transfers_per_user;
    unsigned max_downloads_per_transfer;
    unsigned max_uploads_per_transfer;
    uint64_t max_bandwidth; /* bytes a second; 0: no limit */
    char *worker_user;

    /* [Store] */
    char *store_path;        /* absolute */
    uint64_t store_min_free; /* bytes */
} BerthSettings;

/** BerthSettingsPaths: where settings lie and what the command line adds. */
typedef struct {
    const char *const *directories;   /* highest first, NULL-terminated */
    const char *state_directory;      /* absolute; default of [Store] Path= is "store" in it */
    const char *default_ipc_mode;     /* --default-ipc-mode, or NULL */
    const char *default_ipc_mode_opt; /* the option's name with its dashes, for messages and the
                                         origin; NULL: --default-ipc-mode */
} BerthSettingsPaths;

/** BerthSettingRow: one key of the merged result, for `berthctl config`. */
typedef struct {
    const char *group; /* (static) */
    const char *key;   /* (static) */
    char *value;       /* as in force, in the syntax of the file */
    char *origin;      /* `file:line`, `built-in`, or the command line option */
} BerthSettingRow;

/**
 * berth_settings_load:
 * @paths: where to look
 * @total_memory: MemTotal in bytes, what 100% is
 * @warnings: (element-type utf8): unknown groups and keys are appended, each naming file and line
 * @error: BERTH_ERROR_SETTINGS_INVALID naming file, line and value
 *
 * Returns: (transfer full): the settings, or NULL: then nothing may take effect.
 */
BerthSettings *berth_settings_load(const BerthSettingsPaths *paths, uint64_t total_memory,
                                   GPtrArray *warnings, GError **error);

/**
 * berth_settings_from_lines:
 * @paths: for the state directory and the command line; the directories are not looked at
 * @total_memory: as for berth_settings_load()
 * @lines: (element-type BerthSettingsLine): what berth_settings_read_text() gave, later wins
 * @warnings: (element-type utf8): as for berth_settings_load()
 * @error: BERTH_ERROR_SETTINGS_INVALID
 *
 * Every assignment must be valid, also one that a later one overrides. An empty one brings the
 * built-in value back.
 *
 * Returns: (transfer full): the settings, or NULL.
 */
BerthSettings *berth_settings_from_lines(const BerthSettingsPaths *paths, uint64_t total_memory,
                                         const GPtrArray *lines, GPtrArray *warnings,
                                         GError **error);

BerthSettings *berth_settings_ref(BerthSettings *settings);
/** berth_settings_unref: @settings: (nullable) */
void berth_settings_unref(BerthSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthSettings, berth_settings_unref)

/**
 * berth_settings_rows:
 * Returns: (transfer none) (element-type BerthSettingRow): every key, in the order of
 * berth.conf(5).
 */
GPtrArray *berth_settings_rows(BerthSettings *settings);
