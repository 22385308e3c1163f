/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/document.h"
#include "transfer/reader.h"

/** BerthDocumentFetch: a manifest or an index on its way into the store. */
typedef struct BerthDocumentFetch BerthDocumentFetch;

/**
 * BerthDocumentFunc:
 * @document: (transfer full) (nullable): what was fetched, checked and stored
 * @error: (nullable): why there is none
 *
 * The fetch has ended and been freed.
 */
typedef void (*BerthDocumentFunc)(BerthDocument *document, const GError *error, void *userdata);

/**
 * berth_document_fetch:
 * @reader: where from
 * @target: a tag or a digest
 * @descriptor: (nullable): the entry of an index that names it: digest, size and type must be
 * right. It is copied
 * @func: called once from the event loop, unless the fetch is cancelled
 * @userdata: for @func
 *
 * Asks one source after the other. What came with the wrong bytes or is no valid document counts as
 * not having come. A document named by an entry is taken from the store where whom it is for may
 * have it.
 *
 * Returns: (transfer full): the fetch; it frees itself after @func.
 */
BerthDocumentFetch *berth_document_fetch(BerthReader *reader, const char *target,
                                         const BerthDescriptor *descriptor, BerthDocumentFunc func,
                                         void *userdata);

/** berth_document_fetch_cancel: @fetch: (nullable): ends it without a callback. */
void berth_document_fetch_cancel(BerthDocumentFetch *fetch);
