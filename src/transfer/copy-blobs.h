/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/manifest.h"
#include "registry/push.h"
#include "transfer/progress.h"
#include "transfer/reader.h"

/** BerthCopyBlobs: blobs on their way from one repository to another, some at a time. */
typedef struct BerthCopyBlobs BerthCopyBlobs;

/** BerthCopySpec: from where to where. Must outlive them. */
typedef struct {
    BerthReader *reader;   /* where from; its store holds them meanwhile */
    const char *from;      /* the repository there */
    BerthClient *client;   /* where to */
    const char *registry;  /* `host[:port]` there */
    bool nondistributable; /* whether layers that may not be redistributed go there */
    BerthProgress *progress;
    unsigned parallel; /* at least 1 */
} BerthCopySpec;

/** BerthCopyBlobsFunc: @error: (nullable): what failed first. They have ended; free them. */
typedef void (*BerthCopyBlobsFunc)(const GError *error, void *userdata);

/** berth_copy_blobs_new: @func: called once from the event loop after berth_copy_blobs_begin() */
BerthCopyBlobs *berth_copy_blobs_new(const BerthCopySpec *spec, BerthCopyBlobsFunc func,
                                     void *userdata);

/** berth_copy_blobs_add: @manifest: whose blobs are wanted there; must live as long as @blobs */
void berth_copy_blobs_add(BerthCopyBlobs *blobs, const BerthManifest *manifest);

/** berth_copy_blobs_begin: nothing more will be added. */
void berth_copy_blobs_begin(BerthCopyBlobs *blobs);

/** berth_copy_blobs_free: ends what is under way, without a callback. @blobs: (nullable) */
void berth_copy_blobs_free(BerthCopyBlobs *blobs);
