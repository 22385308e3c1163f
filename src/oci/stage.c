/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files on their way into the store without a name. Each is a temporary file in ingest/, which is
 * gone when the process is; once it is hashed and written it gets the name of its digest. The loop
 * here is of the calling thread alone: it turns while a file waits for its threads.
 */

#include "oci/stage.h"

#include "base/error.h"
#include "base/fd.h"
#include "oci/flow.h"
#include "oci/store-internal.h"

struct BerthStages {
    BerthStore *store;
    BerthLease *lease;
    sd_event *event;
    BerthTemporary file;
    BerthFlow *flow;
    bool full, done;
    GError *error;  /* of the flow */
    GArray *placed; /* (element-type BerthDigest) that were not there before */
};

BerthStages *berth_stages_new(BerthStore *store, BerthLease *lease, GError **error)
{
    g_autoptr(BerthStages) stages = g_new0(BerthStages, 1);
    int r = sd_event_new(&stages->event);

    stages->store = store;
    stages->lease = lease;
    stages->file = (BerthTemporary)BERTH_TEMPORARY_INIT;
    stages->placed = g_array_new(FALSE, FALSE, sizeof(BerthDigest));
    if (r < 0) {
        (void)berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make an event loop");
        return NULL;
    }
    store->pool = berth_threads_new(stages->event, error);
    return store->pool ? g_steal_pointer(&stages) : NULL;
}

static void drop_file(BerthStages *stages)
{
    berth_flow_free(g_steal_pointer(&stages->flow));
    berth_temporary_clear(&stages->file);
    g_clear_error(&stages->error);
    stages->full = stages->done = false;
}

void berth_stages_free(BerthStages *stages)
{
    if (!stages)
        return;
    drop_file(stages);
    /* its notices come through the loop that ends here */
    berth_threads_free(g_steal_pointer(&stages->store->pool));
    sd_event_unref(stages->event);
    g_array_unref(stages->placed);
    g_free(stages);
}

static void on_room(void *userdata)
{
    BerthStages *stages = userdata;

    stages->full = false;
}

static void on_finished(const GError *error, void *userdata)
{
    BerthStages *stages = userdata;

    stages->done = true;
    stages->error = error ? g_error_copy(error) : NULL;
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
    BerthStore *store = stages->store;
    BerthFlowSpec spec = {
        .store = store, .digest = { .algorithm = algorithm }, .unknown = true, .size = size
    };

    drop_file(stages);
    if (size > 0 && !berth_store_check_room(store, (uint64_t)size, error))
        return false;
    if (berth_store_blobs(store, algorithm, true) < 0)
        return berth_store_set_errno(error, errno, "cannot make blobs/%s",
                                     berth_digest_algorithm_to_string(algorithm));
    if (!berth_temporary_make(store, BERTH_STORE_TEMPORARY, &stages->file, error))
        return false;
    spec.fd = fcntl(stages->file.fd, F_DUPFD_CLOEXEC, 0);
    if (spec.fd < 0)
        return berth_store_set_errno(error, errno, "cannot write a file of the store");
    stages->flow = berth_flow_new(store->pool, &spec, &events, stages, error);
    return stages->flow;
}

bool berth_stages_write(BerthStages *stages, const void *data, size_t length, GError **error)
{
    bool full;

    if (!berth_flow_write(stages->flow, data, length, &full, error))
        return false;
    stages->full = full;
    while (stages->full && !stages->done)
        if (!turn(stages, error))
            return false;
    return true;
}

/* The lease comes first: from then on nobody removes what is put in place. */
static bool place(BerthStages *stages, const BerthDigest *digest, GError **error)
{
    BerthStore *store = stages->store;
    int present;

    if (!berth_lease_add(stages->lease, digest, error))
        return false;
    present = berth_store_stat_blob(store, digest, NULL, error);
    if (present != 0)
        return present > 0;
    if (renameat(store->ingest, stages->file.name, store->blobs[digest->algorithm],
                 berth_digest_hex(digest)) < 0)
        return berth_store_set_errno(error, errno, "cannot put blob %s in place", digest->text);
    stages->file.name[0] = '\0'; /* nothing is left to be removed */
    berth_store_blob_placed(store, digest);
    g_array_append_vals(stages->placed, digest, 1);
    return true;
}

bool berth_stages_end(BerthStages *stages, BerthDigest *digest, GError **error)
{
    BerthDigest actual;
    bool ok = true;

    berth_flow_finish(stages->flow);
    while (ok && !stages->done)
        ok = turn(stages, error);
    if (ok && stages->error) {
        g_propagate_error(error, g_steal_pointer(&stages->error));
        ok = false;
    }
    if (ok) {
        actual = *berth_flow_digest(stages->flow);
        ok = !*digest->text || berth_digest_verify(digest, &actual, "blob", error);
    }
    if (ok) {
        *digest = actual;
        ok = place(stages, digest, error);
    }
    drop_file(stages);
    return ok;
}

void berth_stages_discard(BerthStages *stages, BerthLease *lease)
{
    drop_file(stages);
    berth_lease_free(lease);
    berth_store_discard(stages->store, stages->placed);
}
