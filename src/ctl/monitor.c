/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `monitor`: one line for everything that the service announces, until Ctrl-C. The first line says
 * whether the service runs: when it was printed, nothing that happens later is missed. Never starts
 * the service: whoever watches must not keep it awake.
 */

#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/json.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#define IF_OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define IF_PROPERTIES     "org.freedesktop.DBus.Properties"

#define DRIVER            "org.freedesktop.DBus"
#define DRIVER_PATH       "/org/freedesktop/DBus"

typedef struct {
    const Ctl *ctl;
    sd_event *event;
    int status; /* of berthctl */
} Monitor;

/* ` Key=value` for everything in @values; strings that could be misread are quoted as in JSON. */
static void print_values(const json_t *values)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)values, key, value)
    {
        const char *text = json_string_value(value);
        g_autofree char *dump = text && *text && !strpbrk(text, " \t\n\"")
                                    ? g_strdup(text)
                                    : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        g_autofree char *word = ctl_escape(dump);

        printf(" %s=%s", key, word);
    }
}

/*
 * Prints one event. @interface and @values may be NULL. Text: `EVENT OBJECT Key=value…`, the object
 * relative to the service's root.
 */
static void print_event(const Monitor *monitor, const char *event, const char *path,
                        const char *interface, json_t *values)
{
    if (monitor->ctl->json != CTL_JSON_OFF) {
        g_autoptr(json_t) object = json_pack("{s:s, s:s*, s:s*, s:O*}", "event", event, "path",
                                             path, "interface", interface, "properties", values);

        ctl_print_json_line(object);
        return;
    }
    printf("%s", event);
    if (path && g_str_has_prefix(path, BERTH_OBJECT_ROOT "/"))
        printf(" %s", path + strlen(BERTH_OBJECT_ROOT "/"));
    if (values)
        print_values(values);
    putchar('\n');
    fflush(stdout);
}

/* InterfacesAdded (o, a{sa{sv}}): only what is of ours, not Peer or Properties. */
static int print_added(const Monitor *monitor, sd_bus_message *message)
{
    g_autoptr(json_t) interfaces = NULL;
    const char *path, *name;
    json_t *values;
    int r = sd_bus_message_read(message, "o", &path);

    if (r >= 0)
        r = ctl_json_read(message, &interfaces);
    if (r < 0)
        return r;
    json_object_foreach(interfaces, name, values) if (g_str_has_prefix(name, BERTH_BUS_NAME))
        print_event(monitor, "added", path, name, values);
    return 0;
}

/* InterfacesRemoved (o, as). */
static int print_removed(const Monitor *monitor, sd_bus_message *message)
{
    const char *path, *name;
    int r = sd_bus_message_read(message, "o", &path);

    if (r >= 0)
        r = sd_bus_message_enter_container(message, 'a', "s");
    while (r >= 0 && (r = sd_bus_message_read_basic(message, 's', &name)) > 0)
        if (g_str_has_prefix(name, BERTH_BUS_NAME))
            print_event(monitor, "removed", path, name, NULL);
    return r;
}

/*
 * PropertiesChanged (s, a{sv}, as); a property that is only said to have changed shows as null. How
 * far a transfer is changes ten times a second: only its state counts here.
 */
static int print_changed(const Monitor *monitor, sd_bus_message *message)
{
    g_autoptr(json_t) values = NULL;
    const char *interface, *name;
    int r = sd_bus_message_read(message, "s", &interface);

    if (r >= 0)
        r = ctl_json_read(message, &values);
    if (r >= 0)
        r = sd_bus_message_enter_container(message, 'a', "s");
    while (r >= 0 && (r = sd_bus_message_read_basic(message, 's', &name)) > 0)
        json_object_set_new(values, name, json_null());
    if (r >= 0 && strcmp(interface, BERTH_IF_TRANSFER) == 0 && !json_object_get(values, "State"))
        return 0;
    if (r >= 0)
        print_event(monitor, "changed", sd_bus_message_get_path(message), interface, values);
    return r;
}

