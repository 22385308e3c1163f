/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the documents of an image: what the reference names and, where that is an index, what is
 * below it: everything, or one manifest for a platform. Who made the index decides what is asked
 * for, so depth and number are bounded.
 */

#include "transfer/tree.h"

#include "base/error.h"
#include "transfer/config.h"
#include "transfer/fetch-blob.h"
#include "transfer/fetch-document.h"

#include <string.h>

#define DEPTH_MAX     8 /* of indexes in indexes */
#define DOCUMENTS_MAX BERTH_INDEX_MANIFESTS_MAX
#define PARALLEL      6 /* documents at once, when all are wanted */

/* A document to fetch. Also the state of its fetch. */
typedef struct {
    BerthTreeWalk *walk;
    const BerthDescriptor *descriptor; /* in an index of the tree; NULL: the top */
    unsigned depth;
    bool certain;               /* that it is for the platform, if it is a manifest */
    BerthDocumentFetch *fetch;  /* under way */
    BerthBlobFetch *config;     /* under way, to find out what it is for */
    const BerthDocument *found; /* with config */
} Node;

struct BerthTreeWalk {
    BerthReader *reader;
    char *target;
    const BerthPlatform *platform; /* NULL: all */
    BerthTree *tree;
    GHashTable *seen; /* digests as text, which their documents hold */
    GQueue waiting;   /* (element-type Node) */
    GPtrArray *running;
    unsigned n_documents; /* asked for */
    GPtrArray *offered;   /* (element-type utf8) platforms that there are instead */
    BerthTreeFunc func;
    void *userdata;
};

void berth_tree_free(BerthTree *tree)
{
    if (!tree)
        return;
    g_ptr_array_unref(tree->manifests);
    g_ptr_array_unref(tree->documents);
    g_free(tree->platform);
    g_free(tree);
}

static void node_free(gpointer data)
{
    Node *node = data;

    berth_document_fetch_cancel(node->fetch);
    berth_blob_fetch_cancel(node->config);
    g_free(node);
}

void berth_tree_walk_cancel(BerthTreeWalk *walk)
{
    if (!walk)
        return;
    g_ptr_array_unref(walk->running);
    g_queue_clear_full(&walk->waiting, node_free);
    g_hash_table_unref(walk->seen);
    berth_tree_free(walk->tree);
    g_ptr_array_unref(walk->offered);
    g_free(walk->target);
    g_free(walk);
}

static void finish(BerthTreeWalk *walk, BerthTree *tree, const GError *error)
{
    BerthTreeFunc func = walk->func;
    void *userdata = walk->userdata;
    g_autoptr(GError) copy = error ? g_error_copy(error) : NULL;

    berth_tree_walk_cancel(walk);
    func(tree, copy, userdata);
}

static Node *node_new(BerthTreeWalk *walk, const BerthDescriptor *descriptor, unsigned depth)
{
    Node *node = g_new0(Node, 1);

    node->walk = walk;
    node->descriptor = descriptor;
    node->depth = depth;
    return node;
}

static void go_on(BerthTreeWalk *walk);

/* Takes the children of an index in; those that were there before are not fetched twice. */
static bool add_children(BerthTreeWalk *walk, const Node *node, GPtrArray *children, GError **error)
{
    if (children->len > 0 && node->depth >= DEPTH_MAX)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "%s: indexes lie in indexes, more than %d deep", walk->target,
                               DEPTH_MAX);
    for (guint i = children->len; i-- > 0;) { /* each to the head, so that the order is kept */
        const BerthDescriptor *child = children->pdata[i];
        Node *added;

        if (!g_hash_table_add(walk->seen, (gpointer)child->digest.text))
            continue;
        if (++walk->n_documents > DOCUMENTS_MAX)
            return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                                   "%s: more than %d manifests belong to it", walk->target,
                                   DOCUMENTS_MAX);
        added = node_new(walk, child, node->depth + 1);
        added->certain = !walk->platform || child->platform;
        g_queue_push_head(&walk->waiting, added);
    }
    return true;
}

static void offer(BerthTreeWalk *walk, const BerthPlatform *platform)
{
    g_autofree char *text = berth_platform_to_string(platform);

    if (!g_ptr_array_find_with_equal_func(walk->offered, text, g_str_equal, NULL))
        g_ptr_array_add(walk->offered, g_steal_pointer(&text));
}

static bool on_index(BerthTreeWalk *walk, const Node *node, const BerthIndex *index, GError **error)
{
    g_autoptr(GPtrArray) chosen = NULL;

    if (!walk->platform)
        return add_children(walk, node, index->manifests, error);
    for (guint i = 0; i < index->manifests->len; i++) {
        const BerthDescriptor *child = index->manifests->pdata[i];

        if (child->platform)
            offer(walk, child->platform);
    }
    chosen = berth_index_choose(index, walk->platform, NULL);
    return !chosen || add_children(walk, node, chosen, error);
}

/* All that the indexes and images on the way are for, not only what the last one was. */
static GError *unavailable(const BerthTreeWalk *walk)
{
    g_autofree char *wanted = berth_platform_to_string(walk->platform);
    g_autofree char *choice = NULL;

    if (walk->offered->len == 0)
        return g_error_new(BERTH_ERROR, BERTH_ERROR_PLATFORM_UNAVAILABLE,
                           "there is no image for platform %s, nor for any other", wanted);
    g_ptr_array_add(walk->offered, NULL);
    choice = g_strjoinv(", ", (char **)walk->offered->pdata);
    return g_error_new(BERTH_ERROR, BERTH_ERROR_PLATFORM_UNAVAILABLE,
                       "there is no image for platform %s; choose from: %s", wanted, choice);
}

