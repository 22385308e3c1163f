/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `show`: everything that the service tells about one sandbox: the properties that everybody may
 * read and what Describe gives to those who may use it.
 */

#include "base/error.h"
#include "base/names.h"
#include "base/size.h"
#include "ctl/bus.h"
#include "ctl/create.h"
#include "ctl/json.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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
    { "Owner", show_user },   { "CreatedUSec", show_time }, { "ShmSize", show_size },
    { "Donor", show_object }, { "ShmUsed", show_size },     { "SysvShmUsed", show_size },
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

static void print_object(const json_t *object)
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

/*
 * Adds what Describe says to @object. That it is refused to others than owner, users and root is no
 * failure: the properties are then all there is to show.
 */
static bool add_description(Ctl *ctl, const char *path, json_t *object)
{
    CTL_AUTO_MESSAGE *message = NULL;
    CTL_AUTO_MESSAGE *reply = NULL;
    CTL_AUTO_ERROR error = SD_BUS_ERROR_NULL;
    g_autoptr(json_t) description = NULL;
    int r;

    if (!ctl_bus_new_call(ctl, path, BERTH_IF_SANDBOX, "Describe", &message))
        return false;
    r = sd_bus_call(ctl->bus, message, 0, &error, &reply);
    if (sd_bus_error_has_names(&error, SD_BUS_ERROR_ACCESS_DENIED,
                               SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)) {
        ctl_note(ctl, "only what everybody may know is shown: %s", error.message);
        return true;
    }
    if (r >= 0)
        r = ctl_json_read(reply, &description);
    if (r < 0) {
        ctl_fail_bus(ctl, &error, r);
        return false;
    }
    json_object_update(object, description);
    return true;
}

int ctl_verb_show(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) object = NULL;
    g_autofree char *path = NULL;
    int r;

    if (!ctl_bus_find_sandbox(ctl, ctl->operands[0], &path) ||
        !ctl_bus_call(ctl, path, "org.freedesktop.DBus.Properties", "GetAll", &reply, "s",
                      BERTH_IF_SANDBOX))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &object);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    if (!add_description(ctl, path, object))
        return EXIT_FAILURE;

    ctl_pager_open(ctl);
    if (ctl->json == CTL_JSON_OFF)
        print_object(object);
    else
        ctl_print_json(ctl, object);
    return EXIT_SUCCESS;
}
