/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: files of registries.d and what is looked up in them. The first line of the input is
 * a name, the second holds addresses, the rest is the file. What is refused says where; what is
 * accepted has one spelling; and an address more can only take permissions away, never give one.
 */

#include "base/error.h"
#include "base/userinfo.h"
#include "settings/duration.h"
#include "settings/reader.h"
#include "settings/registries.h"
#include "settings/registry-keys.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ADDRESSES_MAX 8

static BerthRegistries *parse(const char *text, size_t size, GError **error)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    BerthRegistries *registries = NULL;

    if (berth_settings_read_text("f.conf", text, size, lines, error))
        registries = berth_registries_from_lines(lines, warnings, error);
    for (unsigned i = 0; i < warnings->len; i++)
        g_assert(g_str_has_prefix(warnings->pdata[i], "f.conf:"));
    return registries;
}

static BerthRegistryName *parse_name(const char *text)
{
    g_autoptr(GError) error = NULL;
    BerthRegistryName *name = berth_registry_name_parse(text, &error);
    g_autoptr(BerthRegistryName) again = NULL;
    g_autofree char *spelling = NULL, *same = NULL;

    g_assert(!name == !!error);
    if (!name) {
        g_assert(error->domain == BERTH_ERROR && error->code == BERTH_ERROR_INVALID_REFERENCE);
        g_assert(g_utf8_validate(error->message, -1, NULL));
        return NULL;
    }
    spelling = berth_registry_name_format(name);
    again = berth_registry_name_parse(spelling, NULL);
    g_assert(again);
    same = berth_registry_name_format(again);
    g_assert(g_str_equal(spelling, same));
    g_assert(!strpbrk(spelling, "@?#\"' ") && name->port <= 65535);
    return name;
}

static void try_pattern(const char *text)
{
    g_autoptr(BerthRegistryPattern) pattern = berth_registry_pattern_parse(text, NULL);
    g_autoptr(BerthRegistryPattern) again = NULL;

    if (!pattern)
        return;
    again = berth_registry_pattern_parse(pattern->text, NULL);
    g_assert(again && again->kind == pattern->kind && g_str_equal(again->text, pattern->text));
    g_assert(berth_registry_pattern_compare(pattern, again) == 0);
    g_assert(pattern->kind != BERTH_PATTERN_NAME ||
             berth_registry_pattern_matches_name(pattern, pattern->name));
}

static size_t parse_addresses(const char *text, BerthAddress *list)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t count = 0;

    for (char **word = words; *word && count < ADDRESSES_MAX; word++)
        if (berth_address_parse(*word, &list[count]))
            count++;
    return count;
}

static void check_settings(const BerthRegistrySettings *s, const BerthAddresses *addresses)
{
    g_assert(s->serving->host[0] && !berth_registry_name_is_docker_hub(s->serving));
    g_assert(s->mirror_names->len == g_strv_length(s->mirrors));
    g_assert(s->connect_timeout > 0 && s->stall_timeout > 0 && s->max_connections > 0);
    g_assert(g_str_has_prefix(s->origins[BERTH_REGISTRY_PROXY], "f.conf:") ||
             g_str_equal(s->origins[BERTH_REGISTRY_PROXY], "built-in"));
    if (strchr(s->proxy, '@')) {
        g_autofree char *redacted = berth_userinfo_redact(s->proxy);

        g_assert(strstr(redacted, "***@"));
        g_assert(g_str_equal(s->values[BERTH_REGISTRY_PROXY], redacted));
    }
    for (unsigned i = 0; i < s->pinned->len; i++) {
        const BerthAddress *pin = &((const BerthAddress *)(void *)s->pinned->data)[i];
        bool found = s->serving->is_address && berth_address_equal(pin, &s->serving->address);

        for (size_t j = 0; addresses && j < addresses->count; j++)
            found = found || berth_address_equal(pin, &addresses->list[j]);
        g_assert(found);
    }
}

