/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of the typed settings: values, origins, warnings, errors, and what must agree.
 * G_TEST_SRCDIR names the directory of this file, for the tests that compare the default file and
 * the manual page with the built-in values.
 */

#include "settings-fixture.h"

/* Values */

static void test_values_built_in(Fixture *f, gconstpointer unused)
{
    const BerthSettings *s;

    load_ok(f);
    s = f->settings;
    g_assert_cmpint(s->default_ipc_mode, ==, BERTH_IPC_MODE_SHAREABLE);
    g_assert_cmpuint(s->default_shm_size, ==, 64 * MIB);
    g_assert_cmpuint(s->default_shm_inodes, ==, 16 * KIB);
    g_assert_cmpuint(s->max_shm_size, ==, TOTAL / 2);
    g_assert_cmpuint(s->max_sandboxes_per_user, ==, 64);
    g_assert_cmpuint(s->max_shm_per_user, ==, TOTAL / 2);
    g_assert_cmpuint(s->max_inodes_per_user, ==, MIB);
    g_assert_cmpuint(s->max_pending_calls_per_user, ==, 64);
    g_assert_cmpuint(s->max_sandboxes, ==, 32768);
    g_assert_cmphex(s->allowed_modes, ==,
                    1u << BERTH_IPC_MODE_PRIVATE | 1u << BERTH_IPC_MODE_SHAREABLE |
                        1u << BERTH_IPC_MODE_NONE | 1u << BERTH_IPC_MODE_HOST |
                        1u << BERTH_IPC_MODE_CONTAINER);
    g_assert_cmpuint(s->max_transfers, ==, 16);
    g_assert_cmpuint(s->max_transfers_per_user, ==, 4);
    g_assert_cmpuint(s->max_downloads_per_transfer, ==, 6);
    g_assert_cmpuint(s->max_uploads_per_transfer, ==, 6);
    g_assert_cmpuint(s->max_bandwidth, ==, 0);
    g_assert_cmpstr(s->worker_user, ==, "berth");
    g_assert_cmpstr(s->store_path, ==, "/state/store");
    g_assert_cmpuint(s->store_min_free, ==, GIB);
    g_assert_cmpuint(f->warnings->len, ==, 0);
    assert_row(f, "Store", "Path", "/state/store", "built-in");
}

static void test_values_set(Fixture *f, gconstpointer unused)
{
    const BerthSettings *s;

    put(f, "etc/berth.conf",
        "[Sandboxes]\nDefaultIpcMode=private\nDefaultShmSize = 12.5%\nDefaultShmInodes=2\n"
        "MaxShmSize=2g\nAllowedModes=private \t none\nMaxShmPerUser=0\nMaxInodesPerUser=1.5k\n"
        "[Transfers]\nMaxBandwidth=10M\nWorkerUser=_x-1.y\n"
        "[Store]\nPath=//srv//berth/./store/\nMinFree=0\n"
        "[Sandboxes]\nMaxSandboxes=4294967295\n");
    load_ok(f);
    s = f->settings;
    g_assert_cmpint(s->default_ipc_mode, ==, BERTH_IPC_MODE_PRIVATE);
    g_assert_cmpuint(s->default_shm_size, ==, GIB);
    g_assert_cmpuint(s->default_shm_inodes, ==, 2);
    g_assert_cmpuint(s->max_shm_size, ==, 2 * GIB);
    g_assert_cmphex(s->allowed_modes, ==, 1u << BERTH_IPC_MODE_PRIVATE | 1u << BERTH_IPC_MODE_NONE);
    g_assert_cmpuint(s->max_shm_per_user, ==, 0);
    g_assert_cmpuint(s->max_inodes_per_user, ==, 1536);
    g_assert_cmpuint(s->max_bandwidth, ==, 10 * MIB);
    g_assert_cmpstr(s->worker_user, ==, "_x-1.y");
    g_assert_cmpstr(s->store_path, ==, "/srv/berth/store");
    g_assert_cmpuint(s->store_min_free, ==, 0);
    g_assert_cmpuint(s->max_sandboxes, ==, UINT32_MAX);
    assert_row(f, "Sandboxes", "DefaultShmSize", "12.5%", "etc/berth.conf:3");
    assert_row(f, "Sandboxes", "MaxSandboxes", "4294967295", "etc/berth.conf:16");
}

