/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sandboxes that the administrator declares: sandboxes.d/<any>.conf, each [Sandbox] group one of
 * them, with Name= and the options of Create as keys. Read into plain data here, with the place of
 * each, so that whoever refuses one can say where it stands.
 */

#include "settings/declared.h"

#include "base/error.h"
#include "base/names.h"
#include "base/size.h"
#include "settings/files.h"
#include "settings/reader.h"

#include <string.h>

#define DIRECTORY "sandboxes.d"
#define GROUP     "Sandbox"

static void declared_free(void *data)
{
    BerthDeclared *declared = data;

    berth_wanted_clear(&declared->wanted);
    g_free(declared->origin);
    g_free(declared);
}

static bool set_invalid(GError **error, const BerthSettingsLine *line, const char *why)
{
    g_autofree char *quoted = berth_quote(line->value ? line->value : "");

    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s:%u: %s=%s: %s", line->file,
                           line->line, line->key ? line->key : "[" GROUP "]", quoted, why);
}

static bool set_string(char **target, const char *value)
{
    g_free(*target);
    *target = *value ? g_strdup(value) : NULL;
    return true;
}

static bool set_size(uint64_t *target, const BerthSettingsLine *line, uint64_t total_memory,
                     GError **error)
{
    g_autoptr(GError) failure = NULL;

    *target = 0;
    if (!*line->value || berth_size_or_percent_parse(line->value, total_memory, target, &failure))
        return true;
    return set_invalid(error, line, failure->message);
}

static bool set_count(uint64_t *target, const BerthSettingsLine *line, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *target = 0;
    return !*line->value || berth_size_parse(line->value, target, &failure) ||
           set_invalid(error, line, failure->message);
}

static bool set_bool(bool *target, const BerthSettingsLine *line, GError **error)
{
    static const char *const yes[] = { "yes", "true", "on", "1", NULL };
    static const char *const no[] = { "no", "false", "off", "0", "", NULL };

    *target = g_strv_contains(yes, line->value);
    return *target || g_strv_contains(no, line->value) || set_invalid(error, line, "use yes or no");
}

/* A list of words; a further assignment adds to it, an empty one clears it. */
static bool add_words(char ***target, const char *value)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
    g_auto(GStrv) before = g_steal_pointer(target);

    if (!*value)
        return true;
    for (char **word = before; word && *word; word++)
        g_strv_builder_add(builder, *word);
    for (char **word = words; *word; word++)
        if (**word)
            g_strv_builder_add(builder, *word);
    *target = g_strv_builder_end(builder);
    return true;
}

/* A list of KEY=VALUE; a value with spaces stands in quotes, as a shell takes them. */
static bool add_pairs(GHashTable **target, const BerthSettingsLine *line, GError **error)
{
    g_auto(GStrv) words = NULL;
    g_autoptr(GError) failure = NULL;

    if (!*line->value) {
        g_clear_pointer(target, g_hash_table_unref);
        return true;
    }
    if (!g_shell_parse_argv(line->value, NULL, &words, &failure))
        return set_invalid(error, line, failure->message);
    if (!*target)
        *target = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (char **word = words; *word; word++) {
        const char *equals = strchr(*word, '=');

        if (!equals || equals == *word)
            return set_invalid(error, line,
                               "write KEY=VALUE, with quotes around it where the "
                               "value has spaces");
        g_hash_table_insert(*target, g_strndup(*word, (gsize)(equals - *word)),
                            g_strdup(equals + 1));
    }
    return true;
}

static bool set_name(BerthWanted *wanted, const BerthSettingsLine *line, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (*line->value && !berth_name_check(line->value, &failure))
        return set_invalid(error, line, failure->message);
    return set_string(&wanted->name, line->value);
}

static bool apply(BerthWanted *wanted, const BerthSettingsLine *line, uint64_t total_memory,
                  GPtrArray *warnings, GError **error)
{
    const char *key = line->key;

    if (g_str_equal(key, "Name"))
        return set_name(wanted, line, error);
    if (g_str_equal(key, "Mode"))
        return set_string(&wanted->mode, line->value);
    if (g_str_equal(key, "ShmSize"))
        return set_size(&wanted->shm_size, line, total_memory, error);
    if (g_str_equal(key, "ShmInodes"))
        return set_count(&wanted->shm_inodes, line, error);
    if (g_str_equal(key, "ShmHuge"))
        return set_string(&wanted->huge, line->value);
    if (g_str_equal(key, "ShmNuma"))
        return set_string(&wanted->numa, line->value);
    if (g_str_equal(key, "Sysctls"))
        return add_pairs(&wanted->sysctls, line, error);
    if (g_str_equal(key, "Labels"))
        return add_pairs(&wanted->labels, line, error);
    if (g_str_equal(key, "Users"))
        return add_words(&wanted->users, line->value);
    if (g_str_equal(key, "Groups"))
        return add_words(&wanted->groups, line->value);
    if (g_str_equal(key, "Publish"))
        return set_bool(&wanted->publish, line, error);
    g_ptr_array_add(warnings, g_strdup_printf("%s:%u: unknown key %s= in [" GROUP "], ignored",
                                              line->file, line->line, key));
    return true;
}

static bool check_names(const GPtrArray *all, GError **error)
{
    g_autoptr(GHashTable) origins = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < all->len; i++) {
        const BerthDeclared *declared = all->pdata[i];
        const char *name = declared->wanted.name, *other;

        if (!name)
            return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                                   "%s: a [" GROUP "] without Name=; give it one",
                                   declared->origin);
        other = g_hash_table_lookup(origins, name);
        if (other)
            return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                                   "%s: Name=%s is declared at %s already; choose another",
                                   declared->origin, name, other);
        g_hash_table_insert(origins, (char *)name, declared->origin);
    }
    return true;
}

GPtrArray *berth_declared_from_lines(const GPtrArray *lines, uint64_t total_memory,
                                     GPtrArray *warnings, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(declared_free);
    BerthDeclared *current = NULL;

    for (guint i = 0; i < lines->len; i++) {
        const BerthSettingsLine *line = lines->pdata[i];
        bool ours = g_str_equal(line->group, GROUP);

        if (!line->key) {
            current = NULL;
            if (ours) {
                current = g_new0(BerthDeclared, 1);
                current->origin = g_strdup_printf("%s:%u", line->file, line->line);
                g_ptr_array_add(all, current);
            } else {
                g_ptr_array_add(warnings, g_strdup_printf("%s:%u: unknown group [%s], ignored",
                                                          line->file, line->line, line->group));
            }
        } else if (current && !apply(&current->wanted, line, total_memory, warnings, error)) {
            return NULL;
        }
    }
    return check_names(all, error) ? g_steal_pointer(&all) : NULL;
}

GPtrArray *berth_declared_load(const char *const *directories, uint64_t total_memory,
                               GPtrArray *warnings, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();

    if (!berth_settings_files_dropins(directories, DIRECTORY, paths, error))
        return NULL;
    for (guint i = 0; i < paths->len; i++)
        if (!berth_settings_files_read(paths->pdata[i], lines, error))
            return NULL;
    return berth_declared_from_lines(lines, total_memory, warnings, error);
}
