/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings of berth.conf as a typed, immutable whole: built-in values, then every file's lines,
 * then the command line, then the checks of what several keys must agree on. Each value remembers
 * where it came from. All or nothing: it must never hand out settings after an error, and never
 * log; warnings go back to the caller, who may be checking only.
 */

#include "settings/settings.h"

#include "base/error.h"
#include "base/names.h"
#include "settings/files.h"
#include "settings/keys.h"
#include "settings/reader.h"

#include <inttypes.h>

#define MAIN_FILE "berth.conf"
#define DROPINS   "berth.conf.d"
#define BUILT_IN  "built-in"

typedef struct {
    BerthSettings public; /* must be first: callers hold a pointer to it */
    unsigned references;
    GPtrArray *rows; /* BerthSettingRow, index is BerthSettingsKeyId */
} Settings;

static void row_free(gpointer data)
{
    BerthSettingRow *row = data;

    g_free(row->value);
    g_free(row->origin);
    g_free(row);
}

BerthSettings *berth_settings_ref(BerthSettings *settings)
{
    Settings *self = (Settings *)settings;

    self->references++;
    return settings;
}

void berth_settings_unref(BerthSettings *settings)
{
    Settings *self = (Settings *)settings;

    if (!self)
        return;
    g_assert(self->references > 0);
    if (--self->references > 0)
        return;
    g_free(self->public.worker_user);
    g_free(self->public.store_path);
    g_ptr_array_unref(self->rows);
    g_free(self);
}

GPtrArray *berth_settings_rows(BerthSettings *settings)
{
    return ((Settings *)settings)->rows;
}

static BerthSettingRow *get_row(Settings *self, BerthSettingsKeyId id)
{
    return g_ptr_array_index(self->rows, id);
}

static bool is_built_in(Settings *self, BerthSettingsKeyId id)
{
    return g_str_equal(get_row(self, id)->origin, BUILT_IN);
}

static bool assign(Settings *self, BerthSettingsKeyId id, const char *text, const char *origin,
                   uint64_t total_memory, GError **error)
{
    const BerthSettingsKey *key = berth_settings_key(id);
    BerthSettingRow *row = get_row(self, id);

    if (!key->parse(key, text, total_memory, (char *)&self->public + key->offset, error)) {
        g_prefix_error(error, "%s: ", origin);
        return false;
    }
    g_free(row->value);
    row->value = g_strdup(text);
    g_free(row->origin);
    row->origin = g_strdup(origin);
    return true;
}

static bool assign_built_in(Settings *self, BerthSettingsKeyId id, const BerthSettingsPaths *paths,
                            uint64_t total_memory, GError **error)
{
    const char *builtin = berth_settings_key(id)->builtin;
    g_autofree char *path = NULL;

    if (id == BERTH_KEY_STORE_PATH)
        builtin = path = g_build_filename(paths->state_directory, builtin, NULL);
    return assign(self, id, builtin, BUILT_IN, total_memory, error);
}

static Settings *new_with_built_ins(const BerthSettingsPaths *paths, uint64_t total_memory,
                                    GError **error)
{
    Settings *self = g_new0(Settings, 1);

    self->references = 1;
    self->rows = g_ptr_array_new_full(_BERTH_KEY_MAX, row_free);
    for (BerthSettingsKeyId id = 0; id < _BERTH_KEY_MAX; id++) {
        BerthSettingRow *row = g_new0(BerthSettingRow, 1);

        row->group = berth_settings_key(id)->group;
        row->key = berth_settings_key(id)->name;
        g_ptr_array_add(self->rows, row);
        if (!assign_built_in(self, id, paths, total_memory, error)) {
            berth_settings_unref(&self->public);
            return NULL;
        }
    }
    return self;
}

static void warn_unknown_group(GPtrArray *warnings, const BerthSettingsLine *line)
{
    g_autofree char *group = berth_quote(line->group);

    g_ptr_array_add(warnings, g_strdup_printf("%s:%u: unknown group [%s], its keys are ignored",
                                              line->file, line->line, group));
}

static void warn_unknown_key(GPtrArray *warnings, const BerthSettingsLine *line)
{
    g_autofree char *key = berth_quote(line->key);
    const char *elsewhere = NULL;

    for (BerthSettingsKeyId id = 0; id < _BERTH_KEY_MAX; id++)
        if (g_str_equal(berth_settings_key(id)->name, line->key))
            elsewhere = berth_settings_key(id)->group;
    if (elsewhere)
        g_ptr_array_add(warnings,
                        g_strdup_printf("%s:%u: key '%s' belongs in [%s], not in [%s], ignored",
                                        line->file, line->line, key, elsewhere, line->group));
    else
        g_ptr_array_add(warnings, g_strdup_printf("%s:%u: unknown key '%s' in [%s], ignored",
                                                  line->file, line->line, key, line->group));
}

