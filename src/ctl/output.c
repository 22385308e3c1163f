/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What berthctl prints: tables and values for people, JSON for programs. Text that came from other
 * users (labels, names of files) is escaped before it reaches a terminal. Output is plain: no
 * colours, so that a table is the same in a pipe and on a screen.
 */

#include "ctl/output.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct CtlTable {
    const char *const *headers;
    unsigned n_columns;
    GPtrArray *rows; /* (element-type char **): n_columns strings each */
};

/* Whether @c can break a line, or change the order of what stands there. */
static bool is_disorderly(gunichar c)
{
    GUnicodeType type = g_unichar_type(c);

    return type == G_UNICODE_FORMAT || type == G_UNICODE_LINE_SEPARATOR ||
           type == G_UNICODE_PARAGRAPH_SEPARATOR;
}

char *ctl_escape(const char *text)
{
    GString *out = g_string_sized_new(strlen(text));

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            /* not UTF-8: one byte, then try again behind it */
            g_string_append_printf(out, "\\x%02x", (unsigned char)*text++);
            continue;
        }
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            g_string_append_printf(out, "\\x%02x", c);
        else if (is_disorderly(c))
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_unichar(out, c);
        text = g_utf8_next_char(text);
    }
    return g_string_free(out, FALSE);
}

char *ctl_format_time(uint64_t usec)
{
    time_t seconds = (time_t)(usec / 1000000);
    struct tm local;
    char text[64];

    if (usec == 0 || !localtime_r(&seconds, &local) ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local) == 0)
        return g_strdup("-");
    return g_strdup(text);
}

char *ctl_format_user(uint32_t uid)
{
    const struct passwd *user = getpwuid(uid);

    return user ? g_strdup(user->pw_name) : g_strdup_printf("%" PRIu32, uid);
}

void ctl_print_json(const Ctl *ctl, const json_t *value)
{
    size_t flags = ctl->json == CTL_JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;

    (void)json_dumpf(value, stdout, flags | JSON_ENCODE_ANY);
    putchar('\n');
    fflush(stdout);
}

void ctl_print_json_line(const json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
    fflush(stdout);
}

static void free_cells(gpointer cells)
{
    g_strfreev(cells);
}

CtlTable *ctl_table_new(const char *const *headers, unsigned n_columns)
{
    CtlTable *table = g_new0(CtlTable, 1);

    table->headers = headers;
    table->n_columns = n_columns;
    table->rows = g_ptr_array_new_with_free_func(free_cells);
    return table;
}

void ctl_table_free(CtlTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->rows);
    g_free(table);
}

void ctl_table_add(CtlTable *table, char **cells)
{
    char **row = g_new0(char *, table->n_columns + 1);

    for (unsigned i = 0; i < table->n_columns; i++) {
        row[i] = cells[i] && *cells[i] ? ctl_escape(cells[i]) : g_strdup("-");
        g_free(cells[i]);
    }
    g_ptr_array_add(table->rows, row);
}

static bool is_right(const CtlTable *table, unsigned column)
{
    return table->headers[column][0] == '>';
}

static unsigned width_of(const CtlTable *table, unsigned column, bool with_header)
{
    glong width = 0;

    if (with_header)
        width = g_utf8_strlen(table->headers[column], -1) - (is_right(table, column) ? 1 : 0);
    for (guint i = 0; i < table->rows->len; i++) {
        char *const *row = table->rows->pdata[i];

        width = MAX(width, g_utf8_strlen(row[column], -1));
    }
    return (unsigned)width;
}

static void print_row(const CtlTable *table, const unsigned *widths, const char *const *cells)
{
    for (unsigned i = 0; i < table->n_columns; i++) {
        int padding = (int)widths[i] - (int)g_utf8_strlen(cells[i], -1);
        bool right = is_right(table, i), last = i + 1 == table->n_columns;

        printf("%*s%s%*s", right ? padding : 0, "", cells[i], right || last ? 0 : padding, "");
        fputs(last ? "\n" : " ", stdout);
    }
}

void ctl_table_print(const Ctl *ctl, const CtlTable *table, const char *noun)
{
    g_autofree unsigned *widths = g_new0(unsigned, table->n_columns);
    g_autofree const char **titles = g_new0(const char *, table->n_columns);

    for (unsigned i = 0; i < table->n_columns; i++) {
        widths[i] = width_of(table, i, !ctl->no_legend);
        titles[i] = table->headers[i] + (is_right(table, i) ? 1 : 0);
    }
    if (!ctl->no_legend)
        print_row(table, widths, titles);
    for (guint i = 0; i < table->rows->len; i++)
        print_row(table, widths, table->rows->pdata[i]);
    if (!ctl->no_legend)
        printf("\n%u %s listed.\n", table->rows->len, noun);
}
