/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Putting manifests and indexes: in the order in which a registry takes them, each as it is. A
 * registry without a list of referrers gets one in a tag: who adds to it reads it first, and two
 * who do so at once can lose an entry, which the specification accepts.
 */

#include "transfer/push-manifests.h"

#include "base/error.h"
#include "base/json.h"
#include "transfer/referrers.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct BerthPutManifests {
    BerthClient *client;
    const GPtrArray *documents;
    char *tag;
    guint next;
    BerthRequest *request;
    BerthPutManifestsFunc func;
    void *userdata;
};

void berth_put_manifests_free(BerthPutManifests *puts)
{
    if (!puts)
        return;
    if (puts->request)
        berth_request_cancel(puts->request);
    g_free(puts->tag);
    g_free(puts);
}

static void put_next(BerthPutManifests *puts);

static const BerthDocument *present(const BerthPutManifests *puts)
{
    return puts->documents->pdata[puts->next - 1];
}

/* Referrers in a tag */

static char *fallback_tag(const BerthDigest *subject)
{
    return g_strdup_printf("%s-%s", berth_digest_algorithm_to_string(subject->algorithm),
                           berth_digest_hex(subject));
}

/* The entry of @document in a list of referrers (specification, "Listing Referrers"). */
static json_t *describe(const BerthDocument *document)
{
    const BerthManifest *manifest = document->manifest;
    const char *type = manifest ? manifest->artifact_type : document->index->artifact_type;
    GHashTable *annotations = manifest ? manifest->annotations : document->index->annotations;
    json_t *entry = json_pack(
        "{s:s, s:s, s:I}", "mediaType", berth_media_type_to_string(document->type), "digest",
        document->digest.text, "size", (json_int_t)g_bytes_get_size(document->raw));
    json_t *copied = json_object();
    GHashTableIter iter;
    gpointer key, value;

    if (!type && manifest)
        type = manifest->config->media_type;
    if (type)
        (void)json_object_set_new(entry, "artifactType", json_string(type));
    if (annotations) {
        g_hash_table_iter_init(&iter, annotations);
        while (g_hash_table_iter_next(&iter, &key, &value))
            (void)json_object_set_new(copied, key, json_string(value));
    }
    if (json_object_size(copied) > 0)
        (void)json_object_set(entry, "annotations", copied);
    json_decref(copied);
    return entry;
}

/* What is in the list, as far as it can be read. */
static json_t *read_list(const GPtrArray *pages)
{
    json_t *list = json_array();

    for (guint i = 0; i < pages->len; i++) {
        GBytes *page = pages->pdata[i];
        g_autoptr(json_t) root = berth_json_load(
            g_bytes_get_data(page, NULL), g_bytes_get_size(page), &berth_document_limits, NULL);

        (void)json_array_extend(list, json_object_get(root, "manifests"));
    }
    return list;
}

static bool has_entry(const json_t *list, const char *digest)
{
    const json_t *entry;
    size_t i;

    json_array_foreach((json_t *)list, i,
                       entry) if (g_strcmp0(json_string_value(json_object_get(entry, "digest")),
                                            digest) == 0) return true;
    return false;
}

static void on_list_put(bool knows_subject, const GError *error, void *userdata)
{
    BerthPutManifests *puts = userdata;

    puts->request = NULL;
    if (error)
        puts->func(error, puts->userdata);
    else
        put_next(puts);
}

static void on_list(const GPtrArray *pages, bool api, const GError *error, void *userdata)
{
    BerthPutManifests *puts = userdata;
    const BerthDocument *document = present(puts);
    const char *type = berth_media_type_to_string(BERTH_MEDIA_OCI_INDEX);
    g_autofree char *tag = fallback_tag(&berth_document_subject(document)->digest);
    g_autoptr(json_t) root = NULL;
    g_autoptr(GBytes) bytes = NULL;
    json_t *list;
    char *text;

    puts->request = NULL;
    if (error) {
        puts->func(error, puts->userdata);
        return;
    }
    list = read_list(pages);
    if (api || has_entry(list, document->digest.text)) {
        json_decref(list);
        put_next(puts);
        return;
    }
    (void)json_array_append_new(list, describe(document));
    root = json_pack("{s:i, s:s, s:o}", "schemaVersion", 2, "mediaType", type, "manifests", list);
    text = json_dumps(root, JSON_COMPACT);
    bytes = g_bytes_new(text, strlen(text));
    free(text); /* jansson's, from malloc() */
    puts->request = berth_client_put_manifest(puts->client, tag, type, bytes, on_list_put, puts);
}

/* Documents */

static void on_put(bool knows_subject, const GError *error, void *userdata)
{
    BerthPutManifests *puts = userdata;
    const BerthDescriptor *subject = berth_document_subject(present(puts));

    puts->request = NULL;
    if (error)
        puts->func(error, puts->userdata);
    else if (subject && !knows_subject)
        puts->request = berth_client_list_referrers(puts->client, &subject->digest, on_list, puts);
    else
        put_next(puts);
}

static void put_next(BerthPutManifests *puts)
{
    const BerthDocument *document;
    bool last;

    if (puts->next >= puts->documents->len) {
        puts->func(NULL, puts->userdata);
        return;
    }
    document = puts->documents->pdata[puts->next++];
    last = puts->next == puts->documents->len;
    puts->request = berth_client_put_manifest(
        puts->client, last && puts->tag ? puts->tag : document->digest.text,
        berth_media_type_to_string(document->type), document->raw, on_put, puts);
}

BerthPutManifests *berth_put_manifests(BerthClient *client, const GPtrArray *documents,
                                       const char *tag, BerthPutManifestsFunc func, void *userdata)
{
    BerthPutManifests *puts = g_new0(BerthPutManifests, 1);

    puts->client = client;
    puts->documents = documents;
    puts->tag = g_strdup(tag);
    puts->func = func;
    puts->userdata = userdata;
    put_next(puts);
    return puts;
}
