/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `registry`: which registries have settings, or what is in force for one of them. The answers are
 * the running service's, in the syntax of its files, so that a line can be copied into one.
 */

#include "base/names.h"
#include "base/size.h"
#include "ctl/bus.h"
#include "ctl/json.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MSEC 1000 /* µs */
#define SEC  1000000

static char *format_span(json_int_t usec)
{
    if (usec % SEC == 0)
        return g_strdup_printf("%" JSON_INTEGER_FORMAT "s", usec / SEC);
    if (usec % MSEC == 0)
        return g_strdup_printf("%" JSON_INTEGER_FORMAT "ms", usec / MSEC);
    return g_strdup_printf("%" JSON_INTEGER_FORMAT "us", usec);
}

/* With a unit where that loses nothing. */
static char *format_size(uint64_t size)
{
    g_autofree char *text = berth_size_format(size);
    uint64_t again;

    if (berth_size_parse(text, &again, NULL) && again == size)
        return g_steal_pointer(&text);
    return g_strdup_printf("%" PRIu64, size);
}

static char *format_list(const json_t *list)
{
    GString *text = g_string_new(NULL);
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", json_string_value(item) ?: "");
    }
    return g_string_free(text, FALSE);
}

/* The value of @key as a file has it. */
static char *format_value(const char *key, const json_t *value)
{
    if (json_is_boolean(value))
        return g_strdup(json_is_true(value) ? "yes" : "no");
    if (json_is_array(value))
        return format_list(value);
    if (json_is_integer(value) && g_str_has_suffix(key, "Timeout"))
        return format_span(json_integer_value(value));
    if (json_is_integer(value) && g_str_has_suffix(key, "Bandwidth"))
        return format_size((uint64_t)json_integer_value(value));
    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return g_strdup(json_string_value(value));
}

/* The order is the service's, which is that of the documentation. */
static void print_settings(const Ctl *ctl, const json_t *settings)
{
    static const char *const headers[] = { "KEY", "VALUE", "ORIGIN" };
    g_autoptr(CtlTable) table = ctl_table_new(headers, G_N_ELEMENTS(headers));
    const json_t *origins = json_object_get(settings, "Origins");
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)settings, key, value)
    {
        char *cells[G_N_ELEMENTS(headers)];

        if (value == origins)
            continue;
        cells[0] = g_strdup(key);
        cells[1] = format_value(key, value);
        cells[2] = g_strdup(ctl_json_text(origins, key));
        ctl_table_add(table, cells);
    }
    ctl_table_print(ctl, table, "settings");
}

static void print_registries(const Ctl *ctl, const json_t *rows)
{
    static const char *const headers[] = { "REGISTRY", "ORIGIN" };
    g_autoptr(CtlTable) table = ctl_table_new(headers, G_N_ELEMENTS(headers));

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char *cells[] = { g_strdup(ctl_json_text(row, "Registry")),
                          g_strdup(ctl_json_text(row, "Origin")) };

        G_STATIC_ASSERT(G_N_ELEMENTS(cells) == G_N_ELEMENTS(headers));
        ctl_table_add(table, cells);
    }
    ctl_table_print(ctl, table, "registries");
}

static bool ask(Ctl *ctl, sd_bus_message **reply)
{
    if (ctl->n_operands == 0)
        return ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_REGISTRIES, "List", reply, "a{sv}", 0);
    return ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_REGISTRIES, "GetSettings", reply, "s",
                        ctl->operands[0]);
}

int ctl_verb_registry(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) answer = NULL;
    int r;

    if (!ask(ctl, &reply))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &answer);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    ctl_pager_open(ctl);
    if (ctl->json != CTL_JSON_OFF)
        ctl_print_json(ctl, answer);
    else if (ctl->n_operands == 0)
        print_registries(ctl, answer);
    else
        print_settings(ctl, answer);
    return EXIT_SUCCESS;
}
