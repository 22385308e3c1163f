/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: one settings file from memory, through the line reader and the typed settings. What
 * is accepted must hold the invariants that the service builds on, and `berthctl config` must print
 * it so that it means the same when it is read again; what is refused must say where.
 */

#include "base/error.h"
#include "settings/reader.h"
#include "settings/settings.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TOTAL_MEMORY (UINT64_C(1) << 33)
#define FILE_NAME    "/etc/berth/berth.conf"

static const BerthSettingsPaths paths = {
    .directories = (const char *const[]){ NULL },
    .state_directory = "/var/lib/berth",
};

static void check_error(const GError *error)
{
    g_assert(error && error->domain == BERTH_ERROR);
    g_assert(error->code == BERTH_ERROR_SETTINGS_INVALID);
    g_assert(g_utf8_validate(error->message, -1, NULL));
    g_assert(strstr(error->message, FILE_NAME ":"));
}

static BerthSettings *parse(const char *text, size_t size, GPtrArray *warnings, GError **error)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();

    if (!berth_settings_read_text(FILE_NAME, text, size, lines, error))
        return NULL;
    for (unsigned i = 0; i < lines->len; i++) {
        const BerthSettingsLine *line = lines->pdata[i];

        g_assert(line->line > 0 && line->group[0]);
        g_assert(!line->key == !line->value && (!line->key || line->key[0]));
    }
    return berth_settings_from_lines(&paths, TOTAL_MEMORY, lines, warnings, error);
}

static void check_invariants(const BerthSettings *s)
{
    g_assert(berth_ipc_mode_may_be_default(s->default_ipc_mode));
    g_assert(s->allowed_modes & 1u << s->default_ipc_mode);
    g_assert(s->default_shm_size > 0 && s->default_shm_size <= s->max_shm_size);
    g_assert(s->max_shm_size <= INT64_MAX && s->max_shm_per_user <= INT64_MAX);
    g_assert(s->default_shm_inodes >= 2);
    g_assert(s->max_sandboxes > 0 && s->max_pending_calls_per_user > 0);
    g_assert(s->worker_user[0] && s->store_path[0] == '/');
}

/* Writes the rows of @settings as a file, reads that and compares. */
static void check_rows(BerthSettings *settings)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(BerthSettings) again = NULL;
    GPtrArray *rows = berth_settings_rows(settings);

    for (unsigned i = 0; i < rows->len; i++) {
        const BerthSettingRow *row = rows->pdata[i];

        g_string_append_printf(text, "[%s]\n%s=%s\n", row->group, row->key, row->value);
    }
    again = parse(text->str, text->len, warnings, NULL);
    g_assert(again && warnings->len == 0);
    g_assert(again->default_ipc_mode == settings->default_ipc_mode);
    g_assert(again->default_shm_size == settings->default_shm_size);
    g_assert(again->max_shm_size == settings->max_shm_size);
    g_assert(again->allowed_modes == settings->allowed_modes);
    g_assert(again->max_sandboxes == settings->max_sandboxes);
    g_assert(again->max_bandwidth == settings->max_bandwidth);
    g_assert(g_str_equal(again->worker_user, settings->worker_user));
    g_assert(g_str_equal(again->store_path, settings->store_path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthSettings) settings = parse((const char *)data, size, warnings, &error);

    for (unsigned i = 0; i < warnings->len; i++)
        g_assert(g_str_has_prefix(warnings->pdata[i], FILE_NAME ":"));
    if (!settings) {
        check_error(error);
        return 0;
    }
    check_invariants(settings);
    check_rows(settings);
    return 0;
}
