/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Works in a store as a transfer does, with what comes on standard input instead of a registry. A
 * line is a command; the bytes of a blob follow their line at once:
 *
 *   ingest DIGEST SIZE     SIZE bytes; what is there already of an earlier try is left out
 *   put DIGEST SIZE        a small one
 *   lease DIGEST
 *   release                all that ingest, put and lease have leased
 *   name REFERENCE DIGEST SIZE MEDIATYPE
 *   tag IMAGE REFERENCE
 *   remove IMAGE
 *   list                   prints `image REFERENCE DIGEST`
 *   prune                  prints `pruned BYTES BLOBS`
 *
 * Each prints `ok COMMAND` when it is done, ingest with how many bytes it skipped, or `present`; or
 * `error NAME MESSAGE`, after which it goes on. The arguments: the store, the bytes that must stay
 * free, the user, and `fast` for a store that need not survive a power cut.
 */

#include "base/error.h"
#include "oci/images.h"
#include "oci/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536

typedef struct {
    BerthStore *store;
    BerthLease *lease;
    sd_event *event;
    bool ready, present, room, finished;
    uint64_t offset;
    GError *error;
} Tool;

static void on_ready(BerthIngest *ingest, uint64_t offset, bool present, void *userdata)
{
    Tool *tool = userdata;

    tool->ready = true;
    tool->offset = offset;
    tool->present = present;
}

static void on_room(BerthIngest *ingest, void *userdata)
{
    Tool *tool = userdata;

    tool->room = true;
}

static void on_finished(BerthIngest *ingest, const GError *error, void *userdata)
{
    Tool *tool = userdata;

    tool->ready = tool->room = tool->finished = true;
    tool->error = error ? g_error_copy(error) : NULL;
}

static const BerthIngestEvents events = { .ready = on_ready,
                                          .room = on_room,
                                          .finished = on_finished };

static void wait_for(const Tool *tool, const bool *flag)
{
    while (!*flag)
        if (sd_event_run(tool->event, UINT64_MAX) < 0)
            abort();
}

/* At most @max of the @left bytes; the input must have them. */
static size_t read_some(char *buffer, size_t max, uint64_t *left)
{
    size_t n = fread(buffer, 1, MIN(max, *left), stdin);

    if (n == 0 && *left > 0)
        exit(3); /* the other end is gone */
    *left -= n;
    return n;
}

static void skip(uint64_t bytes)
{
    char buffer[PIECE];

    while (bytes > 0)
        (void)read_some(buffer, sizeof(buffer), &bytes);
}

/* All that is left of the input for it, whatever happens. */
static bool feed(Tool *tool, BerthIngest *ingest, uint64_t left)
{
    char buffer[PIECE];

    while (left > 0) {
        size_t n = read_some(buffer, sizeof(buffer), &left);
        bool full;

        tool->room = false;
        if (!berth_ingest_write(ingest, buffer, n, &full, &tool->error)) {
            skip(left);
            return false;
        }
        if (full)
            wait_for(tool, &tool->room);
    }
    return true;
}

static void ingest_blob(Tool *tool, const BerthDigest *digest, uint64_t size)
{
    g_autoptr(BerthIngest) ingest = NULL;

    tool->ready = tool->present = tool->finished = false;
    if (berth_lease_add(tool->lease, digest, &tool->error))
        ingest = berth_ingest_new(tool->store, tool->event, digest, (int64_t)size, false, &events,
                                  tool, &tool->error);
    if (ingest)
        wait_for(tool, &tool->ready);
    if (tool->error || tool->present) {
        skip(size);
        if (tool->present)
            printf("present %s\n", digest->text);
        return;
    }
    skip(tool->offset);
    if (!feed(tool, ingest, size - tool->offset))
        return;
    berth_ingest_finish(ingest);
    wait_for(tool, &tool->finished);
    if (!tool->error)
        printf("ok ingest %" PRIu64 "\n", tool->offset);
}

static void put_blob(Tool *tool, const BerthDigest *digest, uint64_t size)
{
    g_autofree char *data = g_malloc(size + 1);
    g_autoptr(GBytes) bytes = NULL;

    for (uint64_t left = size; left > 0;)
        (void)read_some(data + size - left, left, &left);
    bytes = g_bytes_new(data, size);
    if (berth_lease_add(tool->lease, digest, &tool->error) &&
        berth_store_put_blob(tool->store, digest, bytes, &tool->error))
        printf("ok put\n");
}

