/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a prune removes and what it must not: blobs of images, of indexes within indexes, of what
 * was attached, of leases, and of manifests that nobody can read.
 */

#include "oci/reach.h"
#include "store-fixture.h"

#include <sys/resource.h>

#define LAYER "application/vnd.oci.image.layer.v1.tar"

static unsigned prune(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    unsigned blobs;

    berth_store_prune(f->store, &bytes, &blobs, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count_in_ingest(f, "del-"), ==, 0);
    return blobs;
}

static void assert_refused(Fixture *f, const char *named)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    unsigned blobs;

    g_assert_false(berth_store_prune(f->store, &bytes, &blobs, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT);
    g_assert_nonnull(strstr(error->message, named));
}

static BerthDigest put_index(BerthStore *store, const BerthDigest *child, const char *type,
                             const char *more)
{
    g_autofree char *text = g_strdup_printf(
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":3}]"
        "%s}",
        type, child->text, more);

    return put_text(store, text);
}

static void test_nothing(Fixture *f, gconstpointer unused)
{
    g_assert_cmpuint(prune(f), ==, 0);
}

static void test_images(Fixture *f, gconstpointer unused)
{
    BerthDigest config[2], layer[2], digest[2];
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    unsigned blobs;

    for (int i = 0; i < 2; i++)
        digest[i] = put_manifest(f->store, i ? "b" : "a", "", &config[i], &layer[i]);
    name_image(f->store, "h.example/a:1", &digest[0], 0);
    put_text(f->store, "nobody's");
    g_assert_true(berth_store_prune(f->store, &bytes, &blobs, &error));
    g_assert_cmpuint(blobs, ==, 4);
    g_assert_cmpuint(bytes, >, strlen("nobody's") + strlen("layer b") + 100);
    g_assert_true(is_present(f->store, &digest[0]) && is_present(f->store, &config[0]) &&
                  is_present(f->store, &layer[0]));
    g_assert_false(is_present(f->store, &digest[1]) || is_present(f->store, &layer[1]));
    g_assert_cmpuint(prune(f), ==, 0);
    g_assert_true(berth_store_unname(f->store, "h.example/a:1", NULL, 0, NULL));
    g_assert_cmpuint(prune(f), ==, 3);
    g_assert_false(is_present(f->store, &digest[0]) || is_present(f->store, &layer[0]));
}

/* Indexes within indexes, what was attached, what an annotation names; what is not there is not
 * missed. */
static void test_reached(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, absent = digest_of("absent", 6);
    BerthDigest image = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest inner = put_index(f->store, &image, OCI_MANIFEST, "");
    BerthDigest outer = put_index(f->store, &inner, OCI_INDEX, "");
    BerthDigest chosen_from = put_index(f->store, &absent, OCI_MANIFEST, "");
    BerthDigest unknown_part = put_text(f->store, "part");
    BerthDigest unknown = put_index(f->store, &unknown_part, "a/b", ",\"odd\":1");
    g_autofree char *more = g_strdup_printf(
        ",\"subject\":{\"mediaType\":\"" OCI_INDEX "\",\"digest\":\"%s\",\"size\":3}", outer.text);
    BerthDigest other_config, other_layer;
    BerthDigest referrer = put_manifest(f->store, "b", more, &other_config, &other_layer);
    g_autofree char *index = g_strdup_printf(
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MANIFEST
        "\",\"digest\":\"%s\",\"size\":3,\"annotations\":{\"org.berthd.index.digest\":\"%s\"}},"
        "{\"mediaType\":\"a/manifest\",\"digest\":\"%s\",\"size\":3},"
        "{\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":3}]}",
        referrer.text, chosen_from.text, unknown.text, absent.text);
    const BerthDigest *all[] = { &image,        &config,      &layer,      &inner,
                                 &outer,        &referrer,    &unknown,    &unknown_part,
                                 &other_config, &other_layer, &chosen_from };

    write_file(f, "index.json", index);
    g_assert_cmpuint(prune(f), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        g_assert_true(is_present(f->store, all[i]));
}

/* Whoever calls the manifest of another image a layer, a part or an annotation of his own must not
 * make it look as if that had been looked into. */
