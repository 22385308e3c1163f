/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images in the store: names given, found, listed, moved and taken away.
 */

#include "images-fixture.h"

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

static void add_image(GPtrArray *images, const char *reference, const char *subject,
                      const BerthDigest *digest, uid_t owner)
{
    BerthImage *image = g_new0(BerthImage, 1);

    *image = (BerthImage){ .reference = g_strdup(reference),
                           .subject = g_strdup(subject),
                           .digest = *digest,
                           .size = 100,
                           .media_type = g_strdup(OCI_MANIFEST),
                           .platform = g_strdup("linux/amd64"),
                           .owners = g_array_new(FALSE, FALSE, sizeof(uid_t)) };
    g_array_append_val(image->owners, owner);
    g_ptr_array_add(images, image);
}

/* All images get their names, or none does: when one name is that of somebody else's image. */
static void test_name_all(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, one = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest two = put_manifest(f->store, "b", "", &config, &layer);
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)berth_image_free);
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL;

    name_image(f->store, "h.example/c:1", &one, 1000);
    name_image(f->store, "h.example/b:1", &one, 1001);
    before = read_file(f, "index.json");
    add_image(images, NULL, one.text, &two, 1001);
    add_image(images, "h.example/a:1", NULL, &two, 1001);
    add_image(images, "h.example/b:1", NULL, &two, 1001);
    add_image(images, "h.example/c:1", NULL, &two, 1001);
    g_assert_false(berth_store_name_all(f->store, images, 1001, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_ACCESS_DENIED);
    g_assert_nonnull(strstr(error->message, "h.example/c:1"));
    after = read_file(f, "index.json");
    g_assert_cmpstr(after, ==, before);

    g_assert_true(berth_store_name_all(f->store, images, 0, NULL));
    assert_own_form(f);
    assert_list(f, "h.", "h.example/a:1 1001\nh.example/b:1 1001\nh.example/c:1 1001\n");
    g_clear_pointer(&before, g_free);
    before = read_file(f, "index.json");

    /* the same again, and twice at once: nothing is there twice; owners come together */
    add_image(images, NULL, one.text, &two, 1001);
    add_image(images, "h.example/a:1", NULL, &two, 1002);
    g_assert_true(berth_store_name_all(f->store, images, 1001, NULL));
    g_clear_pointer(&after, g_free);
    after = read_file(f, "index.json");
    g_assert_cmpstr(after, ==, before);
    g_ptr_array_set_size(images, 0);
    add_image(images, "h.example/a:1", NULL, &two, 1002);
    g_assert_true(berth_store_name_all(f->store, images, 1002, NULL)); /* it is the same image */
    assert_list(f, "h.example/a", "h.example/a:1 1001 1002\n");
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

#define ADD(path, func) g_test_add("/images/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("name", test_name);
    ADD("full-entry", test_full_entry);
    ADD("owners", test_owners);
    ADD("name-all", test_name_all);
    ADD("list", test_list);
    ADD("lines", test_lines);
    ADD("unname", test_unname);
    ADD("tag", test_tag);
    return g_test_run();
}
