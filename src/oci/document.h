/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "oci/index.h"
#include "oci/manifest.h"

#include <glib.h>
#include <stdbool.h>

#define BERTH_DOCUMENT_BYTES_MAX                                                                   \
    (4 * 1024 * 1024) /* OCI distribution specification, "Pushing Manifests" */

/** berth_document_limits: what a manifest or an index from a registry may hold. */
extern const BerthJsonLimits berth_document_limits;

/**
 * BerthDocument: what lies under `manifests/` in a registry: a manifest or an index, with the bytes
 * that it was read from. Those are what is hashed, stored and sent; nothing is ever written anew.
 */
typedef struct {
    GBytes *raw;
    BerthDigest digest; /* of raw */
    BerthMediaType type;
    BerthManifest *manifest; /* exactly one of these is not NULL */
    BerthIndex *index;
} BerthDocument;

/**
 * berth_document_parse:
 * @raw: the bytes as they came
 * @content_type: (nullable): the Content-Type header they came with, or the media type of the
 *   descriptor that named them; NULL when nobody said
 * @expected: (nullable): the digest that they were asked for by; with NULL, `digest` is their
 * sha256
 * @error: BERTH_ERROR_DIGEST_MISMATCH; or BERTH_ERROR_MANIFEST_INVALID: not JSON, over a limit, not
 *   what @content_type says, both a manifest and an index, schema 1, a member that is missing or
 *   wrong
 *
 * A `mediaType` inside must be equal to @content_type, since others would take the same bytes for
 * something else (OCI image specification, CVE-2021-41190). Where there is none, @content_type
 * decides; where that is absent or says nothing (`application/json`, `application/octet-stream`,
 * `text/plain`), the members do.
 *
 * Returns: (transfer full) (nullable): the document.
 */
BerthDocument *berth_document_parse(GBytes *raw, const char *content_type,
                                    const BerthDigest *expected, GError **error);

/** berth_document_free: frees @document (nullable). */
void berth_document_free(BerthDocument *document);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthDocument, berth_document_free)

/**
 * berth_document_check:
 * @document: what was fetched
 * @descriptor: an index's entry that it was fetched by
 * @error: BERTH_ERROR_DIGEST_MISMATCH: another size or digest; BERTH_ERROR_MANIFEST_INVALID:
 * another type
 */
bool berth_document_check(const BerthDocument *document, const BerthDescriptor *descriptor,
                          GError **error);