/* What @s says, written as a file and read again. */
static void check_values(const BerthRegistrySettings *s)
{
    g_autoptr(GString) text = g_string_new("[defaults]\n");
    g_autoptr(BerthRegistries) again = NULL;
    g_autoptr(BerthRegistrySettings) same = NULL;

    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++)
        g_string_append_printf(text, "%s=%s\n", berth_registry_key(id)->name,
                               id == BERTH_REGISTRY_PROXY ? s->proxy : s->values[id]);
    again = parse(text->str, text->len, NULL);
    g_assert(again);
    same = berth_registries_lookup(again, s->name, NULL);
    g_assert(same->allow_nondistributable == s->allow_nondistributable);
    g_assert(same->insecure == s->insecure && same->blocked == s->blocked);
    g_assert(g_str_equal(same->location, s->location) && g_str_equal(same->proxy, s->proxy));
    g_assert(g_strv_equal((const char *const *)same->mirrors, (const char *const *)s->mirrors));
    g_assert(same->stall_timeout == s->stall_timeout && same->retries == s->retries);
    g_assert(same->max_bandwidth == s->max_bandwidth);
    g_assert(same->foreign_layers == s->foreign_layers && same->mirrors_for == s->mirrors_for);
}

/* @a and @b must not differ: their addresses do not matter. */
static void check_equal(const BerthRegistrySettings *a, const BerthRegistrySettings *b)
{
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        g_assert(g_str_equal(a->values[id], b->values[id]));
        g_assert(g_str_equal(a->origins[id], b->origins[id]));
    }
}

static void try_lookup(BerthRegistries *registries, const BerthRegistryName *name,
                       const BerthAddresses *addresses)
{
    g_autofree char *host = berth_registries_host_to_resolve(registries, name);
    g_autoptr(BerthRegistrySettings) all = berth_registries_lookup(registries, name, addresses);
    g_autoptr(BerthRegistrySettings) unknown = berth_registries_lookup(registries, name, NULL);

    check_settings(all, addresses);
    check_settings(unknown, NULL);
    check_values(all);
    g_assert(unknown->provisional == (host != NULL) && !all->provisional);
    if (!host)
        check_equal(all, unknown);
    for (size_t i = 0; i < addresses->count; i++) {
        BerthAddresses one = { &addresses->list[i], 1 };
        g_autoptr(BerthRegistrySettings) single = berth_registries_lookup(registries, name, &one);

        g_assert(!all->allow_nondistributable || single->allow_nondistributable);
        g_assert(!all->insecure || single->insecure);
        g_assert(all->blocked || !single->blocked);
        g_assert(unknown->blocked || !host || !single->blocked);
    }
}

static void try_urls(const BerthRegistrySettings *settings, const BerthRegistryName *host,
                     const BerthAddresses *addresses)
{
    g_autoptr(GArray) allowed = berth_registry_settings_url_addresses(settings, host, addresses);

    g_assert(allowed->len <= addresses->count);
    for (unsigned i = 0; i < allowed->len; i++)
        g_assert(settings->foreign_url_hosts[0] ||
                 berth_address_is_public(&((const BerthAddress *)(void *)allowed->data)[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) parts = g_strsplit(text, "\n", 3);
    unsigned count = g_strv_length(parts);
    const char *file = count > 2 ? parts[2] : "";
    BerthAddress list[ADDRESSES_MAX];
    BerthAddresses addresses = { list, count > 1 ? parse_addresses(parts[1], list) : 0 };
    g_autoptr(BerthRegistryName) name = parse_name(count > 0 ? parts[0] : "");
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthRegistries) registries = parse(file, strlen(file), &error);
    uint64_t usec;

    try_pattern(count > 0 ? parts[0] : "");
    (void)berth_duration_parse(count > 0 ? parts[0] : "", &usec);
    g_assert(!registries == !!error);
    if (error) {
        g_assert(error->domain == BERTH_ERROR && error->code == BERTH_ERROR_SETTINGS_INVALID);
        g_assert(g_str_has_prefix(error->message, "f.conf:"));
        g_assert(g_utf8_validate(error->message, -1, NULL) && !strchr(error->message, '\n'));
    } else if (name) {
        g_autoptr(BerthRegistrySettings) settings = NULL;

        try_lookup(registries, name, &addresses);
        settings = berth_registries_lookup(registries, name, &addresses);
        try_urls(settings, name, &addresses);
    }
    return 0;
}
