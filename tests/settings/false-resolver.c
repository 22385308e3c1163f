/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker that lies about where names lead, in the place of berth-transfer. The first host it is
 * asked for says how.
 */

#include "base/names.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define SOCKET 3

/* Replies with @host and one @text as its address. */
static int say(sd_bus_message *call, const char *host, const char *text)
{
    return sd_bus_reply_method_return(call, "a{sv}", 1, "Addresses", "a{sas}", 1, host, 1, text);
}

static int on_run(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    const char *kind, *host;
    int r = sd_bus_message_read(call, "s", &kind);

    if (r >= 0)
        r = sd_bus_message_enter_container(call, 'a', "{sv}");
    if (r >= 0)
        r = sd_bus_message_enter_container(call, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_skip(call, "s");
    if (r >= 0)
        r = sd_bus_message_enter_container(call, 'v', "as");
    if (r >= 0)
        r = sd_bus_message_enter_container(call, 'a', "s");
    if (r >= 0)
        r = sd_bus_message_read(call, "s", &host);
    if (r <= 0)
        return r;
    if (strncmp(host, "slow", strlen("slow")) == 0)
        return 1; /* as for a name server that does not answer */
    if (strcmp(host, "ends.example") == 0)
        _exit(EXIT_SUCCESS);
    if (strcmp(host, "name.example") == 0)
        return say(call, host, "in.example");
    if (strcmp(host, "empty.example") == 0)
        return say(call, host, "");
    if (strcmp(host, "other.example") == 0)
        return say(call, "in.example", "10.1.2.3");
    if (strcmp(host, "zone.example") == 0)
        return say(call, host, "10.1.2.3%eth0");
    if (strcmp(host, "type.example") == 0)
        return sd_bus_reply_method_return(call, "a{sv}", 1, "Addresses", "as", 1, "10.1.2.3");
    if (strcmp(host, "more.example") == 0)
        return sd_bus_reply_method_return(call, "a{sv}", 2, "Addresses", "a{sas}", 1, host, 1,
                                          "10.1.2.3", "Insecure", "b", 1);
    return sd_bus_reply_method_return(call, "a{sv}", 0);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Run", "sa{sv}", "a{sv}", on_run, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

int main(void)
{
    sd_event *event = NULL;
    sd_bus *bus = NULL;
    int r = sd_event_default(&event);

    if (r >= 0)
        r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_fd(bus, SOCKET, SOCKET);
    if (r >= 0)
        r = sd_bus_set_anonymous(bus, 1);
    if (r >= 0)
        r = sd_bus_set_trusted(bus, 1);
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus, 1);
    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(bus, 1);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER, vtable, NULL);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r >= 0)
        r = sd_bus_emit_signal(bus, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Ready", NULL);
    if (r >= 0)
        r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_event_loop(event);
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
