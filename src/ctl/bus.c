/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * berthctl's end of the bus: one connection, made by the first call that needs it, and blocking
 * calls that report their own failure. Everything berthctl knows comes from here; it never reads
 * the service's files.
 */

#include "ctl/bus.h"

#include "base/names.h"
#include "ctl/agent.h"
#include "ctl/report.h"

#include <glib.h>
#include <stdarg.h>
#include <string.h>

/* µs; a call may wait for somebody who types a password */
#define TIMEOUT_USEC      UINT64_C(90000000)
#define TIMEOUT_PASS_USEC UINT64_C(600000000)

static int connect_address(const char *address, sd_bus **bus)
{
    int r = sd_bus_new(bus);

    if (r >= 0)
        r = sd_bus_set_address(*bus, address);
    if (r >= 0)
        r = sd_bus_set_bus_client(*bus, 1);
    return r < 0 ? r : sd_bus_start(*bus);
}

bool ctl_bus_open(Ctl *ctl)
{
    __attribute__((cleanup(sd_bus_unrefp))) sd_bus *bus = NULL;
    int r;

    if (ctl->bus)
        return true;
    r = ctl->address ? connect_address(ctl->address, &bus) : sd_bus_open_system(&bus);
    if (r < 0) {
        CTL_AUTO_ERROR error = SD_BUS_ERROR_NULL;

        sd_bus_error_set_errno(&error, r);
        ctl_fail(ctl, error.name,
                 "cannot connect to the bus%s%s: %s; is it running, and is its address right?",
                 ctl->address ? " at " : "", ctl->address ?: "", g_strerror(-r));
        return false;
    }
    sd_bus_set_allow_interactive_authorization(bus, !ctl->no_ask_password);
    sd_bus_set_method_call_timeout(bus, ctl->no_ask_password ? TIMEOUT_USEC : TIMEOUT_PASS_USEC);
    ctl->bus = g_steal_pointer(&bus);
    return true;
}

bool ctl_bus_new_call(Ctl *ctl, const char *path, const char *interface, const char *member,
                      sd_bus_message **message)
{
    int r;

    if (!ctl_bus_open(ctl))
        return false;
    ctl_agent_open(ctl, member);
    r = sd_bus_message_new_method_call(ctl->bus, message, BERTH_BUS_NAME, path, interface, member);
    if (r < 0)
        ctl_fail_bus(ctl, NULL, r);
    return r >= 0;
}

bool ctl_bus_send(Ctl *ctl, sd_bus_message *message, int r, sd_bus_message **reply)
{
    CTL_AUTO_ERROR error = SD_BUS_ERROR_NULL;

    if (r >= 0)
        r = sd_bus_call(ctl->bus, message, 0, &error, reply);
    if (r < 0)
        ctl_fail_bus(ctl, &error, r);
    return r >= 0;
}

bool ctl_bus_call(Ctl *ctl, const char *path, const char *interface, const char *member,
                  sd_bus_message **reply, const char *types, ...)
{
    CTL_AUTO_MESSAGE *message = NULL;
    va_list args;
    int r = 0;

    if (!ctl_bus_new_call(ctl, path, interface, member, &message))
        return false;
    if (*types) {
        va_start(args, types);
        r = sd_bus_message_appendv(message, types, args);
        va_end(args);
    }
    return ctl_bus_send(ctl, message, r, reply);
}

bool ctl_bus_find_sandbox(Ctl *ctl, const char *name, char **path)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    const char *found;
    int r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "Get", &reply, "s", name))
        return false;
    r = sd_bus_message_read(reply, "o", &found);
    if (r < 0) {
        ctl_fail_bus(ctl, NULL, r);
        return false;
    }
    *path = g_strdup(found);
    return true;
}
