/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/document.h"
#include "transfer/reader.h"

/** BerthTree: the documents that make up what was asked for, all of them in the store. */
typedef struct {
    GPtrArray *documents; /* (element-type BerthDocument) the first is what the reference names */
    GPtrArray *manifests; /* (element-type BerthDocument) of these, whose blobs belong to it */
    char *platform;       /* of the one manifest, as its index says; NULL: no index says it */
} BerthTree;

/** berth_tree_free: @tree: (nullable) */
void berth_tree_free(BerthTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthTree, berth_tree_free)

/** BerthTreeWalk: a tree whose documents are being fetched. */
typedef struct BerthTreeWalk BerthTreeWalk;

/**
 * BerthTreeFunc:
 * @tree: (transfer full) (nullable): what was found
 * @error: (nullable): why there is none
 *
 * The walk has ended and been freed.
 */
typedef void (*BerthTreeFunc)(BerthTree *tree, const GError *error, void *userdata);

/** BerthTreeWish: what of an image is wanted. */
typedef struct {
    const char *target;                /* a tag or a digest */
    const BerthDescriptor *descriptor; /* (nullable) with a digest: what the target must be; it need
                                          not be asked for then. Must outlive the walk */
    const BerthPlatform *platform;     /* NULL: every platform. Must outlive the walk */
    bool insist;                       /* an image that is not in an index is checked too */
} BerthTreeWish;

/**
 * berth_tree_walk:
 * @reader: where from
 * @wish: what; its target is copied
 * @func: called once from the event loop, unless the walk is cancelled
 * @userdata: for @func
 *
 * With a platform, one manifest is looked for, through nested indexes; entries that do not say what
 * they are for are fetched to find out. The error is then BERTH_ERROR_PLATFORM_UNAVAILABLE.
 *
 * Returns: (transfer full): the walk; it frees itself after @func.
 */
BerthTreeWalk *berth_tree_walk(BerthReader *reader, const BerthTreeWish *wish, BerthTreeFunc func,
                               void *userdata);

/**
 * berth_documents_order:
 * @documents: (element-type BerthDocument)
 * @top: one of them
 *
 * An index can name one that came before it, so the order in which they came says nothing.
 *
 * Returns: (transfer container) (element-type BerthDocument): of @documents what is below @top,
 * each after what it names; @top is the last.
 */
GPtrArray *berth_documents_order(const GPtrArray *documents, const BerthDocument *top);

/** berth_tree_walk_cancel: @walk: (nullable): ends it without a callback. */
void berth_tree_walk_cancel(BerthTreeWalk *walk);
