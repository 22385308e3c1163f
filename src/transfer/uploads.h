/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/store.h"
#include "registry/push.h"
#include "transfer/parts.h"
#include "transfer/progress.h"

#include <systemd/sd-event.h>

/** BerthUploads: blobs of the store on their way to one repository, some at a time. */
typedef struct BerthUploads BerthUploads;

/** BerthUploadsSpec: where they go. Must outlive them. */
typedef struct {
    sd_event *event;
    BerthStore *store;
    BerthClient *client;
    const char *registry;   /* `host[:port]` by which the destination is named */
    const char *repository; /* there */
    BerthProgress *progress;
    unsigned parallel; /* at least 1 */
} BerthUploadsSpec;

/** BerthUploadsFunc: @error: (nullable): what failed first. They have ended; free them. */
typedef void (*BerthUploadsFunc)(const GError *error, void *userdata);

/**
 * berth_uploads_new:
 * @parts: what to bring there: all configs and layers that are not nondistributable, or present and
 *   allowed
 * @nondistributable: whether non-distributable layers go there too; else their rows say `skipped`
 *   and nobody is asked for them
 * @func: called once from the event loop after berth_uploads_begin()
 *
 * What the registry has already is not sent; what it has in another repository is mounted.
 */
BerthUploads *berth_uploads_new(const BerthUploadsSpec *spec, const BerthParts *parts,
                                bool nondistributable, BerthUploadsFunc func, void *userdata);

/** berth_uploads_begin: begins. */
void berth_uploads_begin(BerthUploads *uploads);

/** berth_uploads_free: ends what is under way, without a callback. @uploads: (nullable) */
void berth_uploads_free(BerthUploads *uploads);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthUploads, berth_uploads_free)
