/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * berth_settings_files_main:
 * @directories: highest first, NULL-terminated; one that does not exist is skipped
 * @name: a file name, `berth.conf`
 * @paths: (element-type utf8): the path of the file in the highest directory that has it is
 *   appended, nothing when none has it
 * @error: BERTH_ERROR_SETTINGS_INVALID when a directory cannot be looked at
 */
bool berth_settings_files_main(const char *const *directories, const char *name, GPtrArray *paths,
                               GError **error);

/**
 * berth_settings_files_dropins:
 * @directories: highest first, NULL-terminated; one that does not exist is skipped
 * @name: the name of the directory of drop-ins in each of them, `berth.conf.d`
 * @paths: (element-type utf8): the paths of the `*.conf` in them are appended in the order in which
 *   they are to be read: by file name, and of each name only the one in the highest directory.
 *   Hidden files are left out
 * @error: BERTH_ERROR_SETTINGS_INVALID when a directory cannot be read
 */
bool berth_settings_files_dropins(const char *const *directories, const char *name,
                                  GPtrArray *paths, GError **error);

/**
 * berth_settings_files_read:
 * @path: a regular file or a link to one; a link to /dev/null counts as empty, and so does a file
 *   that vanished
 * @lines: (element-type BerthSettingsLine): its lines are appended
 * @error: BERTH_ERROR_SETTINGS_INVALID naming @path, and the line where there is one
 *
 * Never waits, whatever @path is.
 */
bool berth_settings_files_read(const char *path, GPtrArray *lines, GError **error);
