/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Referrers: signatures, bills of material and other artifacts that name an image as their subject
 * (OCI distribution specification, "Listing Referrers"). The registry's list is not believed: each
 * is fetched, and counts only when it really names the subject; an index with all that is below it.
 * Anybody who may push can attach something, so depth and number are bounded. Lists name what was
 * removed long ago, above all those in tags: what is not there is left out, and the log says so.
 */

#include "transfer/referrers.h"

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "registry/push.h"
#include "transfer/fetch-document.h"
#include "transfer/tree.h"

#include <string.h>

#define DEPTH_MAX     3    /* of what is attached to what is attached */
#define DOCUMENTS_MAX 1024 /* of one walk */

typedef struct {
    BerthDigest digest;
    unsigned depth;
} Subject;

struct BerthReferrersWalk {
    BerthReader *reader;
    GArray *subjects; /* (element-type Subject) asked for one after the other */
    guint next_subject;
    GPtrArray *found; /* (element-type BerthDescriptor) of the present subject */
    guint next_found;
    GHashTable *asked; /* owned digests as texts: listed somewhere */
    GHashTable *have; /* digests as texts, which their documents hold: the image's and found ones */
    BerthReferrers *referrers;
    BerthRequest *request;
    BerthDocumentFetch *fetch;
    BerthTreeWalk *tree;
    BerthReferrersWalkFunc func;
    void *userdata;
};

const BerthDescriptor *berth_document_subject(const BerthDocument *document)
{
    return document->manifest ? document->manifest->subject : document->index->subject;
}

void berth_referrers_free(BerthReferrers *referrers)
{
    if (!referrers)
        return;
    g_ptr_array_unref(referrers->tops);
    g_ptr_array_unref(referrers->documents);
    g_free(referrers);
}

void berth_referrers_walk_cancel(BerthReferrersWalk *walk)
{
    if (!walk)
        return;
    if (walk->request)
        berth_request_cancel(walk->request);
    berth_document_fetch_cancel(walk->fetch);
    berth_tree_walk_cancel(walk->tree);
    g_array_unref(walk->subjects);
    if (walk->found)
        g_ptr_array_unref(walk->found);
    g_hash_table_unref(walk->asked);
    g_hash_table_unref(walk->have);
    berth_referrers_free(walk->referrers);
    g_free(walk);
}

static void finish(BerthReferrersWalk *walk, const GError *error)
{
    BerthReferrersWalkFunc func = walk->func;
    void *userdata = walk->userdata;
    BerthReferrers *referrers = error ? NULL : g_steal_pointer(&walk->referrers);
    g_autoptr(GError) copy = error ? g_error_copy(error) : NULL;

    berth_referrers_walk_cancel(walk);
    func(referrers, copy, userdata);
}

static Subject *present_subject(const BerthReferrersWalk *walk)
{
    return &g_array_index(walk->subjects, Subject, walk->next_subject - 1);
}

static void ask_next(BerthReferrersWalk *walk);
static void fetch_next(BerthReferrersWalk *walk);

static const BerthDescriptor *present_descriptor(const BerthReferrersWalk *walk)
{
    return walk->found->pdata[walk->next_found - 1];
}

/* Whether to go on after @error: without what is listed and not there. */
static bool is_gone(const BerthReferrersWalk *walk, const GError *error)
{
    if (!g_error_matches(error, BERTH_ERROR, BERTH_ERROR_MANIFEST_UNKNOWN))
        return false;
    berth_notice("left out %s, which is listed as attached to %s: %s",
                 present_descriptor(walk)->digest.text, present_subject(walk)->digest.text,
                 error->message);
    return true;
}

static bool check_number(const BerthReferrersWalk *walk, GError **error)
{
    return g_hash_table_size(walk->asked) <= DOCUMENTS_MAX &&
                   walk->referrers->documents->len <= DOCUMENTS_MAX
               ? true
               : berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                                 "more than %d things are attached to the image; leave referrers "
                                 "out",
                                 DOCUMENTS_MAX);
}

/* Takes @document, unless it is there already: below something else that is attached, say. */
static void add(BerthReferrersWalk *walk, BerthDocument *document)
{
    const Subject subject = { document->digest, present_subject(walk)->depth + 1 };

    if (!g_hash_table_add(walk->have, document->digest.text)) {
        berth_document_free(document);
        return;
    }
    g_ptr_array_add(walk->referrers->documents, document);
    if (subject.depth < DEPTH_MAX)
        g_array_append_val(walk->subjects, subject);
}

static void add_top(BerthReferrersWalk *walk, BerthDocument *document)
{
    if (g_hash_table_contains(walk->have, document->digest.text)) {
        berth_document_free(document);
        return;
    }
    add(walk, document);
    g_ptr_array_add(walk->referrers->tops, document);
}

