/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of Sandboxes.Create as the command line gives them. Words are passed on as they are:
 * what a mode, a sysctl or a user name may be is decided by the service alone, so that every client
 * meets the same rules. Relies on argv staying as it is.
 */

#include "ctl/spec.h"

#include <string.h>

void ctl_spec_clear(CtlSpec *spec)
{
    g_clear_pointer(&spec->sysctls, g_hash_table_unref);
    g_clear_pointer(&spec->labels, g_hash_table_unref);
    g_clear_pointer(&spec->users, g_ptr_array_unref);
    g_clear_pointer(&spec->groups, g_ptr_array_unref);
}

bool ctl_spec_add_pair(GHashTable **pairs, const char *text)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text)
        return false;
    if (!*pairs)
        *pairs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_replace(*pairs, g_strndup(text, equals - text), g_strdup(equals + 1));
    return true;
}

void ctl_spec_add_word(GPtrArray **words, const char *word)
{
    if (!*words)
        *words = g_ptr_array_new();
    g_ptr_array_add(*words, (char *)word);
}

static int append_string(sd_bus_message *message, const char *key, const char *value)
{
    return value ? sd_bus_message_append(message, "{sv}", key, "s", value) : 0;
}

static int append_number(sd_bus_message *message, const char *key, bool given, uint64_t value)
{
    return given ? sd_bus_message_append(message, "{sv}", key, "t", value) : 0;
}

/* Opens `{sv}` with @key and a variant that holds @type. */
static int open_entry(sd_bus_message *message, const char *key, const char *type)
{
    int r = sd_bus_message_open_container(message, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append_basic(message, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'v', type);
    return r;
}

static int close_entry(sd_bus_message *message)
{
    int r = sd_bus_message_close_container(message);

    return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_words(sd_bus_message *message, const char *key, const GPtrArray *words)
{
    int r;

    if (!words)
        return 0;
    r = open_entry(message, key, "as");
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "s");
    for (guint i = 0; r >= 0 && i < words->len; i++)
        r = sd_bus_message_append_basic(message, 's', words->pdata[i]);
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return r < 0 ? r : close_entry(message);
}

static int append_pairs(sd_bus_message *message, const char *key, GHashTable *pairs)
{
    GHashTableIter iter;
    gpointer name, value;
    int r;

    if (!pairs)
        return 0;
    r = open_entry(message, key, "a{ss}");
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "{ss}");
    g_hash_table_iter_init(&iter, pairs);
    while (r >= 0 && g_hash_table_iter_next(&iter, &name, &value))
        r = sd_bus_message_append(message, "{ss}", name, value);
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return r < 0 ? r : close_entry(message);
}

int ctl_spec_append(const CtlSpec *spec, sd_bus_message *message)
{
    int r = sd_bus_message_open_container(message, 'a', "{sv}");

    if (r >= 0)
        r = append_string(message, "Mode", spec->mode);
    if (r >= 0)
        r = append_number(message, "ShmSize", spec->has_shm_size, spec->shm_size);
    if (r >= 0)
        r = append_number(message, "ShmInodes", spec->has_shm_inodes, spec->shm_inodes);
    if (r >= 0)
        r = append_string(message, "ShmHuge", spec->huge);
    if (r >= 0)
        r = append_string(message, "ShmNuma", spec->numa);
    if (r >= 0)
        r = append_pairs(message, "Sysctls", spec->sysctls);
    if (r >= 0)
        r = append_words(message, "Users", spec->users);
    if (r >= 0)
        r = append_words(message, "Groups", spec->groups);
    if (r >= 0)
        r = append_pairs(message, "Labels", spec->labels);
    if (r >= 0 && spec->publish)
        r = sd_bus_message_append(message, "{sv}", "Publish", "b", 1);
    if (r >= 0)
        r = append_string(message, "Lifetime", spec->lifetime);
    return r < 0 ? r : sd_bus_message_close_container(message);
}
