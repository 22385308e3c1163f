/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/** BerthDirectory: the directories that systemd, or a private instance, can move. */
typedef enum {
    BERTH_DIRECTORY_CONFIGURATION, /* CONFIGURATION_DIRECTORY, or /etc/berth */
    BERTH_DIRECTORY_STATE,         /* STATE_DIRECTORY, or /var/lib/berth */
    BERTH_DIRECTORY_RUNTIME,       /* RUNTIME_DIRECTORY, or /run/berth */
    _BERTH_DIRECTORY_MAX,
} BerthDirectory;

/**
 * berth_directories_check:
 * @error: BERTH_ERROR_SETTINGS_INVALID: the environment names one that is not absolute
 */
bool berth_directories_check(GError **error);

/** berth_directory: Returns: (transfer full): the path of @directory, which was checked. */
char *berth_directory(BerthDirectory directory);