/* All below an index that is attached. */
static void on_tree(BerthTree *tree, const GError *error, void *userdata)
{
    BerthReferrersWalk *walk = userdata;
    g_autoptr(GPtrArray) ordered = NULL;
    g_autoptr(GError) failure = NULL;

    walk->tree = NULL;
    if (!tree) {
        if (is_gone(walk, error))
            fetch_next(walk);
        else
            finish(walk, error);
        return;
    }
    ordered = berth_documents_order(tree->documents, tree->documents->pdata[0]);
    g_ptr_array_set_free_func(tree->documents, NULL); /* all of them are in order, and go over */
    for (guint i = 0; i + 1 < ordered->len; i++)
        add(walk, ordered->pdata[i]);
    add_top(walk, ordered->pdata[ordered->len - 1]);
    berth_tree_free(tree);
    if (check_number(walk, &failure))
        fetch_next(walk);
    else
        finish(walk, failure);
}

static void on_document(BerthDocument *document, const GError *error, void *userdata)
{
    BerthReferrersWalk *walk = userdata;
    const BerthDescriptor *named = document ? berth_document_subject(document) : NULL;
    const BerthDescriptor *descriptor = present_descriptor(walk);
    bool index = document && document->index && document->index->manifests->len > 0;
    BerthTreeWish wish;

    walk->fetch = NULL;
    if (!document && !is_gone(walk, error)) {
        finish(walk, error);
        return;
    }
    /* it may be listed and not say so itself */
    if (!named || !berth_digest_equal(&named->digest, &present_subject(walk)->digest)) {
        g_clear_pointer(&document, berth_document_free);
    } else if (index) {
        berth_document_free(document);
        wish = (BerthTreeWish){ .target = descriptor->digest.text, .descriptor = descriptor };
        walk->tree = berth_tree_walk(walk->reader, &wish, on_tree, walk);
        return;
    } else
        add_top(walk, document);
    fetch_next(walk);
}

static void fetch_next(BerthReferrersWalk *walk)
{
    g_autoptr(GError) error = NULL;

    while (walk->next_found < walk->found->len) {
        const BerthDescriptor *descriptor = walk->found->pdata[walk->next_found++];

        if (!g_hash_table_add(walk->asked, g_strdup(descriptor->digest.text)))
            continue;
        if (!check_number(walk, &error)) {
            finish(walk, error);
            return;
        }
        walk->fetch = berth_document_fetch(walk->reader, descriptor->digest.text, descriptor,
                                           on_document, walk);
        return;
    }
    g_clear_pointer(&walk->found, g_ptr_array_unref);
    ask_next(walk);
}

/* The descriptors of a page; what makes no sense is left out. */
static void read_page(GPtrArray *found, GBytes *page)
{
    g_autoptr(json_t) root = berth_json_load(g_bytes_get_data(page, NULL), g_bytes_get_size(page),
                                             &berth_document_limits, NULL);
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(root, "manifests"), i, entry)
    {
        BerthDescriptor *descriptor = berth_descriptor_from_json(entry, NULL);

        if (descriptor)
            g_ptr_array_add(found, descriptor);
    }
}

static void on_list(const GPtrArray *pages, bool api, const GError *error, void *userdata)
{
    BerthReferrersWalk *walk = userdata;

    walk->request = NULL;
    if (error) {
        finish(walk, error);
        return;
    }
    walk->found = g_ptr_array_new_with_free_func((GDestroyNotify)berth_descriptor_free);
    walk->next_found = 0;
    for (guint i = 0; i < pages->len; i++)
        read_page(walk->found, pages->pdata[i]);
    fetch_next(walk);
}

static void ask_next(BerthReferrersWalk *walk)
{
    GPtrArray *sources = walk->reader->sources;
    const BerthSource *registry = sources->pdata[sources->len - 1];

    if (walk->next_subject >= walk->subjects->len) {
        finish(walk, NULL);
        return;
    }
    walk->next_subject++;
    walk->request = berth_client_list_referrers(registry->client, &present_subject(walk)->digest,
                                                on_list, walk);
}

BerthReferrersWalk *berth_referrers_walk(BerthReader *reader, const GPtrArray *subjects,
                                         BerthReferrersWalkFunc func, void *userdata)
{
    BerthReferrersWalk *walk = g_new0(BerthReferrersWalk, 1);

    g_assert(subjects->len > 0);
    walk->reader = reader;
    walk->subjects = g_array_new(FALSE, FALSE, sizeof(Subject));
    walk->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    walk->have = g_hash_table_new(g_str_hash, g_str_equal);
    walk->referrers = g_new0(BerthReferrers, 1);
    walk->referrers->documents =
        g_ptr_array_new_with_free_func((GDestroyNotify)berth_document_free);
    walk->referrers->tops = g_ptr_array_new();
    walk->func = func;
    walk->userdata = userdata;
    for (guint i = 0; i < subjects->len; i++) {
        BerthDocument *document = subjects->pdata[i];
        const Subject subject = { document->digest, 0 };

        g_hash_table_add(walk->have, document->digest.text);
        g_array_append_val(walk->subjects, subject);
    }
    ask_next(walk);
    return walk;
}
