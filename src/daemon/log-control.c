/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.freedesktop.LogControl1 at its usual path: log level and target while the service runs, for
 * `systemctl service-log-level` (org.freedesktop.LogControl1(5)). libsystemd lets only privileged
 * callers write a property that is not marked otherwise.
 */

#include "base/log.h"
#include "daemon/objects.h"

#include <errno.h>

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    return sd_bus_message_append(reply, "s", berth_log_level_to_string(berth_log_get_level()));
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *value, void *userdata, sd_bus_error *ret_error)
{
    const char *word;
    int level, r = sd_bus_message_read(value, "s", &word);

    if (r < 0)
        return r;
    level = berth_log_level_from_string(word);
    if (level < 0)
        return sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS,
                                 "invalid log level '%s': use emerg, alert, crit, err, warning, "
                                 "notice, info or debug",
                                 word);
    berth_log_set_level(level);
    return 0;
}

static int get_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    return sd_bus_message_append(reply, "s", berth_log_target_to_string(berth_log_get_target()));
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *value, void *userdata, sd_bus_error *ret_error)
{
    BerthLogTarget target;
    const char *word;
    int r = sd_bus_message_read(value, "s", &word);

    if (r < 0)
        return r;
    target = berth_log_target_from_string(word);
    if ((int)target < 0)
        return sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS,
                                 "invalid log target '%s': use auto, journal, console or null",
                                 word);
    berth_log_set_target(target);
    return 0;
}

static int get_identifier(sd_bus *bus, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *userdata,
                          sd_bus_error *ret_error)
{
    return sd_bus_message_append(reply, "s", "berthd");
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
    SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
    SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, 0),
    SD_BUS_VTABLE_END,
};

int berth_log_control_register(BerthDaemon *daemon)
{
    return sd_bus_add_object_vtable(daemon->bus, NULL, "/org/freedesktop/LogControl1",
                                    "org.freedesktop.LogControl1", vtable, daemon);
}
