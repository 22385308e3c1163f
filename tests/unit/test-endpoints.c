/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rows of a job: which endpoints, in which order, with which files and secrets. What has to be
 * resolved is tested with a running service.
 */

#include "base/memfd.h"
#include "bus-fixture.h"
#include "daemon/endpoints.h"
#include "registries-fixture.h"

#include <glib/gstdio.h>
#include <inttypes.h>

typedef struct {
    BerthDaemon daemon;
    sd_bus *bus;
    char *directory;
    BerthEndpoints *found;
    GError *error;
    bool done;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(sd_event_new(&f->daemon.event), >=, 0);
    f->bus = test_bus_new();
    f->directory = g_dir_make_tmp("endpoints.XXXXXX", NULL);
    g_setenv("BERTH_CERTS_DIRECTORIES", f->directory, true);
}

static void remove_all(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_all(child);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    berth_endpoints_free(f->found);
    g_clear_error(&f->error);
    berth_registries_unref(f->daemon.registries);
    sd_bus_close_unref(f->bus);
    sd_event_unref(f->daemon.event);
    remove_all(f->directory);
    g_free(f->directory);
}

/* A file below the directory of the test. */
static void put(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->directory, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void on_found(BerthEndpoints *endpoints, const GError *error, void *userdata)
{
    Fixture *f = userdata;

    g_assert_false(f->done);
    g_assert_true(!endpoints != !error);
    f->done = true;
    f->found = endpoints;
    f->error = error ? g_error_copy(error) : NULL;
}

/* Finds the endpoints with the settings in @text, of which `%` stands for the directory. */
static void find(Fixture *f, const char *text, const char *registry, const char *repository,
                 BerthEndpointsUse use)
{
    g_auto(GStrv) parts = g_strsplit(text, "%", -1);
    g_autofree char *settings = g_strjoinv(f->directory, parts);

    berth_endpoints_free(f->found);
    g_clear_error(&f->error);
    berth_registries_unref(f->daemon.registries);
    f->done = false;
    f->daemon.registries = parse_ok(settings);
    g_assert_nonnull(
        berth_endpoints_find(&f->daemon, 0, registry, repository, use, on_found, f, NULL));
    g_assert_false(f->done);
    while (!f->done)
        g_assert_cmpint(sd_event_run(f->daemon.event, UINT64_MAX), >=, 0);
}

static char *read_variant(sd_bus_message *message)
{
    const char *contents;
    g_auto(GStrv) list = NULL;
    const char *text = NULL;
    uint64_t t = 0;
    uint32_t u = 0;
    int i = 0;

    g_assert_cmpint(sd_bus_message_peek_type(message, NULL, &contents), >, 0);
    if (g_str_equal(contents, "as")) {
        g_assert_cmpint(sd_bus_message_enter_container(message, 'v', "as"), >, 0);
        g_assert_cmpint(sd_bus_message_read_strv(message, &list), >=, 0);
        g_assert_cmpint(sd_bus_message_exit_container(message), >=, 0);
        return g_strjoinv(" ", list ? list : (char *[]){ NULL });
    }
    switch (contents[0]) {
    case 's':
        g_assert_cmpint(sd_bus_message_read(message, "v", "s", &text), >, 0);
        return g_strdup(text);
    case 't':
        g_assert_cmpint(sd_bus_message_read(message, "v", "t", &t), >, 0);
        return g_strdup_printf("%" PRIu64, t);
    case 'u':
        g_assert_cmpint(sd_bus_message_read(message, "v", "u", &u), >, 0);
        return g_strdup_printf("%" PRIu32, u);
    case 'b':
        g_assert_cmpint(sd_bus_message_read(message, "v", "b", &i), >, 0);
        return g_strdup(i ? "yes" : "no");
    default: {
        g_autoptr(GBytes) bytes = NULL;

        g_assert_cmpstr(contents, ==, "h");
        g_assert_cmpint(sd_bus_message_read(message, "v", "h", &i), >, 0);
        bytes = berth_memfd_read(i, 1 << 20, "it", NULL);
        g_assert_nonnull(bytes);
        return g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    }
    }
}

static GHashTable *read_row(sd_bus_message *message)
{
    GHashTable *row = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *key;

    while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
        g_assert_cmpint(sd_bus_message_read(message, "s", &key), >, 0);
        g_assert_true(g_hash_table_insert(row, g_strdup(key), read_variant(message)));
        g_assert_cmpint(sd_bus_message_exit_container(message), >=, 0);
    }
    return row;
}

