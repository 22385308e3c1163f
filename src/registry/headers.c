/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of headers, parsed strictly: what a server says about bytes decides where they are put, so
 * a value that is not as its specification has it counts as absent. Pure; never reads beyond the
 * text and never allocates more than it.
 */

#include "registry/headers.h"

#include <curl/curl.h>
#include <string.h>

#define BLANK " \t"

/* Digits at *@text, moving it behind them. */
static bool take_number(const char **text, int64_t *number)
{
    int64_t n = 0;

    if (!g_ascii_isdigit(**text))
        return false;
    for (; g_ascii_isdigit(**text); (*text)++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, **text - '0', &n))
            return false;
    *number = n;
    return true;
}

static bool take(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

bool berth_content_range_parse(const char *text, BerthContentRange *range)
{
    *range = (BerthContentRange){ -1, -1, -1 };
    if (g_ascii_strncasecmp(text, "bytes", strlen("bytes")) != 0)
        return false;
    text += strlen("bytes");
    if (!strchr(BLANK, *text))
        return false;
    text += strspn(text, BLANK);
    if (!take(&text, '*') && (!take_number(&text, &range->first) || !take(&text, '-') ||
                              !take_number(&text, &range->last) || range->last < range->first))
        return false;
    if (!take(&text, '/'))
        return false;
    if (take(&text, '*'))
        return range->first >= 0 && !*text;
    return take_number(&text, &range->total) && !*text && range->total > range->last;
}

bool berth_range_parse(const char *text, int64_t *last)
{
    int64_t first;

    if (g_ascii_strncasecmp(text, "bytes=", strlen("bytes=")) == 0)
        text += strlen("bytes=");
    return take_number(&text, &first) && first == 0 && take(&text, '-') &&
           take_number(&text, last) && !*text;
}

bool berth_retry_after_parse(const char *text, int64_t now, uint64_t *seconds)
{
    int64_t number;
    time_t date;

    if (g_ascii_isdigit(*text)) {
        if (!take_number(&text, &number) || *text)
            return false;
        *seconds = (uint64_t)number;
        return true;
    }
    /* takes the three forms of RFC 9110, 5.6.7, and some more */
    date = curl_getdate(text, NULL);
    if (date < 0)
        return false;
    *seconds = date > now ? (uint64_t)(date - now) : 0;
    return true;
}

/* A quoted string or a token at *@text, moving it behind; NULL when there is none. */
static char *take_word(const char **text)
{
    GString *word;
    size_t length;

    if (**text != '"') {
        length = strcspn(*text, BLANK ",;");
        *text += length;
        return length > 0 ? g_strndup(*text - length, length) : NULL;
    }
    word = g_string_new(NULL);
    for ((*text)++; **text && **text != '"'; (*text)++) {
        if (**text == '\\' && (*text)[1])
            (*text)++;
        g_string_append_c(word, **text);
    }
    if (take(text, '"'))
        return g_string_free(word, FALSE);
    g_string_free(word, TRUE);
    return NULL;
}

/* Whether the relations in @words include `next`. */
static bool has_next(const char *words)
{
    g_auto(GStrv) list = g_strsplit_set(words, BLANK, -1);

    for (char **word = list; *word; word++)
        if (g_ascii_strcasecmp(*word, "next") == 0)
            return true;
    return false;
}

/* The parameters of one link, up to the comma behind them. */
static bool take_parameters(const char **text, bool *next)
{
    *next = false;
    for (;;) {
        g_autofree char *name = NULL, *value = NULL;
        size_t length;

        *text += strspn(*text, BLANK);
        if (!**text || **text == ',')
            return true;
        if (!take(text, ';'))
            return false;
        *text += strspn(*text, BLANK);
        length = strcspn(*text, BLANK ",;=");
        name = g_strndup(*text, length);
        *text += length + strspn(*text + length, BLANK);
        if (!take(text, '='))
            continue;
        *text += strspn(*text, BLANK);
        value = take_word(text);
        if (!value)
            return false;
        if (g_ascii_strcasecmp(name, "rel") == 0)
            *next = *next || has_next(value);
    }
}

char *berth_link_next(const char *text)
{
    for (;;) {
        g_autofree char *target = NULL;
        const char *end;
        bool next;

        text += strspn(text, BLANK ",");
        if (!take(&text, '<'))
            return NULL;
        end = strchr(text, '>');
        if (!end)
            return NULL;
        target = g_strndup(text, (gsize)(end - text));
        text = end + 1;
        if (!take_parameters(&text, &next))
            return NULL;
        if (next && *target)
            return g_steal_pointer(&target);
    }
}
