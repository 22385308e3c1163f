/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BERTH_ORIGINS_MAX 16 /* of one blob */

/**
 * BerthStore: an OCI image layout (image specification, "Image Layout") as one process sees it. Any
 * number of processes may work in it at once. Not thread-safe.
 *
 * Besides what the specification knows there is a directory `ingest/`, which other readers ignore:
 * blobs that are not complete, temporary files, locks and leases.
 */
typedef struct BerthStore BerthStore;

/** BerthStoreOptions: which store, and how it is used. */
typedef struct {
    int directory;     /* of the layout, O_PATH or not; ownership passes, on failure too */
    uint64_t min_free; /* bytes that must stay free on its file system */
    bool durable;      /* what is put into it survives a power cut; off only to measure */
    uid_t uid;         /* whom it is used for; 0: root, who may read all */
} BerthStoreOptions;

/**
 * berth_store_open:
 * @options: which, and how
 * @error: BERTH_ERROR_STORE_CORRUPT: it holds something else than an image layout; or
 *   BERTH_ERROR_STORE_FULL, BERTH_ERROR_FAILED
 *
 * Makes what a layout needs in a directory that is empty. Nothing in it is reached through a
 * symbolic link.
 *
 * Returns: (transfer full) (nullable): the store.
 */
BerthStore *berth_store_open(const BerthStoreOptions *options, GError **error);

/** berth_store_free: frees @store (nullable), after everything of it that threads still do. */
void berth_store_free(BerthStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthStore, berth_store_free)

/*
 * Blobs. One that is present is complete, and was verified when it came. Nobody removes it while it
 * is part of an image or of a lease; so take the lease before looking.
 */

/**
 * berth_store_stat_blob:
 * @size: (out) (optional): its size in bytes; compare it with the descriptor's, since other tools
 *   write here too, without making it survive a power cut
 * @error: BERTH_ERROR_STORE_CORRUPT: it is no file; or BERTH_ERROR_FAILED
 *
 * Returns: 1 when the blob is present, 0 when it is not, -1 with @error.
 */
int berth_store_stat_blob(BerthStore *store, const BerthDigest *digest, int64_t *size,
                          GError **error);

/**
 * berth_store_open_blob:
 * @error: BERTH_ERROR_NO_SUCH_IMAGE: not present; or as berth_store_stat_blob()
 *
 * Returns: (transfer full): a file descriptor to read from, or -1.
 */
int berth_store_open_blob(BerthStore *store, const BerthDigest *digest, GError **error);

/**
 * berth_store_read_blob:
 * @max: bytes that it may have
 * @error: BERTH_ERROR_STORE_CORRUPT: it is larger, or its bytes are not what @digest says; or as
 *   berth_store_open_blob()
 *
 * Returns: (transfer full) (nullable): all of it, verified.
 */
GBytes *berth_store_read_blob(BerthStore *store, const BerthDigest *digest, size_t max,
                              GError **error);

/**
 * berth_store_read_damaged: Returns: (transfer full) (nullable): the first @max bytes at most of
 * what is where @digest should be, and is not: only to guess from.
 */
GBytes *berth_store_read_damaged(BerthStore *store, const BerthDigest *digest, size_t max);

/**
 * berth_store_put_blob:
 * @bytes: the whole blob, a small one: a manifest, a config, embedded data
 * @error: BERTH_ERROR_DIGEST_MISMATCH: @bytes are something else; BERTH_ERROR_STORE_FULL;
 *   BERTH_ERROR_FAILED
 *
 * One that is present already stays; one of another size is replaced. Its name is durable once
 * berth_store_name() has returned.
 */
bool berth_store_put_blob(BerthStore *store, const BerthDigest *digest, GBytes *bytes,
                          GError **error);

/**
 * berth_store_add_origin:
 * @digest: a blob that is present
 * @origin: `host[:port]/repository` that it came from or is known to be at
 *
 * Remembers @origin in the attribute `user.berth.from` of the file, the latest first, at most
 * BERTH_ORIGINS_MAX of them. Where the file system has no such attributes nothing is remembered.
 */
void berth_store_add_origin(BerthStore *store, const BerthDigest *digest, const char *origin);

/**
 * berth_store_add_bringer: remembers likewise that the store's user has brought a blob himself, or
 * has shown that it is for him, and may have it: for what an image of his alone does not show.
 */
void berth_store_add_bringer(BerthStore *store, const BerthDigest *digest);

/** berth_store_bringers: Returns: (transfer full) (element-type uint32_t): those users. */
GArray *berth_store_bringers(BerthStore *store, const BerthDigest *digest);

/** berth_store_origins: Returns: (transfer full): where a blob came from; empty when unknown. Words
 * that begin with `@` are users who brought it. */
GStrv berth_store_origins(BerthStore *store, const BerthDigest *digest);

/**
 * berth_store_may_reuse:
 * @digest: a blob that is present
 * @place: `host[:port]/repository` that it is wanted from, `host[:port]` for any repository there,
 *   or "" for none
 *
 * A digest is no secret, so knowing it must not be enough to get a blob that somebody else may
 * have pulled with credentials. What came from the same repository may be used, as may what belongs
 * to an image that the user owns or what he brought; for the rest he shows that he may have it.
 * That the host is the same shows nothing yet, since an index, or a manifest with foreign layers,
 * may name what its repository does not have. Looks at the index and the manifests of the user's
 * images, once.
 *
 * Returns: whether the store's user may use the present blob without downloading it.
 */
bool berth_store_may_reuse(BerthStore *store, const BerthDigest *digest, const char *place);

/**
 * BerthLease: what a running transfer counts on: berth_store_prune() leaves it alone until the
 * lease is freed or its process has ended. A manifest or index in it stands for what it names too.
 */
typedef struct BerthLease BerthLease;

/**
 * berth_store_lease:
 * @store: must outlive the lease
 * @error: BERTH_ERROR_STORE_FULL or BERTH_ERROR_FAILED
 *
 * Waits while a prune sweeps, which takes milliseconds; so does berth_lease_add().
 *
 * Returns: (transfer full) (nullable): a lease of nothing yet.
 */
BerthLease *berth_store_lease(BerthStore *store, GError **error);

/**
 * berth_lease_add:
 * @digest: a blob, present or not; before its presence is looked at, and before it is put in place
 * @error: as of berth_store_lease()
 */
bool berth_lease_add(BerthLease *lease, const BerthDigest *digest, GError **error);

/** berth_lease_free: ends @lease (nullable); what shall stay must belong to an image by then. */
void berth_lease_free(BerthLease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthLease, berth_lease_free)

/**
 * berth_store_prune:
 * @bytes: (out): bytes that became free
 * @blobs: (out): how many blobs were removed
 * @error: BERTH_ERROR_STORE_CORRUPT naming a manifest or an entry of index.json that cannot be
 *   read: then no blob was removed, since it may need any; or BERTH_ERROR_FAILED
 *
 * Removes the blobs that no image and no lease needs, the incomplete ones that nobody writes, and
 * what dead processes left behind.
 */
bool berth_store_prune(BerthStore *store, uint64_t *bytes, unsigned *blobs, GError **error);

/**
 * berth_store_discard:
 * @digests: (element-type BerthDigest): blobs that were put in place in vain
 *
 * Removes those of them that no image and no lease needs; as far as it fails, the next prune does.
 */
void berth_store_discard(BerthStore *store, const GArray *digests);

/**
 * berth_store_keep_nothing: what is put in place from now on is discarded when @store is freed,
 * which must be after its leases, and no beginning of a blob is kept for a later try.
 */
void berth_store_keep_nothing(BerthStore *store);
