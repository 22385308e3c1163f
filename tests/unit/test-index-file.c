/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store's index.json: one of our own, of other tools, and of people with an editor; made early,
 * by several at once, and with ten thousand images in it.
 */

#include "images-fixture.h"

#define NAMED(name, digest)                                                                        \
    "{\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"" digest                                     \
    "\",\"size\":3,\"annotations\":{\"x\":\"y\",\"org.opencontainers.image.ref.name\":\"" name     \
    "\"}}"

/* As it is written here. */
#define OWN(name, digest)                                                                          \
    "{\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name                              \
    "\",\"x\":\"y\"},\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"" digest "\",\"size\":3}"

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

#define ADD(path, func) g_test_add("/index-file/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
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
