/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to the bytes of a blob. Blocks go down two lanes, one that hashes and one that
 * writes; a lane is worked on by one thread at a time, so that both see the bytes in order, and
 * together they take two processors. When both are done and the last byte has come, the digest is
 * compared, the file synced and given its name, in whichever thread was last. A small blob is one
 * block, and all of that happens in one go. Until then the file holds a beginning of the blob,
 * always, so that it can be continued whenever the process ends.
 */

#include "oci/flow.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "oci/hash.h"
#include "oci/store-internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/xattr.h>

/* Bytes that are reserved on the disk at a time; what a killed process may leave reserved */
#define RESERVE (UINT64_C(64) << 20)
/* Bytes after which the kernel is told to begin writing, so that the last fsync() is short */
#define WRITE_AHEAD (UINT64_C(8) << 20)

typedef enum {
    LANE_HASH,
    LANE_WRITE,
    _LANE_MAX,
} LaneKind;

typedef struct {
    BerthTask task;
    BerthFlow *flow;
    GQueue blocks;
    bool active; /* waits for a thread, or has one */
} Lane;

struct BerthFlow {
    BerthThreads *pool;
    BerthFlowSpec spec;
    const BerthFlowEvents *events;
    void *userdata;

    BerthBlock *current; /* of the loop's thread */
    char *origin;        /* (nullable): set before it is finishing */

    /* under the pool's lock */
    Lane lanes[_LANE_MAX];
    bool finishing; /* no byte follows */
    bool complete;  /* no thread will touch it any more */
    bool abandoned; /* nobody waits for it any more */
    bool in_place;  /* the file has its name */
    GError *error;  /* the first */
    BerthNotice room, done;

    gint stop; /* atomic: what is being hashed of the file is not wanted */

    /* of the lane that is active */
    BerthHash *hash;
    uint64_t hash_before; /* bytes of the file that are to be hashed yet */
    uint64_t hashed, written;
    uint64_t reserved; /* up to here */
    uint64_t started;  /* up to here writing has begun */
};

char *berth_flow_name(const BerthDigest *digest)
{
    return g_strdup_printf("%s-%s", berth_digest_algorithm_to_string(digest->algorithm),
                           berth_digest_hex(digest));
}

static void destroy(BerthFlow *flow)
{
    berth_close(flow->spec.fd);
    berth_hash_free(flow->hash);
    g_free(flow->current);
    g_free(flow->origin);
    g_clear_error(&flow->error);
    g_free(flow);
}

/* Work, without the lock */

static bool hash_block(BerthFlow *flow, const BerthBlock *block, GError **error)
{
    flow->hashed += block->length;
    return berth_hash_update(flow->hash, block->data, block->length, error);
}

/* What an earlier try left in the file. */
static bool hash_file(BerthFlow *flow, GError **error)
{
    BerthBlock *block = berth_threads_take(flow->pool, BERTH_BLOCK_SIZE);
    bool ok = true;

    while (ok && flow->hash_before > 0 && !g_atomic_int_get(&flow->stop)) {
        ssize_t n = pread(flow->spec.fd, block->data, MIN(block->size, flow->hash_before),
                          (off_t)flow->hashed);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            ok = berth_store_set_errno(error, n < 0 ? errno : EIO,
                                       "cannot read the beginning of "
                                       "blob %s",
                                       flow->spec.digest.text);
            break;
        }
        block->length = (size_t)n;
        flow->hash_before -= (uint64_t)n;
        ok = hash_block(flow, block, error);
    }
    berth_threads_lock(flow->pool);
    berth_threads_give_back(flow->pool, block);
    berth_threads_unlock(flow->pool);
    return ok;
}

/* Reserves room, so that the file lies in one piece and a full disk shows early. */
static void reserve(BerthFlow *flow, uint64_t end)
{
    uint64_t size = (uint64_t)MAX(flow->spec.size, 0);
    uint64_t length;

    if (end <= flow->reserved || flow->reserved >= size || size <= BERTH_BLOCK_SIZE)
        return;
    length = MIN(RESERVE, size - flow->reserved);
    /* not the last bytes of the disk: what is written of them decides */
    if (!berth_store_check_room(flow->spec.store, length, NULL) ||
        fallocate(flow->spec.fd, FALLOC_FL_KEEP_SIZE, (off_t)flow->reserved, (off_t)length) < 0)
        flow->reserved = UINT64_MAX;
    else
        flow->reserved += length;
}

