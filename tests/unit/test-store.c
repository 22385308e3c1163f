/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store: what opening one makes and refuses, blobs that are put, read and found damaged, where
 * they came from and who may use them, and what the directory of a store cannot be made to do.
 */

#include "oci/store-internal.h"
#include "store-fixture.h"

static BerthStore *try_open(Fixture *f, GError **error)
{
    const BerthStoreOptions options = {
        .directory = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .durable = true,
    };

    return berth_store_open(&options, error);
}

static void test_layout(Fixture *f, gconstpointer unused)
{
    g_autofree char *layout = read_file(f, "oci-layout");
    g_autofree char *index = read_file(f, "index.json");
    g_autofree char *path = path_of(f, "index.json");
    struct stat st;

    g_assert_cmpstr(layout, ==, "{\"imageLayoutVersion\":\"1.0.0\"}");
    g_assert_cmpstr(index, ==,
                    "{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[\n]}\n");
    g_assert_true(file_exists(f, "blobs/sha256"));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07, ==, 0);
    g_assert_cmpuint(count_in_ingest(f, "tmp-"), ==, 0);
}

static void test_open_again(Fixture *f, gconstpointer unused)
{
    static const char *const good[] = { "{\"imageLayoutVersion\":\"1.0.0\"}",
                                        "{\"imageLayoutVersion\": \"1.0.0\"}\n",
                                        "{\"imageLayoutVersion\":\"1.1.0\",\"x\":[]}" };
    static const char *const bad[] = { "", "{}", "[]", "{\"imageLayoutVersion\":\"2.0.0\"}",
                                       "{\"imageLayoutVersion\":1}" };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(BerthStore) store = NULL;

        write_file(f, "oci-layout", good[i]);
        store = try_open(f, &error);
        g_assert_no_error(error);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        write_file(f, "oci-layout", bad[i]);
        g_assert_null(try_open(f, &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
    }
}

/* What a crash while it is made leaves is made complete; anything else is somebody's. */
static void test_open_half_made(Fixture *f, gconstpointer unused)
{
    g_autofree char *layout = path_of(f, "oci-layout");
    g_autofree char *index = path_of(f, "index.json");
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(unlink(layout), ==, 0);
    g_assert_cmpint(unlink(index), ==, 0);
    berth_store_free(try_open(f, &error));
    g_assert_no_error(error);
    g_assert_true(file_exists(f, "index.json") && file_exists(f, "oci-layout"));

    g_assert_cmpint(unlink(layout), ==, 0);
    write_file(f, "letters", "");
    g_assert_null(try_open(f, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
    g_assert_nonnull(strstr(error->message, "'letters'"));
    g_assert_false(file_exists(f, "oci-layout"));
}

static gpointer open_at_once(gpointer path)
{
    g_autoptr(GError) error = NULL;
    const BerthStoreOptions options = {
        .directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC),
    };

    berth_store_free(berth_store_open(&options, &error));
    g_assert_no_error(error);
    return NULL;
}

/* The first transfers of a machine make the layout together. */
static void test_open_at_once(Fixture *f, gconstpointer unused)
{
    g_autofree char *layout = path_of(f, "oci-layout");
    GThread *threads[4];

    for (int round = 0; round < 300; round++) {
        g_assert_cmpint(unlink(layout), ==, 0);
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
            threads[i] = g_thread_new("open", open_at_once, f->root);
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
            g_thread_join(threads[i]);
        g_assert_true(file_exists(f, "oci-layout"));
    }
}

typedef struct {
    int from, to;
    gint stop; /* atomic */
} Mover;

static gpointer move_to_and_fro(gpointer data)
{
    Mover *mover = data;

    while (!g_atomic_int_get(&mover->stop)) {
        g_assert_cmpint(renameat(mover->from, "file", mover->to, "file"), ==, 0);
        g_assert_cmpint(renameat(mover->to, "file", mover->from, "file"), ==, 0);
    }
    return NULL;
}

/* What another transfer is just putting into its place is there or not, and nothing else. */
static void test_open_while_renamed(Fixture *f, gconstpointer unused)
{
    g_autofree char *ingest = path_of(f, "ingest");
    g_autofree char *blobs = path_of(f, "blobs");
    Mover mover = { .from = open(ingest, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                    .to = open(blobs, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    GThread *thread;

    write_file(f, "ingest/file", "");
    thread = g_thread_new("mover", move_to_and_fro, &mover);
    for (int i = 0; i < 300000; i++) {
        int fd = berth_store_openat(mover.from, "file", O_RDONLY);

        g_assert_true(fd >= 0 || errno == ENOENT);
        if (fd >= 0)
            close(fd);
    }
    g_atomic_int_set(&mover.stop, 1);
    g_thread_join(thread);
    close(mover.from);
    close(mover.to);
}

/* Links to somewhere inside are not followed either: whoever can make them can move them. */
static void test_open_links(Fixture *f, gconstpointer unused)
{
    static const char *const names[] = { "ingest", "blobs/sha256", "blobs", "oci-layout" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = path_of(f, names[i]);
        g_autofree char *away = g_strconcat(path, ".away", NULL);
        g_autofree char *relative = g_path_get_basename(away);
        const char *const targets[] = { away, relative };

        g_assert_cmpint(rename(path, away), ==, 0);
        for (guint t = 0; t < G_N_ELEMENTS(targets); t++) {
            g_autoptr(GError) error = NULL;

            g_assert_cmpint(symlink(targets[t], path), ==, 0);
            g_assert_null(try_open(f, &error));
            g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
            g_assert_cmpint(unlink(path), ==, 0);
        }
        g_assert_cmpint(rename(away, path), ==, 0);
    }
}

static void test_blob(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = put_text(f->store, "some text"), absent = digest_of("other", 5);
    g_autofree char *name = berth_digest_path(&digest);
    g_autofree char *path = path_of(f, name);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = NULL;
    struct stat st;
    int64_t size;
    int fd;

    g_assert_cmpint(berth_store_stat_blob(f->store, &digest, &size, NULL), ==, 1);
    g_assert_cmpint(size, ==, 9);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0640);
    bytes = berth_store_read_blob(f->store, &digest, 9, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "some text", 9);
    fd = berth_store_open_blob(f->store, &digest, &error);
    g_assert_cmpint(fd, >=, 0);
    close(fd);

    g_assert_cmpint(berth_store_stat_blob(f->store, &absent, NULL, &error), ==, 0);
    g_assert_cmpint(berth_store_open_blob(f->store, &absent, &error), ==, -1);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE);
    g_clear_error(&error);
    g_assert_null(berth_store_read_blob(f->store, &digest, 8, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
    g_assert_cmpuint(count_in_ingest(f, "tmp-"), ==, 0);
}

static void test_blob_sha512(Fixture *f, gconstpointer unused)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static("x", 1);
    BerthDigest digest;

    g_assert_true(berth_digest_compute(BERTH_DIGEST_SHA512, "x", 1, &digest, NULL));
    g_assert_false(is_present(f->store, &digest));
    g_assert_true(berth_store_put_blob(f->store, &digest, bytes, NULL));
    g_assert_true(is_present(f->store, &digest));
    g_assert_true(file_exists(f, "blobs/sha512"));
}

static void test_wrong_blob(Fixture *f, gconstpointer unused)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static("x", 1);
    BerthDigest digest = digest_of("y", 1);
    g_autoptr(GError) error = NULL;

    g_assert_false(berth_store_put_blob(f->store, &digest, bytes, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
    g_assert_false(is_present(f->store, &digest));
}

/* As after a power cut, when another tool did not sync it; putting it again mends it. */
static void test_damaged_blob(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = put_text(f->store, "some text");
    g_autofree char *name = berth_digest_path(&digest);
    static const char *const damaged[] = { "", "some test" };

    for (guint i = 0; i < G_N_ELEMENTS(damaged); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) bytes = NULL;

        write_file(f, name, damaged[i]);
        g_assert_null(berth_store_read_blob(f->store, &digest, 100, &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
        g_assert_nonnull(strstr(error->message, digest.text));
        put_text(f->store, "some text");
        bytes = berth_store_read_blob(f->store, &digest, 100, NULL);
        g_assert_nonnull(bytes);
    }
}

static void test_blob_is_link(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = put_text(f->store, "some text");
    g_autofree char *name = berth_digest_path(&digest);
    g_autofree char *path = path_of(f, name);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(symlink("/etc/passwd", path), ==, 0);
    g_assert_cmpint(berth_store_stat_blob(f->store, &digest, NULL, &error), ==, -1);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
    g_clear_error(&error);
    g_assert_cmpint(berth_store_open_blob(f->store, &digest, &error), ==, -1);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
}

static void test_full(Fixture *f, gconstpointer unused)
{
    g_autoptr(BerthStore) store = open_store(f, 0, UINT64_MAX);
    g_autoptr(GBytes) bytes = g_bytes_new_static("x", 1);
    BerthDigest digest = digest_of("x", 1);
    g_autofree char *before = read_file(f, "index.json"), *after = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(berth_store_put_blob(store, &digest, bytes, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_FULL);
    g_assert_nonnull(strstr(error->message, "MinFree="));
    g_clear_error(&error);
    g_assert_false(name_for(store, "h.example/a:1", &digest, OCI_MANIFEST, 0, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_FULL);
    after = read_file(f, "index.json");
    g_assert_cmpstr(before, ==, after);
    g_assert_cmpuint(count_in_ingest(f, "tmp-"), ==, 0);
}

/* Origins */

static bool has_attributes(Fixture *f)
{
    BerthDigest digest = put_text(f->store, "attributes");
    g_auto(GStrv) origins = NULL;

    berth_store_add_origin(f->store, &digest, "h.example/a");
    origins = berth_store_origins(f->store, &digest);
    if (!origins[0])
        g_test_skip("the file system has no user attributes");
    return origins[0] != NULL;
}

static void test_origins(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = put_text(f->store, "some text");
    g_auto(GStrv) none = berth_store_origins(f->store, &digest), two = NULL, many = NULL;

    if (!has_attributes(f))
        return;
    g_assert_null(none[0]);
    berth_store_add_origin(f->store, &digest, "h.example/a");
    berth_store_add_origin(f->store, &digest, "h.example:1/b");
    berth_store_add_origin(f->store, &digest, "h.example/a");
    berth_store_add_origin(f->store, &digest, "two words");
    two = berth_store_origins(f->store, &digest);
    g_assert_cmpuint(g_strv_length(two), ==, 2);
    g_assert_cmpstr(two[0], ==, "h.example/a");
    g_assert_cmpstr(two[1], ==, "h.example:1/b");
    for (int i = 0; i < 40; i++) {
        g_autofree char *origin = g_strdup_printf("h%d.example/a", i);

        berth_store_add_origin(f->store, &digest, origin);
    }
    many = berth_store_origins(f->store, &digest);
    g_assert_cmpuint(g_strv_length(many), ==, BERTH_ORIGINS_MAX);
    g_assert_cmpstr(many[0], ==, "h39.example/a");
}

static void test_reuse(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, other_config, other_layer;
    BerthDigest mine = put_manifest(f->store, "mine", "", &config, &layer);
    BerthDigest other = put_manifest(f->store, "other", "", &other_config, &other_layer);
    g_autoptr(BerthStore) store = NULL;

    name_image(f->store, "h.example/mine:1", &mine, 1000);
    name_image(f->store, "h.example/other:1", &other, 1001);
    store = open_store(f, 1000, 0);
    g_assert_true(berth_store_may_reuse(f->store, &other_layer, "x.example"));
    g_assert_true(berth_store_may_reuse(store, &layer, "x.example"));
    g_assert_true(berth_store_may_reuse(store, &config, "x.example"));
    g_assert_false(berth_store_may_reuse(store, &other_layer, "x.example"));
    if (!has_attributes(f))
        return;
    berth_store_add_origin(f->store, &other_layer, "h.example:5000/other");
    g_assert_true(berth_store_may_reuse(store, &other_layer, "h.example:5000"));
    g_assert_false(berth_store_may_reuse(store, &other_layer, "h.example"));
    g_assert_false(berth_store_may_reuse(store, &other_layer, "h.example:500"));
    g_assert_true(berth_store_may_reuse(store, &other_layer, "h.example:5000/other"));
    g_assert_false(berth_store_may_reuse(store, &other_layer, "h.example:5000/oth"));
    g_assert_false(berth_store_may_reuse(store, &other_layer, "h.example:5000/other/one"));
    g_assert_false(berth_store_may_reuse(store, &other_layer, ""));
}

static void test_bringers(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = put_text(f->store, "brought");
    g_autoptr(BerthStore) store = open_store(f, 1000, 0);
    g_autoptr(GArray) none = NULL, one = NULL;

    if (!has_attributes(f)) {
        g_test_skip("the file system has no attributes");
        return;
    }
    berth_store_add_origin(f->store, &digest, "h.example/1000");
    berth_store_add_bringer(f->store, &digest); /* root, who needs none */
    none = berth_store_bringers(f->store, &digest);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_false(berth_store_may_reuse(store, &digest, ""));
    berth_store_add_bringer(store, &digest);
    one = berth_store_bringers(f->store, &digest);
    g_assert_cmpuint(one->len, ==, 1);
    g_assert_cmpuint(g_array_index(one, uint32_t, 0), ==, 1000);
    g_assert_true(berth_store_may_reuse(store, &digest, ""));
}

/* Naming somebody else's blob in a manifest of one's own proves nothing. */
static void test_reuse_not_proven(Fixture *f, gconstpointer unused)
{
    BerthDigest secret = put_text(f->store, "secret"), config, layer, mine, index;
    g_autofree char *more = g_strdup_printf(",\"subject\":{\"mediaType\":\"" OCI_MANIFEST
                                            "\",\"digest\":\"%s\",\"size\":6}",
                                            secret.text);
    g_autofree char *text = g_strdup_printf(
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"a/b\",\"digest\":\"%s\",\"size\":2},"
        "\"layers\":[{\"mediaType\":"
        "\"application/vnd.oci.image.layer.nondistributable.v1.tar\",\"digest\":\"%s\",\"size\":6}"
        "]}",
        put_text(f->store, "{}").text, secret.text);
    g_autofree char *other = g_strdup_printf("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":"
                                             "\"a/b\",\"digest\":\"%s\",\"size\":6}]}",
                                             secret.text);
    g_autoptr(BerthStore) store = NULL;

    mine = put_manifest(f->store, "mine", more, &config, &layer);
    name_image(f->store, "h.example/mine:1", &mine, 1000);
    mine = put_text(f->store, text);
    name_image(f->store, "h.example/mine:2", &mine, 1000);
    index = put_text(f->store, other);
    g_assert_true(name_for(f->store, "h.example/mine:3", &index, OCI_INDEX, 1000, NULL));
    store = open_store(f, 1000, 0);
    g_assert_true(berth_store_may_reuse(store, &layer, "x.example"));
    g_assert_false(berth_store_may_reuse(store, &secret, "x.example"));
}

#define ADD(path, func) g_test_add("/store/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("layout", test_layout);
    ADD("open/again", test_open_again);
    ADD("open/half-made", test_open_half_made);
    ADD("open/at-once", test_open_at_once);
    ADD("open/while-renamed", test_open_while_renamed);
    ADD("open/links", test_open_links);
    ADD("blob/present", test_blob);
    ADD("blob/sha512", test_blob_sha512);
    ADD("blob/wrong", test_wrong_blob);
    ADD("blob/damaged", test_damaged_blob);
    ADD("blob/link", test_blob_is_link);
    ADD("full", test_full);
    ADD("origins", test_origins);
    ADD("reuse/proven", test_reuse);
    ADD("bringers", test_bringers);
    ADD("reuse/not-proven", test_reuse_not_proven);
    return g_test_run();
}
