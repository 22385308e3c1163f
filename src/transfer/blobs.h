/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/manifest.h"
#include "transfer/progress.h"
#include "transfer/reader.h"

/** BerthBlobs: the blobs of one or more manifests, fetched some at a time. */
typedef struct BerthBlobs BerthBlobs;

/** BerthBlobsFunc: @error: (nullable): what failed first. They have ended; free them. */
typedef void (*BerthBlobsFunc)(const GError *error, void *userdata);

/**
 * berth_blobs_new:
 * @reader: where from
 * @progress: gets a row for each layer
 * @parallel: how many at once, at least 1
 * @func: called once from the event loop after berth_blobs_begin()
 * @userdata: for @func
 */
BerthBlobs *berth_blobs_new(BerthReader *reader, BerthProgress *progress, unsigned parallel,
                            BerthBlobsFunc func, void *userdata);

/**
 * berth_blobs_add:
 * @manifest: whose config and layers are wanted; must live as long as @blobs
 *
 * A blob that several manifests name is fetched once. Non-distributable layers that ForeignLayers=
 * says to skip get a row that says so.
 */
void berth_blobs_add(BerthBlobs *blobs, const BerthManifest *manifest);

/** berth_blobs_begin: nothing more will be added; the total is known. */
void berth_blobs_begin(BerthBlobs *blobs);

/** berth_blobs_free: ends what is under way, without a callback. @blobs: (nullable) */
void berth_blobs_free(BerthBlobs *blobs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthBlobs, berth_blobs_free)
