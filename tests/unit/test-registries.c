/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings of registries.d: every key with its values and origins, what is refused and what is
 * warned of, and which files apply.
 */

#include "registries-fixture.h"
#include "settings-fixture.h"

#define SECOND UINT64_C(1000000)

static void test_built_in(void)
{
    g_autoptr(BerthRegistries) registries = parse_ok("");
    g_autoptr(BerthRegistrySettings) s = look_up(registries, "registry.example.com", NULL);

    g_assert_false(s->allow_nondistributable);
    g_assert_false(s->insecure);
    g_assert_false(s->blocked);
    g_assert_cmpstr(s->location, ==, "");
    g_assert_cmpuint(g_strv_length(s->mirrors), ==, 0);
    g_assert_cmpint(s->mirrors_for, ==, BERTH_MIRRORS_FOR_ALL);
    g_assert_cmpstr(s->ca_file, ==, "");
    g_assert_cmpstr(s->client_certificate, ==, "");
    g_assert_cmpstr(s->client_key, ==, "");
    g_assert_cmpstr(s->credentials_file, ==, "");
    g_assert_cmpstr(s->proxy, ==, "");
    g_assert_cmpuint(s->connect_timeout, ==, 10 * SECOND);
    g_assert_cmpuint(s->stall_timeout, ==, 30 * SECOND);
    g_assert_cmpuint(s->retries, ==, 5);
    g_assert_cmpuint(s->max_connections, ==, 6);
    g_assert_cmpuint(s->max_bandwidth, ==, 0);
    g_assert_cmpint(s->foreign_layers, ==, BERTH_FOREIGN_REGISTRY_FIRST);
    g_assert_cmpuint(g_strv_length(s->foreign_url_hosts), ==, 0);
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        g_assert_cmpstr(s->origins[id], ==, "built-in");
        g_assert_cmpstr(s->values[id], ==, berth_registry_key(id)->builtin);
    }
    g_assert_false(s->provisional);
    g_assert_cmpuint(s->pinned->len, ==, 0);
}

static void test_every_key(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry h]\n"
                 "AllowNondistributable=yes\n"
                 "Insecure=true\n"
                 "Blocked=On\n"
                 "Location=Other.example:5000/prefix\n"
                 "Mirrors=mirror-a.example.com  Mirror-B.example.com:5000/cache\n"
                 "MirrorsFor=digests\n"
                 "CAFile=/ca.pem\n"
                 "ClientCertificate=/c.pem\n"
                 "ClientKey=/k.pem\n"
                 "CredentialsFile=/auth.json\n"
                 "Proxy=http://user:secret@proxy:3128\n"
                 "ConnectTimeout=1min\n"
                 "StallTimeout=250ms\n"
                 "Retries=0\n"
                 "MaxConnections=1\n"
                 "MaxBandwidth=1.5M\n"
                 "ForeignLayers=url-only\n"
                 "ForeignUrlHosts=Layers.example *.cdn.example:443 10.1.2.3/8\n");
    g_autoptr(BerthRegistrySettings) s = look_up(registries, "h", NULL);

    g_assert_true(s->allow_nondistributable);
    g_assert_true(s->insecure);
    g_assert_true(s->blocked);
    g_assert_cmpstr(s->location, ==, "other.example:5000/prefix");
    g_assert_cmpuint(g_strv_length(s->mirrors), ==, 2);
    g_assert_cmpstr(s->mirrors[1], ==, "mirror-b.example.com:5000/cache");
    g_assert_cmpint(s->mirrors_for, ==, BERTH_MIRRORS_FOR_DIGESTS);
    g_assert_cmpstr(s->ca_file, ==, "/ca.pem");
    g_assert_cmpstr(s->client_certificate, ==, "/c.pem");
    g_assert_cmpstr(s->client_key, ==, "/k.pem");
    g_assert_cmpstr(s->credentials_file, ==, "/auth.json");
    g_assert_cmpstr(s->proxy, ==, "http://user:secret@proxy:3128");
    g_assert_cmpstr(s->values[BERTH_REGISTRY_PROXY], ==, "http://***@proxy:3128");
    g_assert_cmpuint(s->connect_timeout, ==, 60 * SECOND);
    g_assert_cmpuint(s->stall_timeout, ==, SECOND / 4);
    g_assert_cmpuint(s->retries, ==, 0);
    g_assert_cmpuint(s->max_connections, ==, 1);
    g_assert_cmpuint(s->max_bandwidth, ==, 3 * MIB / 2);
    g_assert_cmpint(s->foreign_layers, ==, BERTH_FOREIGN_URL_ONLY);
    g_assert_cmpuint(g_strv_length(s->foreign_url_hosts), ==, 3);
    g_assert_cmpstr(s->foreign_url_hosts[0], ==, "layers.example");
    g_assert_cmpstr(s->foreign_url_hosts[2], ==, "10.0.0.0/8");
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        g_autofree char *origin = g_strdup_printf("f:%d", id + 2);

        g_assert_cmpstr(s->origins[id], ==, origin);
    }
}

