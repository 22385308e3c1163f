/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

#include <glib.h>
#include <jansson.h>
#include <stdint.h>

/**
 * ctl_escape:
 * @text: text of somebody else's
 *
 * Returns: (transfer full): @text with control characters (C0, DEL, C1) as `\xNN`, and separators
 *   and format characters as `\uNNNN`, so that it can neither break or reorder a line nor steer a
 *   terminal.
 */
char *ctl_escape(const char *text);

/** ctl_format_time: Returns: (transfer full): local time of @usec since the epoch; `-` for 0. */
char *ctl_format_time(uint64_t usec);

/** ctl_format_user: Returns: (transfer full): the name of user @uid, or the number. */
char *ctl_format_user(uint32_t uid);

/** ctl_print_json: prints @value and a newline, in the form that --json= asks for. */
void ctl_print_json(const Ctl *ctl, const json_t *value);

/** ctl_print_json_line: prints @value on one line whatever --json= says, and flushes. */
void ctl_print_json_line(const json_t *value);

/**
 * ctl_pager_open:
 *
 * From here to the end of the process standard output goes through a pager, if it is a terminal and
 * neither --no-pager nor an empty $PAGER says no.
 */
void ctl_pager_open(const Ctl *ctl);

/** ctl_pager_close: flushes standard output and waits for the pager, if there is one. */
void ctl_pager_close(void);

/** CtlTable: rows of text under a header. */
typedef struct CtlTable CtlTable;

/**
 * ctl_table_new:
 * @headers: (array length=n_columns): static strings; one that starts with `>` is aligned right
 */
CtlTable *ctl_table_new(const char *const *headers, unsigned n_columns);
void ctl_table_free(CtlTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlTable, ctl_table_free)

/**
 * ctl_table_add:
 * @cells: (transfer full) (array): one string for each column; NULL or empty shows as `-`
 */
void ctl_table_add(CtlTable *table, char **cells);

/**
 * ctl_table_print:
 * @noun: what the rows are, in the plural
 *
 * Prints the header, the rows in the order they were added and `N NOUN listed.`; only the rows with
 * --no-legend.
 */
void ctl_table_print(const Ctl *ctl, const CtlTable *table, const char *noun);
