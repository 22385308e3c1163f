/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verbs on transfers that are there already: transfers, wait, cancel.
 */

#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/object.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <inttypes.h>
#include <stdlib.h>

static int compare_rows(gconstpointer a, gconstpointer b)
{
    json_int_t left = ctl_json_number(*(json_t *const *)a, "Id");
    json_int_t right = ctl_json_number(*(json_t *const *)b, "Id");

    return (left > right) - (left < right);
}

static void print_transfers(const Ctl *ctl, const json_t *rows)
{
    static const char *const headers[] = { ">ID",    "KIND",  "OWNER",   "STATE",    ">DONE",
                                           ">TOTAL", ">RATE", "STARTED", "REFERENCE" };
    g_autoptr(CtlTable) table = ctl_table_new(headers, G_N_ELEMENTS(headers));

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char *cells[] = {
            g_strdup_printf("%" JSON_INTEGER_FORMAT, ctl_json_number(row, "Id")),
            g_strdup(ctl_json_text(row, "Kind")),
            ctl_format_user((uint32_t)ctl_json_number(row, "Owner")),
            g_strdup(ctl_json_text(row, "State")),
            ctl_object_size(row, "BytesDone"),
            ctl_json_number(row, "BytesTotal") > 0 ? ctl_object_size(row, "BytesTotal") : NULL,
            ctl_json_number(row, "Rate") > 0 ? ctl_object_size(row, "Rate") : NULL,
            ctl_format_time((uint64_t)ctl_json_number(row, "StartedUSec")),
            g_strdup(ctl_json_text(row, "Reference")),
        };

        G_STATIC_ASSERT(G_N_ELEMENTS(cells) == G_N_ELEMENTS(headers));
        ctl_table_add(table, cells);
    }
    ctl_table_print(ctl, table, "transfers");
}

int ctl_verb_transfers(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) rows = NULL;
    g_autoptr(json_t) sorted = NULL;
    int r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "ListTransfers", &reply, "a{sv}", 0))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &rows);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    sorted = ctl_json_sort(rows, compare_rows);
    ctl_pager_open(ctl);
    if (ctl->json == CTL_JSON_OFF)
        print_transfers(ctl, sorted);
    else
        ctl_print_json(ctl, sorted);
    return EXIT_SUCCESS;
}

static int parse_id(const Ctl *ctl, const char *text, uint32_t *id)
{
    guint64 number;

    if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &number, NULL))
        return ctl_usage(ctl,
                         "'%s' is no transfer; give the decimal number that 'berthctl transfers' "
                         "lists",
                         text);
    *id = (uint32_t)number;
    return EXIT_SUCCESS;
}

int ctl_verb_wait(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *message = NULL;
    uint32_t id;
    int status = parse_id(ctl, ctl->operands[0], &id);

    if (status != EXIT_SUCCESS)
        return status;
    if (!ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "GetTransfer", &message))
        return EXIT_FAILURE;
    return ctl_follow_call(ctl, message, sd_bus_message_append_basic(message, 'u', &id));
}

static bool cancel(Ctl *ctl, uint32_t id)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    const char *path;
    int r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "GetTransfer", &reply, "u", id))
        return false;
    r = sd_bus_message_read(reply, "o", &path);
    if (r < 0) {
        ctl_fail_bus(ctl, NULL, r);
        return false;
    }
    return ctl_bus_call(ctl, path, BERTH_IF_TRANSFER, "Cancel", NULL, "");
}

int ctl_verb_cancel(Ctl *ctl)
{
    int status = EXIT_SUCCESS;
    uint32_t id = 0;

    for (int i = 0; i < ctl->n_operands; i++)
        if ((status = parse_id(ctl, ctl->operands[i], &id)) != EXIT_SUCCESS)
            return status;
    for (int i = 0; i < ctl->n_operands; i++) {
        (void)parse_id(ctl, ctl->operands[i], &id);
        if (!cancel(ctl, id))
            status = EXIT_FAILURE;
    }
    return status;
}
