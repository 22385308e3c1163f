/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/wanted.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** BerthDeclared: a sandbox that the administrator declares in sandboxes.d. All owned. */
typedef struct {
    char *origin; /* `file:line` of its [Sandbox] */
    BerthWanted wanted;
} BerthDeclared;

/**
 * berth_declared_load:
 * @directories: highest first, NULL-terminated; each may have a sandboxes.d
 * @total_memory: MemTotal in bytes, what 100% is
 * @warnings: (element-type utf8): unknown keys and groups are appended
 * @error: BERTH_ERROR_SETTINGS_INVALID naming file, line and value: no name, a name twice, a value
 *   that cannot be read. What a value means is checked by who makes the sandbox
 *
 * Returns: (transfer full) (element-type BerthDeclared): the sandboxes in the order of the files,
 * or NULL.
 */
GPtrArray *berth_declared_load(const char *const *directories, uint64_t total_memory,
                               GPtrArray *warnings, GError **error);

/**
 * berth_declared_from_lines: the same from lines in memory (element-type BerthSettingsLine).
 */
GPtrArray *berth_declared_from_lines(const GPtrArray *lines, uint64_t total_memory,
                                     GPtrArray *warnings, GError **error);
