/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Referrers: signatures, bills of material and other artifacts that name an image as their subject
 * (OCI distribution specification, "Listing Referrers"). The registry's list is not believed: each
 * is fetched, and counts only when it really names the subject. Anybody who may push can attach
 * something, so depth and number are bounded.
 */

#include "transfer/referrers.h"

#include "base/error.h"
#include "base/json.h"
#include "registry/push.h"
#include "transfer/fetch-document.h"

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
    GHashTable *seen; /* owned digests as texts */
    GPtrArray *documents;
    BerthRequest *request;
    BerthDocumentFetch *fetch;
    BerthReferrersWalkFunc func;
    void *userdata;
};

const BerthDescriptor *berth_document_subject(const BerthDocument *document)
{
    return document->manifest ? document->manifest->subject : document->index->subject;
}

void berth_referrers_walk_cancel(BerthReferrersWalk *walk)
{
    if (!walk)
        return;
    if (walk->request)
        berth_request_cancel(walk->request);
    berth_document_fetch_cancel(walk->fetch);
    g_array_unref(walk->subjects);
    if (walk->found)
        g_ptr_array_unref(walk->found);
    g_hash_table_unref(walk->seen);
    if (walk->documents)
        g_ptr_array_unref(walk->documents);
    g_free(walk);
}

static void finish(BerthReferrersWalk *walk, const GError *error)
{
    BerthReferrersWalkFunc func = walk->func;
    void *userdata = walk->userdata;
    GPtrArray *documents = error ? NULL : g_steal_pointer(&walk->documents);
    g_autoptr(GError) copy = error ? g_error_copy(error) : NULL;

    berth_referrers_walk_cancel(walk);
    func(documents, copy, userdata);
}

static Subject *present_subject(const BerthReferrersWalk *walk)
{
    return &g_array_index(walk->subjects, Subject, walk->next_subject - 1);
}

static void ask_next(BerthReferrersWalk *walk);
static void fetch_next(BerthReferrersWalk *walk);

static void on_document(BerthDocument *document, const GError *error, void *userdata)
{
    BerthReferrersWalk *walk = userdata;
    Subject subject = *present_subject(walk);
    const BerthDescriptor *named = document ? berth_document_subject(document) : NULL;

    walk->fetch = NULL;
    if (!document) {
        finish(walk, error);
        return;
    }
    /*
     * It is listed and does not say so itself; or it is an index, whose manifests nobody has
     * fetched: to name it would make them the user's, and who puts it is told that they are missing
     */
    if (!named || !berth_digest_equal(&named->digest, &subject.digest) ||
        (document->index && document->index->manifests->len > 0)) {
        berth_document_free(document);
        fetch_next(walk);
        return;
    }
    g_ptr_array_add(walk->documents, document);
    subject = (Subject){ document->digest, subject.depth + 1 };
    if (subject.depth < DEPTH_MAX)
        g_array_append_val(walk->subjects, subject);
    fetch_next(walk);
}

static void fetch_next(BerthReferrersWalk *walk)
{
    g_autoptr(GError) error = NULL;

    while (walk->next_found < walk->found->len) {
        const BerthDescriptor *descriptor = walk->found->pdata[walk->next_found++];

        if (!g_hash_table_add(walk->seen, g_strdup(descriptor->digest.text)))
            continue;
        if (g_hash_table_size(walk->seen) > DOCUMENTS_MAX) {
            (void)berth_set_error(&error, BERTH_ERROR_MANIFEST_INVALID,
                                  "more than %d things are attached to the image; leave referrers "
                                  "out",
                                  DOCUMENTS_MAX);
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
    walk->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    walk->documents = g_ptr_array_new_with_free_func((GDestroyNotify)berth_document_free);
    walk->func = func;
    walk->userdata = userdata;
    for (guint i = 0; i < subjects->len; i++) {
        const BerthDocument *document = subjects->pdata[i];
        const Subject subject = { document->digest, 0 };

        g_array_append_val(walk->subjects, subject);
    }
    ask_next(walk);
    return walk;
}
