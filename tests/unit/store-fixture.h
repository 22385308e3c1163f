/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the store share: a store in a directory of its own for each test, blobs and
 * images made of what a test says, and an ingest that is run to its end.
 */

#include "base/error.h"
#include "oci/hash.h"
#include "oci/images.h"
#include "oci/ingest.h"
#include "oci/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX    "application/vnd.oci.image.index.v1+json"

/** Fixture: names of files in it are relative to @root. */
typedef struct {
    char *root;
    sd_event *event;
    BerthStore *store;
} Fixture;

static inline BerthStore *open_store(Fixture *f, uid_t uid, uint64_t min_free)
{
    g_autoptr(GError) error = NULL;
    const BerthStoreOptions options = {
        .directory = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .min_free = min_free,
        .durable = true,
        .uid = uid,
    };
    BerthStore *store = berth_store_open(&options, &error);

    g_assert_no_error(error);
    return store;
}

static inline void set_up(Fixture *f, gconstpointer unused)
{
    f->root = g_dir_make_tmp("berth-store-XXXXXX", NULL);
    g_assert_nonnull(f->root);
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
    f->store = open_store(f, 0, 0);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline void tear_down(Fixture *f, gconstpointer unused)
{
    berth_store_free(f->store);
    sd_event_unref(f->event);
    g_assert_cmpint(nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), ==, 0);
    g_free(f->root);
}

/* Files */

static inline char *path_of(const Fixture *f, const char *name)
{
    return g_build_filename(f->root, name, NULL);
}

static inline char *read_file(const Fixture *f, const char *name)
{
    g_autofree char *path = path_of(f, name);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static inline void write_file(const Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = path_of(f, name);

    g_assert_true(
        g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0640, NULL));
}

static inline bool file_exists(const Fixture *f, const char *name)
{
    g_autofree char *path = path_of(f, name);

    return access(path, F_OK) == 0;
}

/* Number of entries in ingest/ that begin with @prefix. */
static inline unsigned count_in_ingest(const Fixture *f, const char *prefix)
{
    g_autofree char *path = path_of(f, "ingest");
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    unsigned count = 0;

    for (const char *name; (name = g_dir_read_name(directory));)
        count += g_str_has_prefix(name, prefix);
    return count;
}

/* Blobs and images */

static inline BerthDigest digest_of(const void *data, size_t length)
{
    BerthDigest digest;

    g_assert_true(berth_digest_compute(BERTH_DIGEST_SHA256, data, length, &digest, NULL));
    return digest;
}

static inline BerthDigest put_text(BerthStore *store, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    BerthDigest digest = digest_of(text, strlen(text));
    g_autoptr(GError) error = NULL;

    berth_store_put_blob(store, &digest, bytes, &error);
    g_assert_no_error(error);
    return digest;
}

static inline bool is_present(BerthStore *store, const BerthDigest *digest)
{
    g_autoptr(GError) error = NULL;
    int found = berth_store_stat_blob(store, digest, NULL, &error);

    g_assert_no_error(error);
    return found > 0;
}

/* A manifest with a config and one layer, whose texts are made of @word; @more: members. */
static inline BerthDigest put_manifest(BerthStore *store, const char *word, const char *more,
                                       BerthDigest *config, BerthDigest *layer)
{
    g_autofree char *config_text = g_strdup_printf("{\"config\":\"%s\"}", word);
    g_autofree char *layer_text = g_strdup_printf("layer %s", word);
    g_autofree char *text = NULL;

    *config = put_text(store, config_text);
    *layer = put_text(store, layer_text);
    text = g_strdup_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST
        "\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":"
        "\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":\"application/"
        "vnd.oci.image.layer.v1.tar\","
        "\"digest\":\"%s\",\"size\":%zu}]%s}",
        config->text, strlen(config_text), layer->text, strlen(layer_text), more);
    return put_text(store, text);
}

static inline bool name_for(BerthStore *store, const char *reference, const BerthDigest *digest,
                            const char *media_type, uid_t owner, GError **error)
{
    g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(uid_t));
    const BerthImage image = {
        .reference = (char *)reference,
        .digest = *digest,
        .size = 100,
        .media_type = (char *)media_type,
        .platform = (char *)"linux/amd64",
        .pulled_usec = 1700000000000000,
        .owners = owners,
    };

    g_array_append_val(owners, owner);
    return berth_store_name(store, &image, error);
}

static inline void name_image(BerthStore *store, const char *reference, const BerthDigest *digest,
                              uid_t owner)
{
    g_autoptr(GError) error = NULL;

    name_for(store, reference, digest, OCI_MANIFEST, owner, &error);
    g_assert_no_error(error);
}

/* Ingests */

/** Run: an ingest and what was told about it. */
typedef struct {
    BerthIngest *ingest;
    bool ready, present, done, room;
    uint64_t offset, waited;
    GError *error;
} Run;

static inline void on_ready(BerthIngest *ingest, uint64_t offset, bool present, void *userdata)
{
    Run *run = userdata;

    run->ready = true;
    run->present = present;
    run->offset = offset;
}

static inline void on_waiting(BerthIngest *ingest, uint64_t size, void *userdata)
{
    Run *run = userdata;

    run->waited = size + 1;
}

static inline void on_room(BerthIngest *ingest, void *userdata)
{
    Run *run = userdata;

    run->room = true;
}

static inline void on_finished(BerthIngest *ingest, const GError *error, void *userdata)
{
    Run *run = userdata;

    run->done = true;
    run->error = error ? g_error_copy(error) : NULL;
}

static const BerthIngestEvents run_events = { on_ready, on_waiting, on_room, on_finished };

/* Runs the loop until @flag is set. */
static inline void run_until(Fixture *f, const bool *flag)
{
    for (int i = 0; !*flag; i++) {
        g_assert_cmpint(sd_event_run(f->event, 10 * G_USEC_PER_SEC), >, 0);
        g_assert_cmpint(i, <, 100000);
    }
}

static inline void start_run(Fixture *f, BerthStore *store, const BerthDigest *digest, int64_t size,
                             bool drop, Run *run)
{
    g_autoptr(GError) error = NULL;

    *run = (Run){ 0 };
    run->ingest = berth_ingest_new(store, f->event, digest, size, drop, &run_events, run, &error);
    g_assert_no_error(error);
}

/* Writes all of @data in pieces of @piece bytes, and waits where it is asked to. */
static inline void feed(Fixture *f, Run *run, const char *data, size_t length, size_t piece)
{
    for (size_t at = 0; at < length; at += piece) {
        g_autoptr(GError) error = NULL;
        bool full;

        berth_ingest_write(run->ingest, data + at, MIN(piece, length - at), &full, &error);
        g_assert_no_error(error);
        if (full) {
            run_until(f, &run->room);
            run->room = false;
        }
    }
}

static inline void end_run(Run *run)
{
    g_clear_pointer(&run->ingest, berth_ingest_free);
    g_clear_error(&run->error);
}

/* @length bytes that do not repeat. */
static inline char *make_bytes(size_t length, unsigned seed)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    char *data = g_malloc(length);

    for (size_t i = 0; i < length; i++)
        data[i] = (char)g_rand_int_range(random, 0, 256);
    return data;
}