static int print_settings(const Monitor *monitor, sd_bus_message *message)
{
    g_autoptr(json_t) values = NULL;
    int r = ctl_json_read(message, &values);

    if (r >= 0)
        print_event(monitor, "settings", NULL, NULL, values);
    return r;
}

/* A message that cannot be read is another version's: skipped, not the end of watching. */
static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    const Monitor *monitor = userdata;

    if (sd_bus_message_is_signal(message, IF_OBJECT_MANAGER, "InterfacesAdded"))
        (void)print_added(monitor, message);
    else if (sd_bus_message_is_signal(message, IF_OBJECT_MANAGER, "InterfacesRemoved"))
        (void)print_removed(monitor, message);
    else if (sd_bus_message_is_signal(message, IF_PROPERTIES, "PropertiesChanged"))
        (void)print_changed(monitor, message);
    else if (sd_bus_message_is_signal(message, BERTH_IF_MANAGER, "SettingsChanged"))
        (void)print_settings(monitor, message);
    return 0;
}

static void print_service(const Monitor *monitor, const char *state)
{
    if (monitor->ctl->json != CTL_JSON_OFF) {
        g_autoptr(json_t) object = json_pack("{s:s, s:s}", "event", "service", "state", state);

        ctl_print_json_line(object);
    } else {
        printf("service %s\n", state);
        fflush(stdout);
    }
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    const char *name, *before, *after;

    if (sd_bus_message_read(message, "sss", &name, &before, &after) >= 0)
        print_service(userdata, !*after ? "stopped" : *before ? "restarted" : "started");
    return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    Monitor *monitor = userdata;

    monitor->status = ctl_fail(monitor->ctl, SD_BUS_ERROR_DISCONNECTED,
                               "the connection to the bus was lost; is the bus still running?");
    return sd_event_exit(monitor->event, 0);
}

static int subscribe(Monitor *monitor, sd_bus *bus)
{
    int r = sd_bus_add_match(bus, NULL,
                             "type='signal',sender='" BERTH_BUS_NAME
                             "',path_namespace='" BERTH_OBJECT_ROOT "'",
                             on_signal, monitor);

    if (r >= 0)
        r = sd_bus_add_match(bus, NULL,
                             "type='signal',sender='" DRIVER "',path='" DRIVER_PATH
                             "',interface='" DRIVER
                             "',member='NameOwnerChanged',arg0='" BERTH_BUS_NAME "'",
                             on_owner_changed, monitor);
    if (r >= 0)
        r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local",
                                "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                "Disconnected", on_disconnected, monitor);
    return r;
}

/* Whether the service runs, asked after the subscription so that no change falls in between. */
static int print_start(const Monitor *monitor, sd_bus *bus)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    int owned;
    int r = sd_bus_call_method(bus, DRIVER, DRIVER_PATH, DRIVER, "NameHasOwner", NULL, &reply, "s",
                               BERTH_BUS_NAME);

    if (r >= 0)
        r = sd_bus_message_read(reply, "b", &owned);
    if (r >= 0)
        print_service(monitor, owned ? "running" : "not running");
    return r;
}

int ctl_verb_monitor(Ctl *ctl)
{
    __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
    Monitor monitor = { .ctl = ctl, .status = EXIT_SUCCESS };
    sigset_t mask;
    int r;

    if (!ctl_bus_open(ctl))
        return EXIT_FAILURE;
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_BLOCK, &mask, NULL);

    r = sd_event_new(&event);
    monitor.event = event;
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
    if (r >= 0)
        r = sd_bus_attach_event(ctl->bus, event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = subscribe(&monitor, ctl->bus);
    if (r >= 0)
        r = print_start(&monitor, ctl->bus);
    if (r >= 0)
        r = sd_event_loop(event);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    return monitor.status;
}
