/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/images.h"
#include "oci/stage.h"
#include "oci/store.h"
#include "transfer/progress.h"

#include <glib.h>
#include <stdbool.h>

#define BERTH_IMPORT_IMAGES_MAX 4096 /* names that one archive gives */

/**
 * berth_import_archive:
 * @archive: where to read; not owned
 * @reference: (nullable): name for what has none
 * @uid: who brings it
 * @progress: is told
 * @digest: (out): of the first image
 * @error: BERTH_ERROR_ARCHIVE_INVALID, BERTH_ERROR_DIGEST_MISMATCH, BERTH_ERROR_INVALID_REFERENCE,
 *   BERTH_ERROR_ACCESS_DENIED, BERTH_ERROR_STORE_FULL, BERTH_ERROR_FAILED and others
 *
 * Brings all images of an archive into @store, or nothing. For a thread that may be blocked.
 */
bool berth_import_archive(BerthStore *store, int archive, const char *reference, uint32_t uid,
                          BerthProgress *progress, BerthDigest *digest, GError **error);

/** BerthImportFile: a file of the archive that is in the store now. */
typedef struct {
    BerthDigest digest;
    int64_t size; /* bytes */
} BerthImportFile;

/** BerthImport: what an archive brought, while it is looked into. */
typedef struct {
    BerthStore *store; /* (not owned) this and the next */
    BerthStages *stages;
    uint32_t uid;          /* who brings it */
    const char *reference; /* name for what has none; NULL or "": none was given */
    unsigned n_loose;      /* files so far whose names are no digests */
    GHashTable *files;     /* owned: path → BerthImportFile */
    GHashTable *links;     /* owned: path → path */
    GHashTable *brought;   /* owned: digests as texts, of files */
    GHashTable *needed;    /* owned: digests as texts, of what the images consist of */
    GHashTable *known;     /* owned: path → GBytes: what says what there is */
    GHashTable *unpacked; /* owned: digest → digest, of layers that were unpacked to check them */
    GPtrArray *images;    /* owned (element-type BerthImage): found so far */
    GPtrArray *attached;  /* owned (element-type BerthImage): what has no name but a subject */
} BerthImport;

/**
 * berth_import_find: Returns: (transfer none) (nullable): the file that @path means, through links.
 */
const BerthImportFile *berth_import_find(const BerthImport *import, const char *path);

/**
 * berth_import_add_image:
 * @digest: of a manifest or index that is in the store now
 * @media_type: (nullable): of it
 * @name: (nullable): full reference; NULL: @import's own
 * @error: BERTH_ERROR_ARCHIVE_INVALID: something that it needs is neither in the archive nor the
 *   importing user's already
 *
 * Checks that all of an image is there, and keeps it to be named. What has no name, and is attached
 * to something else of the archive, stays without one.
 */
bool berth_import_add_image(BerthImport *import, const BerthDigest *digest, const char *media_type,
                            const char *name, GError **error);

/**
 * berth_import_layout: takes the images of an OCI image layout.
 * @index: its `index.json`
 */
bool berth_import_layout(BerthImport *import, GBytes *index, GError **error);

/**
 * berth_import_docker: takes the images of an archive of Docker's.
 * @list: its `manifest.json`
 */
bool berth_import_docker(BerthImport *import, GBytes *list, GError **error);
