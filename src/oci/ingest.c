/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Large blobs that come from elsewhere, seen from the loop: who may write one, what is there of it,
 * and its way through the threads (flow.c). Only one process writes a blob at a time, the one that
 * holds the lock on its file in ingest/; the others wait, since downloading it twice is dearer. The
 * lock is asked for again and again on a timer: nothing can be cancelled more simply. Whoever gets
 * it looks whether the file still has its name, since finishing a blob moves the file away.
 */

#include "oci/ingest.h"

#include "base/error.h"
#include "base/fd.h"
#include "oci/descriptor.h"
#include "oci/flow.h"
#include "oci/store-internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>

#define LOCK_INTERVAL   (25 * 1000)  /* usec between two tries */
#define LOCK_ACCURACY   (5 * 1000)   /* usec */
#define REPORT_INTERVAL (200 * 1000) /* usec between two calls of waiting() */

/* Whose download a partial is; absent: root's. */
#define OWNER_ATTRIBUTE "user.berth.for"

struct BerthIngest {
    BerthStore *store;
    sd_event *event;
    BerthDigest digest;
    int64_t size;
    bool drop, present, finishing;
    const BerthIngestEvents *events;
    void *userdata;

    sd_event_source *source; /* (nullable) the next try, or ready() */
    uint64_t reported;       /* usec, when waiting() was called */
    uint64_t before, offset; /* bytes */
    BerthFlow *flow;         /* (nullable) since it is ours */
};

/* Who may write it */

/* Whether the blob is in place, and is no damaged one: 1, 0, or -1 with @error. */
static int is_present(BerthIngest *ingest, GError **error)
{
    int64_t size;
    int found = berth_store_stat_blob(ingest->store, &ingest->digest, &size, error);

    return found > 0 && ingest->size >= 0 && size != ingest->size ? 0 : found;
}

/* Throws away what another user downloaded, or takes it over as root. */
static bool check_owner(BerthIngest *ingest, int fd, GError **error)
{
    char text[16] = "", own[16];

    if (fgetxattr(fd, OWNER_ATTRIBUTE, text, sizeof(text) - 1) < 0 && ingest->store->uid == 0)
        return true;
    if (ingest->store->uid == 0) {
        (void)fremovexattr(fd, OWNER_ATTRIBUTE);
        return true;
    }
    g_snprintf(own, sizeof(own), "%u", ingest->store->uid);
    if (g_str_equal(own, text))
        return true;
    if (ftruncate(fd, 0) < 0)
        return berth_store_set_errno(error, errno, "cannot empty the file of blob %s",
                                     ingest->digest.text);
    /* without attributes nothing is continued */
    (void)fsetxattr(fd, OWNER_ATTRIBUTE, own, strlen(own), 0);
    return true;
}

static void tell_room(void *userdata)
{
    BerthIngest *ingest = userdata;

    ingest->events->room(ingest, ingest->userdata);
}

static void tell_finished(const GError *error, void *userdata)
{
    BerthIngest *ingest = userdata;

    ingest->events->finished(ingest, error, ingest->userdata);
}

static bool start_flow(BerthIngest *ingest, int file, uint64_t before, GError **error)
{
    static const BerthFlowEvents flow_events = { tell_room, tell_finished };
    const BerthFlowSpec spec = {
        .store = ingest->store,
        .digest = ingest->digest,
        .size = ingest->size,
        .fd = file,
        .before = before,
        .owner = ingest->store->uid != 0 ? OWNER_ATTRIBUTE : NULL,
    };

    ingest->before = ingest->offset = before;
    ingest->flow = berth_flow_new(ingest->store->pool, &spec, &flow_events, ingest, error);
    return ingest->flow != NULL;
}

/* With the lock held: what is there, and on with it. */
static bool take_file(BerthIngest *ingest, int file, GError **error)
{
    BERTH_AUTO_FD fd = file;
    struct stat st;

    if (!check_owner(ingest, fd, error))
        return false;
    if (fstat(fd, &st) < 0 || (st.st_size > (ingest->size >= 0 ? ingest->size : G_MAXINT64) &&
                               (ftruncate(fd, 0) < 0 || fstat(fd, &st) < 0)))
        return berth_store_set_errno(error, errno, "cannot look at the file of blob %s",
                                     ingest->digest.text);
    /* small ones are looked at when they are written */
    if (ingest->size - st.st_size > BERTH_BLOCK_SIZE &&
        !berth_store_check_room(ingest->store, (uint64_t)(ingest->size - st.st_size), error))
        return false;
    return start_flow(ingest, berth_steal_fd(&fd), (uint64_t)st.st_size, error);
}

typedef enum {
    LOCK_FAILED,
    LOCK_BUSY,
    LOCK_PRESENT,
    LOCK_OURS,
} LockResult;

