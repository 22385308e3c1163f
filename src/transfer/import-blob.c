/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `import-blob`: a single blob, fetched by other means, into the store under its digest. It
 * belongs to no image yet: a pull that follows finds it, a prune before that removes it.
 */

#include "base/error.h"
#include "oci/descriptor.h"
#include "oci/stage.h"
#include "transfer/kinds.h"
#include "transfer/store-job.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE (256 * 1024) /* bytes */

typedef struct {
    BerthStoreKeys store;
    char *digest;
    int blob;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Digest", "s", offsetof(Arguments, digest), .required = true },
    { "Blob", "h", offsetof(Arguments, blob), .required = true },
    { NULL },
};

/* Whoever opened the descriptor may have made it one that does not wait. */
static ssize_t read_some(int fd, void *buffer)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    ssize_t n;

    while ((n = read(fd, buffer, BUFFER_SIZE)) < 0)
        if (errno == EAGAIN)
            (void)poll(&waiting, 1, -1);
        else if (errno != EINTR)
            break;
    return n;
}

static bool copy(BerthStages *stages, int fd, BerthProgress *progress, unsigned row, uint64_t total,
                 GError **error)
{
    g_autofree unsigned char *buffer = g_malloc(BUFFER_SIZE);
    BerthLayerProgress now = { .state = BERTH_LAYER_RUNNING, .total = total };

    for (;;) {
        ssize_t n = read_some(fd, buffer);

        if (n < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read the blob");
        if (n == 0)
            return true;
        now.done += (uint64_t)n;
        if (now.done > BERTH_BLOB_SIZE_MAX)
            return berth_set_error(error, BERTH_ERROR_DIGEST_MISMATCH,
                                   "the blob has more bytes than any can have");
        if (!berth_stages_write(stages, buffer, (size_t)n, error))
            return false;
        berth_progress_set(progress, row, &now);
    }
}

static bool import(BerthStore *store, BerthJob *job, GError **error)
{
    const Arguments *arguments = job->arguments;
    g_autoptr(BerthLease) lease = berth_store_lease(store, error);
    g_autoptr(BerthStages) stages = lease ? berth_stages_new(store, lease, error) : NULL;
    BerthLayerProgress done = { .state = BERTH_LAYER_DONE };
    struct stat st;
    BerthDigest digest;
    unsigned row;
    uint64_t total =
        fstat(arguments->blob, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    int64_t size;

    if (!stages || !berth_digest_parse(arguments->digest, &digest, error))
        return false;
    row = berth_progress_add(job->progress, &digest, total);
    berth_progress_set_complete(job->progress);
    if (!berth_stages_begin(stages, digest.algorithm, -1, error) ||
        !copy(stages, arguments->blob, job->progress, row, total, error) ||
        !berth_stages_end(stages, &digest, error) || !berth_stages_settle(stages, error) ||
        berth_store_stat_blob(store, &digest, &size, error) < 0)
        return false;
    berth_store_add_bringer(store, &digest);
    done.done = done.total = (uint64_t)size;
    berth_progress_set(job->progress, row, &done);
    return berth_store_job_told(
        sd_bus_message_append(job->result, "{sv}", "Digest", "s", digest.text), error);
}

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    g_autoptr(BerthStore) store = berth_store_job_open(&arguments->store, error);

    return store && import(store, job, error);
}

const BerthKind berth_kind_import_blob = {
    .name = "import-blob",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_store_job_prepare,
    .work = work,
};