static bool apply_line(Settings *self, const BerthSettingsLine *line,
                       const BerthSettingsPaths *paths, uint64_t total_memory, GPtrArray *warnings,
                       GError **error)
{
    g_autofree char *origin = NULL;
    int id;

    if (!berth_settings_group_exists(line->group)) {
        if (!line->key)
            warn_unknown_group(warnings, line);
        return true;
    }
    if (!line->key)
        return true;
    id = berth_settings_key_find(line->group, line->key);
    if (id < 0) {
        warn_unknown_key(warnings, line);
        return true;
    }
    if (!*line->value)
        return assign_built_in(self, id, paths, total_memory, error);
    origin = g_strdup_printf("%s:%u", line->file, line->line);
    return assign(self, id, line->value, origin, total_memory, error);
}

static bool apply_command_line(Settings *self, const BerthSettingsPaths *paths,
                               uint64_t total_memory, GError **error)
{
    const char *option =
        paths->default_ipc_mode_opt ? paths->default_ipc_mode_opt : "--default-ipc-mode";
    BerthSettingRow *row = get_row(self, BERTH_KEY_DEFAULT_IPC_MODE);
    g_autofree char *quoted = NULL;

    if (!paths->default_ipc_mode)
        return true;
    if (is_built_in(self, BERTH_KEY_DEFAULT_IPC_MODE))
        return assign(self, BERTH_KEY_DEFAULT_IPC_MODE, paths->default_ipc_mode, option,
                      total_memory, error);
    quoted = berth_quote(paths->default_ipc_mode);
    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                           "%s: DefaultIpcMode=%s is given on the command line too (%s=%s); "
                           "remove one of the two",
                           row->origin, row->value, option, quoted);
}

static bool check_shm_size(Settings *self, GError **error)
{
    BerthSettingRow *row = get_row(self, BERTH_KEY_DEFAULT_SHM_SIZE);
    BerthSettingRow *max = get_row(self, BERTH_KEY_MAX_SHM_SIZE);

    if (self->public.default_shm_size <= self->public.max_shm_size)
        return true;
    if (is_built_in(self, BERTH_KEY_DEFAULT_SHM_SIZE) &&
        is_built_in(self, BERTH_KEY_MAX_SHM_SIZE)) {
        /* a machine with little memory: nobody asked for what it cannot give */
        self->public.default_shm_size = self->public.max_shm_size;
        g_free(row->value);
        row->value = g_strdup_printf("%" PRIu64, self->public.default_shm_size);
        return true;
    }
    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                           "DefaultShmSize=%s (%s) is larger than MaxShmSize=%s (%s); lower the "
                           "one or raise the other",
                           row->value, row->origin, max->value, max->origin);
}

static bool check_modes(Settings *self, GError **error)
{
    BerthSettingRow *mode = get_row(self, BERTH_KEY_DEFAULT_IPC_MODE);
    BerthSettingRow *allowed = get_row(self, BERTH_KEY_ALLOWED_MODES);

    if (self->public.allowed_modes & 1u << self->public.default_ipc_mode)
        return true;
    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                           "AllowedModes=%s (%s) leaves out DefaultIpcMode=%s (%s); allow it or "
                           "set another default",
                           allowed->value, allowed->origin, mode->value, mode->origin);
}

BerthSettings *berth_settings_from_lines(const BerthSettingsPaths *paths, uint64_t total_memory,
                                         const GPtrArray *lines, GPtrArray *warnings,
                                         GError **error)
{
    Settings *self = new_with_built_ins(paths, total_memory, error);
    g_autoptr(BerthSettings) settings = self ? &self->public : NULL;

    if (!self)
        return NULL;
    for (unsigned i = 0; i < lines->len; i++)
        if (!apply_line(self, lines->pdata[i], paths, total_memory, warnings, error))
            return NULL;
    if (!apply_command_line(self, paths, total_memory, error) || !check_shm_size(self, error) ||
        !check_modes(self, error))
        return NULL;
    return g_steal_pointer(&settings);
}

BerthSettings *berth_settings_load(const BerthSettingsPaths *paths, uint64_t total_memory,
                                   GPtrArray *warnings, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();

    if (!berth_settings_files_main(paths->directories, MAIN_FILE, files, error) ||
        !berth_settings_files_dropins(paths->directories, DROPINS, files, error))
        return NULL;
    for (unsigned i = 0; i < files->len; i++)
        if (!berth_settings_files_read(files->pdata[i], lines, error))
            return NULL;
    return berth_settings_from_lines(paths, total_memory, lines, warnings, error);
}