static void test_disguised(Fixture *f, gconstpointer unused)
{
    static const char *const types[] = { LAYER, "a/b", OCI_INDEX, OCI_MANIFEST,
                                         "application/vnd.docker.distribution.manifest.v1+json" };

    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        BerthDigest config, layer, image = put_manifest(f->store, "a", "", &config, &layer);
        BerthDigest index = put_index(f->store, &image, types[i], "");
        g_autofree char *text =
            g_strdup_printf("{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST
                            "\",\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":3},"
                            "\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":3}]}",
                            types[i], image.text, types[i], image.text);
        BerthDigest disguise = put_text(f->store, text);

        name_image(f->store, "a.example/disguise:1", &disguise, 1000);
        g_assert_true(name_for(f->store, "a.example/index:1", &index, OCI_INDEX, 1000, NULL));
        name_image(f->store, "b.example/image:1", &image, 0);
        prune(f);
        g_assert_true(is_present(f->store, &image) && is_present(f->store, &layer) &&
                      is_present(f->store, &config));
    }
}

/* A damaged manifest is nobody's use: it keeps itself, and no other blob from being removed. */
static void test_damaged(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest other_config, other_layer;
    BerthDigest other = put_manifest(f->store, "b", "", &other_config, &other_layer);
    g_autofree char *name = berth_digest_path(&digest);

    put_text(f->store, "spare");
    name_image(f->store, "h.example/a:1", &digest, 0);
    name_image(f->store, "h.example/b:1", &other, 0);
    write_file(f, name, "damaged");
    g_assert_cmpuint(prune(f), ==, 3);
    g_assert_true(is_present(f->store, &digest) && is_present(f->store, &other) &&
                  is_present(f->store, &other_config) && is_present(f->store, &other_layer));
    g_assert_true(berth_store_unname(f->store, "h.example/a:1", NULL, 0, NULL));
    g_assert_cmpuint(prune(f), ==, 1);
}

/* What it still names, it may need again when it is mended; also by way of an index. */
static void test_damaged_in_part(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, image = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest digest = put_index(f->store, &image, OCI_MANIFEST, "");
    g_autofree char *name = berth_digest_path(&digest);
    g_autofree char *text = read_file(f, name);

    g_assert_true(name_for(f->store, "h.example/a:1", &digest, OCI_INDEX, 0, NULL));
    text[strlen(text) - 1] = ' ';
    write_file(f, name, text);
    put_text(f->store, "spare");
    g_assert_cmpuint(prune(f), ==, 1);
    g_assert_true(is_present(f->store, &digest) && is_present(f->store, &image) &&
                  is_present(f->store, &config) && is_present(f->store, &layer));
}

/* One that is larger than any document is read to there; a directory is not a manifest either. */
static void test_no_document(Fixture *f, gconstpointer unused)
{
    g_autofree char *spaces = g_strnfill(5 << 20, ' ');
    BerthDigest part = put_text(f->store, "part"), large, absent = digest_of("absent", 6);
    g_autofree char *text = g_strconcat("{\"a\":\"", part.text, "\"}", spaces, NULL);
    g_autofree char *name = berth_digest_path(&absent);
    g_autofree char *path = path_of(f, name);

    large = put_text(f->store, text);
    name_image(f->store, "h.example/a:1", &large, 0);
    name_image(f->store, "h.example/b:1", &absent, 0);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    put_text(f->store, "spare");
    g_assert_cmpuint(prune(f), ==, 1);
    g_assert_true(is_present(f->store, &large) && is_present(f->store, &part));
}

static bool say_yes(const BerthDigest *digest, int64_t size, bool deep, void *userdata)
{
    return deep;
}

/* That something cannot be read just now says nothing about it. */
static void test_unreadable(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest inner = put_index(f->store, &digest, OCI_MANIFEST, "");
    BerthDigest outer = put_index(f->store, &inner, OCI_INDEX, "");
    g_autoptr(GError) error = NULL;
    struct rlimit before, none;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    none = (struct rlimit){ 0, before.rlim_max };
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    g_assert_false(
        berth_store_reach(f->store, &outer, OCI_INDEX, -1, BERTH_REACH_ALL, say_yes, NULL, &error));
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_FAILED);
}