/* Returns: (element-type GHashTable): the rows that would go into a job; NULL: f->error. */
static GPtrArray *rows(Fixture *f, bool machine, int given)
{
    const BerthEndpointsCredentials credentials = { machine, given };
    sd_bus_message *job = test_message_new(f->bus);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_unref);
    const char *key;

    g_assert_nonnull(f->found);
    g_assert_cmpint(sd_bus_message_open_container(job, 'a', "{sv}"), >=, 0);
    if (!berth_endpoints_append(f->found, job, "Endpoints", &credentials, &f->error)) {
        sd_bus_message_unref(job);
        return NULL;
    }
    g_assert_cmpint(sd_bus_message_close_container(job), >=, 0);
    test_message_seal(job);
    g_assert_cmpint(sd_bus_message_enter_container(job, 'a', "{sv}"), >, 0);
    g_assert_cmpint(sd_bus_message_enter_container(job, 'e', "sv"), >, 0);
    g_assert_cmpint(sd_bus_message_read(job, "s", &key), >, 0);
    g_assert_cmpstr(key, ==, "Endpoints");
    g_assert_cmpint(sd_bus_message_enter_container(job, 'v', "aa{sv}"), >, 0);
    g_assert_cmpint(sd_bus_message_enter_container(job, 'a', "a{sv}"), >, 0);
    while (sd_bus_message_enter_container(job, 'a', "{sv}") > 0) {
        g_ptr_array_add(found, read_row(job));
        g_assert_cmpint(sd_bus_message_exit_container(job), >=, 0);
    }
    sd_bus_message_unref(job);
    return g_steal_pointer(&found);
}

static const char *at(GPtrArray *found, guint index, const char *key)
{
    g_assert_cmpuint(index, <, found->len);
    return g_hash_table_lookup(found->pdata[index], key);
}

static void test_plain(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) found = NULL;
    static const char *const expected[][2] = {
        { "Name", "h.example:5000/team/app" },
        { "Source", "registry" },
        { "For", "all" },
        { "Insecure", "no" },
        { "Addresses", "" },
        { "Namespace", "" },
        { "ConnectTimeout", "2000000" },
        { "StallTimeout", "30000000" },
        { "Retries", "7" },
        { "MaxConnections", "6" },
        { "MaxBandwidth", "1048576" },
    };

    find(f, "[registry h.example:5000]\nRetries=7\nConnectTimeout=2s\nMaxBandwidth=1M\n",
         "h.example:5000", "team/app", BERTH_ENDPOINTS_READ);
    g_assert_no_error(f->error);
    g_assert_false(berth_endpoints_have_credentials(f->found, false));
    found = rows(f, true, -1);
    g_assert_cmpuint(found->len, ==, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpstr(at(found, 0, expected[i][0]), ==, expected[i][1]);
    g_assert_cmpuint(g_hash_table_size(found->pdata[0]), ==, G_N_ELEMENTS(expected));
}

static void test_mirrors(Fixture *f, gconstpointer data)
{
    static const char text[] = "[registry docker.io]\n"
                               "Mirrors=m.example/hub 127.0.0.1:5000 bad.example gone.example\n"
                               "MirrorsFor=digests\n"
                               "[registry m.example]\nRetries=1\nLocation=real.example\n"
                               "[registry bad.example]\nBlocked=yes\n"
                               "[registry gone.example/library/busybox]\nLocation=x.example\n";
    g_autoptr(GPtrArray) found = NULL, written = NULL;

    find(f, text, "docker.io", "library/busybox", BERTH_ENDPOINTS_READ);
    g_assert_no_error(f->error);
    found = rows(f, true, -1);
    g_assert_cmpuint(found->len, ==, 3);
    g_assert_cmpstr(at(found, 0, "Name"), ==, "real.example/hub/library/busybox");
    g_assert_cmpstr(at(found, 0, "Source"), ==, "mirror");
    g_assert_cmpstr(at(found, 0, "For"), ==, "digests");
    g_assert_cmpstr(at(found, 0, "Namespace"), ==, "docker.io");
    g_assert_cmpstr(at(found, 0, "Retries"), ==, "1");
    g_assert_cmpstr(at(found, 1, "Name"), ==, "127.0.0.1:5000/library/busybox");
    g_assert_cmpstr(at(found, 1, "Insecure"), ==, "yes");
    g_assert_cmpstr(at(found, 2, "Name"), ==, "registry-1.docker.io/library/busybox");
    g_assert_cmpstr(at(found, 2, "Source"), ==, "registry");
    g_assert_cmpstr(at(found, 2, "For"), ==, "all");
    g_assert_cmpstr(at(found, 2, "Namespace"), ==, "");
    g_assert_cmpuint(berth_endpoints_settings(f->found)->retries, ==, 5);

    find(f, text, "docker.io", "library/busybox", BERTH_ENDPOINTS_WRITE);
    written = rows(f, true, -1);
    g_assert_cmpuint(written->len, ==, 1);
    g_assert_cmpstr(at(written, 0, "Source"), ==, "registry");
}

