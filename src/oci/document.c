/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manifests and indexes as they come from a registry, an archive or the store: first their digest,
 * then JSON within limits, then the question of what they are. That question must have one answer
 * for every reader, or a signed index could be run as an unsigned manifest, so whatever is
 * ambiguous is refused.
 */

#include "oci/document.h"

#include "base/error.h"
#include "base/names.h"
#include "oci/hash.h"

#include <inttypes.h>
#include <string.h>

/*
 * 4096 layers with URLs and annotations are 12 thousand containers and 40 thousand values; at the
 * limits the parsed form takes about 15 MB (measured, Jansson 2.14).
 */
const BerthJsonLimits berth_document_limits = {
    .bytes = BERTH_DOCUMENT_BYTES_MAX,
    .depth = 16, /* a platform's features in an index: 5 */
    .containers = 32768,
    .values = 65536,
};

/* Members of the root and the one kind of document that each belongs to. */
static const struct {
    const char *key;
    BerthMediaKind kind;
} telling[] = {
    { "config", BERTH_MEDIA_KIND_MANIFEST },   { "layers", BERTH_MEDIA_KIND_MANIFEST },
    { "manifests", BERTH_MEDIA_KIND_INDEX },   { "fsLayers", BERTH_MEDIA_KIND_SCHEMA1 },
    { "history", BERTH_MEDIA_KIND_SCHEMA1 },   { "signatures", BERTH_MEDIA_KIND_SCHEMA1 },
    { "mediaType", BERTH_MEDIA_KIND_OTHER },   { "schemaVersion", BERTH_MEDIA_KIND_OTHER },
    { "annotations", BERTH_MEDIA_KIND_OTHER }, { "subject", BERTH_MEDIA_KIND_OTHER },
};

static bool set_schema1(GError **error)
{
    return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                           "Docker schema 1 manifests are not supported, since nothing in them can "
                           "be verified; push the image again with a current tool");
}

/* Go's readers take keys of any case, so `Layers` would be nothing to us and layers to them. */
static bool check_spelling(const json_t *root, GError **error)
{
    for (void *i = json_object_iter((json_t *)root); i;
         i = json_object_iter_next((json_t *)root, i)) {
        const char *key = json_object_iter_key(i);

        for (guint t = 0; t < G_N_ELEMENTS(telling); t++)
            if (g_ascii_strcasecmp(key, telling[t].key) == 0 && !g_str_equal(key, telling[t].key))
                return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                                       "\"%s\" must be spelt \"%s\": readers differ in what they "
                                       "make of it",
                                       key, telling[t].key);
    }
    return true;
}

/* What the members say: a kind, or BERTH_MEDIA_KIND_OTHER when they say nothing. */
static bool kind_of_members(const json_t *root, BerthMediaKind *kind, GError **error)
{
    const char *first = NULL;

    *kind = BERTH_MEDIA_KIND_OTHER;
    for (guint t = 0; t < G_N_ELEMENTS(telling); t++) {
        if (telling[t].kind == BERTH_MEDIA_KIND_OTHER || !json_object_get(root, telling[t].key))
            continue;
        if (first && telling[t].kind != *kind)
            return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                                   "it has both \"%s\" and \"%s\", so that it could be taken for "
                                   "different things",
                                   first, telling[t].key);
        first = telling[t].key;
        *kind = telling[t].kind;
    }
    return true;
}

/* Whether a Content-Type is what servers send that do not know what they send. */
static bool says_nothing(const char *media_type)
{
    static const char *const generic[] = { "application/json", "application/octet-stream",
                                           "text/plain" };

    for (guint i = 0; i < G_N_ELEMENTS(generic); i++)
        if (g_ascii_strcasecmp(media_type, generic[i]) == 0)
            return true;
    return false;
}

/* The type that header and `mediaType` agree on; BERTH_MEDIA_OTHER when neither says one. */
static bool declared_type(const json_t *root, const char *content_type, BerthMediaType *type,
                          GError **error)
{
    g_autofree char *header = berth_media_type_from_header(content_type);
    g_autofree char *shown = NULL, *shown_header = NULL;
    const char *text;

    *type = BERTH_MEDIA_OTHER;
    if (!berth_json_get_string(root, "mediaType", BERTH_MEDIA_TYPE_LENGTH_MAX, &text, error))
        return false;
    if (text && !*text)
        text = NULL;
    shown = berth_quote(text ? text : "");
    shown_header = berth_quote(header ? header : "");
    if (text && header && g_ascii_strcasecmp(text, header) != 0)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "\"mediaType\" is '%s', but it was served as '%s'", shown,
                               shown_header);
    if (!text && header && says_nothing(header))
        return true;
    if (!text && !header)
        return true;
    *type = berth_media_type_from_string(text ? text : header);
    if (*type == BERTH_MEDIA_OTHER)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "'%s' is not the media type of an image manifest or index",
                               text ? shown : shown_header);
    return true;
}