static void test_later_wins(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry H]\nRetries=1\nRetries=2\nMirrors=a b\n"
                 "[defaults]\nRetries=9\nMaxConnections=2\n"
                 "[registry h]\nRetries=3\nMirrors=c\nMaxConnections=3\nMaxConnections=\n"
                 "[registry 10.1.0.0/8]\nRetries=4\n[registry 10.2.0.0/8]\nInsecure=yes\n");

    assert_value(registries, "h", NULL, "Retries", "3", "f:9");
    assert_value(registries, "h", NULL, "Mirrors", "c", "f:10");
    /* taken back, so that the next in order decides */
    assert_value(registries, "h", NULL, "MaxConnections", "2", "f:7");
    assert_value(registries, "10.9.9.9", NULL, "Retries", "4", "f:14");
    assert_value(registries, "10.9.9.9", NULL, "Insecure", "yes", "f:16");
}

static void assert_refused(const char *text, const char *message)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    if (parse(text, warnings, &error))
        g_error("'%s' was taken", text);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
    if (!g_str_has_prefix(error->message, message))
        g_error("'%s' does not begin with '%s'", error->message, message);
    g_assert_false(strstr(error->message, "secret"));
}

static void test_refused_groups(void)
{
    assert_refused("[defaults]\n[registry http://h:5000]\n",
                   "f:2: allow-nondistributable-artifacts registry http://h:5000 should not "
                   "contain '://'");
    assert_refused("[registry -h]\n", "f:1: registry name '-h' is invalid: ");
    assert_refused("[registry a b]\n", "f:1: registry name 'a b' is invalid: ");
    assert_refused("[registry 10.0.0.0/33]\n", "f:1: registry name '10.0.0.0/33' is invalid: ");
    assert_refused("[registry]\n", "f:1: [registry] names no registry");
    assert_refused("[registry user:secret@h]\n", "f:1: registry name '***@h' is invalid: ");
    assert_refused("[registry 10.0.0.0/8]\nLocation=h\n",
                   "f:2: Location=h in [registry 10.0.0.0/8]");
}

static void test_refused_values(void)
{
    static const char *const cases[] = {
        "AllowNondistributable=maybe",
        "Insecure=2",
        "Blocked=y",
        "MirrorsFor=tag",
        "MirrorsFor=ALL",
        "CAFile=ca.pem",
        "ClientCertificate=./c",
        "ClientKey=k",
        "CredentialsFile=~/auth.json",
        "Proxy=proxy:3128",
        "Proxy=None",
        "ConnectTimeout=0",
        "ConnectTimeout=soon",
        "StallTimeout=2d",
        "Retries=-1",
        "Retries=101",
        "Retries=5x",
        "MaxConnections=0",
        "MaxConnections=257",
        "MaxBandwidth=fast",
        "ForeignLayers=never",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        /* a later one that is valid does not help */
        g_autofree char *text = g_strdup_printf("[registry h]\n%s\n[defaults]\n", cases[i]);
        g_autofree char *message = g_strdup_printf("f:2: %s is invalid: ", cases[i]);

        assert_refused(text, message);
    }
    assert_refused("[registry h]\nLocation=http://o\n",
                   "f:2: Location: allow-nondistributable-artifacts registry http://o should");
    assert_refused("[defaults]\nMirrors=a b-\n", "f:2: Mirrors: registry name 'b-' is invalid: ");
    assert_refused("[defaults]\nMirrors=*.a\n", "f:2: Mirrors: registry name '*.a' is invalid: ");
    assert_refused("[defaults]\nForeignUrlHosts=a/b\n", "f:2: ForeignUrlHosts: 'a/b' has a path");
    assert_refused("[defaults]\nProxy=http://user:secret@h/x\n",
                   "f:2: Proxy=http://***@h/x is invalid: ");
    assert_refused("[defaults]\nLocation=user:secret@h\n", "f:2: Location: registry name '***@h'");
}

static void test_warnings(void)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthRegistries) registries = parse("[Sandboxes]\n"
                                                  "Retries=x\n"
                                                  "[registry h]\n"
                                                  "retries=3\n"
                                                  "[registryh]\n"
                                                  "[Defaults]\n",
                                                  warnings, &error);

    g_assert_no_error(error);
    g_assert_nonnull(registries);
    g_assert_cmpuint(warnings->len, ==, 4);
    assert_contains(warnings->pdata[0], "f:1: unknown group [Sandboxes]");
    assert_contains(warnings->pdata[1], "f:4: unknown key 'retries' in [registry h]");
    assert_contains(warnings->pdata[2], "f:5: unknown group [registryh]");
    assert_contains(warnings->pdata[3], "f:6: unknown group [Defaults]");
    assert_value(registries, "h", NULL, "Retries", "5", "built-in");
}