/* With every platform: the manifests in the order of the indexes, not in that of their coming. */
static void collect(GHashTable *documents, const BerthDocument *document, GHashTable *taken,
                    GPtrArray *manifests)
{
    if (!document || !g_hash_table_add(taken, (gpointer)document))
        return;
    if (document->manifest)
        g_ptr_array_add(manifests, (gpointer)document);
    for (guint i = 0; document->index && i < document->index->manifests->len; i++) {
        const BerthDescriptor *child = document->index->manifests->pdata[i];

        collect(documents, g_hash_table_lookup(documents, child->digest.text), taken, manifests);
    }
}

static void collect_all(BerthTree *tree)
{
    g_autoptr(GHashTable) documents = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < tree->documents->len; i++) {
        BerthDocument *document = tree->documents->pdata[i];

        g_hash_table_insert(documents, document->digest.text, document);
    }
    collect(documents, tree->documents->pdata[0], taken, tree->manifests);
}

static void order(GHashTable *left, const BerthDocument *document, GPtrArray *ordered)
{
    if (!document || !g_hash_table_remove(left, document->digest.text))
        return;
    for (guint i = 0; document->index && i < document->index->manifests->len; i++) {
        const BerthDescriptor *child = document->index->manifests->pdata[i];

        order(left, g_hash_table_lookup(left, child->digest.text), ordered);
    }
    g_ptr_array_add(ordered, (gpointer)document);
}

GPtrArray *berth_documents_order(const GPtrArray *documents, const BerthDocument *top)
{
    g_autoptr(GHashTable) left = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *ordered = g_ptr_array_new();

    for (guint i = 0; i < documents->len; i++) {
        BerthDocument *document = documents->pdata[i];

        g_hash_table_insert(left, document->digest.text, document);
    }
    order(left, top, ordered);
    return ordered;
}

static void take(BerthTreeWalk *walk, const Node *node, const BerthDocument *document)
{
    g_ptr_array_add(walk->tree->manifests, (gpointer)document);
    if (node->descriptor && node->descriptor->platform)
        walk->tree->platform = berth_platform_to_string(node->descriptor->platform);
}

static void on_config(BerthLayerSource source, const GError *error, void *userdata)
{
    Node *node = userdata;
    BerthTreeWalk *walk = node->walk;
    g_autoptr(BerthPlatform) platform = NULL;

    node->config = NULL;
    if (error) {
        finish(walk, NULL, error);
        return;
    }
    platform = berth_config_platform(walk->reader->store, node->found->manifest);
    if (!platform || berth_platform_rank(walk->platform, platform) >= 0)
        take(walk, node, node->found);
    else
        offer(walk, platform);
    g_ptr_array_remove_fast(walk->running, node);
    go_on(walk);
}

static void on_no_progress(uint64_t done, void *userdata)
{
}

static const BerthBlobEvents config_events = { on_no_progress, on_config };

static void on_document(BerthDocument *document, const GError *error, void *userdata)
{
    Node *node = userdata;
    BerthTreeWalk *walk = node->walk;
    g_autoptr(GError) failure = NULL;

    node->fetch = NULL;
    if (!document) {
        finish(walk, NULL, error);
        return;
    }
    g_ptr_array_add(walk->tree->documents, document);
    if (document->index && !on_index(walk, node, document->index, &failure)) {
        finish(walk, NULL, failure);
        return;
    }
    if (document->manifest && !node->certain) {
        node->found = document;
        node->config =
            berth_blob_fetch(walk->reader, document->manifest->config, &config_events, node);
        return;
    }
    if (document->manifest && walk->platform)
        take(walk, node, document);
    g_ptr_array_remove_fast(walk->running, node);
    go_on(walk);
}

static void start(BerthTreeWalk *walk)
{
    Node *node = g_queue_pop_head(&walk->waiting);
    const BerthDescriptor *descriptor = node->descriptor;

    g_ptr_array_add(walk->running, node);
    node->fetch =
        berth_document_fetch(walk->reader, descriptor ? descriptor->digest.text : walk->target,
                             descriptor, on_document, node);
}

static void go_on(BerthTreeWalk *walk)
{
    bool found = walk->platform && walk->tree->manifests->len > 0;
    g_autoptr(GError) error = NULL;

    while (!found && walk->running->len < (walk->platform ? 1 : PARALLEL) &&
           !g_queue_is_empty(&walk->waiting))
        start(walk);
    if (walk->running->len > 0)
        return;
    if (walk->platform && !found) {
        error = unavailable(walk);
        finish(walk, NULL, error);
        return;
    }
    if (!walk->platform)
        collect_all(walk->tree);
    finish(walk, g_steal_pointer(&walk->tree), NULL);
}

BerthTreeWalk *berth_tree_walk(BerthReader *reader, const BerthTreeWish *wish, BerthTreeFunc func,
                               void *userdata)
{
    BerthTreeWalk *walk = g_new0(BerthTreeWalk, 1);
    Node *top;

    walk->reader = reader;
    walk->target = g_strdup(wish->target);
    walk->platform = wish->platform;
    walk->tree = g_new0(BerthTree, 1);
    walk->tree->documents = g_ptr_array_new_with_free_func((GDestroyNotify)berth_document_free);
    walk->tree->manifests = g_ptr_array_new();
    walk->seen = g_hash_table_new(g_str_hash, g_str_equal);
    walk->offered = g_ptr_array_new_with_free_func(g_free);
    g_queue_init(&walk->waiting);
    walk->running = g_ptr_array_new_with_free_func(node_free);
    walk->func = func;
    walk->userdata = userdata;
    top = node_new(walk, wish->descriptor, 0);
    top->certain = !wish->platform || !wish->insist;
    g_queue_push_head(&walk->waiting, top);
    start(walk);
    return walk;
}