static bool write_block(BerthFlow *flow, const BerthBlock *block, GError **error)
{
    size_t done = 0;

    if (!berth_store_claim(flow->spec.store, block->length, error))
        return false;
    reserve(flow, flow->written + block->length);
    while (done < block->length) {
        ssize_t n =
            pwrite(flow->spec.fd, block->data + done, block->length - done, (off_t)flow->written);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return berth_store_set_errno(error, n < 0 ? errno : EIO, "cannot write blob %s",
                                         flow->spec.digest.text);
        done += (size_t)n;
        flow->written += (uint64_t)n;
    }
    if (flow->spec.store->durable && flow->written - flow->started >= WRITE_AHEAD) {
        (void)sync_file_range(flow->spec.fd, (off_t)flow->started,
                              (off_t)(flow->written - flow->started), SYNC_FILE_RANGE_WRITE);
        flow->started = flow->written;
    }
    return true;
}

static bool place(BerthFlow *flow, GError **error)
{
    BerthStore *store = flow->spec.store;
    const BerthDigest *digest = &flow->spec.digest;
    g_autofree char *name = berth_flow_name(digest);

    if (flow->spec.owner)
        (void)fremovexattr(flow->spec.fd, flow->spec.owner);
    if (flow->origin) /* whoever waits for the blob looks at that as soon as it is there */
        berth_store_set_origin(flow->spec.fd, digest, flow->origin);
    if (store->durable && fsync(flow->spec.fd) < 0)
        return berth_store_set_errno(error, errno, "cannot write blob %s", digest->text);
    if (flow->spec.unknown)
        return true;
    if (renameat(store->ingest, name, store->blobs[digest->algorithm], berth_digest_hex(digest)) <
        0)
        return berth_store_set_errno(error, errno, "cannot put blob %s in place", digest->text);
    berth_store_blob_placed(store, digest);
    return true;
}

static bool verify(BerthFlow *flow, GError **error)
{
    g_autofree char *name = berth_flow_name(&flow->spec.digest);
    BerthDigest actual;

    if (flow->spec.size >= 0 && flow->hashed != (uint64_t)flow->spec.size)
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "blob %s: %" PRIu64 " of %" PRId64 " bytes came; try again",
                               flow->spec.digest.text, flow->hashed, flow->spec.size);
    if (!berth_hash_finish(flow->hash, &actual, error))
        return false;
    if (flow->spec.unknown) {
        flow->spec.digest = actual;
        return true;
    }
    if (berth_digest_verify(&flow->spec.digest, &actual, "blob", error))
        return true;
    if (flow->spec.fd >= 0)
        (void)unlinkat(flow->spec.store->ingest, name, 0);
    return false;
}

/* Lanes, with the lock */

static void keep_error(BerthFlow *flow, GError *error)
{
    if (!error)
        return;
    if (!flow->error)
        flow->error = error;
    else
        g_error_free(error);
}

static void drop_block(BerthFlow *flow, BerthBlock *block)
{
    if (--block->uses > 0)
        return;
    berth_threads_give_back(flow->pool, block);
    (void)berth_threads_queued(flow->pool, -1);
}

static void drop_all(BerthFlow *flow, LaneKind kind)
{
    for (BerthBlock *block; (block = g_queue_pop_head(&flow->lanes[kind].blocks));)
        drop_block(flow, block);
}

/* Works off what is in a lane. */
static void drain(BerthFlow *flow, LaneKind kind)
{
    Lane *lane = &flow->lanes[kind];
    GError *error = NULL;

    if (kind == LANE_HASH && flow->hash_before > 0 && !flow->error) {
        berth_threads_unlock(flow->pool);
        (void)hash_file(flow, &error);
        berth_threads_lock(flow->pool);
        keep_error(flow, g_steal_pointer(&error));
    }
    for (BerthBlock *block; (block = g_queue_pop_head(&lane->blocks));) {
        if (!flow->error) {
            berth_threads_unlock(flow->pool);
            if (kind == LANE_HASH)
                (void)hash_block(flow, block, &error);
            else
                (void)write_block(flow, block, &error);
            berth_threads_lock(flow->pool);
            keep_error(flow, g_steal_pointer(&error));
        }
        drop_block(flow, block);
    }
}

/* A beginning that nobody will go on with; what was there before may be of use to who left it. */
static void drop_beginning(BerthFlow *flow)
{
    g_autofree char *name = berth_flow_name(&flow->spec.digest);
    int directory = flow->spec.store->ingest;

    if (berth_store_is_linked(directory, name, flow->spec.fd) && unlinkat(directory, name, 0) < 0)
        berth_debug("cannot remove the beginning of blob %s: %m", flow->spec.digest.text);
}