static void test_location(Fixture *f, gconstpointer data)
{
    static const char text[] = "[registry h.example/team]\nLocation=other.example:5000/x\n"
                               "[registry h.example/only]\nLocation=other.example\n";
    g_autoptr(GPtrArray) found = NULL;

    find(f, text, "h.example", "team/app", BERTH_ENDPOINTS_READ);
    found = rows(f, true, -1);
    g_assert_cmpstr(at(found, 0, "Name"), ==, "other.example:5000/x/app");
    find(f, text, "h.example", "only", BERTH_ENDPOINTS_READ);
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
    assert_contains(f->error->message, "f:4");
}

static void test_blocked(Fixture *f, gconstpointer data)
{
    find(f, "[registry *.example]\nBlocked=yes\n", "h.example", "x", BERTH_ENDPOINTS_READ);
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_REGISTRY_BLOCKED);
    assert_contains(f->error->message, "h.example/x");
    assert_contains(f->error->message, "f:2");
    find(f, "[registry 10.0.0.0/8]\nBlocked=yes\n", "10.1.2.3:5000", "x", BERTH_ENDPOINTS_WRITE);
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_REGISTRY_BLOCKED);
}

/* What a network permits holds for the addresses it was asked about. */
static void test_pinned(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) found = NULL;

    find(f, "[registry 10.0.0.0/8]\nInsecure=yes\n", "10.1.2.3:5000", "x", BERTH_ENDPOINTS_READ);
    found = rows(f, true, -1);
    g_assert_cmpstr(at(found, 0, "Addresses"), ==, "10.1.2.3");
    g_assert_cmpstr(at(found, 0, "Insecure"), ==, "yes");
}

static void test_files(Fixture *f, gconstpointer data)
{
    static const char text[] = "[registry h.example:5000]\nCAFile=%/ca.pem\n"
                               "ClientCertificate=%/c.pem\nClientKey=%/k.pem\n"
                               "CredentialsFile=%/auth.json\nProxy=http://u:p@proxy.example\n";
    g_autoptr(GPtrArray) all = NULL, less = NULL;

    put(f, "ca.pem", "CA\n");
    put(f, "c.pem", "C");
    put(f, "k.pem", "K");
    put(f, "auth.json", "{}");
    find(f, text, "h.example:5000", "x", BERTH_ENDPOINTS_READ);
    g_assert_true(berth_endpoints_have_credentials(f->found, false));
    all = rows(f, true, -1);
    g_assert_cmpstr(at(all, 0, "CaCertificates"), ==, "CA\n\n");
    g_assert_cmpstr(at(all, 0, "ClientCertificate"), ==, "C");
    g_assert_cmpstr(at(all, 0, "ClientKey"), ==, "K");
    g_assert_cmpstr(at(all, 0, "Credentials"), ==, "{}");
    g_assert_cmpstr(at(all, 0, "Proxy"), ==, "http://u:p@proxy.example");

    less = rows(f, false, -1); /* the machine's are not for everybody */
    g_assert_cmpstr(at(less, 0, "CaCertificates"), ==, "CA\n\n");
    g_assert_null(at(less, 0, "ClientCertificate"));
    g_assert_null(at(less, 0, "ClientKey"));
    g_assert_null(at(less, 0, "Credentials"));
}

static void test_given_credentials(Fixture *f, gconstpointer data)
{
    BERTH_AUTO_FD given = berth_memfd_sealed("test", "{\"auths\":{}}", 12, NULL);
    g_autoptr(GPtrArray) found = NULL;

    /* a file that is not used need not be there */
    find(f, "[registry h.example]\nCredentialsFile=%/none\nMirrors=m.example\n", "h.example", "x",
         BERTH_ENDPOINTS_READ);
    g_assert_true(berth_endpoints_have_credentials(f->found, false));
    g_assert_false(berth_endpoints_have_credentials(f->found, true));
    found = rows(f, true, given);
    for (guint i = 0; i < 2; i++)
        g_assert_cmpstr(at(found, i, "Credentials"), ==, "{\"auths\":{}}");
}

