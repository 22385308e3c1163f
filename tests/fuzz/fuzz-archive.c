/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what an import parses. The input is an archive, plain or packed; it goes into a
 * store of the target's own as the worker brings it there: images of OCI layouts and of Docker's
 * archives. What is refused gives an error that can be sent over the bus, and leaves nothing. What
 * is taken has all that its images need, and nothing else.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/libarchive.h"
#include "transfer/import.h"
#include "transfer/parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REFERENCE "h.example/fuzz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/tmp/berth-fuzz-XXXXXX";

static void check_error(const GError *error)
{
    g_assert(error && error->domain == BERTH_ERROR);
    g_assert(g_utf8_validate(error->message, -1, NULL));
    g_assert(!strchr(error->message, '\n'));
    g_assert(strlen(error->message) < 4000);
}

/* Files in @path below the store, without locks. */
static unsigned count(const char *path)
{
    g_autofree char *full = g_build_filename(root, path, NULL);
    BERTH_AUTO_DIR *stream = opendir(full);
    unsigned found = 0;

    for (struct dirent *one = stream ? readdir(stream) : NULL; one; one = readdir(stream))
        found += one->d_name[0] != '.' && !g_str_has_prefix(one->d_name, "lock-");
    return found;
}

static unsigned count_blobs(void)
{
    return count("blobs/sha256") + count("blobs/sha512");
}

/* All blobs are those of the images. */
static void check_images(BerthStore *store, const BerthDigest *first)
{
    g_autoptr(GPtrArray) images = berth_store_list(store, "", NULL);
    g_autoptr(BerthParts) parts = berth_parts_new();
    unsigned present = 0;
    bool found = false;

    g_assert(images && images->len > 0);
    parts->authorized = true;
    for (guint i = 0; i < images->len; i++) {
        const BerthImage *image = images->pdata[i];
        BerthDigest origin;

        g_assert(image->reference || image->subject);
        found = found || berth_digest_equal(&image->digest, first);
        g_assert(berth_parts_add(parts, store, &image->digest, image->media_type, NULL));
        if (image->index_digest)
            g_assert(berth_digest_parse(image->index_digest, &origin, NULL) &&
                     berth_parts_add_origin(parts, store, &origin));
    }
    g_assert(found);
    for (guint i = 0; i < parts->parts->len; i++)
        present += g_array_index(parts->parts, BerthPart, i).present;
    g_assert(present == count_blobs());
}

static void empty(BerthStore *store)
{
    g_autoptr(GPtrArray) images = berth_store_list(store, "", NULL);
    uint64_t bytes;
    unsigned blobs;

    for (guint i = 0; i < images->len; i++) {
        const BerthImage *image = images->pdata[i];

        if (image->reference)
            g_assert(berth_store_unname(store, image->reference, NULL, 0, NULL));
    }
    g_assert(berth_store_prune(store, &bytes, &blobs, NULL));
    g_assert(count_blobs() == 0);
}

static void remove_root(void)
{
    const char *const command[] = { "rm", "-rf", root, NULL };

    (void)g_spawn_sync(NULL, (char **)command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                       NULL, NULL);
}

static BerthStore *open_store(void)
{
    const BerthStoreOptions options = { .directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) };

    return berth_store_open(&options, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int archive = -1;
    static sd_event *event;
    static BerthProgress *progress;
    g_autoptr(BerthStore) store = NULL;
    g_autoptr(GError) error = NULL;
    BerthDigest digest;

    if (archive < 0) {
        g_assert(berth_libarchive_load(NULL) && mkdtemp(root) && atexit(remove_root) == 0);
        archive = memfd_create("archive", MFD_CLOEXEC);
        g_assert(sd_event_new(&event) >= 0);
        progress = berth_progress_new(NULL, event);
    }
    g_assert(ftruncate(archive, 0) == 0 && pwrite(archive, data, size, 0) == (ssize_t)size);
    g_assert(lseek(archive, 0, SEEK_SET) == 0);
    store = open_store();
    g_assert(store);
    if (berth_import_archive(store, archive, REFERENCE, 0, progress, &digest, &error)) {
        g_assert(!error);
        check_images(store, &digest);
    } else {
        check_error(error);
        g_assert(count_blobs() == 0);
    }
    g_assert(count("ingest") == 0);
    empty(store);
    return 0;
}