/* Finds the type of @root, which is a manifest's or an index's. */
static bool find_type(const json_t *root, const char *content_type, BerthMediaType *type,
                      GError **error)
{
    BerthMediaKind kind, declared;
    int64_t version;

    if (!check_spelling(root, error) || !declared_type(root, content_type, type, error))
        return false;
    declared = berth_media_type_kind(*type);
    if (declared == BERTH_MEDIA_KIND_SCHEMA1)
        return set_schema1(error);
    if (!berth_json_get_integer(root, "schemaVersion", INT64_MAX, &version, error))
        return false;
    if (version == 1)
        return set_schema1(error);
    if (version != 2)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "\"schemaVersion\" is %" PRId64 "; only 2 is supported", version);
    if (!kind_of_members(root, &kind, error))
        return false;
    if (kind == BERTH_MEDIA_KIND_SCHEMA1)
        return set_schema1(error);
    if (kind == BERTH_MEDIA_KIND_OTHER)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "it has neither \"config\" and \"layers\" nor \"manifests\"");
    if (*type != BERTH_MEDIA_OTHER && declared != kind)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "it says that it is '%s', but has the members of %s",
                               berth_media_type_to_string(*type),
                               kind == BERTH_MEDIA_KIND_INDEX ? "an index" : "a manifest");
    if (*type == BERTH_MEDIA_OTHER)
        *type = kind == BERTH_MEDIA_KIND_INDEX ? BERTH_MEDIA_OCI_INDEX : BERTH_MEDIA_OCI_MANIFEST;
    return true;
}

static bool parse(BerthDocument *document, const char *content_type, GError **error)
{
    gsize size;
    const void *data = g_bytes_get_data(document->raw, &size);
    json_auto_t *root = berth_json_load(data, size, &berth_document_limits, error);

    if (!root || !find_type(root, content_type, &document->type, error))
        return false;
    if (berth_media_type_kind(document->type) == BERTH_MEDIA_KIND_INDEX)
        document->index = berth_index_from_json(root, BERTH_INDEX_MANIFESTS_MAX, error);
    else
        document->manifest = berth_manifest_from_json(root, error);
    return document->index || document->manifest;
}

BerthDocument *berth_document_parse(GBytes *raw, const char *content_type,
                                    const BerthDigest *expected, GError **error)
{
    g_autoptr(BerthDocument) document = g_new0(BerthDocument, 1);
    gsize size;
    const void *data = g_bytes_get_data(raw, &size);

    document->raw = g_bytes_ref(raw);
    if (!berth_digest_compute(expected ? expected->algorithm : BERTH_DIGEST_SHA256, data, size,
                              &document->digest, error) ||
        (expected && !berth_digest_verify(expected, &document->digest, "manifest", error)))
        return NULL;
    if (!parse(document, content_type, error)) {
        g_prefix_error(error, "manifest %s: ", document->digest.text);
        return NULL;
    }
    return g_steal_pointer(&document);
}

void berth_document_free(BerthDocument *document)
{
    if (!document)
        return;
    g_clear_pointer(&document->raw, g_bytes_unref);
    berth_manifest_free(document->manifest);
    berth_index_free(document->index);
    g_free(document);
}

bool berth_document_check(const BerthDocument *document, const BerthDescriptor *descriptor,
                          GError **error)
{
    if (g_bytes_get_size(document->raw) != (uint64_t)descriptor->size)
        return berth_set_error(error, BERTH_ERROR_DIGEST_MISMATCH,
                               "manifest %s has %zu bytes, but the index says %" PRId64,
                               document->digest.text, g_bytes_get_size(document->raw),
                               descriptor->size);
    if (!berth_digest_verify(&descriptor->digest, &document->digest, "manifest", error))
        return false;
    return document->type == descriptor->type ||
           berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                           "manifest %s is '%s', but the index says '%s'", document->digest.text,
                           berth_media_type_to_string(document->type), descriptor->media_type);
}