/* Entries of other tools that name nothing, and one that names what nobody here understands. */
static void test_odd_entry(Fixture *f, gconstpointer unused)
{
    static const char *const meaningless[] = {
        "{}", "{\"mediaType\":\"a/b\",\"digest\":\"sha256:00\",\"size\":1}", "{\"digest\":7}"
    };
    static const char foreign[] = "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"a/b\","
                                  "\"digest\":\"sha384:00\",\"size\":1}]}";
    BerthDigest spare = put_text(f->store, "spare");

    write_file(f, "index.json", foreign);
    assert_refused(f, "sha384:00");
    write_file(f, "index.json", "{");
    assert_refused(f, "index.json");
    g_assert_true(is_present(f->store, &spare));
    for (guint i = 0; i < G_N_ELEMENTS(meaningless); i++) {
        g_autofree char *text =
            g_strdup_printf("{\"schemaVersion\":2,\"manifests\":[%s]}", meaningless[i]);

        write_file(f, "index.json", text);
        put_text(f->store, "spare");
        g_assert_cmpuint(prune(f), ==, 1);
    }
}

/* An entry that is wrong in something else than its digest. */
static void test_entry_in_part(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, image = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest noted = put_text(f->store, "noted");
    g_autofree char *index = g_strdup_printf(
        "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"%s\",\"size\":-1,\"annotations\":"
        "{\"b\":\"%s\",\"c\":1}}]}",
        image.text, noted.text);

    write_file(f, "index.json", index);
    g_assert_cmpuint(prune(f), ==, 0);
    g_assert_true(is_present(f->store, &layer) && is_present(f->store, &noted));
}

/* Documents that are sound, but that nobody here understands. */
static void test_not_understood(Fixture *f, gconstpointer unused)
{
    BerthDigest part = put_text(f->store, "part");
    g_autofree char *text = g_strdup_printf(
        "{\"schemaVersion\":3,\"things\":[\"sha256:12 %s\",\"sha512:%s\"]}", part.text, part.text);
    BerthDigest digest = put_text(f->store, text);

    name_image(f->store, "h.example/a:1", &digest, 0);
    g_assert_cmpuint(prune(f), ==, 0);
    g_assert_true(is_present(f->store, &part));
}

static void test_leases(Fixture *f, gconstpointer unused)
{
    g_autoptr(BerthStore) other = open_store(f, 0, 0);
    g_autoptr(GError) error = NULL;
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest leased = put_text(f->store, "leased"), later = digest_of("later", 5);
    BerthLease *lease = berth_store_lease(other, &error);

    g_assert_no_error(error);
    g_assert_true(berth_lease_add(lease, &leased, &error));
    g_assert_true(berth_lease_add(lease, &later, &error));
    g_assert_true(berth_lease_add(lease, &digest, &error));
    put_text(other, "later");
    g_assert_cmpuint(prune(f), ==, 0);
    g_assert_true(is_present(f->store, &leased) && is_present(f->store, &later) &&
                  is_present(f->store, &layer));
    g_assert_cmpuint(count_in_ingest(f, "lse-"), ==, 1);
    berth_lease_free(lease);
    g_assert_cmpuint(count_in_ingest(f, "lse-"), ==, 0);
    g_assert_cmpuint(prune(f), ==, 5);
}