static void test_groups(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry 10.0.0.0/8]\n[registry *.example]\n[registry h]\n[defaults]\n"
                 "[registry h/a/b]\n[registry 10.1.0.0/16]\n[registry *.a.example]\n"
                 "[registry\t[::1]:5000]\n[registry H]\n");
    g_autoptr(GArray) rows = berth_registries_groups(registries);
    static const BerthRegistryGroupRow expected[] = {
        { "h/a/b", "f:5" },       { "[::1]:5000", "f:8" }, { "h", "f:3" },
        { "*.a.example", "f:7" }, { "*.example", "f:2" },  { "10.1.0.0/16", "f:6" },
        { "10.0.0.0/8", "f:1" },
    };

    g_assert_cmpuint(rows->len, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < rows->len; i++) {
        const BerthRegistryGroupRow *row = &g_array_index(rows, BerthRegistryGroupRow, i);

        g_assert_cmpstr(row->registry, ==, expected[i].registry);
        g_assert_cmpstr(row->origin, ==, expected[i].origin);
    }
}

static void assert_changed(const char *before, const char *after, const char *expected)
{
    g_autoptr(BerthRegistries) first = parse_ok(before);
    g_autoptr(BerthRegistries) second = parse_ok(after);
    g_auto(GStrv) names = berth_registries_changed(first, second);
    g_autofree char *joined = g_strjoinv(" ", names);

    g_assert_cmpstr(joined, ==, expected);
}

static void test_changed(void)
{
    const char *text = "[registry a]\nRetries=1\n[registry b]\nRetries=1\n";

    assert_changed(text, text, "");
    assert_changed(text, "# moved\n\n[registry b]\nRetries=1\n[registry a]\nRetries=1\n", "");
    assert_changed(text, "[registry a]\nRetries=2\n[registry b]\nRetries=1\n", "a");
    assert_changed(text, "[registry a]\nRetries=1\n[registry c]\n", "c b");
    assert_changed(text, "[registry a]\n[defaults]\nRetries=1\n", "a b [defaults]");
    assert_changed("", "", "");
}

static void test_lines(void)
{
    g_autoptr(BerthRegistries) registries = parse_ok("[registry h]\nRetries=1\n");
    g_autoptr(BerthRegistries) second = berth_registries_ref(registries);
    g_autoptr(GPtrArray) warnings = g_ptr_array_new();
    g_autoptr(BerthRegistries) again =
        berth_registries_from_lines(berth_registries_lines(registries), warnings, NULL);

    g_assert_true(second == registries);
    assert_value(again, "h", NULL, "Retries", "1", "f:2");
}

/* Files */

static BerthRegistries *load_files(Fixture *f)
{
    g_ptr_array_set_size(f->warnings, 0);
    g_clear_error(&f->error);
    return berth_registries_load((const char *const *)f->directories, f->warnings, &f->error);
}

static void test_files(Fixture *f, gconstpointer unused)
{
    g_autoptr(BerthRegistries) registries = NULL;
    g_autofree char *origin = g_build_filename(f->root, "run/registries.d/b.conf:2", NULL);

    put(f, "etc/registries.d/a.conf", "[registry h]\nRetries=1\nInsecure=yes\n");
    put(f, "lib/registries.d/a.conf", "[registry h]\nBlocked=yes\nbroken\n");
    put(f, "run/registries.d/b.conf", "[registry h]\nRetries=2\n");
    put(f, "lib/registries.d/c.conf", "[registry h]\nRetries=3\n");
    put_link(f, "etc/registries.d/c.conf", "/dev/null");
    put(f, "etc/registries.d/readme", "not settings");
    registries = load_files(f);
    g_assert_no_error(f->error);
    assert_value(registries, "h", NULL, "Retries", "2", origin);
    assert_value(registries, "h", NULL, "Blocked", "no", "built-in");
}

static void test_files_missing(Fixture *f, gconstpointer unused)
{
    g_autoptr(BerthRegistries) registries = load_files(f);

    g_assert_no_error(f->error);
    assert_value(registries, "h", NULL, "Retries", "5", "built-in");
}

static void test_files_refused(Fixture *f, gconstpointer unused)
{
    put(f, "etc/registries.d/a.conf", "[registry h]\nRetries=1\n");
    put(f, "etc/registries.d/b.conf", "[registry h]\n\nRetries=many\n");
    g_assert_null(load_files(f));
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
    assert_contains(f->error->message, "/etc/registries.d/b.conf:3: Retries=many");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registries/built-in", test_built_in);
    g_test_add_func("/registries/every-key", test_every_key);
    g_test_add_func("/registries/later-wins", test_later_wins);
    g_test_add_func("/registries/refused-groups", test_refused_groups);
    g_test_add_func("/registries/refused-values", test_refused_values);
    g_test_add_func("/registries/warnings", test_warnings);
    g_test_add_func("/registries/groups", test_groups);
    g_test_add_func("/registries/changed", test_changed);
    g_test_add_func("/registries/lines", test_lines);
    ADD("registries/files", test_files);
    ADD("registries/files-missing", test_files_missing);
    ADD("registries/files-refused", test_files_refused);
    return g_test_run();
}
