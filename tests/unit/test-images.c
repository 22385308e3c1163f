/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images in the store: names given, found, listed, moved and taken away, in an index.json of our
 * own, of other tools, and of people with an editor.
 */

#include "oci/index-file.h"
#include "store-fixture.h"

#define HEAD "{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[\n"
#define ABC  "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DEF  "sha256:cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34"
#define NAMED(name, digest)                                                                        \
    "{\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"" digest                                     \
    "\",\"size\":3,\"annotations\":{\"x\":\"y\",\"org.opencontainers.image.ref.name\":\"" name     \
    "\"}}"

/* As it is written here. */
#define OWN(name, digest)                                                                          \
    "{\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name                              \
    "\",\"x\":\"y\"},\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"" digest "\",\"size\":3}"

static BerthImage *find(Fixture *f, const char *name)
{
    g_autoptr(GError) error = NULL;
    BerthImage *image = berth_store_find(f->store, name, &error);

    g_assert_no_error(error);
    return image;
}

static void assert_absent(Fixture *f, const char *name)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(berth_store_find(f->store, name, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE);
    g_assert_nonnull(strstr(error->message, name));
}

/* What is listed, as `REFERENCE OWNER...` lines. */
static char *list(Fixture *f, const char *prefix)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = berth_store_list(f->store, prefix, &error);
    GString *text = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < images->len; i++) {
        const BerthImage *image = images->pdata[i];

        g_string_append(text, image->reference ? image->reference : "-");
        for (guint o = 0; o < image->owners->len; o++)
            g_string_append_printf(text, " %u", g_array_index(image->owners, uid_t, o));
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

static void assert_list(Fixture *f, const char *prefix, const char *wanted)
{
    g_autofree char *text = list(f, prefix);

    g_assert_cmpstr(text, ==, wanted);
}

/* The index is in our form, and JSON. */
static void assert_own_form(Fixture *f)
{
    g_autofree char *text = read_file(f, "index.json");
    json_auto_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    g_assert_nonnull(root);
    g_assert_true(g_str_has_prefix(text, HEAD));
    g_assert_cmpuint(count_in_ingest(f, "tmp-"), ==, 0);
}

static void test_name(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    g_autoptr(BerthImage) image = NULL, same = NULL;
    int64_t sizes = 0;

    name_image(f->store, "h.example/a:1", &digest, 1000);
    assert_own_form(f);
    image = find(f, "h.example/a:1");
    g_assert_cmpstr(image->reference, ==, "h.example/a:1");
    g_assert_true(berth_digest_equal(&image->digest, &digest));
    g_assert_cmpint(image->size, ==, 100);
    g_assert_cmpstr(image->media_type, ==, OCI_MANIFEST);
    g_assert_cmpstr(image->platform, ==, "linux/amd64");
    g_assert_null(image->index_digest);
    g_assert_cmpuint(image->pulled_usec, ==, 1700000000000000);
    g_assert_true(berth_image_owned_by(image, 1000) && berth_image_owned_by(image, 0));
    g_assert_false(berth_image_owned_by(image, 1001));

    g_assert_cmpint(berth_store_stat_blob(f->store, &config, &sizes, NULL), ==, 1);
    g_assert_cmpuint(image->total, ==, 100 + (uint64_t)sizes + strlen("layer a"));
    same = find(f, digest.text);
    g_assert_cmpstr(same->reference, ==, "h.example/a:1");
    assert_absent(f, "h.example/a:2");
    assert_absent(f, "a:1");
    assert_absent(f, ABC);
}

static void test_full_entry(Fixture *f, gconstpointer unused)
{
    g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(uid_t));
    BerthImage image = {
        .reference = (char *)"docker.io/library/busybox:latest",
        .size = 7,
        .media_type = (char *)OCI_INDEX,
        .platform = (char *)"",
        .index_digest = (char *)DEF,
        .pulled_usec = G_MAXUINT64,
        .total = 99,
        .owners = owners,
    };
    g_autoptr(BerthImage) found = NULL;

    g_assert_true(berth_digest_parse(ABC, &image.digest, NULL));
    g_assert_true(berth_store_name(f->store, &image, NULL));
    found = find(f, "busybox");
    g_assert_cmpstr(found->index_digest, ==, DEF);
    g_assert_cmpstr(found->platform, ==, "");
    g_assert_cmpuint(found->pulled_usec, ==, G_MAXUINT64);
    g_assert_cmpuint(found->total, ==, 99);
    g_assert_cmpuint(found->owners->len, ==, 0);
    assert_absent(f, DEF); /* an annotation is no image */
}

