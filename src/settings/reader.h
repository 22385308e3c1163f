/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define BERTH_SETTINGS_FILE_MAX 1048576 /* bytes of one settings file */
#define BERTH_SETTINGS_LINE_MAX 65536   /* bytes of one line, without its newline */

/**
 * BerthSettingsLine: one line of a settings file that says something: an assignment, or the line
 * that opens a group.
 */
typedef struct {
    char *file;    /* (GRefString) as messages name it */
    unsigned line; /* from 1 */
    char *group;   /* (GRefString) without its outer brackets */
    char *key;     /* NULL: this line opens the group */
    char *value;   /* without surrounding white space; empty clears. NULL when @key is */
} BerthSettingsLine;

/** berth_settings_lines_new: Returns: (transfer full) (element-type BerthSettingsLine). */
GPtrArray *berth_settings_lines_new(void);

/**
 * berth_settings_read_text:
 * @file: what messages call the text, usually its path
 * @text: the text, @length bytes, not necessarily NUL-terminated. systemd.syntax(7) without quoting
 *   and continuation lines: UTF-8 (a byte order mark is skipped), lines end with LF or CRLF, white
 *   space around lines, keys and values does not count, `#` or `;` start a comment only as the
 * first character of a line. A group name runs to the last `]` of its line
 * @lines: (element-type BerthSettingsLine): its lines are appended, in their order
 * @error: BERTH_ERROR_SETTINGS_INVALID naming @file and the line; then @lines may hold a part of
 *   the text and is good for nothing but freeing
 *
 * Returns: whether every line could be read; nothing is known here of which groups and keys exist.
 */
bool berth_settings_read_text(const char *file, const char *text, size_t length, GPtrArray *lines,
                              GError **error);
