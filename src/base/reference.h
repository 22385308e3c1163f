/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"

#include <glib.h>
#include <stdbool.h>

#define BERTH_REFERENCE_REGISTRY_MAX   255 /* bytes of `host[:port]` */
#define BERTH_REFERENCE_REPOSITORY_MAX 255 /* bytes; what the registries' own grammar allows */
#define BERTH_REFERENCE_TAG_MAX        128 /* bytes */

/** BerthReference: the full name of an image, with every default filled in. */
typedef struct {
    char *registry;     /* `host[:port]`, the host in lower case; `docker.io` by default */
    char *repository;   /* path inside the registry, `library/busybox` */
    char *tag;          /* (nullable): NULL only when there is a digest */
    bool has_digest;    /* then the digest decides what is fetched, and the tag is a name for it */
    BerthDigest digest; /* with has_digest */
} BerthReference;

/**
 * berth_reference_parse:
 * @text: what a user wrote, `[host[:port]/]path[:tag][@digest]`, in the grammar of distribution's
 *   package reference. The part before the first slash is a host when it has a '.' or a ':' or is
 *   `localhost`; else all of it belongs to `docker.io`, in `library/` when it has no slash.
 *   `index.docker.io` is `docker.io`. With neither tag nor digest the tag is `latest`
 * @error: BERTH_ERROR_INVALID_REFERENCE naming @text. Stricter than that grammar: addresses are
 *   written in their plain form and ports are 1 to 65535 without leading zeros, so that settings
 *   for a host cannot be avoided by spelling it another way; upper case alone makes no host, since
 *   the name in lower case would be another
 *
 * Returns: (transfer full) (nullable): the reference.
 */
BerthReference *berth_reference_parse(const char *text, GError **error);

/** berth_reference_free: frees @reference (nullable). */
void berth_reference_free(BerthReference *reference);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthReference, berth_reference_free)

/**
 * berth_reference_to_string:
 * @reference: a reference
 *
 * Returns: (transfer full): the full reference, as it names an image in the store:
 *   `docker.io/library/busybox:latest`. Parsing it again gives the same.
 */
char *berth_reference_to_string(const BerthReference *reference);

/**
 * berth_reference_target:
 * @reference: a reference
 *
 * Returns: (transfer none): what to ask the registry's repository for: the digest if there is one,
 *   else the tag.
 */
const char *berth_reference_target(const BerthReference *reference);
