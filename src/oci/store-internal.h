/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#define BERTH_STORE_FILE_MODE      0640 /* not for others: a layer may be somebody's secret */
#define BERTH_STORE_DIRECTORY_MODE 0750

#define BERTH_STORE_LAYOUT         "oci-layout"
#define BERTH_STORE_INDEX          "index.json"
#define BERTH_STORE_TEMPORARY      "tmp" /* begin of names in ingest/ */
#define BERTH_STORE_LEASE          "lse"
#define BERTH_STORE_LOCK_INDEX     "lock-index" /* in ingest/: of who replaces the index */
#define BERTH_STORE_LOCK_SWEEP                                                                     \
    "lock-sweep" /* shared: who adds to a lease; exclusive: who sweeps                             \
                  */

typedef struct BerthThreads BerthThreads;   /* threads.h */
typedef struct BerthPrepared BerthPrepared; /* index-prepare.h */

struct BerthStore {
    int root;
    int ingest;
    int blobs[_BERTH_DIGEST_MAX]; /* -1: there is no such directory yet */
    uint64_t min_free;
    bool durable;
    uid_t uid;
    GMutex lock;                      /* of allowance and placed, which threads use */
    uint64_t allowance;               /* bytes to write before free space is looked at again */
    gint unsynced[_BERTH_DIGEST_MAX]; /* atomic: blobs/ALG has names that are not durable */
    GHashTable *own;                  /* (nullable) digests of the user's images, as texts */
    GArray *placed;                   /* (nullable) (element-type BerthDigest) to be discarded */
    BerthThreads *pool;               /* (nullable) threads, since the first ingest */
    BerthPrepared *prepared;          /* (nullable) the next index */
};

/** berth_store_set_errno: an error of a system call, with the code that fits @err. Returns: false
 */
bool berth_store_set_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * berth_store_openat: openat2(2) of @path below @directory, through no link. Sets errno.
 *
 * Returns: (transfer full): the file descriptor, or -1.
 */
int berth_store_openat(int directory, const char *path, int flags);

/** berth_store_blobs: Returns: blobs/ALG, made if need be with @make; -1 with errno when absent. */
int berth_store_blobs(BerthStore *store, BerthDigestAlgorithm algorithm, bool make);

/**
 * berth_store_lock:
 * @name: a BERTH_STORE_LOCK_...
 * @operation: LOCK_EX or LOCK_SH
 *
 * Waits for it. Returns: (transfer full): what holds the lock until it is closed, or -1 with @error
 */
int berth_store_lock(BerthStore *store, const char *name, int operation, GError **error);

/**
 * berth_store_is_linked: Returns: whether @fd still is what @name in @directory names; a lock on a
 *   file that was renamed or removed meanwhile is worth nothing.
 */
bool berth_store_is_linked(int directory, const char *name, int fd);

/** BerthTemporary: a file in ingest/ with a name of its own, locked so that nobody removes it. */
typedef struct {
    int directory; /* (not owned) ingest/ */
    int fd;
    char name[sizeof("tmp-") + 16];
    bool synced;
} BerthTemporary;

#define BERTH_TEMPORARY_INIT                                                                       \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/** berth_temporary_make: @prefix: BERTH_STORE_TEMPORARY or BERTH_STORE_LEASE. */
bool berth_temporary_make(BerthStore *store, const char *prefix, BerthTemporary *temporary,
                          GError **error);
/** berth_temporary_clear: removes the file unless it was moved away, and closes it. */
void berth_temporary_clear(BerthTemporary *temporary);
/**
 * berth_temporary_sync: when the store is durable; nothing is written to it any more.
 * @name: what it will be called
 */
bool berth_temporary_sync(BerthStore *store, BerthTemporary *temporary, const char *name,
                          GError **error);
/**
 * berth_temporary_move: syncs the file, if that is not done yet, and gives it a name.
 * @directory: to which
 * @name: replaces what has it
 */
bool berth_temporary_move(BerthStore *store, BerthTemporary *temporary, int directory,
                          const char *name, GError **error);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BerthTemporary, berth_temporary_clear)

/**
 * berth_store_tidy: removes the temporary files and leases of processes that were killed: users can
 * have as many transfers killed as they like, and prune only when they may.
 */
void berth_store_tidy(BerthStore *store);

/** berth_store_write: all of @data, at the file's position. */
bool berth_store_write(int fd, const void *data, size_t length, GError **error);

/**
 * berth_store_claim: thread-safe
 * @bytes: that are about to be written
 * @error: BERTH_ERROR_STORE_FULL when fewer than min_free would be left
 */
bool berth_store_claim(BerthStore *store, uint64_t bytes, GError **error);

/** berth_store_check_room: Returns: whether @bytes fit in now, above what must stay free. */
bool berth_store_check_room(BerthStore *store, uint64_t bytes, GError **error);

/** berth_store_sync_blobs: makes the names of all blobs put in place durable. */
bool berth_store_sync_blobs(BerthStore *store, GError **error);

/** berth_store_set_origin: thread-safe; berth_store_add_origin() to @fd, the file of the blob. */
void berth_store_set_origin(int fd, const BerthDigest *digest, const char *origin);

/** berth_store_blob_placed: thread-safe; a name was added to blobs/ALG. */
void berth_store_blob_placed(BerthStore *store, const BerthDigest *digest);
