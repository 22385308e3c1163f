/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/*
 * Appending entries `{sv}` whose value is a container to an open `a{sv}`. Each returns a negative
 * errno on failure, as sd_bus_message_append() does.
 */

/** berth_entry_open: opens an entry @key with a value of type @signature, to be appended. */
int berth_entry_open(sd_bus_message *message, const char *key, const char *signature);
/** berth_entry_close: ends what berth_entry_open() began. */
int berth_entry_close(sd_bus_message *message);
/** berth_entry_strv: @strings (nullable), NULL-terminated, as `as`. */
int berth_entry_strv(sd_bus_message *message, const char *key, char *const *strings);
