/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/document.h"
#include "transfer/reader.h"

/** BerthReferrersWalk: what is attached to documents, on its way into the store. */
typedef struct BerthReferrersWalk BerthReferrersWalk;

/**
 * BerthReferrersWalkFunc:
 * @documents: (transfer full) (element-type BerthDocument) (nullable): what was found, each after
 *   what it is attached to; NULL with @error
 *
 * The walk has ended and been freed.
 */
typedef void (*BerthReferrersWalkFunc)(GPtrArray *documents, const GError *error, void *userdata);

/**
 * berth_referrers_walk:
 * @reader: where from: the registry itself, since mirrors may not know
 * @subjects: (element-type BerthDocument): what they are attached to
 * @func: called once from the event loop, unless the walk is cancelled
 *
 * Fetches the documents that are attached to @subjects, and those attached to them in turn.
 */
BerthReferrersWalk *berth_referrers_walk(BerthReader *reader, const GPtrArray *subjects,
                                         BerthReferrersWalkFunc func, void *userdata);

/** berth_referrers_walk_cancel: @walk: (nullable): ends it without a callback. */
void berth_referrers_walk_cancel(BerthReferrersWalk *walk);

/** berth_document_subject: Returns: (transfer none) (nullable): what @document is attached to. */
const BerthDescriptor *berth_document_subject(const BerthDocument *document);
