/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of registries share: settings from a text, and looking things up in them. */

#include "base/error.h"
#include "settings/reader.h"
#include "settings/registries.h"
#include "settings/registry-keys.h"

#include <string.h>

static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' lacks '%s'", text, part);
}

static inline BerthRegistries *parse(const char *text, GPtrArray *warnings, GError **error)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();

    if (!berth_settings_read_text("f", text, strlen(text), lines, error))
        return NULL;
    return berth_registries_from_lines(lines, warnings, error);
}

/* Of a text without a fault. */
static inline BerthRegistries *parse_ok(const char *text)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    BerthRegistries *registries = parse(text, warnings, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(warnings->len, ==, 0);
    return registries;
}

/* @addresses: separated by spaces; "": could not be resolved; NULL: not resolved yet. */
static inline BerthRegistrySettings *look_up(BerthRegistries *registries, const char *text,
                                             const char *addresses)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse(text, &error);
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(BerthAddress));
    g_auto(GStrv) words = g_strsplit(addresses ? addresses : "", " ", -1);
    BerthAddresses given;

    g_assert_no_error(error);
    for (char **word = words; *word; word++) {
        BerthAddress address;

        g_assert_true(berth_address_parse(*word, &address));
        g_array_append_val(list, address);
    }
    given = (BerthAddresses){ (const BerthAddress *)(void *)list->data, list->len };
    return berth_registries_lookup(registries, name, addresses ? &given : NULL);
}

/* What of @addresses is in @list, as text. */
static inline char *addresses_to_text(const GArray *list)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) texts = NULL;

    for (unsigned i = 0; i < list->len; i++) {
        g_autofree char *text =
            berth_address_format(&((const BerthAddress *)(void *)list->data)[i]);

        g_strv_builder_add(builder, text);
    }
    texts = g_strv_builder_end(builder);
    return g_strjoinv(" ", texts);
}

static inline void assert_value(BerthRegistries *registries, const char *name,
                                const char *addresses, const char *key, const char *value,
                                const char *origin)
{
    g_autoptr(BerthRegistrySettings) settings = look_up(registries, name, addresses);
    int id = berth_registry_key_find(key);

    g_assert_cmpint(id, >=, 0);
    g_assert_cmpstr(settings->values[id], ==, value);
    g_assert_cmpstr(settings->origins[id], ==, origin);
}
