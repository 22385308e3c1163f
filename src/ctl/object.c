/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thing that the service told, as lines for people. What each key means decides how it looks; a
 * key that is not known here is printed as it came.
 */

#include "ctl/object.h"

#include "base/size.h"
#include "ctl/create.h"
#include "ctl/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static char *show_size(const json_t *value)
{
    return berth_size_format((uint64_t)json_integer_value(value));
}

static char *show_time(const json_t *value)
{
    return ctl_format_time((uint64_t)json_integer_value(value));
}

static char *show_user(const json_t *value)
{
    g_autofree char *name = ctl_format_user((uint32_t)json_integer_value(value));

    return g_strdup_printf("%s (%" PRIu32 ")", name, (uint32_t)json_integer_value(value));
}

/* An object path, "/" for none. */
static char *show_object(const json_t *value)
{
    const char *path = json_string_value(value);

    return path && path[0] && path[1] ? g_strdup(ctl_create_id(path)) : NULL;
}

static const struct {
    const char *key;
    char *(*show)(const json_t *value);
} forms[] = {
    { "Owner", show_user },      { "CreatedUSec", show_time }, { "ShmSize", show_size },
    { "Donor", show_object },    { "ShmUsed", show_size },     { "SysvShmUsed", show_size },
    { "PulledUSec", show_time }, { "Size", show_size },
};

/* One line for any value: lists and dictionaries with spaces between their items. */
static char *show_any(const json_t *value)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_string(value))
        return g_strdup(json_string_value(value));
    if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            g_autofree char *word = show_any(item);

            g_string_append_printf(text, "%s%s", i > 0 ? " " : "", word);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
    }
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, item)
        {
            g_autofree char *word = show_any(item);

            g_string_append_printf(text, "%s%s=%s", text->len > 0 ? " " : "", key, word);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
    }
    return json_dumps(value, JSON_ENCODE_ANY);
}

static char *show_value(const char *key, const json_t *value)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++)
        if (strcmp(forms[i].key, key) == 0)
            return forms[i].show(value);
    return show_any(value);
}

void ctl_object_print(const json_t *object)
{
    int width = 0;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value) width = MAX(width, (int)strlen(key));
    json_object_foreach((json_t *)object, key, value)
    {
        g_autofree char *text = show_value(key, value);
        g_autofree char *line = ctl_escape(text && *text ? text : "-");

        printf("%s:%*s %s\n", key, width - (int)strlen(key), "", line);
    }
}

char *ctl_object_size(const json_t *object, const char *key)
{
    const json_t *size = json_object_get(object, key);

    return json_is_integer(size) ? show_size(size) : NULL;
}