/* An empty assignment brings the built-in back, origin included. */
static void test_values_cleared(Fixture *f, gconstpointer unused)
{
    put(f, "lib/berth.conf",
        "[Sandboxes]\nDefaultIpcMode=private\nAllowedModes=private\nMaxSandboxes=5\n"
        "[Transfers]\nWorkerUser=other\n[Store]\nPath=/x\n");
    put(f, "etc/berth.conf.d/a.conf",
        "[Sandboxes]\nDefaultIpcMode=\nAllowedModes= \nMaxSandboxes=\n"
        "[Transfers]\nWorkerUser=\n[Store]\nPath=\n");
    load_ok(f);
    g_assert_cmpint(f->settings->default_ipc_mode, ==, BERTH_IPC_MODE_SHAREABLE);
    g_assert_cmpstr(f->settings->worker_user, ==, "berth");
    g_assert_cmpstr(f->settings->store_path, ==, "/state/store");
    assert_row(f, "Sandboxes", "MaxSandboxes", "32768", "built-in");
    assert_row(f, "Sandboxes", "AllowedModes", "private shareable none host container", "built-in");
}

static void test_values_invalid(Fixture *f, gconstpointer unused)
{
    static const struct {
        const char *group, *assignment, *message;
    } cases[] = {
        { "Sandboxes", "DefaultShmSize=0", "DefaultShmSize=0 is invalid: the least is 1" },
        { "Sandboxes", "DefaultShmSize=0%", "DefaultShmSize=0% is invalid" },
        { "Sandboxes", "DefaultShmSize=-1", "DefaultShmSize=-1 is invalid" },
        { "Sandboxes", "DefaultShmSize=32mm", "DefaultShmSize=32mm is invalid" },
        { "Sandboxes", "DefaultShmSize=101%", "DefaultShmSize=101% is invalid" },
        { "Sandboxes", "DefaultShmSize=64M # big", "DefaultShmSize=64M # big is invalid" },
        { "Sandboxes", "MaxShmSize=0", "MaxShmSize=0 is invalid" },
        { "Sandboxes", "MaxShmSize=\"1G\"", "MaxShmSize=\"1G\" is invalid" },
        { "Sandboxes", "DefaultShmInodes=1", "DefaultShmInodes=1 is invalid: the least is 2" },
        { "Sandboxes", "DefaultShmInodes=50%", "DefaultShmInodes=50% is invalid" },
        { "Sandboxes", "DefaultShmInodes=17p", "DefaultShmInodes=17p is invalid: the most is" },
        { "Sandboxes", "MaxSandboxes=4294967296", "the most is 4294967295" },
        { "Sandboxes", "MaxSandboxes=0", "the least is 1" },
        { "Sandboxes", "MaxSandboxesPerUser=many", "MaxSandboxesPerUser=many is invalid" },
        { "Sandboxes", "MaxPendingCallsPerUser=0", "the least is 1" },
        { "Sandboxes", "AllowedModes=private,none", "'private,none' is none of private, " },
        { "Sandboxes", "AllowedModes=shareable container:x", "'container:x' is none of private, " },
        { "Sandboxes", "AllowedModes=Shareable", "'Shareable' is none of private, " },
        { "Transfers", "MaxBandwidth=50%", "MaxBandwidth=50% is invalid" },
        { "Transfers", "MaxUploadsPerTransfer=0", "the least is 1" },
        { "Transfers", "WorkerUser=root", "must not run as root" },
        { "Transfers", "WorkerUser=1000", "write a user name" },
        { "Transfers", "WorkerUser=a b", "write a user name" },
        { "Transfers", "WorkerUser=-x", "write a user name" },
        { "Transfers", "WorkerUser=é", "write a user name" },
        { "Transfers", "WorkerUser=abcdefghijklmnopqrstuvwxyz123456", "write a user name" },
        { "Store", "Path=store", "Path=store is invalid: write an absolute path" },
        { "Store", "Path=/a/../b", "without '..'" },
        { "Store", "Path=//", "a directory of its own" },
        { "Store", "MinFree=1 G B", "MinFree=1 G B is invalid" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strdup_printf("# first line\n[%s]\n%s\n", cases[i].group, cases[i].assignment);

        put(f, "etc/berth.conf.d/x.conf", text);
        load_fails(f, "~/etc/berth.conf.d/x.conf:3: ");
        load_fails(f, cases[i].message);
    }
}

static void test_values_long_path(Fixture *f, gconstpointer unused)
{
    g_autofree char *path = g_strnfill(4096, '/');
    g_autofree char *text = NULL;

    memset(path + 1, 'x', 4095);
    text = g_strdup_printf("[Store]\nPath=%s\n", path);
    put(f, "etc/berth.conf", text);
    load_fails(f, "the path is too long");
    g_assert_cmpuint(strlen(f->error->message), <, 1000);
}

/* A bad value stays an error when a later file overrides it. */
static void test_values_overridden(Fixture *f, gconstpointer unused)
{
    put(f, "etc/berth.conf", "[Sandboxes]\nMaxSandboxes=x\n");
    put(f, "etc/berth.conf.d/a.conf", "[Sandboxes]\nMaxSandboxes=5\n");
    load_fails(f, "~/etc/berth.conf:2: MaxSandboxes=x is invalid");
}

static void test_values_unknown(Fixture *f, gconstpointer unused)
{
    put(f, "etc/berth.conf",
        "[Sandbox]\nMaxSandboxes=x\nA=b\n[registry [::1]:5000]\nInsecure=yes\n"
        "[Sandboxes]\nmaxsandboxes=5\nMinFree=1\nMaxSandboxes=7\n");
    load_ok(f);
    g_assert_cmpuint(f->settings->max_sandboxes, ==, 7);
    g_assert_cmpuint(f->warnings->len, ==, 4);
    assert_warning(f, 0, "etc/berth.conf:1: unknown group [Sandbox], its keys are ignored");
    assert_warning(f, 1, "etc/berth.conf:4: unknown group [registry [::1]:5000]");
    assert_warning(f, 2, "etc/berth.conf:7: unknown key 'maxsandboxes' in [Sandboxes], ignored");
    assert_warning(f, 3, "etc/berth.conf:8: key 'MinFree' belongs in [Store], not in [Sandboxes]");
}

/* The default mode: the text of its error is fixed, and there are two ways to set it. */

#define BAD_MODE(X) "default IPC mode setting (" X ") is invalid; use \"shareable\" or \"private\""

static void test_mode_invalid(Fixture *f, gconstpointer unused)
{
    static const char *const modes[] = { "none", "host", "container:x", "Private", "a b", "x" };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *text = g_strdup_printf("[Sandboxes]\nDefaultIpcMode=%s\n", modes[i]);
        g_autofree char *message =
            g_strdup_printf("~/etc/berth.conf:2: default IPC mode setting (%s) is invalid; use "
                            "\"shareable\" or \"private\"",
                            modes[i]);

        put(f, "etc/berth.conf", text);
        load_fails(f, message);
        g_assert_true(g_str_has_suffix(f->error->message, "use \"shareable\" or \"private\""));
    }
}