static void name_image(Tool *tool, char **words, uid_t uid)
{
    g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(uid_t));
    BerthImage image = {
        .reference = words[1],
        .size = (int64_t)g_ascii_strtoull(words[3], NULL, 10),
        .media_type = words[4],
        .platform = (char *)"linux/amd64",
        .pulled_usec = (uint64_t)g_get_real_time(),
        .owners = owners,
    };

    g_array_append_val(owners, uid);
    if (berth_digest_parse(words[2], &image.digest, &tool->error) &&
        berth_store_name(tool->store, &image, &tool->error))
        printf("ok name\n");
}

static void release(Tool *tool)
{
    berth_lease_free(tool->lease);
    tool->lease = berth_store_lease(tool->store, &tool->error);
    if (tool->lease)
        printf("ok release\n");
}

static void list(Tool *tool)
{
    g_autoptr(GPtrArray) images = berth_store_list(tool->store, "", &tool->error);

    for (guint i = 0; images && i < images->len; i++) {
        const BerthImage *image = images->pdata[i];

        printf("image %s %s\n", image->reference ? image->reference : "-", image->digest.text);
    }
    if (images)
        printf("ok list\n");
}

static void prune(Tool *tool)
{
    uint64_t bytes;
    unsigned blobs;

    if (berth_store_prune(tool->store, &bytes, &blobs, &tool->error))
        printf("pruned %" PRIu64 " %u\n", bytes, blobs);
}

static void obey(Tool *tool, char **words, uid_t uid)
{
    unsigned n = g_strv_length(words);
    BerthDigest digest;

    if (g_str_equal(words[0], "list"))
        list(tool);
    else if (g_str_equal(words[0], "prune"))
        prune(tool);
    else if (g_str_equal(words[0], "release"))
        release(tool);
    else if (g_str_equal(words[0], "name") && n == 5)
        name_image(tool, words, uid);
    else if (g_str_equal(words[0], "tag") && n == 3) {
        if (berth_store_tag(tool->store, words[1], NULL, words[2], uid, &tool->error))
            printf("ok tag\n");
    } else if (g_str_equal(words[0], "remove") && n == 2) {
        if (berth_store_unname(tool->store, words[1], NULL, uid, &tool->error))
            printf("ok remove\n");
    } else if (n >= 2 && berth_digest_parse(words[1], &digest, &tool->error)) {
        if (g_str_equal(words[0], "lease") && berth_lease_add(tool->lease, &digest, &tool->error))
            printf("ok lease\n");
        else if (g_str_equal(words[0], "ingest") && n == 3)
            ingest_blob(tool, &digest, g_ascii_strtoull(words[2], NULL, 10));
        else if (g_str_equal(words[0], "put") && n == 3)
            put_blob(tool, &digest, g_ascii_strtoull(words[2], NULL, 10));
    }
    if (tool->error)
        printf("error %s %s\n", berth_error_dbus_name(tool->error->code), tool->error->message);
    g_clear_error(&tool->error);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    uid_t uid = argc > 3 ? (uid_t)strtoul(argv[3], NULL, 10) : 0;
    Tool tool = { NULL };
    char line[4096];

    if (argc < 2)
        return 2;
    (void)umask(022);
    if (sd_event_new(&tool.event) < 0)
        return 2;
    tool.store = berth_store_open(
        &(const BerthStoreOptions){ .directory = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC),
                                    .min_free = argc > 2 ? strtoull(argv[2], NULL, 10) : 0,
                                    .durable = argc <= 4 || !g_str_equal(argv[4], "fast"),
                                    .uid = uid },
        &tool.error);
    if (tool.store)
        tool.lease = berth_store_lease(tool.store, &tool.error);
    if (!tool.lease) {
        printf("error %s %s\n", berth_error_dbus_name(tool.error->code), tool.error->message);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin)) {
        g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);

        obey(&tool, words, uid);
    }
    berth_lease_free(tool.lease);
    berth_store_free(tool.store);
    sd_event_unref(tool.event);
    return 0;
}