/* What was reserved and not written is given back, and the lock ends. */
static void close_file(BerthFlow *flow)
{
    struct stat st;

    if (flow->spec.fd >= 0 && flow->spec.store->placed && flow->spec.before == 0 &&
        !flow->spec.unknown && !flow->in_place)
        drop_beginning(flow);
    if (flow->spec.fd >= 0 && flow->reserved > 0 && fstat(flow->spec.fd, &st) == 0 &&
        st.st_nlink > 0 && ftruncate(flow->spec.fd, st.st_size) < 0)
        berth_debug("cannot free what was reserved for blob %s: %m", flow->spec.digest.text);
    flow->spec.fd = berth_close(flow->spec.fd);
}

/* Both lanes are empty, and nobody but this thread is at it. Unlocks. */
static void end(BerthFlow *flow)
{
    GError *error = NULL;

    if (flow->finishing && !flow->error) {
        berth_threads_unlock(flow->pool);
        flow->in_place = verify(flow, &error) && flow->spec.fd >= 0 && place(flow, &error);
        if (flow->in_place)
            flow->reserved = 0; /* all of it was written */
        berth_threads_lock(flow->pool);
        keep_error(flow, g_steal_pointer(&error));
    }
    berth_threads_unlock(flow->pool);
    close_file(flow);
    berth_threads_lock(flow->pool);
    flow->complete = true;
    if (!flow->abandoned) {
        berth_threads_tell(flow->pool, &flow->done);
        berth_threads_unlock(flow->pool);
        return;
    }
    berth_threads_unlock(flow->pool);
    destroy(flow);
}

static void run_lane(BerthTask *task)
{
    Lane *lane = (Lane *)(void *)task; /* its first member */
    BerthFlow *flow = lane->flow;
    LaneKind kind = lane == &flow->lanes[LANE_HASH] ? LANE_HASH : LANE_WRITE;

    berth_threads_lock(flow->pool);
    drain(flow, kind);
    if ((flow->finishing || flow->abandoned) && !flow->lanes[!kind].active) {
        drain(flow, !kind); /* a small blob has not been given a second thread */
        end(flow);
        return;
    }
    lane->active = false;
    berth_threads_wake(flow->pool);
    berth_threads_unlock(flow->pool);
}

static void start_lane(BerthFlow *flow, LaneKind kind)
{
    if (flow->lanes[kind].active)
        return;
    flow->lanes[kind].active = true;
    berth_threads_run(flow->pool, &flow->lanes[kind].task);
}

/* Hands the current block on. */
static void push_current(BerthFlow *flow)
{
    BerthBlock *block = g_steal_pointer(&flow->current);

    block->uses = flow->spec.fd >= 0 ? 2 : 1;
    g_queue_push_tail(&flow->lanes[LANE_HASH].blocks, block);
    if (flow->spec.fd >= 0)
        g_queue_push_tail(&flow->lanes[LANE_WRITE].blocks, block);
    (void)berth_threads_queued(flow->pool, 1);
}

/* The loop's side */

static void deliver_room(BerthNotice *notice)
{
    BerthFlow *flow =
        (BerthFlow *)(void *)((char *)notice - G_STRUCT_OFFSET(struct BerthFlow, room));

    flow->events->room(flow->userdata);
}

static void deliver_done(BerthNotice *notice)
{
    BerthFlow *flow =
        (BerthFlow *)(void *)((char *)notice - G_STRUCT_OFFSET(struct BerthFlow, done));

    flow->events->finished(flow->error, flow->userdata);
}

BerthFlow *berth_flow_new(BerthThreads *pool, const BerthFlowSpec *spec,
                          const BerthFlowEvents *events, void *userdata, GError **error)
{
    BERTH_AUTO_FD fd = spec->fd;
    BerthHash *hash = berth_hash_new(spec->digest.algorithm, error);
    BerthFlow *flow;

    if (!hash)
        return NULL;
    flow = g_new0(BerthFlow, 1);
    flow->pool = pool;
    flow->spec = *spec;
    flow->spec.fd = berth_steal_fd(&fd);
    flow->events = events;
    flow->userdata = userdata;
    flow->hash = hash;
    flow->hash_before = spec->before;
    flow->written = flow->reserved = flow->started = spec->before;
    flow->room.deliver = deliver_room;
    flow->done.deliver = deliver_done;
    for (LaneKind kind = 0; kind < _LANE_MAX; kind++) {
        flow->lanes[kind].task.run = run_lane;
        flow->lanes[kind].flow = flow;
        g_queue_init(&flow->lanes[kind].blocks);
    }
    if (spec->before > 0) {
        berth_threads_lock(pool);
        start_lane(flow, LANE_HASH);
        berth_threads_unlock(pool);
    }
    return flow;
}