static void test_certs_directories(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) found = NULL, on_hub = NULL, none = NULL, both = NULL;

    put(f, "h.example:5000/b.crt", "B");
    put(f, "h.example:5000/a.crt", "A");
    put(f, "h.example:5000/.c.crt", "no");
    put(f, "h.example:5000/me.cert", "C");
    put(f, "h.example:5000/me.key", "K");
    put(f, "h.example/o.crt", "no");
    put(f, "docker.io/hub.crt", "HUB");
    put(f, "ca.pem", "CA");
    put(f, "c.pem", "EXPLICIT");
    find(f, "", "h.example:5000", "x", BERTH_ENDPOINTS_READ);
    g_assert_true(berth_endpoints_have_credentials(f->found, false));
    g_assert_true(berth_endpoints_have_credentials(f->found, true)); /* a key is no auth.json */
    found = rows(f, true, -1);
    g_assert_cmpstr(at(found, 0, "CaCertificates"), ==, "A\nB\n");
    g_assert_cmpstr(at(found, 0, "ClientCertificate"), ==, "C");
    g_assert_cmpstr(at(found, 0, "ClientKey"), ==, "K");

    find(f, "[defaults]\nCAFile=%/ca.pem\nClientCertificate=%/c.pem\n", "h.example:5000", "x",
         BERTH_ENDPOINTS_READ);
    both = rows(f, true, -1);
    g_assert_cmpstr(at(both, 0, "CaCertificates"), ==, "CA\nA\nB\n");
    g_assert_cmpstr(at(both, 0, "ClientCertificate"), ==, "EXPLICIT");
    g_assert_cmpstr(at(both, 0, "ClientKey"), ==, "EXPLICIT"); /* which holds the key too */

    find(f, "", "docker.io", "library/x", BERTH_ENDPOINTS_READ);
    on_hub = rows(f, true, -1);
    g_assert_cmpstr(at(on_hub, 0, "CaCertificates"), ==, "HUB\n");

    find(f, "", "h.example:443", "x", BERTH_ENDPOINTS_READ);
    g_assert_false(berth_endpoints_have_credentials(f->found, false));
    none = rows(f, true, -1);
    g_assert_null(at(none, 0, "CaCertificates"));
}

static void assert_unusable(Fixture *f, const char *text, const char *what, const char *path)
{
    g_clear_error(&f->error);
    find(f, text, "h.example", "x", BERTH_ENDPOINTS_READ);
    g_assert_null(rows(f, true, -1));
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
    assert_contains(f->error->message, what);
    assert_contains(f->error->message, path);
}

static void test_unusable_files(Fixture *f, gconstpointer data)
{
    g_autofree char *filler = g_strnfill(BERTH_CREDENTIALS_FILE_MAX + 1, ' ');
    g_autofree char *pipe = g_build_filename(f->directory, "pipe", NULL);

    put(f, "large", filler);
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    assert_unusable(f, "[defaults]\nCAFile=%/none\n", "CAFile=, set at f:2", "/none");
    assert_unusable(f, "[defaults]\nCAFile=%\n", "CAFile=", "not a regular file");
    assert_unusable(f, "[defaults]\nCAFile=%/pipe\n", "CAFile=", "not a regular file");
    assert_unusable(f, "[defaults]\nCredentialsFile=%/large\n", "CredentialsFile=", "65536");
    assert_unusable(f, "[defaults]\nClientCertificate=%/large\nClientKey=%/none\n",
                    "ClientKey=", "/none");
    put(f, "h.example/me.cert", "C");
    assert_unusable(f, "", "certs.d", "/h.example/me.key");
}

static void test_cancel(Fixture *f, gconstpointer data)
{
    BerthEndpointsFind *question;

    f->daemon.registries = parse_ok("");
    question = berth_endpoints_find(&f->daemon, 0, "h.example", "x", BERTH_ENDPOINTS_READ, on_found,
                                    f, NULL);
    berth_endpoints_cancel(question);
    berth_endpoints_cancel(NULL);
    g_assert_cmpint(sd_event_run(f->daemon.event, 0), ==, 0);
    g_assert_false(f->done);
    g_assert_null(berth_endpoints_find(&f->daemon, 0, "-h", "x", BERTH_ENDPOINTS_READ, on_found, f,
                                       &f->error));
    g_assert_error(f->error, BERTH_ERROR, BERTH_ERROR_INVALID_REFERENCE);
}

#define ADD(path, test) g_test_add("/endpoints/" path, Fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("plain", test_plain);
    ADD("mirrors", test_mirrors);
    ADD("location", test_location);
    ADD("blocked", test_blocked);
    ADD("pinned", test_pinned);
    ADD("files", test_files);
    ADD("given-credentials", test_given_credentials);
    ADD("certs-directories", test_certs_directories);
    ADD("unusable-files", test_unusable_files);
    ADD("cancel", test_cancel);
    return g_test_run();
}