static void test_mode_command_line(Fixture *f, gconstpointer unused)
{
    f->paths.default_ipc_mode = "private";
    load_ok(f);
    g_assert_cmpint(f->settings->default_ipc_mode, ==, BERTH_IPC_MODE_PRIVATE);
    assert_row(f, "Sandboxes", "DefaultIpcMode", "private", "--default-ipc-mode");

    f->paths.default_ipc_mode_opt = "--default-shm-mode";
    load_ok(f);
    assert_row(f, "Sandboxes", "DefaultIpcMode", "private", "--default-shm-mode");

    f->paths.default_ipc_mode = "host";
    load_fails(f, "--default-shm-mode: " BAD_MODE("host"));
    f->paths.default_ipc_mode = "";
    load_fails(f, "--default-shm-mode: " BAD_MODE(""));

    /* in both places, even when they agree */
    f->paths.default_ipc_mode = "private";
    put(f, "etc/berth.conf", "[Sandboxes]\nDefaultIpcMode=private\n");
    load_fails(f, "~/etc/berth.conf:2: DefaultIpcMode=private is given on the command line too "
                  "(--default-shm-mode=private)");

    put(f, "etc/berth.conf.d/a.conf", "[Sandboxes]\nDefaultIpcMode=\n");
    load_ok(f);
    assert_row(f, "Sandboxes", "DefaultIpcMode", "private", "--default-shm-mode");
}

static void test_mode_not_allowed(Fixture *f, gconstpointer unused)
{
    put(f, "etc/berth.conf", "[Sandboxes]\nAllowedModes=private none\n");
    load_fails(f, "AllowedModes=private none (~/etc/berth.conf:2) leaves out "
                  "DefaultIpcMode=shareable (built-in)");
    f->paths.default_ipc_mode = "private";
    load_ok(f);
}

/* Sizes that must agree */

static void test_sizes_conflict(Fixture *f, gconstpointer unused)
{
    put(f, "etc/berth.conf", "[Sandboxes]\nDefaultShmSize=5G\n");
    load_fails(f,
               "DefaultShmSize=5G (~/etc/berth.conf:2) is larger than MaxShmSize=50% (built-in)");
    put(f, "etc/berth.conf", "[Sandboxes]\nMaxShmSize=1M\n");
    load_fails(f,
               "DefaultShmSize=64M (built-in) is larger than MaxShmSize=1M (~/etc/berth.conf:2)");
    put(f, "etc/berth.conf", "[Sandboxes]\nMaxShmSize=1M\nDefaultShmSize=1024K\n");
    load_ok(f); /* equal is fine, and so is the order */
    g_assert_cmpuint(f->settings->default_shm_size, ==, MIB);
}