bool berth_flow_write(BerthFlow *flow, const void *data, size_t length, bool *full, GError **error)
{
    const unsigned char *p = data;
    bool ok = true;

    *full = false;
    while (length > 0 && ok) {
        size_t n;

        if (!flow->current)
            flow->current = berth_threads_take(
                flow->pool, flow->spec.size > 0 ? (size_t)flow->spec.size : BERTH_BLOCK_SIZE);
        n = MIN(length, flow->current->size - flow->current->length);
        g_assert(n > 0); /* no more than the size came */
        memcpy(flow->current->data + flow->current->length, p, n);
        flow->current->length += n;
        p += n;
        length -= n;
        /* the last block of a blob is handed on when it is known to be that */
        if (flow->current->length < BERTH_BLOCK_SIZE)
            continue;
        berth_threads_lock(flow->pool);
        push_current(flow);
        start_lane(flow, LANE_HASH);
        if (flow->spec.fd >= 0)
            start_lane(flow, LANE_WRITE);
        *full = berth_threads_queued(flow->pool, 0);
        if (*full)
            berth_threads_await_room(flow->pool, &flow->room);
        ok = !flow->error;
        if (!ok && error)
            *error = g_error_copy(flow->error);
        berth_threads_unlock(flow->pool);
    }
    return ok;
}

bool berth_flow_restart(BerthFlow *flow, GError **error)
{
    BerthHash *hash = berth_hash_new(flow->spec.digest.algorithm, error);

    if (!hash)
        return false;
    berth_threads_lock(flow->pool);
    g_atomic_int_set(&flow->stop, 1);
    drop_all(flow, LANE_HASH);
    drop_all(flow, LANE_WRITE);
    while (flow->lanes[LANE_HASH].active || flow->lanes[LANE_WRITE].active)
        berth_threads_wait(flow->pool);
    g_clear_error(&flow->error);
    berth_threads_unlock(flow->pool);

    berth_hash_free(flow->hash);
    flow->hash = hash;
    flow->hash_before = flow->hashed = flow->written = flow->reserved = flow->started = 0;
    if (flow->current)
        flow->current->length = 0;
    if (flow->spec.fd >= 0 && ftruncate(flow->spec.fd, 0) < 0)
        return berth_store_set_errno(error, errno, "cannot empty the file of blob %s",
                                     flow->spec.digest.text);
    return true;
}

void berth_flow_set_origin(BerthFlow *flow, const char *origin)
{
    g_assert(!flow->finishing && !flow->origin);
    flow->origin = g_strdup(origin); /* threads look at it when it is finishing */
}

void berth_flow_finish(BerthFlow *flow)
{
    berth_threads_lock(flow->pool);
    flow->finishing = true;
    berth_threads_forget(flow->pool, &flow->room);
    if (flow->current)
        push_current(flow);
    /* when a lane is at work, it sees to the rest; when none is, one thread does for both */
    if (!flow->lanes[LANE_HASH].active && !flow->lanes[LANE_WRITE].active)
        start_lane(flow, LANE_HASH);
    berth_threads_unlock(flow->pool);
}

const BerthDigest *berth_flow_digest(const BerthFlow *flow)
{
    return &flow->spec.digest;
}

void berth_flow_free(BerthFlow *flow)
{
    if (!flow)
        return;
    berth_threads_lock(flow->pool);
    berth_threads_forget(flow->pool, &flow->room);
    berth_threads_forget(flow->pool, &flow->done);
    if (flow->complete) {
        berth_threads_unlock(flow->pool);
        destroy(flow);
        return;
    }
    flow->abandoned = true;
    if (!flow->finishing) { /* what has come is of use to the next try, its digest is not */
        g_atomic_int_set(&flow->stop, 1);
        drop_all(flow, LANE_HASH);
        if (flow->current && flow->spec.fd >= 0) {
            flow->current->uses = 1;
            g_queue_push_tail(&flow->lanes[LANE_WRITE].blocks, g_steal_pointer(&flow->current));
            (void)berth_threads_queued(flow->pool, 1);
        }
        start_lane(flow, LANE_WRITE);
    }
    berth_threads_unlock(flow->pool);
}
