/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings as the running service has them, with the origin of each value, and `reload`. The
 * files are not read here: what counts is what is in force.
 */

#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/json.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <stdlib.h>
#include <string.h>

/* The order is the service's, which is that of the documentation. */
static void print_settings(const Ctl *ctl, const json_t *rows)
{
    static const char *const headers[] = { "GROUP", "KEY", "VALUE", "ORIGIN" };
    g_autoptr(CtlTable) table = ctl_table_new(headers, G_N_ELEMENTS(headers));

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char *cells[] = {
            g_strdup(ctl_json_text(row, "Group")),
            g_strdup(ctl_json_text(row, "Key")),
            g_strdup(ctl_json_text(row, "Value")),
            g_strdup(ctl_json_text(row, "Origin")),
        };

        G_STATIC_ASSERT(G_N_ELEMENTS(cells) == G_N_ELEMENTS(headers));
        ctl_table_add(table, cells);
    }
    ctl_table_print(ctl, table, "settings");
}

static int show_config(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) rows = NULL;
    int r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_MANAGER, "GetSettings", &reply, "a{sv}", 0))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &rows);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    ctl_pager_open(ctl);
    if (ctl->json == CTL_JSON_OFF)
        print_settings(ctl, rows);
    else
        ctl_print_json(ctl, rows);
    return EXIT_SUCCESS;
}

int ctl_verb_config(Ctl *ctl)
{
    if (ctl->n_operands == 0)
        return show_config(ctl);
    if (strcmp(ctl->operands[0], "import-docker") != 0)
        return ctl_usage(ctl, "unknown operation '%s' of config; there is import-docker FILE",
                         ctl->operands[0]);
    if (ctl->n_operands < 2)
        return ctl_usage(ctl,
                         "name the file: berthctl config import-docker /etc/docker/daemon.json");
    return ctl_import_docker(ctl, ctl->operands[1]);
}

int ctl_verb_reload(Ctl *ctl)
{
    return ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_MANAGER, "Reload", NULL, "")
               ? EXIT_SUCCESS
               : EXIT_FAILURE;
}
