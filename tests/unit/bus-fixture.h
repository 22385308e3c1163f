/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/fd.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

/*
 * A bus connection that nobody answers, for messages that are made, sealed and read in one process.
 */
static inline sd_bus *test_bus_new(void)
{
    sd_bus *bus = NULL;
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_cmpint(sd_bus_new(&bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(bus, pair[0], pair[0]), >=, 0);
    g_assert_cmpint(sd_bus_negotiate_fds(bus, true), >=, 0);
    g_assert_cmpint(sd_bus_start(bus), >=, 0);
    berth_close(pair[1]);
    return bus;
}

/* Begins a message that has the body still to come. */
static inline sd_bus_message *test_message_new(sd_bus *bus)
{
    sd_bus_message *message = NULL;

    g_assert_cmpint(sd_bus_message_new_method_call(bus, &message, NULL, "/", "a.b", "C"), >=, 0);
    return message;
}

/* Ends the writing of @message; it is read from its beginning next. */
static inline void test_message_seal(sd_bus_message *message)
{
    g_assert_cmpint(sd_bus_message_seal(message, 1, 0), >=, 0);
    g_assert_cmpint(sd_bus_message_rewind(message, true), >=, 0);
}
