/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `show`: everything that the service tells about one sandbox: the properties that everybody may
 * read and what Describe gives to those who may use it.
 */

#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/json.h"
#include "ctl/object.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <stdlib.h>

/*
 * Adds what Describe says to @object. That it is refused to others than owner, users and root is no
 * failure: the properties are then all there is to show.
 */
static bool add_description(Ctl *ctl, const char *path, json_t *object)
{
    CTL_AUTO_MESSAGE *message = NULL;
    CTL_AUTO_MESSAGE *reply = NULL;
    CTL_AUTO_ERROR error = SD_BUS_ERROR_NULL;
    g_autoptr(json_t) description = NULL;
    int r;

    if (!ctl_bus_new_call(ctl, path, BERTH_IF_SANDBOX, "Describe", &message))
        return false;
    r = sd_bus_call(ctl->bus, message, 0, &error, &reply);
    if (sd_bus_error_has_names(&error, SD_BUS_ERROR_ACCESS_DENIED,
                               SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)) {
        ctl_note(ctl, "only what everybody may know is shown: %s", error.message);
        return true;
    }
    if (r >= 0)
        r = ctl_json_read(reply, &description);
    if (r < 0) {
        ctl_fail_bus(ctl, &error, r);
        return false;
    }
    json_object_update(object, description);
    return true;
}

int ctl_verb_show(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) object = NULL;
    g_autofree char *path = NULL;
    int r;

    if (!ctl_bus_find_sandbox(ctl, ctl->operands[0], &path) ||
        !ctl_bus_call(ctl, path, "org.freedesktop.DBus.Properties", "GetAll", &reply, "s",
                      BERTH_IF_SANDBOX))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &object);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    if (!add_description(ctl, path, object))
        return EXIT_FAILURE;

    ctl_pager_open(ctl);
    if (ctl->json == CTL_JSON_OFF)
        ctl_object_print(object);
    else
        ctl_print_json(ctl, object);
    return EXIT_SUCCESS;
}
