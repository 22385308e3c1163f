/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries of dictionaries that sd_bus_message_append() has no word for, since their values are
 * built piece by piece. Knows nothing of what they mean.
 */

#include "daemon/entries.h"

int berth_entry_open(sd_bus_message *message, const char *key, const char *signature)
{
    int r = sd_bus_message_open_container(message, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append_basic(message, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'v', signature);
    return r;
}

int berth_entry_close(sd_bus_message *message)
{
    int r = sd_bus_message_close_container(message);

    return r < 0 ? r : sd_bus_message_close_container(message);
}

int berth_entry_strv(sd_bus_message *message, const char *key, char *const *strings)
{
    int r = berth_entry_open(message, key, "as");

    if (r >= 0)
        r = sd_bus_message_append_strv(message, (char **)strings);
    return r < 0 ? r : berth_entry_close(message);
}
