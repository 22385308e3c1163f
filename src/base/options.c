/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Option dictionaries. Each method that takes `a{sv}` has a table of the keys it knows; anything
 * else is refused, so that a misspelt option is not silently ignored. Only shapes are checked here:
 * what a value means is the method's business.
 */

#include "base/options.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MAX_ENTRIES 1024  /* of one option's list or dictionary */
#define MAX_TEXT    65536 /* bytes of one text */

static bool check_text(const char *what, const char *text, GError **error)
{
    return strnlen(text, MAX_TEXT + 1) <= MAX_TEXT ||
           berth_set_error(error, BERTH_ERROR_INVALID_OPTION, "%s has a text of more than %d bytes",
                           what, MAX_TEXT);
}

static bool check_count(const char *what, unsigned count, GError **error)
{
    return count <= MAX_ENTRIES ||
           berth_set_error(error, BERTH_ERROR_INVALID_OPTION, "%s has more than %d entries", what,
                           MAX_ENTRIES);
}

static bool set_malformed(GError **error, int r)
{
    return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the arguments");
}

static bool set_twice(const char *what, const char *key, GError **error)
{
    g_autofree char *quoted = berth_quote(key);

    return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "%s has the key '%s' twice", what,
                           quoted);
}

static bool read_strings(sd_bus_message *message, const char *what, char ***target, GError **error)
{
    g_autoptr(GPtrArray) strings = g_ptr_array_new_with_free_func(g_free);
    const char *text;
    int r = sd_bus_message_enter_container(message, 'a', "s");

    while (r >= 0 && (r = sd_bus_message_read_basic(message, 's', &text)) > 0) {
        if (!check_text(what, text, error) || !check_count(what, strings->len + 1, error))
            return false;
        g_ptr_array_add(strings, g_strdup(text));
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return set_malformed(error, r);
    g_ptr_array_add(strings, NULL);
    *target = (char **)g_ptr_array_free(g_steal_pointer(&strings), FALSE);
    return true;
}

bool berth_dictionary_read(sd_bus_message *message, const char *what, GHashTable **target,
                           GError **error)
{
    g_autoptr(GHashTable) table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *name, *value;
    int r = sd_bus_message_enter_container(message, 'a', "{ss}");

    while (r >= 0 && (r = sd_bus_message_read(message, "{ss}", &name, &value)) > 0) {
        if (!check_text(what, name, error) || !check_text(what, value, error) ||
            !check_count(what, g_hash_table_size(table) + 1, error))
            return false;
        if (!g_hash_table_insert(table, g_strdup(name), g_strdup(value)))
            return set_twice(what, name, error);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return set_malformed(error, r);
    *target = g_steal_pointer(&table);
    return true;
}

static bool read_fd(sd_bus_message *message, int *target, GError **error)
{
    int fd, r = sd_bus_message_read_basic(message, 'h', &fd);

    if (r < 0)
        return set_malformed(error, r);
    *target = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message owns its own */
    if (*target < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot keep a file descriptor");
    return true;
}

/* `a{sas}`: names, each with a list */
static bool read_lists(sd_bus_message *message, const char *what, GHashTable **target,
                       GError **error)
{
    g_autoptr(GHashTable) table =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_strfreev);
    const char *name;
    int r = sd_bus_message_enter_container(message, 'a', "{sas}");

    while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sas")) > 0) {
        g_auto(GStrv) list = NULL;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
            break;
        if (!check_text(what, name, error) ||
            !check_count(what, g_hash_table_size(table) + 1, error) ||
            !read_strings(message, what, &list, error))
            return false;
        if (!g_hash_table_insert(table, g_strdup(name), g_steal_pointer(&list)))
            return set_twice(what, name, error);
        r = sd_bus_message_exit_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return set_malformed(error, r);
    *target = g_steal_pointer(&table);
    return true;
}

static void free_rows(const BerthOption *option, GPtrArray *rows)
{
    for (guint i = 0; rows && i < rows->len; i++) {
        berth_options_clear(option->rows, rows->pdata[i]);
        g_free(rows->pdata[i]);
    }
    if (rows)
        g_ptr_array_unref(rows);
}

static bool read_rows(sd_bus_message *message, const BerthOption *option, GPtrArray **target,
                      GError **error)
{
    int r = sd_bus_message_enter_container(message, 'a', "a{sv}");

    if (r < 0)
        return set_malformed(error, r);
    *target = g_ptr_array_new();
    while ((r = sd_bus_message_at_end(message, false)) == 0) {
        void *row;

        if (!check_count(option->key, (*target)->len + 1, error))
            return false;
        row = g_malloc0(option->row_size);
        berth_options_init(option->rows, row);
        g_ptr_array_add(*target, row);
        if (!berth_options_read(message, option->rows, row, NULL, error))
            return false;
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    return r >= 0 || set_malformed(error, r);
}

static bool read_value(sd_bus_message *message, const BerthOption *option, void *target,
                       GError **error)
{
    union {
        const char *s;
        int b;
        uint32_t u;
        uint64_t t;
    } value;
    int r;

    if (g_str_equal(option->type, "as"))
        return read_strings(message, option->key, target, error);
    if (g_str_equal(option->type, "a{ss}"))
        return berth_dictionary_read(message, option->key, target, error);
    if (g_str_equal(option->type, "a{sas}"))
        return read_lists(message, option->key, target, error);
    if (g_str_equal(option->type, "aa{sv}"))
        return read_rows(message, option, target, error);
    if (g_str_equal(option->type, "h"))
        return read_fd(message, target, error);

    r = sd_bus_message_read_basic(message, option->type[0], &value);
    if (r < 0)
        return set_malformed(error, r);
    switch (option->type[0]) {
    case 's':
        if (!check_text(option->key, value.s, error))
            return false;
        *(char **)target = g_strdup(value.s);
        break;
    case 'b':
        *(bool *)target = value.b;
        break;
    case 'u':
        *(uint32_t *)target = value.u;
        break;
    case 't':
        *(uint64_t *)target = value.t;
        break;
    default:
        g_assert_not_reached();
    }
    return true;
}

static int find(const BerthOption *options, const char *key)
{
    for (int i = 0; options[i].key; i++)
        if (g_str_equal(options[i].key, key))
            return i;
    return -ENOENT;
}

/* What a caller can use instead, for the message about an unknown key. */
static char *known_keys(const BerthOption *options)
{
    GString *text = g_string_new(NULL);

    for (; options->key; options++)
        g_string_append_printf(text, "%s%s", text->len ? ", " : "known are ", options->key);
    if (text->len == 0)
        g_string_append(text, "this method takes none");
    return g_string_free(text, FALSE);
}

static bool read_entry(sd_bus_message *message, const BerthOption *options, void *target,
                       uint32_t *seen, GError **error)
{
    const char *key, *type;
    int i, r = sd_bus_message_read_basic(message, 's', &key);

    if (r < 0)
        return set_malformed(error, r);
    i = find(options, key);
    if (i < 0) {
        g_autofree char *quoted = berth_quote(key);
        g_autofree char *known = known_keys(options);

        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "unknown option '%s': %s", quoted,
                               known);
    }
    if (*seen & (1u << i))
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "option '%s' is given twice", key);
    *seen |= 1u << i;

    r = sd_bus_message_peek_type(message, NULL, &type);
    if (r < 0)
        return set_malformed(error, r);
    if (!g_str_equal(type, options[i].type))
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "option '%s' has the D-Bus type '%s'; use '%s'", key, type,
                               options[i].type);
    r = sd_bus_message_enter_container(message, 'v', options[i].type);
    if (r < 0)
        return set_malformed(error, r);
    if (!read_value(message, &options[i], (char *)target + options[i].offset, error))
        return false;
    r = sd_bus_message_exit_container(message);
    return r >= 0 || set_malformed(error, r);
}