/* Earlier owners stay when it is the same image, and come first. */
static void test_owners(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, one = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest two = put_manifest(f->store, "b", "", &config, &layer);

    name_image(f->store, "h.example/a:1", &one, 1000);
    name_image(f->store, "h.example/a:1", &one, 0);
    name_image(f->store, "h.example/a:1", &one, 1000);
    assert_list(f, "", "h.example/a:1 1000 0\n");
    name_image(f->store, "h.example/a:1", &two, 1001);
    assert_list(f, "", "h.example/a:1 1001\n");
    assert_absent(f, one.text);
}

static void test_list(Fixture *f, gconstpointer unused)
{
    static const char *const names[] = { "h.example/b:1", "h.example/a:1", "h.example/a:10",
                                         "h.example/a:2", "g.example/z:1" };
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);

    assert_list(f, "", "");
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        name_image(f->store, names[i], &digest, i);
    assert_own_form(f);
    assert_list(f, "",
                "g.example/z:1 4\nh.example/a:1 1\nh.example/a:10 2\nh.example/a:2 3\n"
                "h.example/b:1 0\n");
    assert_list(f, "h.example/a:1", "h.example/a:1 1\nh.example/a:10 2\n");
    assert_list(f, "x", "");
}

/* First, last, middle and only lines come and go, and commas are right. */
static void test_lines(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    g_autoptr(GHashTable) names = g_hash_table_new(NULL, NULL);

    for (int round = 0; round < 60; round++) {
        int number = g_rand_int_range(random, 0, 6);
        g_autofree char *name = g_strdup_printf("h.example/a:%d", number);
        g_autoptr(GString) wanted = g_string_new(NULL);
        g_autoptr(GError) error = NULL;

        if (g_rand_boolean(random)) {
            name_image(f->store, name, &digest, 5);
            g_hash_table_add(names, GINT_TO_POINTER(number + 1));
        } else if (g_hash_table_remove(names, GINT_TO_POINTER(number + 1))) {
            berth_store_unname(f->store, name, NULL, 0, &error);
            g_assert_no_error(error);
        }
        assert_own_form(f);
        for (int i = 0; i < 6; i++)
            if (g_hash_table_contains(names, GINT_TO_POINTER(i + 1)))
                g_string_append_printf(wanted, "h.example/a:%d 5\n", i);
        assert_list(f, "", wanted->str);
    }
}

