/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reader of settings files: text in, list of (group, key, value) with file and line out.
 * GKeyFile cannot express groups that hold a `]` and forgets where a value came from. It relies on
 * nothing but its input and must never touch the file system, so that it can be fed from memory;
 * what it cannot understand is an error and never skipped, since a skipped line could be the one
 * that sets a limit.
 */

#include "settings/reader.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

typedef struct {
    char *file;  /* (not owned) GRefString */
    char *group; /* (owned) GRefString, NULL before the first group */
    unsigned line;
    GPtrArray *lines; /* (not owned) */
} Reader;

static bool invalid(GError **error, const char *file, unsigned line, const char *what)
{
    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s:%u: %s", file, line, what);
}

static void line_free(gpointer data)
{
    BerthSettingsLine *line = data;

    g_ref_string_release(line->file);
    g_ref_string_release(line->group);
    g_free(line->key);
    g_free(line->value);
    g_free(line);
}

GPtrArray *berth_settings_lines_new(void)
{
    return g_ptr_array_new_with_free_func(line_free);
}

/* Takes over @key and @value. */
static void append(Reader *reader, char *key, char *value)
{
    BerthSettingsLine *line = g_new(BerthSettingsLine, 1);

    line->file = g_ref_string_acquire(reader->file);
    line->line = reader->line;
    line->group = g_ref_string_acquire(reader->group);
    line->key = key;
    line->value = value;
    g_ptr_array_add(reader->lines, line);
}

/* A control character is never meant and could make a message or a log line say something else. */
static bool has_control(const char *text)
{
    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);

        if (c != '\t' && g_unichar_iscntrl(c))
            return true;
    }
    return false;
}

static bool read_group(Reader *reader, char *text, GError **error)
{
    char *end = strrchr(text, ']');

    if (!end)
        return invalid(error, reader->file, reader->line, "the group name has no closing ']'");
    if (end[1])
        return invalid(error, reader->file, reader->line,
                       "text after the group's ']'; write comments on lines of their own");
    if (end == text + 1)
        return invalid(error, reader->file, reader->line, "the group name is empty");

    *end = '\0';
    g_clear_pointer(&reader->group, g_ref_string_release);
    reader->group = g_ref_string_new(text + 1);
    append(reader, NULL, NULL);
    return true;
}

static bool read_assignment(Reader *reader, char *text, GError **error)
{
    char *equals = strchr(text, '=');
    char *value;

    if (!equals) {
        g_autofree char *quoted = berth_quote(text);
        g_autofree char *what = g_strdup_printf("'%s' is neither [Group] nor Key=value", quoted);

        return invalid(error, reader->file, reader->line, what);
    }
    *equals = '\0';
    value = g_strchug(equals + 1);
    g_strchomp(text);
    if (!*text)
        return invalid(error, reader->file, reader->line, "no key before the '='");
    if (!reader->group)
        return invalid(error, reader->file, reader->line,
                       "a key before the first group; write a [Group] line above it");
    if (g_str_has_suffix(value, "\\"))
        return invalid(error, reader->file, reader->line,
                       "a line cannot be continued with '\\'; write it as one line");

    append(reader, g_strdup(text), g_strdup(value));
    return true;
}

/* @text is one line without its newline, valid UTF-8; it is changed. */
static bool read_line(Reader *reader, char *text, GError **error)
{
    text = g_strstrip(text);
    if (!*text || *text == '#' || *text == ';')
        return true;
    if (has_control(text))
        return invalid(error, reader->file, reader->line, "control character in the line");
    if (*text == '[')
        return read_group(reader, text, error);
    return read_assignment(reader, text, error);
}

/* Checks that @text is UTF-8 without NUL, and names the line where it is not. */
static bool check_text(const char *file, const char *text, size_t length, GError **error)
{
    const char *end;
    unsigned line = 1;

    if (length > BERTH_SETTINGS_FILE_MAX)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "%s: larger than the %d bytes a settings file may have", file,
                               BERTH_SETTINGS_FILE_MAX);
    if (g_utf8_validate_len(text, length, &end))
        return true;
    for (const char *p = text; p < end; p++)
        if (*p == '\n')
            line++;
    return invalid(error, file, line, *end ? "not valid UTF-8" : "NUL byte in the line");
}

bool berth_settings_read_text(const char *file, const char *text, size_t length, GPtrArray *lines,
                              GError **error)
{
    g_autoptr(GRefString) name = g_ref_string_new(file);
    g_autoptr(GRefString) group = NULL;
    Reader reader = { .file = name, .lines = lines };
    const char *end = text + length;
    bool ok = true;

    if (!check_text(file, text, length, error))
        return false;
    if (length >= strlen(BYTE_ORDER_MARK) &&
        memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        text += strlen(BYTE_ORDER_MARK);

    while (ok && text < end) {
        const char *newline = memchr(text, '\n', end - text);
        size_t size = (newline ? newline : end) - text;

        reader.line++;
        if (size > BERTH_SETTINGS_LINE_MAX) {
            ok = invalid(error, file, reader.line, "the line is too long");
        } else {
            g_autofree char *line = g_strndup(text, size);

            ok = read_line(&reader, line, error);
        }
        text += size + (newline ? 1 : 0);
    }
    group = g_steal_pointer(&reader.group);
    return ok;
}