bool berth_options_read(sd_bus_message *message, const BerthOption *options, void *target,
                        uint32_t *seen, GError **error)
{
    uint32_t given = 0;
    int r = sd_bus_message_enter_container(message, 'a', "{sv}");

    while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        if (!read_entry(message, options, target, &given, error))
            return false;
        r = sd_bus_message_exit_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return set_malformed(error, r);
    for (int i = 0; options[i].key; i++)
        if (options[i].required && !(given & (1u << i)))
            return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "option '%s' is missing",
                                   options[i].key);
    if (seen)
        *seen = given;
    return true;
}

void berth_options_init(const BerthOption *options, void *target)
{
    for (; options->key; options++)
        if (g_str_equal(options->type, "h"))
            *(int *)(void *)((char *)target + options->offset) = -1;
}

void berth_options_clear(const BerthOption *options, void *target)
{
    for (; options->key; options++) {
        void *field = (char *)target + options->offset;

        if (g_str_equal(options->type, "s"))
            g_clear_pointer((char **)field, g_free);
        else if (g_str_equal(options->type, "as"))
            g_clear_pointer((char ***)field, g_strfreev);
        else if (g_str_has_prefix(options->type, "a{"))
            g_clear_pointer((GHashTable **)field, g_hash_table_unref);
        else if (g_str_equal(options->type, "aa{sv}"))
            free_rows(options, g_steal_pointer((GPtrArray **)field));
        else if (g_str_equal(options->type, "h"))
            *(int *)field = berth_close(*(int *)field);
    }
}
