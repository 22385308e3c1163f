/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of settings share: a directory of its own for each test, with the three
 * directories of settings in it, and loading from there.
 */

#include "base/error.h"
#include "settings/settings.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB   (UINT64_C(1) << 10)
#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)
#define TOTAL (8 * GIB)

/** Fixture: names of files in it are relative to @root. */
typedef struct {
    char *root;
    char *directories[4]; /* etc, run, lib */
    BerthSettingsPaths paths;
    GPtrArray *warnings;
    BerthSettings *settings;
    GError *error;
} Fixture;

static inline void set_up(Fixture *f, gconstpointer unused)
{
    static const char *const names[] = { "etc", "run", "lib" };

    f->root = g_dir_make_tmp("berth-settings-XXXXXX", NULL);
    g_assert_nonnull(f->root);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        f->directories[i] = g_build_filename(f->root, names[i], NULL);
        g_assert_cmpint(g_mkdir(f->directories[i], 0755), ==, 0);
    }
    f->paths = (BerthSettingsPaths){
        .directories = (const char *const *)f->directories,
        .state_directory = "/state",
    };
    f->warnings = g_ptr_array_new_with_free_func(g_free);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline void tear_down(Fixture *f, gconstpointer unused)
{
    g_clear_pointer(&f->settings, berth_settings_unref);
    g_clear_error(&f->error);
    g_ptr_array_unref(f->warnings);
    g_assert_cmpint(nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(f->directories); i++)
        g_free(f->directories[i]);
    g_free(f->root);
}

static inline char *path_of(Fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->root, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    return g_steal_pointer(&path);
}

static inline void put(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = path_of(f, name);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static inline void put_link(Fixture *f, const char *name, const char *target)
{
    g_autofree char *path = path_of(f, name);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

static inline void load(Fixture *f)
{
    g_clear_pointer(&f->settings, berth_settings_unref);
    g_clear_error(&f->error);
    g_ptr_array_set_size(f->warnings, 0);
    f->settings = berth_settings_load(&f->paths, TOTAL, f->warnings, &f->error);
    g_assert_true((f->settings != NULL) == (f->error == NULL));
}

static inline void load_ok(Fixture *f)
{
    load(f);
    g_assert_no_error(f->error);
}

/* Loads, which must fail with a message that holds @text, `~` in it standing for the root. */
static inline void load_fails(Fixture *f, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "~", -1);
    g_autofree char *wanted = g_strjoinv(f->root, parts);

    load(f);
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
    if (!strstr(f->error->message, wanted))
        g_error("'%s' lacks '%s'", f->error->message, wanted);
}

static inline const BerthSettingRow *row_of(BerthSettings *settings, const char *group,
                                            const char *key)
{
    GPtrArray *rows = berth_settings_rows(settings);

    for (unsigned i = 0; i < rows->len; i++) {
        const BerthSettingRow *row = rows->pdata[i];

        if (g_str_equal(row->key, key) && g_str_equal(row->group, group))
            return row;
    }
    g_error("no row %s", key);
}

static inline void assert_row(Fixture *f, const char *group, const char *key, const char *value,
                              const char *origin)
{
    const BerthSettingRow *row = row_of(f->settings, group, key);
    const char *shown = row->origin;

    if (g_str_has_prefix(shown, f->root))
        shown += strlen(f->root) + 1;
    g_assert_cmpstr(row->value, ==, value);
    g_assert_cmpstr(shown, ==, origin);
}

static inline void assert_warning(Fixture *f, unsigned index, const char *text)
{
    g_assert_cmpuint(index, <, f->warnings->len);
    if (!strstr(f->warnings->pdata[index], text))
        g_error("'%s' lacks '%s'", (char *)f->warnings->pdata[index], text);
}

#define ADD(path, func) g_test_add("/settings/" path, Fixture, NULL, set_up, func, tear_down)