static void test_unname(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    g_autoptr(GError) error = NULL;

    name_image(f->store, "h.example/a:1", &digest, 1000);
    name_image(f->store, "h.example/a:1", &digest, 1001);
    name_image(f->store, "h.example/a:2", &digest, 0);
    g_assert_false(berth_store_unname(f->store, "h.example/a:1", NULL, 1002, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_ACCESS_DENIED);
    g_clear_error(&error);
    g_assert_false(berth_store_unname(f->store, "h.example/a:3", NULL, 0, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE);
    g_assert_true(berth_store_unname(f->store, "h.example/a:1", NULL, 1000, NULL));
    assert_list(f, "", "h.example/a:1 1001\nh.example/a:2 0\n");
    g_assert_true(berth_store_unname(f->store, digest.text, NULL, 1001, NULL));
    assert_list(f, "", "h.example/a:2 0\n");
    name_image(f->store, "h.example/a:1", &digest, 1000);
    g_assert_true(berth_store_unname(f->store, digest.text, NULL, 0, NULL));
    assert_list(f, "", "");
    assert_own_form(f);
}

static void test_tag(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    g_autofree char *pinned = g_strconcat("h.example/b@", ABC, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthImage) image = NULL;

    name_image(f->store, "h.example/a:1", &digest, 1000);
    name_image(f->store, "h.example/theirs:1", &digest, 1001);
    g_assert_true(berth_store_tag(f->store, "h.example/a:1", NULL, "busybox", 1000, NULL));
    assert_list(f, "",
                "docker.io/library/busybox:latest 1000\nh.example/a:1 1000\n"
                "h.example/theirs:1 1001\n");
    image = find(f, "busybox");
    g_assert_true(berth_digest_equal(&image->digest, &digest));
    g_assert_cmpuint(image->pulled_usec, ==, 1700000000000000);

    g_assert_false(
        berth_store_tag(f->store, "h.example/a:1", NULL, "h.example/theirs:1", 1000, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_ACCESS_DENIED);
    g_clear_error(&error);
    g_assert_true(berth_store_tag(f->store, "h.example/a:1", NULL, "h.example/theirs:1", 0, NULL));
    g_assert_false(berth_store_tag(f->store, "h.example/x:1", NULL, "busybox", 0, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE);
    g_clear_error(&error);
    g_assert_false(berth_store_tag(f->store, digest.text, NULL, "Upper/Case", 0, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_REFERENCE);
    g_clear_error(&error);
    g_assert_false(berth_store_tag(f->store, digest.text, NULL, pinned, 0, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_REFERENCE);
    assert_list(f, "",
                "docker.io/library/busybox:latest 1000\nh.example/a:1 1000\n"
                "h.example/theirs:1 1000\n");
    assert_own_form(f);
}

/* What other tools write is read, and survives being written by us. */
static void test_foreign(Fixture *f, gconstpointer unused)
{
    static const char *const indexes[] = {
        "{\"schemaVersion\":2,\"manifests\":[" NAMED("latest", ABC) ",{\"odd\":1.5}," NAMED(
            "h.example/a:1", DEF) "],\"annotations\":{\"k\":\"v\"},\"more\":[{}]}",
        "{\n  \"manifests\": [\n" NAMED("latest", ABC) ",\n {\"odd\": 1.5},\n\n" NAMED(
            "h.example/a:1", DEF) "\n  ],\n \"more\":[ { } ],\"annotations\": {\"k\":\"v\"},\n"
                                  "  \"schemaVersion\": 2\n}\n",
        /* our first line, and then somebody had an editor */
        HEAD NAMED("latest", ABC) ",\n{\"odd\":1.5},\n" NAMED(
            "h.example/a:1", DEF) "\n],\"annotations\":{\"k\":\"v\"},\"more\":[{}]}\n",
        HEAD "{\"odd\":1.5},\n" NAMED("latest", ABC) "," NAMED(
            "h.example/a:1", DEF) "\n],\"annotations\":{\"k\":\"v\"},\"more\":[{}]}\n",
        HEAD OWN("latest", ABC) ",\r\n{\"odd\":1.5},\r\n" OWN(
            "h.example/a:1", DEF) "\r\n],\"annotations\":{\"k\":\"v\"},\"more\":[{}]}\n",
        HEAD "{\"odd\":1.5},\r\n" NAMED("latest", ABC) ",\r\n" NAMED(
            "h.example/a:1", DEF) "\r\n],\"annotations\":{\"k\":\"v\"},\"more\":[{}]}\n",
    };

    for (guint i = 0; i < G_N_ELEMENTS(indexes); i++) {
        BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
        g_autoptr(BerthImage) latest = NULL;
        g_autofree char *text = NULL;

        write_file(f, "index.json", indexes[i]);
        assert_list(f, "", "h.example/a:1\nlatest\n");
        latest = find(f, "latest");
        g_assert_cmpstr(latest->digest.text, ==, ABC);
        assert_absent(f, "odd");

        name_image(f->store, "h.example/a:1", &digest, 3);
        name_image(f->store, "h.example/a:2", &digest, 3);
        assert_own_form(f);
        assert_list(f, "", "h.example/a:1 3\nh.example/a:2 3\nlatest\n");
        text = read_file(f, "index.json");
        g_assert_nonnull(strstr(text, "\n{\"odd\":1.5},\n"));
        g_assert_nonnull(strstr(text, "\"x\":\"y\""));
        g_assert_nonnull(strstr(text, "\"annotations\":{\"k\":\"v\"}"));
        g_assert_nonnull(strstr(text, "\"more\":[{}]"));
        g_assert_true(berth_store_unname(f->store, "latest", NULL, 0, NULL));
        assert_list(f, "", "h.example/a:1 3\nh.example/a:2 3\n");
    }
}

/* Text that looks like a name, but is none, is not taken for one. */
static void test_lookalikes(Fixture *f, gconstpointer unused)
{
    write_file(f, "index.json",
               "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MANIFEST
               "\",\"size\":3,\"digest\":\"" ABC "\",\"x\":{\"annotations\":{"
               "\"org.opencontainers.image.ref.name\":\"h.example/a:1\"}},\"annotations\":{"
               "\"d\":\"\\n{\\\"annotations\\\":{\\\"org.opencontainers.image.ref.name\\\":"
               "\\\"h.example/a:1\\\"\",\"org.opencontainers.image.ref.name\":\"a\\\"\\n\\u00e4\""
               ",\"e\":\"" DEF "\"}}]}");
    for (int i = 0; i < 2; i++) {
        g_autoptr(BerthImage) image = NULL;
        BerthDigest config, layer;

        assert_absent(f, "h.example/a:1");
        assert_absent(f, DEF);
        image = find(f, "a\"\nä");
        g_assert_cmpstr(image->digest.text, ==, ABC);
        if (i == 0) {
            BerthDigest digest = put_manifest(f->store, "b", "", &config, &layer);
            name_image(f->store, "h.example/b:1", &digest, 0);
        }
        assert_list(f, "h", "h.example/b:1 0\n");
    }
    assert_own_form(f);
}

static void test_corrupt(Fixture *f, gconstpointer unused)
{
    static const char *const bad[] = { "",
                                       "{",
                                       "[]",
                                       "{}",
                                       "{\"schemaVersion\":1,\"manifests\":[]}",
                                       "{\"schemaVersion\":2,\"manifests\":{}}",
                                       "{\"schemaVersion\":2,\"manifests\":[1]}",
                                       HEAD,
                                       HEAD "{\"a\":\n]}\n",
                                       HEAD "{\"a\"},\n]}\n",
                                       HEAD "{}\n{}\n]}\n",
                                       HEAD "]}",
                                       HEAD "{\"a\"}\n]}\n" };
    BerthDigest digest = digest_of("abc", 3);

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) listing = NULL, finding = NULL, naming = NULL;
        g_autoptr(GPtrArray) images = NULL;
        g_autoptr(BerthImage) image = NULL;
        g_autofree char *after = NULL;

        if (g_str_equal(bad[i], HEAD "]}"))
            continue; /* only the line feed is missing: that is foreign, not wrong */
        write_file(f, "index.json", bad[i]);
        images = berth_store_list(f->store, "", &listing);
        g_assert_null(images);
        g_assert_error(listing, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
        image = berth_store_find(f->store, "h.example/a:1", &finding);
        g_assert_null(image);
        g_assert_nonnull(finding);
        g_assert_false(berth_store_unname(f->store, "h.example/a:1", NULL, 0, &naming));
        g_assert_nonnull(naming);
        after = read_file(f, "index.json");
        g_assert_cmpstr(after, ==, bad[i]);
    }
    write_file(f, "index.json", HEAD "]}");
    name_image(f->store, "h.example/a:1", &digest, 0);
    assert_list(f, "", "h.example/a:1 0\n");
}

static void test_no_index(Fixture *f, gconstpointer unused)
{
    g_autofree char *path = path_of(f, "index.json");
    BerthDigest digest = digest_of("abc", 3);

    g_assert_cmpint(unlink(path), ==, 0);
    assert_list(f, "", "");
    name_image(f->store, "h.example/a:1", &digest, 0);
    assert_list(f, "", "h.example/a:1 0\n");
    assert_own_form(f);
}

/* The inode of index.json; it tells whether what was prepared has been used. */
static ino_t index_inode(Fixture *f)
{
    g_autofree char *path = path_of(f, "index.json");
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_ino;
}

/* The inode of the one temporary file, once it has as many bytes as it should. */
static ino_t prepared_inode(Fixture *f)
{
    g_autofree char *path = path_of(f, "ingest");
    struct stat st;

    for (;;) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        for (const char *name; (name = g_dir_read_name(directory));) {
            g_autofree char *file = g_build_filename(path, name, NULL);

            if (g_str_has_prefix(name, "tmp-") && stat(file, &st) == 0 && st.st_size > 0)
                return st.st_ino;
        }
        g_usleep(1000); /* what is waited for needs no more than that */
    }
}

/* Made early, used late: alone, first, last, among others, in place of one, and when it is too
 * late. */
static void test_prepared(Fixture *f, gconstpointer unused)
{
    static const char *const names[] = { "h.example/b:1", "h.example/c:1", "h.example/a:1",
                                         "h.example/b:1", "h.example/b:1", "h.example/c:1" };
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        ino_t inode;

        berth_store_prepare(f->store, names[i]);
        inode = prepared_inode(f);
        name_image(f->store, names[i], &digest, 1000 + i);
        g_assert_cmpuint(index_inode(f), ==, inode);
        assert_own_form(f);
    }
    assert_list(f, "",
                "h.example/a:1 1002\nh.example/b:1 1000 1003 1004\nh.example/c:1 1001 1005\n");
}

static void test_prepared_in_vain(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    g_autoptr(BerthStore) other = open_store(f, 0, 0);
    g_autofree char *text = NULL;
    ino_t inode;

    /* somebody was faster */
    berth_store_prepare(f->store, "h.example/a:1");
    inode = prepared_inode(f);
    name_image(other, "h.example/b:1", &digest, 1);
    name_image(f->store, "h.example/a:1", &digest, 2);
    g_assert_cmpuint(index_inode(f), !=, inode);
    assert_list(f, "", "h.example/a:1 2\nh.example/b:1 1\n");

    /* another tool, which writes into the file */
    berth_store_prepare(f->store, "h.example/c:1");
    inode = prepared_inode(f);
    text = read_file(f, "index.json");
    write_file(f, "index.json", HEAD "]}\n");
    name_image(f->store, "h.example/c:1", &digest, 3);
    assert_list(f, "", "h.example/c:1 3\n");

    /* for another name */
    berth_store_prepare(f->store, "h.example/d:1");
    name_image(f->store, "h.example/e:1", &digest, 4);
    assert_list(f, "", "h.example/c:1 3\nh.example/e:1 4\n");

    /* for nothing, and again */
    berth_store_prepare(f->store, "h.example/f:1");
    berth_store_prepare(f->store, "h.example/g:1");
    berth_store_free(g_steal_pointer(&f->store));
    f->store = open_store(f, 0, 0);
    assert_own_form(f);

    /* what cannot be read is told when it is named */
    write_file(f, "index.json", "{");
    berth_store_prepare(f->store, "h.example/f:1");
    g_assert_false(name_for(f->store, "h.example/f:1", &digest, OCI_MANIFEST, 0, NULL));
}

typedef struct {
    Fixture *f;
    unsigned number;
} Namer;

static gpointer name_some(gpointer data)
{
    const Namer *namer = data;
    BerthStore *store = open_store(namer->f, 0, 0);
    BerthDigest digest = digest_of("abc", 3);

    for (unsigned i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("h.example/n%u:%u", namer->number, i);

        if (i % 3)
            berth_store_prepare(store, name);
        name_image(store, name, &digest, namer->number);
        if (i % 2)
            g_assert_true(berth_store_unname(store, name, NULL, namer->number, NULL));
    }
    berth_store_free(store);
    return NULL;
}

/* Nothing that one writes is lost by another, each with a store of its own. */
static void test_at_once(Fixture *f, gconstpointer unused)
{
    enum { COUNT = 4 };
    Namer namers[COUNT];
    GThread *threads[COUNT];
    g_autoptr(GPtrArray) images = NULL;

    for (unsigned i = 0; i < COUNT; i++) {
        namers[i] = (Namer){ f, i };
        threads[i] = g_thread_new("namer", name_some, &namers[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        g_thread_join(threads[i]);
    images = berth_store_list(f->store, "", NULL);
    g_assert_cmpuint(images->len, ==, COUNT * 10);
    assert_own_form(f);
}

/* Ten thousand images: naming and finding one must not read them all. */
static void test_large(Fixture *f, gconstpointer unused)
{
    g_autoptr(GString) text = g_string_new(HEAD);
    BerthDigest digest = digest_of("abc", 3);
    g_autoptr(GPtrArray) images = NULL;
    g_autoptr(BerthImage) image = NULL;

    for (int i = 0; i < 10000; i++)
        g_string_append_printf(
            text,
            "%s{\"annotations\":{\"org.opencontainers.image.ref.name\":\"h.example/team/app%05d:1\""
            ",\"org.berthd.platform\":\"linux/amd64\",\"org.berthd.index.digest\":\"" DEF
            "\",\"org.berthd.pulled\":\"1700000000000000\",\"org.berthd.total\":\"123456\","
            "\"org.berthd.owners\":\"0\"},\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"" ABC
            "\",\"size\":3}",
            i ? ",\n" : "", i);
    g_string_append(text, "\n]}\n");
    write_file(f, "index.json", text->str);
    image = find(f, "h.example/team/app09999:1");
    name_image(f->store, "h.example/team/app04711:1", &digest, 7);
    images = berth_store_list(f->store, "h.example/team/", NULL);
    g_assert_cmpuint(images->len, ==, 10000);
    g_assert_true(berth_image_owned_by(images->pdata[4711], 7));
    g_assert_false(berth_image_owned_by(images->pdata[4712], 7));
}

#define ADD(path, func) g_test_add("/images/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("name", test_name);
    ADD("full-entry", test_full_entry);
    ADD("owners", test_owners);
    ADD("list", test_list);
    ADD("lines", test_lines);
    ADD("unname", test_unname);
    ADD("tag", test_tag);
    ADD("foreign", test_foreign);
    ADD("lookalikes", test_lookalikes);
    ADD("corrupt", test_corrupt);
    ADD("no-index", test_no_index);
    ADD("prepared", test_prepared);
    ADD("prepared/in-vain", test_prepared_in_vain);
    ADD("at-once", test_at_once);
    ADD("large", test_large);
    return g_test_run();
}
