/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings of registries.d as an immutable whole: lines in, groups in the order of their
 * precedence out, each value checked and with its origin. All or nothing: it must never hand out
 * settings after an error, and never log; warnings go back to the caller, who may be checking only.
 */

#include "base/error.h"
#include "base/names.h"
#include "settings/files.h"
#include "settings/reader.h"
#include "settings/registries-internal.h"
#include "settings/registry-keys.h"

#include <string.h>

#define DIRECTORY      "registries.d"
#define REGISTRY_GROUP "registry"
#define DEFAULTS_GROUP "defaults"

static void group_free(void *data)
{
    BerthRegistryGroup *group = data;

    berth_registry_pattern_free(group->pattern);
    g_free(group->origin);
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        g_free(group->values[id].text);
        g_free(group->values[id].origin);
    }
    g_free(group);
}

BerthRegistries *berth_registries_ref(BerthRegistries *registries)
{
    registries->references++;
    return registries;
}

void berth_registries_unref(BerthRegistries *registries)
{
    if (!registries)
        return;
    g_assert(registries->references > 0);
    if (--registries->references > 0)
        return;
    g_ptr_array_unref(registries->groups);
    group_free(registries->defaults);
    g_ptr_array_unref(registries->lines);
    g_free(registries);
}

GPtrArray *berth_registries_lines(BerthRegistries *registries)
{
    return registries->lines;
}

/* What follows `[registry`, or NULL when the group is another. */
static const char *registry_of_group(const char *group)
{
    size_t length = strlen(REGISTRY_GROUP);

    if (!g_str_has_prefix(group, REGISTRY_GROUP) ||
        (group[length] && !strchr(" \t", group[length])))
        return NULL;
    return group + length + strspn(group + length, " \t");
}

static BerthRegistryGroup *find_group(BerthRegistries *self, const char *text)
{
    for (unsigned i = 0; i < self->groups->len; i++) {
        BerthRegistryGroup *group = self->groups->pdata[i];

        if (g_str_equal(group->pattern->text, text))
            return group;
    }
    return NULL;
}

/* While lines are read: the group that is open, NULL when it is an unknown one. */
typedef struct {
    BerthRegistries *registries;
    GHashTable *groups; /* spelling → BerthRegistryGroup, both not owned */
    BerthRegistryGroup *open;
    BerthRegistrySettings *scratch; /* where values are parsed to see whether they are valid */
    GPtrArray *warnings;
} Loader;

static bool open_registry(Loader *loader, const BerthSettingsLine *line, const char *name,
                          GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(BerthRegistryPattern) pattern = NULL;

    if (!*name)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "%s:%u: [" REGISTRY_GROUP
                               "] names no registry; write [" REGISTRY_GROUP " host[:port]]",
                               line->file, line->line);
    pattern = berth_registry_pattern_parse(name, &failure);
    if (!pattern)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s:%u: %s", line->file,
                               line->line, failure->message);

    loader->open = g_hash_table_lookup(loader->groups, pattern->text);
    if (!loader->open) {
        loader->open = g_new0(BerthRegistryGroup, 1);
        loader->open->origin = g_strdup_printf("%s:%u", line->file, line->line);
        g_ptr_array_add(loader->registries->groups, loader->open);
        g_hash_table_insert(loader->groups, pattern->text, loader->open);
        loader->open->pattern = g_steal_pointer(&pattern);
    }
    return true;
}

static bool open_group(Loader *loader, const BerthSettingsLine *line, GError **error)
{
    const char *name = registry_of_group(line->group);
    g_autofree char *quoted = NULL;

    loader->open = NULL;
    if (name)
        return open_registry(loader, line, name, error);
    if (g_str_equal(line->group, DEFAULTS_GROUP)) {
        loader->open = loader->registries->defaults;
        return true;
    }
    quoted = berth_quote(line->group);
    g_ptr_array_add(loader->warnings,
                    g_strdup_printf("%s:%u: unknown group [%s], its keys are ignored", line->file,
                                    line->line, quoted));
    return true;
}

static void warn_unknown_key(Loader *loader, const BerthSettingsLine *line)
{
    g_autofree char *key = berth_quote(line->key);
    g_autofree char *group = berth_quote(line->group);

    g_ptr_array_add(loader->warnings, g_strdup_printf("%s:%u: unknown key '%s' in [%s], ignored",
                                                      line->file, line->line, key, group));
}