/* @size: (out): how far another transfer is, with LOCK_BUSY. */
static LockResult try_lock(BerthIngest *ingest, uint64_t *size, GError **error)
{
    const int directory = ingest->store->ingest;
    g_autofree char *name = berth_flow_name(&ingest->digest);

    for (;;) {
        int found = is_present(ingest, error);
        BERTH_AUTO_FD fd = -1;
        struct stat st;

        if (found != 0)
            return found > 0 ? LOCK_PRESENT : LOCK_FAILED;
        fd = berth_store_openat(directory, name, O_RDWR | O_CREAT);
        if (fd < 0 || fstat(fd, &st) < 0) {
            (void)berth_store_set_errno(error, errno, "cannot open ingest/%s", name);
            return LOCK_FAILED;
        }
        if (!S_ISREG(st.st_mode)) {
            (void)berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                                  "ingest/%s in the store is not a file; remove it", name);
            return LOCK_FAILED;
        }
        *size = (uint64_t)st.st_size;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK)
                return LOCK_BUSY;
            (void)berth_store_set_errno(error, errno, "cannot lock ingest/%s", name);
            return LOCK_FAILED;
        }
        if (!berth_store_is_linked(directory, name, fd))
            continue; /* whoever had it has finished, or thrown it away */
        found = is_present(ingest, error);
        if (found != 0) { /* finished before this file was made */
            (void)unlinkat(directory, name, 0);
            return found > 0 ? LOCK_PRESENT : LOCK_FAILED;
        }
        return take_file(ingest, berth_steal_fd(&fd), error) ? LOCK_OURS : LOCK_FAILED;
    }
}

static int tell_ready(sd_event_source *source, void *userdata)
{
    BerthIngest *ingest = userdata;

    ingest->source = sd_event_source_disable_unref(ingest->source);
    ingest->events->ready(ingest, ingest->offset, ingest->present, ingest->userdata);
    return 0;
}

static int try_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthIngest *ingest = userdata;
    g_autoptr(GError) error = NULL;
    uint64_t now = 0, size = 0;
    LockResult result = try_lock(ingest, &size, &error);

    if (result == LOCK_BUSY) {
        (void)sd_event_now(ingest->event, CLOCK_MONOTONIC, &now);
        (void)sd_event_source_set_time(source, now + LOCK_INTERVAL);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        if (ingest->events->waiting && now - ingest->reported >= REPORT_INTERVAL) {
            ingest->reported = now;
            ingest->events->waiting(ingest, size, ingest->userdata);
        }
        return 0;
    }
    if (result == LOCK_FAILED) {
        ingest->source = sd_event_source_disable_unref(ingest->source);
        ingest->events->finished(ingest, error, ingest->userdata);
        return 0;
    }
    ingest->present = result == LOCK_PRESENT;
    return tell_ready(source, ingest);
}

/* The first try; what comes of it is told from the loop. */
static bool begin(BerthIngest *ingest, GError **error)
{
    uint64_t size = 0;
    LockResult result = LOCK_OURS;
    int r;

    if (ingest->drop) {
        if (!start_flow(ingest, -1, 0, error))
            return false;
    } else {
        result = try_lock(ingest, &size, error);
    }
    if (result == LOCK_FAILED)
        return false;
    ingest->present = result == LOCK_PRESENT;
    if (result == LOCK_BUSY)
        r = sd_event_add_time_relative(ingest->event, &ingest->source, CLOCK_MONOTONIC,
                                       LOCK_INTERVAL, LOCK_ACCURACY, try_again, ingest);
    else
        r = sd_event_add_defer(ingest->event, &ingest->source, tell_ready, ingest);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch the event loop");
}

BerthIngest *berth_ingest_new(BerthStore *store, sd_event *event, const BerthDigest *digest,
                              int64_t size, bool drop, const BerthIngestEvents *events,
                              void *userdata, GError **error)
{
    g_autoptr(BerthIngest) ingest = g_new0(BerthIngest, 1);

    ingest->store = store;
    ingest->event = sd_event_ref(event);
    ingest->digest = *digest;
    ingest->size = size;
    ingest->drop = drop;
    ingest->events = events;
    ingest->userdata = userdata;
    if (berth_store_blobs(store, digest->algorithm, true) < 0) {
        (void)berth_store_set_errno(error, errno, "cannot make blobs/%s",
                                    berth_digest_algorithm_to_string(digest->algorithm));
        return NULL;
    }
    if (!store->pool)
        store->pool = berth_threads_new(event, error);
    if (!store->pool || !begin(ingest, error))
        return NULL;
    return g_steal_pointer(&ingest);
}

/* Bytes */

bool berth_ingest_write(BerthIngest *ingest, const void *data, size_t length, bool *full,
                        GError **error)
{
    uint64_t max = (uint64_t)(ingest->size >= 0 ? ingest->size : BERTH_BLOB_SIZE_MAX);

    g_assert(ingest->flow && !ingest->finishing);
    *full = false;
    if (length > max - ingest->offset)
        return berth_set_error(error, BERTH_ERROR_DIGEST_MISMATCH,
                               "blob %s: more than the %" PRIu64 " bytes came that it should have",
                               ingest->digest.text, max);
    ingest->offset += length;
    return berth_flow_write(ingest->flow, data, length, full, error);
}

uint64_t berth_ingest_offset(const BerthIngest *ingest)
{
    return ingest->offset;
}

bool berth_ingest_restart(BerthIngest *ingest, GError **error)
{
    g_assert(ingest->flow && !ingest->finishing);
    ingest->before = ingest->offset = 0;
    return berth_flow_restart(ingest->flow, error);
}

bool berth_ingest_resumed(const BerthIngest *ingest)
{
    return ingest->before > 0;
}

void berth_ingest_set_origin(BerthIngest *ingest, const char *origin)
{
    g_assert(ingest->flow);
    berth_flow_set_origin(ingest->flow, origin);
}

void berth_ingest_finish(BerthIngest *ingest)
{
    g_assert(ingest->flow && !ingest->finishing);
    ingest->finishing = true;
    berth_flow_finish(ingest->flow);
}

void berth_ingest_free(BerthIngest *ingest)
{
    if (!ingest)
        return;
    berth_flow_free(ingest->flow);
    sd_event_source_disable_unref(ingest->source);
    sd_event_unref(ingest->event);
    g_free(ingest);
}
