/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "oci/mediatype.h"
#include "oci/platform.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define BERTH_BLOB_SIZE_MAX  (INT64_C(1) << 44) /* bytes: the largest file of ext4 */
#define BERTH_URLS_MAX       32                 /* of one descriptor */
#define BERTH_URL_LENGTH_MAX 4096               /* bytes */

/**
 * BerthDescriptor: names a blob by what it is, OCI image specification "Content Descriptors". Read
 * from untrusted JSON; all bounds have been checked.
 */
typedef struct {
    char *media_type; /* as written */
    BerthMediaType type;
    BerthDigest digest;
    int64_t size;            /* bytes, 0 to BERTH_BLOB_SIZE_MAX */
    GStrv urls;              /* (nullable) further sources, unread: berth_url_check() each */
    GBytes *data;            /* (nullable) the blob itself; its size and digest are right */
    GHashTable *annotations; /* (nullable) text to text */
    char *artifact_type;     /* (nullable) */
    BerthPlatform *platform; /* (nullable) in an index: what the image is for */
} BerthDescriptor;

/**
 * berth_descriptor_from_json:
 * @object: a descriptor
 * @error: BERTH_ERROR_MANIFEST_INVALID naming the member, or BERTH_ERROR_DIGEST_MISMATCH when its
 *   `data` is not what `digest` says
 *
 * Returns: (transfer full) (nullable): the descriptor.
 */
BerthDescriptor *berth_descriptor_from_json(const json_t *object, GError **error);

/** berth_descriptor_free: frees @descriptor (nullable). */
void berth_descriptor_free(BerthDescriptor *descriptor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthDescriptor, berth_descriptor_free)

/**
 * berth_descriptors_from_json:
 * @object: a manifest or an index
 * @key: its member that is an array of descriptors
 * @max: how many it may have
 * @descriptors: (out) (transfer full) (element-type BerthDescriptor): in their order; empty when
 * the member is absent
 * @error: as of berth_descriptor_from_json(), naming @key and the place in it
 */
bool berth_descriptors_from_json(const json_t *object, const char *key, size_t max,
                                 GPtrArray **descriptors, GError **error);

/**
 * berth_descriptor_member:
 * @object: a manifest or an index
 * @key: its member that is a descriptor
 * @descriptor: (out) (transfer full): the descriptor, or NULL when the member is absent
 * @error: as of berth_descriptor_from_json(), naming @key
 */
bool berth_descriptor_member(const json_t *object, const char *key, BerthDescriptor **descriptor,
                             GError **error);

/**
 * berth_url_check:
 * @url: one of a descriptor's
 * @error: BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE saying why it cannot be a source
 *
 * Returns: whether @url has a form that may be fetched: http or https, a host, no user and password
 *   (whoever makes an image has no credentials to give us), nothing but printable ASCII.
 */
bool berth_url_check(const char *url, GError **error);

/**
 * berth_url_shown: Returns: (transfer full): what a message may say of @url, any text: nothing of
 *   its query, which may be a signature, nor of a user or password in it.
 */
char *berth_url_shown(const char *url);
