/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `blob`: how large a blob is and who may read it, or a copy of it, hashed on the way. The
 * copy goes into memory that the service made, of the right size; the service seals it.
 */

#include "base/error.h"
#include "base/fd.h"
#include "oci/hash.h"
#include "oci/reach.h"
#include "transfer/kinds.h"
#include "transfer/store-job.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (256 * 1024) /* bytes copied at a time */

typedef struct {
    BerthStoreKeys store;
    char *digest;
    int into;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Digest", "s", offsetof(Arguments, digest), .required = true },
    { "Into", "h", offsetof(Arguments, into) },
    { NULL },
};

static bool write_piece(int fd, const char *data, size_t length, uint64_t offset, GError **error)
{
    while (length > 0) {
        ssize_t n = pwrite(fd, data, length, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, n < 0 ? errno : EIO,
                                         "cannot copy the blob");
        data += n;
        length -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

static bool copy(int from, int into, BerthHash *hash, uint64_t *done, GError **error)
{
    g_autofree char *buffer = g_malloc(PIECE);

    for (*done = 0;;) {
        ssize_t n = read(from, buffer, PIECE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read the blob");
        if (n == 0)
            return true;
        if (!berth_hash_update(hash, buffer, (size_t)n, error) ||
            !write_piece(into, buffer, (size_t)n, *done, error))
            return false;
        *done += (uint64_t)n;
    }
}

/* Fills @into with the blob, which must be as large as that. */
static bool copy_verified(BerthStore *store, const BerthDigest *digest, int into, GError **error)
{
    BERTH_AUTO_FD from = berth_store_open_blob(store, digest, error);
    g_autoptr(BerthHash) hash = NULL;
    BerthDigest actual;
    uint64_t done = 0;
    struct stat st;

    if (from < 0)
        return false;
    if (fstat(into, &st) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot copy the blob");
    hash = berth_hash_new(digest->algorithm, error);
    if (!hash || !copy(from, into, hash, &done, error) || !berth_hash_finish(hash, &actual, error))
        return false;
    if (done == (uint64_t)st.st_size && berth_digest_equal(digest, &actual))
        return true;
    return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                           "blob %s in the store is damaged: remove its images, prune, and pull "
                           "them again",
                           digest->text);
}

static bool tell(BerthJob *job, BerthStore *store, const BerthDigest *digest, GError **error)
{
    const Arguments *arguments = job->arguments;
    g_autoptr(GArray) readers = NULL;
    int64_t size;
    int found = berth_store_stat_blob(store, digest, &size, error);
    int r;

    if (found == 0)
        return berth_set_error(error, BERTH_ERROR_NO_SUCH_IMAGE,
                               "there is no blob %s in the store; pull an image that has it",
                               digest->text);
    if (found < 0)
        return false;
    readers = berth_store_readers(store, digest, arguments->store.uid, error);
    if (!readers)
        return false;
    r = sd_bus_message_append(job->result, "{sv}", "Size", "t", (uint64_t)size);
    if (r >= 0)
        r = berth_append_ids(job->result, "Readers", readers);
    return berth_store_job_told(r, error);
}

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    g_autoptr(BerthStore) store = NULL;
    BerthDigest digest;

    if (!berth_digest_parse(arguments->digest, &digest, error))
        return false;
    store = berth_store_job_open(&arguments->store, error);
    if (!store)
        return false;
    if (arguments->into >= 0)
        return copy_verified(store, &digest, arguments->into, error);
    return tell(job, store, &digest, error);
}

const BerthKind berth_kind_blob = {
    .name = "blob",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_store_job_prepare,
    .work = work,
};
