/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes as people write them. The grammar is the one Docker's --shm-size has, because that is what
 * the users of the modes know; the kernel's own (tmpfs size=) is never used, since there `0`, `0%`
 * and multiples of 2^64 mean "unlimited" and values wrap. Arithmetic is in integers: a double would
 * lose bytes above 2^53.
 */

#include "base/size.h"

#include "base/error.h"
#include "base/names.h"

#include <inttypes.h>
#include <string.h>

#define FRACTION_DIGITS 9 /* of a fraction that count; more are read and dropped */

static bool invalid(GError **error, const char *text, const char *hint)
{
    g_autofree char *quoted = berth_quote(text);

    return berth_set_error(error, BERTH_ERROR_INVALID_SIZE, "invalid size '%s': %s", quoted, hint);
}

/*
 * Reads `123`, `123.45`, `.5` or `5.` (as Docker does) from *text: the whole part, and the fraction
 * in units of 10^-9. Moves *text behind it.
 */
static bool read_decimal(const char **text, uint64_t *whole, uint64_t *nanos)
{
    const char *p = *text;
    uint64_t value = 0, fraction = 0;

    if (!g_ascii_isdigit(*p) && !(*p == '.' && g_ascii_isdigit(p[1])))
        return false;
    for (; g_ascii_isdigit(*p); p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;

    if (*p == '.') {
        int digits = 0;

        p++;
        for (; g_ascii_isdigit(*p); p++)
            if (digits < FRACTION_DIGITS) {
                fraction = fraction * 10 + (uint64_t)(*p - '0');
                digits++;
            }
        for (; digits < FRACTION_DIGITS; digits++)
            fraction *= 10;
    }

    *text = p;
    *whole = value;
    *nanos = fraction;
    return true;
}

/* Reads an optional unit, which must end the text: b, or one of kmgtp with optional b or ib. */
static bool read_unit(const char *p, unsigned *shift)
{
    static const char units[] = "kmgtp";
    const char *unit;

    *shift = 0;
    if (!*p)
        return true;
    if (g_ascii_strcasecmp(p, "b") == 0)
        return true;
    unit = strchr(units, g_ascii_tolower(*p));
    if (!unit)
        return false;
    *shift = 10 * (unsigned)(unit - units + 1);
    p++;
    return !*p || g_ascii_strcasecmp(p, "b") == 0 || g_ascii_strcasecmp(p, "ib") == 0;
}

bool berth_size_parse(const char *text, uint64_t *bytes, GError **error)
{
    const char *p = text;
    uint64_t whole, nanos;
    unsigned __int128 size;
    unsigned shift;

    if (!read_decimal(&p, &whole, &nanos))
        return invalid(error, text, "write a number and an optional unit of b, k, m, g, t, p");
    if (*p == ' ')
        p++;
    if (!read_unit(p, &shift))
        return invalid(error, text, "the unit is none of b, k, m, g, t, p");

    size =
        ((unsigned __int128)whole << shift) + (((unsigned __int128)nanos << shift) / 1000000000u);
    if (size > INT64_MAX)
        return invalid(error, text, "it is too large for any machine");
    *bytes = (uint64_t)size;
    return true;
}

bool berth_size_or_percent_parse(const char *text, uint64_t total, uint64_t *bytes, GError **error)
{
    const char *p = text;
    uint64_t whole, nanos;

    if (!g_str_has_suffix(text, "%"))
        return berth_size_parse(text, bytes, error);
    if (!read_decimal(&p, &whole, &nanos) || !g_str_equal(p, "%") || whole > 100 ||
        (whole == 100 && nanos > 0))
        return invalid(error, text, "a percentage is a number from 0 to 100 followed by '%'");
    *bytes =
        (uint64_t)((unsigned __int128)total * (whole * 1000000000u + nanos) / 1000000000u / 100);
    return true;
}

char *berth_size_format(uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    unsigned unit = 0;

    while (unit < 6 && bytes >> (10 * (unit + 1)))
        unit++;
    if (unit == 0)
        return g_strdup_printf("%" PRIu64 "B", bytes);
    if ((bytes & ((UINT64_C(1) << (10 * unit)) - 1)) == 0)
        return g_strdup_printf("%" PRIu64 "%c", bytes >> (10 * unit), units[unit]);
    return g_strdup_printf("%.1f%c", (double)bytes / (double)(UINT64_C(1) << (10 * unit)),
                           units[unit]);
}
