/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files on their way into the store without a name. Each is a temporary file in ingest/, which is
 * gone when the process is; once it is hashed and written it gets the name of its digest. The loop
 * here is of the calling thread alone: it turns while a file waits for its threads. Since the disk
 * takes its time with each file, and with several hardly more than with one, some are left behind
 * to be finished while the next ones come.
 */

#include "oci/stage.h"

#include "base/error.h"
#include "base/fd.h"
#include "oci/flow.h"
#include "oci/store-internal.h"

/* Files that are ended and not in place: two for each thread, so that none waits for this one */
#define ENDING_MAX 16

/* Stage: one file. */
typedef struct {
    BerthTemporary file;
    BerthFlow *flow;     /* (nullable) */
    BerthDigest *digest; /* (not owned) once it is ended: what it must be, then what it is */
    bool full, done;
    GError *error; /* (nullable) of the flow */
} Stage;

struct BerthStages {
    BerthStore *store;
    BerthLease *lease;
    sd_event *event;
    Stage *current; /* (nullable) owned: the one that is written to */
    GQueue ending;  /* (element-type Stage) owned */
    GArray *placed; /* (element-type BerthDigest) that were not there before */
};

BerthStages *berth_stages_new(BerthStore *store, BerthLease *lease, GError **error)
{
    g_autoptr(BerthStages) stages = g_new0(BerthStages, 1);
    int r = sd_event_new(&stages->event);

    stages->store = store;
    stages->lease = lease;
    g_queue_init(&stages->ending);
    stages->placed = g_array_new(FALSE, FALSE, sizeof(BerthDigest));
    if (r < 0) {
        (void)berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make an event loop");
        return NULL;
    }
    store->pool = berth_threads_new(stages->event, error);
    return store->pool ? g_steal_pointer(&stages) : NULL;
}

static void stage_free(Stage *stage)
{
    if (!stage)
        return;
    berth_flow_free(stage->flow);
    berth_temporary_clear(&stage->file);
    g_clear_error(&stage->error);
    g_free(stage);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)

static void drop_all(BerthStages *stages)
{
    g_clear_pointer(&stages->current, stage_free);
    g_queue_clear_full(&stages->ending, (GDestroyNotify)stage_free);
}

void berth_stages_free(BerthStages *stages)
{
    if (!stages)
        return;
    drop_all(stages);
    /* its notices come through the loop that ends here */
    berth_threads_free(g_steal_pointer(&stages->store->pool));
    sd_event_unref(stages->event);
    g_array_unref(stages->placed);
    g_free(stages);
}

static void on_room(void *userdata)
{
    Stage *stage = userdata;

    stage->full = false;
}

static void on_finished(const GError *error, void *userdata)
{
    Stage *stage = userdata;

    stage->done = true;
    stage->error = error ? g_error_copy(error) : NULL;
}

static bool turn(BerthStages *stages, GError **error)
{
    int r = sd_event_run(stages->event, UINT64_MAX);

    return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot run a loop");
}

bool berth_stages_begin(BerthStages *stages, BerthDigestAlgorithm algorithm, int64_t size,
                        GError **error)
{
    static const BerthFlowEvents events = { on_room, on_finished };
    g_autoptr(Stage) stage = g_new0(Stage, 1);
    BerthStore *store = stages->store;
    BerthFlowSpec spec = {
        .store = store, .digest = { .algorithm = algorithm }, .unknown = true, .size = size
    };

    g_clear_pointer(&stages->current, stage_free);
    stage->file = (BerthTemporary)BERTH_TEMPORARY_INIT;
    if (size > 0 && !berth_store_check_room(store, (uint64_t)size, error))
        return false;
    if (berth_store_blobs(store, algorithm, true) < 0)
        return berth_store_set_errno(error, errno, "cannot make blobs/%s",
                                     berth_digest_algorithm_to_string(algorithm));
    if (!berth_temporary_make(store, BERTH_STORE_TEMPORARY, &stage->file, error))
        return false;
    spec.fd = fcntl(stage->file.fd, F_DUPFD_CLOEXEC, 0);
    if (spec.fd < 0)
        return berth_store_set_errno(error, errno, "cannot write a file of the store");
    stage->flow = berth_flow_new(store->pool, &spec, &events, stage, error);
    if (!stage->flow)
        return false;
    stages->current = g_steal_pointer(&stage);
    return true;
}

bool berth_stages_write(BerthStages *stages, const void *data, size_t length, GError **error)
{
    Stage *stage = stages->current;
    bool full;

    if (!berth_flow_write(stage->flow, data, length, &full, error))
        return false;
    stage->full = full;
    while (stage->full && !stage->done)
        if (!turn(stages, error))
            return false;
    return true;
}

/* The lease comes first: from then on nobody removes what is put in place. */
static bool place(BerthStages *stages, Stage *stage, const BerthDigest *digest, GError **error)
{
    BerthStore *store = stages->store;
    int present;

    if (!berth_lease_add(stages->lease, digest, error))
        return false;
    present = berth_store_stat_blob(store, digest, NULL, error);
    if (present != 0)
        return present > 0;
    if (renameat(store->ingest, stage->file.name, store->blobs[digest->algorithm],
                 berth_digest_hex(digest)) < 0)
        return berth_store_set_errno(error, errno, "cannot put blob %s in place", digest->text);
    stage->file.name[0] = '\0'; /* nothing is left to be removed */
    berth_store_blob_placed(store, digest);
    g_array_append_vals(stages->placed, digest, 1);
    return true;
}

/* The file is written, or that failed. */
static bool finish(BerthStages *stages, Stage *stage, GError **error)
{
    const BerthDigest actual = *berth_flow_digest(stage->flow);

    if (stage->error) {
        g_propagate_error(error, g_steal_pointer(&stage->error));
        return false;
    }
    if (*stage->digest->text && !berth_digest_verify(stage->digest, &actual, "blob", error))
        return false;
    *stage->digest = actual;
    return place(stages, stage, stage->digest, error);
}

/* Puts in place what is ready, until no more than @max are not. */
static bool collect(BerthStages *stages, unsigned max, GError **error)
{
    while (stages->ending.length > 0) {
        const Stage *first = g_queue_peek_head(&stages->ending);

        if (first->done) {
            g_autoptr(Stage) stage = g_queue_pop_head(&stages->ending);

            if (!finish(stages, stage, error))
                return false;
        } else if (stages->ending.length <= max) {
            return true;
        } else if (!turn(stages, error)) {
            return false;
        }
    }
    return true;
}

bool berth_stages_end(BerthStages *stages, BerthDigest *digest, GError **error)
{
    Stage *stage = g_steal_pointer(&stages->current);

    stage->digest = digest;
    berth_flow_finish(stage->flow);
    g_queue_push_tail(&stages->ending, stage);
    return collect(stages, ENDING_MAX, error);
}

bool berth_stages_settle(BerthStages *stages, GError **error)
{
    return collect(stages, 0, error);
}

void berth_stages_discard(BerthStages *stages, BerthLease *lease)
{
    drop_all(stages);
    berth_lease_free(lease);
    berth_store_discard(stages->store, stages->placed);
}
