/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of the contract: bus name, paths and interfaces as constants, and the grammar of
 * sandbox IDs, names and references. Only bytes are looked at here; what exists is known to the
 * daemon.
 */

#include "base/names.h"

#include "base/error.h"

#include <string.h>

#define LETTERS_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

#define QUOTE_MAX      200 /* bytes of a caller's text that a message repeats */
#define UTF8_MAX       4   /* bytes of one character */

bool berth_id_is_valid(const char *text)
{
    return strspn(text, "0123456789abcdef") == BERTH_ID_LENGTH && !text[BERTH_ID_LENGTH];
}

bool berth_name_check(const char *name, GError **error)
{
    size_t length = strlen(name);

    if (length >= 1 && length <= BERTH_NAME_LENGTH && strchr(LETTERS_DIGITS, name[0]) &&
        strspn(name, LETTERS_DIGITS "_.-") == length && !berth_id_is_valid(name))
        return true;

    g_autofree char *quoted = berth_quote(name);
    return berth_set_error(error, BERTH_ERROR_INVALID_NAME,
                           "invalid sandbox name '%s': use 1 to %d letters, digits, '_', '.' or "
                           "'-', starting with a letter or digit, and not 32 hex digits",
                           quoted, BERTH_NAME_LENGTH);
}

bool berth_sandbox_ref_parse(const char *text, BerthSandboxRef *ref, GError **error)
{
    const char *slash = strchr(text, '/');

    if (slash) {
        guint64 uid;
        g_autofree char *number = g_strndup(text, slash - text);

        /* (uid_t)-1 means "no user" to the kernel */
        if (!g_ascii_string_to_unsigned(number, 10, 0, (guint64)(uid_t)-2, &uid, NULL)) {
            g_autofree char *quoted = berth_quote(text);
            return berth_set_error(error, BERTH_ERROR_INVALID_NAME,
                                   "invalid sandbox '%s': before the '/' stands a numeric user ID",
                                   quoted);
        }
        if (!berth_name_check(slash + 1, error))
            return false;
        *ref = (BerthSandboxRef){ BERTH_REF_UID_NAME, (uid_t)uid, slash + 1 };
        return true;
    }

    if (berth_id_is_valid(text)) {
        *ref = (BerthSandboxRef){ BERTH_REF_ID, 0, text };
        return true;
    }
    if (!berth_name_check(text, error))
        return false;
    *ref = (BerthSandboxRef){ BERTH_REF_NAME, 0, text };
    return true;
}

/* Whether @c stays itself on a line: format characters can reorder it, separators can break it. */
static bool is_plain(gunichar c)
{
    GUnicodeType type = g_unichar_type(c);

    return g_unichar_isprint(c) && type != G_UNICODE_LINE_SEPARATOR &&
           type != G_UNICODE_PARAGRAPH_SEPARATOR;
}

char *berth_quote_long(const char *text, size_t max)
{
    g_autofree char *valid = NULL;
    GString *out = g_string_new(NULL);

    /*
     * Cut first, so that a huge text is not copied. No character becomes shorter below, so one that
     * the cut broke lies behind what is shown.
     */
    valid = g_utf8_make_valid(text, (gssize)strnlen(text, max + UTF8_MAX));
    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        size_t shown = out->len;

        if (is_plain(c))
            g_string_append_unichar(out, c);
        else
            g_string_append_printf(out, "\\u%04x", c);
        if (out->len > max) {
            g_string_truncate(out, shown);
            g_string_append(out, "…");
            break;
        }
    }
    return g_string_free(out, FALSE);
}

char *berth_quote(const char *text)
{
    return berth_quote_long(text, QUOTE_MAX);
}
