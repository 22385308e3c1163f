/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/document.h"
#include "transfer/reader.h"

/** BerthReferrersWalk: what is attached to documents, on its way into the store. */
typedef struct BerthReferrersWalk BerthReferrersWalk;

/** BerthReferrers: what was found, all of it in the store. */
typedef struct {
    GPtrArray *documents; /* owned (element-type BerthDocument) each after what it is attached to,
                             unless that is the image, and after what it names */
    GPtrArray *tops; /* (element-type BerthDocument) of these, those that are attached; the others
                        are what an index among them names */
} BerthReferrers;

/** berth_referrers_free: @referrers: (nullable) */
void berth_referrers_free(BerthReferrers *referrers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthReferrers, berth_referrers_free)

/**
 * BerthReferrersWalkFunc:
 * @referrers: (transfer full) (nullable): NULL with @error
 *
 * The walk has ended and been freed.
 */
typedef void (*BerthReferrersWalkFunc)(BerthReferrers *referrers, const GError *error,
                                       void *userdata);

/**
 * berth_referrers_walk:
 * @reader: where from: the registry itself, since mirrors may not know
 * @subjects: (element-type BerthDocument): what they are attached to; must outlive the walk
 * @func: called once from the event loop, unless the walk is cancelled
 *
 * Fetches the documents that are attached to @subjects, and those attached to them in turn. What is
 * listed and not there any more is left out, which the log says.
 */
BerthReferrersWalk *berth_referrers_walk(BerthReader *reader, const GPtrArray *subjects,
                                         BerthReferrersWalkFunc func, void *userdata);

/** berth_referrers_walk_cancel: @walk: (nullable): ends it without a callback. */
void berth_referrers_walk_cancel(BerthReferrersWalk *walk);

/** berth_document_subject: Returns: (transfer none) (nullable): what @document is attached to. */
const BerthDescriptor *berth_document_subject(const BerthDocument *document);
