/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `create`: a sandbox that stays until it is removed. Prints its ID and nothing else, so that a
 * script can keep it: ID=$(berthctl create).
 */

#include "ctl/create.h"

#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ctl_create_new_call(Ctl *ctl, const char *name, sd_bus_message **message)
{
    int r;

    if (!ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "Create", message))
        return false;
    r = sd_bus_message_append_basic(*message, 's', name ?: "");
    if (r >= 0)
        r = ctl_spec_append(&ctl->spec, *message);
    if (r < 0)
        ctl_fail_bus(ctl, NULL, r);
    return r >= 0;
}

bool ctl_create_read_reply(Ctl *ctl, sd_bus_message *reply, char **path)
{
    const char *text;
    int r = sd_bus_message_read_basic(reply, 'o', &text);

    if (r < 0) {
        ctl_fail_bus(ctl, NULL, r);
        return false;
    }
    *path = g_strdup(text);
    return true;
}

const char *ctl_create_id(const char *path)
{
    return strrchr(path, '/') + 1;
}

int ctl_verb_create(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *message = NULL;
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autofree char *path = NULL;

    if (!ctl_create_new_call(ctl, ctl->n_operands > 0 ? ctl->operands[0] : NULL, &message) ||
        !ctl_bus_send(ctl, message, 0, &reply) || !ctl_create_read_reply(ctl, reply, &path))
        return EXIT_FAILURE;

    if (ctl->json == CTL_JSON_OFF) {
        puts(ctl_create_id(path));
    } else {
        json_t *object = json_pack("{s:s, s:s}", "Id", ctl_create_id(path), "Path", path);

        ctl_print_json(ctl, object);
        json_decref(object);
    }
    return EXIT_SUCCESS;
}
