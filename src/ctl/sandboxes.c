/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verbs on sandboxes that exist and need one or two calls: list, remove, resize, publish,
 * unpublish, attach.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "base/size.h"
#include "ctl/bus.h"
#include "ctl/json.h"
#include "ctl/object.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

/* By name, those without one last; then by owner, then by ID: an order that stays. */
static int compare_rows(gconstpointer a, gconstpointer b)
{
    const json_t *left = *(json_t *const *)a, *right = *(json_t *const *)b;
    const char *name = ctl_json_text(left, "Name"), *other = ctl_json_text(right, "Name");
    json_int_t owner = ctl_json_number(left, "Owner"), others = ctl_json_number(right, "Owner");
    int order = (!*name - !*other) ?: strcmp(name, other);

    order = order ?: (owner > others) - (owner < others);
    return order ?: strcmp(ctl_json_text(left, "Id"), ctl_json_text(right, "Id"));
}

static void print_list(const Ctl *ctl, const json_t *rows)
{
    static const char *const headers[] = { "NAME",  "MODE",  "OWNER",   "STATE",
                                           ">SIZE", ">USED", "CREATED", "ID" };
    g_autoptr(CtlTable) table = ctl_table_new(headers, G_N_ELEMENTS(headers));

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char *cells[] = {
            g_strdup(ctl_json_text(row, "Name")),
            g_strdup(ctl_json_text(row, "Mode")),
            ctl_format_user((uint32_t)ctl_json_number(row, "Owner")),
            g_strdup(ctl_json_text(row, "State")),
            ctl_object_size(row, "ShmSize"),
            ctl_object_size(row, "ShmUsed"),
            ctl_format_time((uint64_t)ctl_json_number(row, "CreatedUSec")),
            g_strdup(ctl_json_text(row, "Id")),
        };

        G_STATIC_ASSERT(G_N_ELEMENTS(cells) == G_N_ELEMENTS(headers));
        ctl_table_add(table, cells);
    }
    ctl_table_print(ctl, table, "sandboxes");
}

int ctl_verb_list(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) rows = NULL;
    g_autoptr(json_t) sorted = NULL;
    int r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "List", &reply, "a{sv}", 0))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &rows);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    sorted = ctl_json_sort(rows, compare_rows);
    ctl_pager_open(ctl);
    if (ctl->json == CTL_JSON_OFF)
        print_list(ctl, sorted);
    else
        ctl_print_json(ctl, sorted);
    return EXIT_SUCCESS;
}

int ctl_verb_remove(Ctl *ctl)
{
    int status = EXIT_SUCCESS;

    for (int i = 0; i < ctl->n_operands; i++) {
        g_autofree char *path = NULL;

        if (!ctl_bus_find_sandbox(ctl, ctl->operands[i], &path) ||
            !ctl_bus_call(ctl, path, BERTH_IF_SANDBOX, "Remove", NULL, "a{sv}", 0))
            status = EXIT_FAILURE;
    }
    return status;
}

int ctl_verb_resize(Ctl *ctl)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    uint64_t size;
    bool done;

    if (!berth_size_parse(ctl->operands[1], &size, &error))
        return ctl_usage(ctl, "%s", error->message);
    if (!ctl_bus_find_sandbox(ctl, ctl->operands[0], &path))
        return EXIT_FAILURE;
    if (ctl->spec.has_shm_inodes)
        done = ctl_bus_call(ctl, path, BERTH_IF_SANDBOX, "Resize", NULL, "ta{sv}", size, 1,
                            "Inodes", "t", ctl->spec.shm_inodes);
    else
        done = ctl_bus_call(ctl, path, BERTH_IF_SANDBOX, "Resize", NULL, "ta{sv}", size, 0);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

int ctl_verb_publish(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autofree char *path = NULL;
    const char *published;
    int r;

    if (!ctl_bus_find_sandbox(ctl, ctl->operands[0], &path) ||
        !ctl_bus_call(ctl, path, BERTH_IF_SANDBOX, "Publish", &reply, ""))
        return EXIT_FAILURE;
    r = sd_bus_message_read(reply, "s", &published);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    if (ctl->json == CTL_JSON_OFF) {
        puts(published);
    } else {
        g_autoptr(json_t) object = json_pack("{s:s}", "PublishedPath", published);

        ctl_print_json(ctl, object);
    }
    return EXIT_SUCCESS;
}

int ctl_verb_unpublish(Ctl *ctl)
{
    g_autofree char *path = NULL;

    return ctl_bus_find_sandbox(ctl, ctl->operands[0], &path) &&
                   ctl_bus_call(ctl, path, BERTH_IF_SANDBOX, "Unpublish", NULL, "")
               ? EXIT_SUCCESS
               : EXIT_FAILURE;
}

int ctl_verb_attach(Ctl *ctl)
{
    g_autofree char *path = NULL;
    guint64 pid;
    BERTH_AUTO_FD process = -1;

    if (!g_ascii_string_to_unsigned(ctl->operands[1], 10, 1, INT_MAX, &pid, NULL))
        return ctl_usage(ctl, "'%s' is no process ID; give a decimal number", ctl->operands[1]);
    process = pidfd_open((pid_t)pid, 0);
    if (process < 0)
        return errno == ESRCH
                   ? ctl_fail(ctl, SD_BUS_ERROR_UNIX_PROCESS_ID_UNKNOWN,
                              "there is no process %s; was it waited for?", ctl->operands[1])
                   : ctl_fail(ctl, SD_BUS_ERROR_FAILED, "cannot open process %s: %s",
                              ctl->operands[1], g_strerror(errno));
    return ctl_bus_find_sandbox(ctl, ctl->operands[0], &path) &&
                   ctl_bus_call(ctl, path, BERTH_IF_SANDBOX, "Attach", NULL, "ha{sv}", process, 0)
               ? EXIT_SUCCESS
               : EXIT_FAILURE;
}