static void test_sizes_small_machine(Fixture *f, gconstpointer unused)
{
    f->settings = berth_settings_load(&f->paths, 96 * MIB, f->warnings, &f->error);
    g_assert_no_error(f->error);
    g_assert_cmpuint(f->settings->max_shm_size, ==, 48 * MIB);
    g_assert_cmpuint(f->settings->default_shm_size, ==, 48 * MIB);
    g_assert_cmpuint(f->warnings->len, ==, 0);
    assert_row(f, "Sandboxes", "DefaultShmSize", "50331648", "built-in");
    g_clear_pointer(&f->settings, berth_settings_unref);

    /* memory unknown: no percentage can be right */
    g_assert_null(berth_settings_load(&f->paths, 0, f->warnings, &f->error));
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
}

static void test_reference_count(Fixture *f, gconstpointer unused)
{
    load_ok(f);
    g_assert_true(berth_settings_ref(f->settings) == f->settings);
    berth_settings_unref(f->settings);
    g_assert_cmpstr(f->settings->worker_user, ==, "berth");
}

/* What the package ships and says */

static char *read_source(const char *directory, const char *subdirectory, const char *name)
{
    g_autofree char *path =
        g_test_build_filename(G_TEST_DIST, "..", "..", directory, subdirectory, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, &error))
        g_error("%s (is G_TEST_SRCDIR set to the directory of the test?)", error->message);
    return text;
}

/* Every key of the default file is commented out with its built-in value, in the order of the rows.
 */
static void test_shipped_file(Fixture *f, gconstpointer unused)
{
    g_autofree char *text = read_source("data", ".", "berth.conf");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) active = g_string_new(NULL);
    g_autoptr(BerthSettings) built_in = NULL;
    GPtrArray *rows;

    f->paths.state_directory = "/var/lib/berth";
    put(f, "etc/berth.conf", text);
    load_ok(f);
    g_assert_cmpuint(f->warnings->len, ==, 0);
    built_in = berth_settings_ref(f->settings);
    for (unsigned i = 0; i < berth_settings_rows(f->settings)->len; i++) {
        const BerthSettingRow *row = berth_settings_rows(f->settings)->pdata[i];

        g_assert_cmpstr(row->origin, ==, "built-in");
    }

    for (char **line = lines; *line; line++) {
        bool is_key = (*line)[0] == '#' && g_ascii_isupper((*line)[1]);

        g_string_append_printf(active, "%s\n", is_key ? *line + 1 : *line);
    }
    put(f, "etc/berth.conf", active->str);
    load_ok(f);
    g_assert_cmpuint(f->warnings->len, ==, 0);
    rows = berth_settings_rows(f->settings);
    for (unsigned i = 0, last = 0; i < rows->len; i++) {
        const BerthSettingRow *row = rows->pdata[i];
        unsigned line;

        g_assert_cmpstr(row->value, ==, row_of(built_in, row->group, row->key)->value);
        g_assert_cmpstr(row->origin, !=, "built-in");
        line = (unsigned)g_ascii_strtoull(strrchr(row->origin, ':') + 1, NULL, 10);
        g_assert_cmpuint(line, >, last);
        last = line;
    }
}

static void test_manual_page(Fixture *f, gconstpointer unused)
{
    g_autofree char *text = read_source("data", "man", "berth.conf.5");

    load_ok(f);
    for (unsigned i = 0; i < berth_settings_rows(f->settings)->len; i++) {
        const BerthSettingRow *row = berth_settings_rows(f->settings)->pdata[i];
        g_autofree char *item = g_strdup_printf(".It Va %s=\n", row->key);

        if (!strstr(text, item))
            g_error("the manual page lacks %s=", row->key);
    }
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    ADD("values/built-in", test_values_built_in);
    ADD("values/set", test_values_set);
    ADD("values/cleared", test_values_cleared);
    ADD("values/invalid", test_values_invalid);
    ADD("values/long-path", test_values_long_path);
    ADD("values/overridden", test_values_overridden);
    ADD("values/unknown", test_values_unknown);
    ADD("mode/invalid", test_mode_invalid);
    ADD("mode/command-line", test_mode_command_line);
    ADD("mode/not-allowed", test_mode_not_allowed);
    ADD("sizes/conflict", test_sizes_conflict);
    ADD("sizes/small-machine", test_sizes_small_machine);
    ADD("reference-count", test_reference_count);
    ADD("shipped-file", test_shipped_file);
    ADD("manual-page", test_manual_page);
    return g_test_run();
}
