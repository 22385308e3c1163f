/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "oci/store.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define BERTH_ANNOTATION_INDEX "org.berthd.index.digest" /* of an entry: see index_digest */

/** BerthImage: an entry of the store's index.json. */
typedef struct {
    char *reference;      /* (nullable) its name, the full reference; NULL: it has none */
    BerthDigest digest;   /* of its manifest or index */
    int64_t size;         /* bytes of its manifest or index */
    char *media_type;     /* of its manifest or index */
    char *platform;       /* `os/arch[/variant]`, "" for an index or when it is not known */
    char *index_digest;   /* (nullable) of the index that it was chosen from */
    char *subject;        /* (nullable) digest of what it is attached to, with images that have no
                             name of their own */
    uint64_t pulled_usec; /* when, microseconds since the epoch; 0 when it is not known */
    uint64_t total; /* bytes of all that is in it, each blob once, present or not; 0: unknown */
    GArray *owners; /* (element-type uid_t) who pulled or imported it; the first is the Owner.
                       Empty: it came by another tool, and counts as root's */
} BerthImage;

/** berth_image_free: frees @image (nullable). */
void berth_image_free(BerthImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthImage, berth_image_free)

/** berth_image_owned_by: Returns: whether @uid is an owner of @image; root is one of every image.
 */
bool berth_image_owned_by(const BerthImage *image, uid_t uid);

/** berth_images_share_owner: Returns: whether somebody is an owner of both, root as any other. */
bool berth_images_share_owner(const BerthImage *a, const BerthImage *b);

/**
 * berth_store_list:
 * @prefix: what their references begin with; "" for all, those without one too
 * @error: BERTH_ERROR_STORE_CORRUPT or BERTH_ERROR_FAILED
 *
 * Entries of other tools that make no sense are left out.
 *
 * Returns: (transfer full) (element-type BerthImage) (nullable): the images in the order of their
 *   names, those without a name last.
 */
GPtrArray *berth_store_list(BerthStore *store, const char *prefix, GError **error);

/**
 * berth_store_find:
 * @image: a reference as berth_reference_parse() takes it, the exact name that another tool gave,
 *   or a digest
 * @error: BERTH_ERROR_NO_SUCH_IMAGE naming @image; or as of berth_store_list()
 *
 * Returns: (transfer full) (nullable): the image.
 */
BerthImage *berth_store_find(BerthStore *store, const char *image, GError **error);

/**
 * berth_store_prepare:
 * @reference: the name that berth_store_name() will give later
 *
 * Begins, in a thread, with what naming takes when there are many images. Optional.
 */
void berth_store_prepare(BerthStore *store, const char *reference);

/**
 * berth_store_name:
 * @image: with a reference, or a subject; a total of 0 is counted here
 * @error: BERTH_ERROR_STORE_FULL, BERTH_ERROR_STORE_CORRUPT, BERTH_ERROR_FAILED
 *
 * Gives the image its name: adds its entry to index.json, or replaces the one of the same name;
 * when that has the same digest, its owners stay owners, and come first. All blobs that were put in
 * place before are durable before the name is; once this returns, the name is.
 */
bool berth_store_name(BerthStore *store, const BerthImage *image, GError **error);

/**
 * berth_store_name_all:
 * @images: (element-type BerthImage) as for berth_store_name(); what has the same name, or with no
 *   name the same digest, as one before it is left out
 * @uid: for whom
 * @error: BERTH_ERROR_ACCESS_DENIED: one of the names is that of an image with another digest that
 *   is not @uid's; or as of berth_store_name()
 *
 * Gives all of them their names at once, or none of them.
 */
bool berth_store_name_all(BerthStore *store, const GPtrArray *images, uid_t uid, GError **error);

/** berth_store_total: Returns: @image's total, counted in the store when it is not known. */
uint64_t berth_store_total(BerthStore *store, const BerthImage *image);

/**
 * berth_store_tag:
 * @image: which, as for berth_store_find()
 * @expect: (nullable): the digest that it must have; else it is BERTH_ERROR_NO_SUCH_IMAGE
 * @reference: a further name for it, as berth_reference_parse() takes it, without a digest
 * @uid: for whom
 * @error: BERTH_ERROR_NO_SUCH_IMAGE; BERTH_ERROR_INVALID_REFERENCE; BERTH_ERROR_ACCESS_DENIED: the
 *   name is that of an image that is not @uid's; or as of berth_store_name()
 *
 * The owners are those of @image; whether @uid may read that is not asked here.
 */
bool berth_store_tag(BerthStore *store, const char *image, const BerthDigest *expect,
                     const char *reference, uid_t uid, GError **error);

/**
 * berth_store_unname:
 * @image: which, as for berth_store_find(); with a digest all that have it
 * @expect: (nullable): as for berth_store_tag()
 * @uid: for whom
 * @error: BERTH_ERROR_NO_SUCH_IMAGE, BERTH_ERROR_ACCESS_DENIED: it is not @uid's, or as of
 *   berth_store_name()
 *
 * Root removes the entry. For anybody else it goes when nobody else owns it; else it stays with
 * the other owners. Blobs go with berth_store_prune().
 */
bool berth_store_unname(BerthStore *store, const char *image, const BerthDigest *expect, uid_t uid,
                        GError **error);

/**
 * berth_store_referrers:
 * @subject: of a manifest or index
 * @error: as of berth_store_list()
 *
 * Returns: (transfer full) (element-type BerthImage) (nullable): what the store has that is
 * attached to @subject: signatures, bills of material and the like.
 */
GPtrArray *berth_store_referrers(BerthStore *store, const BerthDigest *subject, GError **error);
