/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

#define BERTH_MEDIA_TYPE_LENGTH_MAX 255 /* bytes: RFC 6838 4.2 allows 127 on each side of '/' */

/** BerthMediaType: the media types that mean something to us. */
typedef enum {
    BERTH_MEDIA_OTHER, /* any other: kept and carried, never looked into */

    BERTH_MEDIA_OCI_MANIFEST,
    BERTH_MEDIA_DOCKER_MANIFEST,
    BERTH_MEDIA_OCI_INDEX,
    BERTH_MEDIA_DOCKER_LIST,
    BERTH_MEDIA_DOCKER_SCHEMA1, /* recognised to be refused */
    BERTH_MEDIA_DOCKER_SCHEMA1_SIGNED,

    BERTH_MEDIA_OCI_CONFIG,
    BERTH_MEDIA_DOCKER_CONFIG,
    BERTH_MEDIA_OCI_EMPTY,

    BERTH_MEDIA_OCI_LAYER,
    BERTH_MEDIA_OCI_LAYER_GZIP,
    BERTH_MEDIA_OCI_LAYER_ZSTD,
    BERTH_MEDIA_DOCKER_LAYER,
    BERTH_MEDIA_DOCKER_LAYER_GZIP,
    BERTH_MEDIA_DOCKER_LAYER_ZSTD,
    BERTH_MEDIA_OCI_NONDISTRIBUTABLE,
    BERTH_MEDIA_OCI_NONDISTRIBUTABLE_GZIP,
    BERTH_MEDIA_OCI_NONDISTRIBUTABLE_ZSTD,
    BERTH_MEDIA_DOCKER_FOREIGN,
    BERTH_MEDIA_DOCKER_FOREIGN_GZIP,

    _BERTH_MEDIA_MAX,
    _BERTH_MEDIA_INVALID = -EINVAL,
} BerthMediaType;

/** BerthMediaKind: what a media type is used for. */
typedef enum {
    BERTH_MEDIA_KIND_OTHER,
    BERTH_MEDIA_KIND_MANIFEST,
    BERTH_MEDIA_KIND_INDEX,
    BERTH_MEDIA_KIND_SCHEMA1,
    BERTH_MEDIA_KIND_CONFIG,
    BERTH_MEDIA_KIND_LAYER,
    BERTH_MEDIA_KIND_NONDISTRIBUTABLE, /* a layer too */
} BerthMediaKind;

/**
 * berth_media_type_from_string:
 * @text: a media type without parameters; case does not count (RFC 2045 5.1)
 *
 * Returns: which one, BERTH_MEDIA_OTHER when it is none of ours.
 */
BerthMediaType berth_media_type_from_string(const char *text);

/** berth_media_type_to_string: Returns: (static) (nullable): NULL for BERTH_MEDIA_OTHER. */
const char *berth_media_type_to_string(BerthMediaType type);

/** berth_media_type_kind: Returns: what @type is used for. */
BerthMediaKind berth_media_type_kind(BerthMediaType type);

/**
 * berth_media_type_is_nondistributable: Returns: whether a blob of @type is a layer that is not to
 * be pushed to a registry which is not allowed it. Nothing but the media type decides that; URLs in
 * a descriptor only add sources (OCI image layer specification, "Non-Distributable Layers").
 */
bool berth_media_type_is_nondistributable(BerthMediaType type);

/** berth_media_type_is_valid: Returns: whether @text has the syntax of RFC 6838 4.2. */
bool berth_media_type_is_valid(const char *text);

/**
 * berth_media_type_from_header:
 * @header: (nullable): the value of a Content-Type header
 *
 * Returns: (transfer full) (nullable): the media type in it, without parameters and white space;
 *   NULL when there is none.
 */
char *berth_media_type_from_header(const char *header);
