/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time spans as people write them. The grammar is a part of systemd's, which its library does not
 * offer to others; arithmetic is in integers and a span that does not fit is refused, never
 * wrapped.
 */

#include "settings/duration.h"

#include <glib.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define USEC    UINT64_C(1)
#define MSEC    UINT64_C(1000)
#define SECOND  UINT64_C(1000000)
#define MINUTE  (60 * SECOND)
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)

/* Moves *text behind the unit. Returns: 0 when there is none of that name. */
static uint64_t read_unit(const char **text)
{
    static const struct {
        const char *name;
        uint64_t usec;
    } units[] = { { "us", USEC },  { "ms", MSEC },    { "s", SECOND }, { "sec", SECOND },
                  { "m", MINUTE }, { "min", MINUTE }, { "h", HOUR },   { "d", DAY } };
    size_t length = strspn(*text, LETTERS);

    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (strlen(units[i].name) != length || strncmp(*text, units[i].name, length) != 0)
            continue;
        *text += length;
        return units[i].usec;
    }
    return 0;
}

bool berth_duration_parse(const char *text, uint64_t *usec)
{
    uint64_t sum = 0;

    for (bool first = true; first || *text; first = false) {
        uint64_t number = 0, unit;

        if (!g_ascii_isdigit(*text))
            return false;
        for (; g_ascii_isdigit(*text); text++)
            if (__builtin_mul_overflow(number, 10, &number) ||
                __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
                return false;
        if (first && !*text) {
            unit = SECOND;
        } else {
            text += strspn(text, " ");
            unit = read_unit(&text);
        }
        if (unit == 0 || __builtin_mul_overflow(number, unit, &number) ||
            __builtin_add_overflow(sum, number, &sum) || sum > INT64_MAX)
            return false;
        text += strspn(text, " ");
    }
    *usec = sum;
    return true;
}