/* What dead processes left goes; what living ones have stays. */
static void test_left_behind(Fixture *f, gconstpointer unused)
{
    BerthDigest running = digest_of("abc", 3), dead = digest_of("def", 3);
    g_autofree char *dead_name = g_strconcat("ingest/sha256-", berth_digest_hex(&dead), NULL);
    g_autofree char *running_name = g_strconcat("ingest/sha256-", berth_digest_hex(&running), NULL);
    g_autofree char *doomed = g_strconcat("ingest/del-", dead.text, NULL);
    g_autofree char *lease = g_strdup_printf("%s\n", put_text(f->store, "blob").text);
    Run run;
    uint64_t bytes;
    unsigned blobs;

    write_file(f, dead_name, "de");
    write_file(f, doomed, "12345");
    write_file(f, "ingest/tmp-0123456789abcdef", "123");
    write_file(f, "ingest/lse-0123456789abcdef", lease);
    write_file(f, "blobs/sha256/oci-put-blob123", "another tool's");
    start_run(f, f->store, &running, 3, false, &run);
    run_until(f, &run.ready);
    feed(f, &run, "ab", 2, 1);
    g_assert_true(berth_store_prune(f->store, &bytes, &blobs, NULL));
    g_assert_cmpuint(blobs, ==, 1);
    g_assert_cmpuint(bytes, ==, 2 + 5 + 3 + strlen("blob"));
    g_assert_false(file_exists(f, dead_name) || file_exists(f, doomed));
    g_assert_cmpuint(count_in_ingest(f, "tmp-") + count_in_ingest(f, "lse-"), ==, 0);
    g_assert_true(file_exists(f, running_name));
    g_assert_true(file_exists(f, "blobs/sha256/oci-put-blob123"));
    feed(f, &run, "c", 1, 1);
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_no_error(run.error);
    end_run(&run);
}

/* However deep somebody nests an image, its blobs stay and others go; but nobody has shown to have
 * access to what lies deeper than a pull goes. */
static void test_deep(Fixture *f, gconstpointer unused)
{
    g_autoptr(GHashTable) reachable = NULL;
    BerthDigest config, layer, digest = put_manifest(f->store, "a", "", &config, &layer);

    for (int i = 0; i < 3000; i++)
        digest = put_index(f->store, &digest, i == 0 ? OCI_MANIFEST : OCI_INDEX, "");
    g_assert_true(name_for(f->store, "h.example/a:1", &digest, OCI_INDEX, 1000, NULL));
    put_text(f->store, "spare");
    g_assert_cmpuint(prune(f), ==, 1);
    g_assert_true(is_present(f->store, &layer));
    reachable = berth_store_reachable_for(f->store, 1000);
    g_assert_cmpuint(g_hash_table_size(reachable), ==, 10);
}

static void test_readers(Fixture *f, gconstpointer unused)
{
    BerthDigest config, layer, shared, digest = put_manifest(f->store, "a", "", &config, &layer);
    BerthDigest other = put_manifest(f->store, "b", "", &config, &shared);
    static const struct {
        uid_t asked;
        guint count;
        uint32_t first;
    } cases[] = { { 0, 3, 1000 }, { 1000, 2, 1000 }, { 1001, 3, 1000 }, { 1002, 1, 0 } };

    name_image(f->store, "h.example/a:1", &digest, 0);
    name_image(f->store, "h.example/b:1", &other, 1000);
    name_image(f->store, "h.example/b:2", &other, 1000);
    name_image(f->store, "h.example/b:2", &other, 1001);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GArray) readers = berth_store_readers(f->store, &shared, cases[i].asked, NULL);

        g_assert_cmpuint(readers->len, ==, cases[i].count);
        g_assert_cmpuint(g_array_index(readers, uint32_t, 0), ==, cases[i].first);
        g_assert_cmpuint(g_array_index(readers, uint32_t, readers->len - 1), ==, 0);
        g_array_unref(g_steal_pointer(&readers));
        readers = berth_store_readers(f->store, &layer, cases[i].asked, NULL);
        g_assert_cmpuint(readers->len, ==, 1);
    }
}

#define ADD(path, func) g_test_add("/prune/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("nothing", test_nothing);
    ADD("images", test_images);
    ADD("reached", test_reached);
    ADD("disguised", test_disguised);
    ADD("damaged", test_damaged);
    ADD("damaged-in-part", test_damaged_in_part);
    ADD("no-document", test_no_document);
    ADD("unreadable", test_unreadable);
    ADD("entry-in-part", test_entry_in_part);
    ADD("odd-entry", test_odd_entry);
    ADD("not-understood", test_not_understood);
    ADD("leases", test_leases);
    ADD("left-behind", test_left_behind);
    ADD("deep", test_deep);
    ADD("readers", test_readers);
    return g_test_run();
}