static bool assign(Loader *loader, const BerthSettingsLine *line, GError **error)
{
    BerthRegistryGroup *group = loader->open;
    int id = berth_registry_key_find(line->key);
    BerthRegistryValue *value;

    if (id < 0) {
        warn_unknown_key(loader, line);
        return true;
    }
    value = &group->values[id];
    if (*line->value) {
        const BerthRegistryKey *key = berth_registry_key(id);

        if (!key->parse(key, line->value, (char *)loader->scratch + key->offset, error)) {
            g_prefix_error(error, "%s:%u: ", line->file, line->line);
            return false;
        }
        if (id == BERTH_REGISTRY_LOCATION && group->pattern &&
            group->pattern->kind == BERTH_PATTERN_NETWORK)
            return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                                   "%s:%u: Location=%s in [%s]: a network has no location; name "
                                   "the registry",
                                   line->file, line->line, loader->scratch->location, line->group);
    }
    g_clear_pointer(&value->text, g_free);
    g_clear_pointer(&value->origin, g_free);
    if (*line->value) {
        value->text = g_strdup(line->value);
        value->origin = g_strdup_printf("%s:%u", line->file, line->line);
    }
    return true;
}

static int compare_groups(const void *a, const void *b)
{
    const BerthRegistryGroup *const *first = a, *const *second = b;

    return berth_registry_pattern_compare((*first)->pattern, (*second)->pattern);
}

BerthRegistries *berth_registries_from_lines(GPtrArray *lines, GPtrArray *warnings, GError **error)
{
    g_autoptr(BerthRegistries) self = g_new0(BerthRegistries, 1);
    g_autoptr(BerthRegistrySettings) scratch = g_new0(BerthRegistrySettings, 1);
    g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);
    Loader loader = {
        .registries = self, .groups = groups, .scratch = scratch, .warnings = warnings
    };

    self->references = 1;
    self->groups = g_ptr_array_new_with_free_func(group_free);
    self->defaults = g_new0(BerthRegistryGroup, 1);
    self->lines = g_ptr_array_ref(lines);
    for (unsigned i = 0; i < lines->len; i++) {
        const BerthSettingsLine *line = lines->pdata[i];

        if (!line->key && !open_group(&loader, line, error))
            return NULL;
        if (line->key && loader.open && !assign(&loader, line, error))
            return NULL;
    }
    g_ptr_array_sort(self->groups, compare_groups);
    return g_steal_pointer(&self);
}

BerthRegistries *berth_registries_load(const char *const *directories, GPtrArray *warnings,
                                       GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();

    if (!berth_settings_files_dropins(directories, DIRECTORY, files, error))
        return NULL;
    for (unsigned i = 0; i < files->len; i++)
        if (!berth_settings_files_read(files->pdata[i], lines, error))
            return NULL;
    return berth_registries_from_lines(lines, warnings, error);
}

GArray *berth_registries_groups(BerthRegistries *registries)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(BerthRegistryGroupRow));

    for (unsigned i = 0; i < registries->groups->len; i++) {
        const BerthRegistryGroup *group = registries->groups->pdata[i];
        BerthRegistryGroupRow row = { group->pattern->text, group->origin };

        g_array_append_val(rows, row);
    }
    return rows;
}

static void row_clear(void *data)
{
    BerthRegistryRow *row = data;

    g_free(row->group);
}

static void add_rows(GArray *rows, const BerthRegistryGroup *group)
{
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        const BerthRegistryValue *value = &group->values[id];
        BerthRegistryRow row = { NULL, berth_registry_key(id)->name, value->text, value->origin };

        if (!value->text)
            continue;
        row.group = group->pattern ? g_strconcat(REGISTRY_GROUP " ", group->pattern->text, NULL)
                                   : g_strdup(DEFAULTS_GROUP);
        g_array_append_val(rows, row);
    }
}

GArray *berth_registries_rows(BerthRegistries *registries)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(BerthRegistryRow));

    g_array_set_clear_func(rows, row_clear);
    for (unsigned i = 0; i < registries->groups->len; i++)
        add_rows(rows, registries->groups->pdata[i]);
    add_rows(rows, registries->defaults);
    return rows;
}

/* @other: (nullable): the group of the same name, which says nothing when there is none. */
static bool is_same(const BerthRegistryGroup *group, const BerthRegistryGroup *other)
{
    for (int id = 0; other && id < _BERTH_REGISTRY_KEY_MAX; id++)
        if (g_strcmp0(group->values[id].text, other->values[id].text) != 0)
            return false;
    return other != NULL;
}

char **berth_registries_changed(BerthRegistries *before, BerthRegistries *after)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (unsigned i = 0; i < after->groups->len; i++) {
        const BerthRegistryGroup *group = after->groups->pdata[i];

        if (!is_same(group, find_group(before, group->pattern->text)))
            g_strv_builder_add(builder, group->pattern->text);
    }
    for (unsigned i = 0; i < before->groups->len; i++) {
        const BerthRegistryGroup *group = before->groups->pdata[i];

        if (!find_group(after, group->pattern->text))
            g_strv_builder_add(builder, group->pattern->text);
    }
    if (!is_same(before->defaults, after->defaults))
        g_strv_builder_add(builder, "[" DEFAULTS_GROUP "]");
    return g_strv_builder_end(builder);
}
