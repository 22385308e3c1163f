/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors: type, digest and size of a blob, and where else it may lie. They come from whoever
 * made the image, so that every member is bounded and a digest is checked before anybody can build
 * a path from it. URLs are kept as they are and never followed here.
 */

#include "oci/descriptor.h"

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"
#include "oci/hash.h"

#include <inttypes.h>
#include <string.h>

static bool read_type(const json_t *object, BerthDescriptor *descriptor, GError **error)
{
    const char *text, *artifact;

    if (!berth_json_get_string(object, "mediaType", BERTH_MEDIA_TYPE_LENGTH_MAX, &text, error) ||
        !berth_json_get_string(object, "artifactType", BERTH_MEDIA_TYPE_LENGTH_MAX, &artifact,
                               error))
        return false;
    if (!text || !berth_media_type_is_valid(text)) {
        g_autofree char *quoted = berth_quote(text ? text : "");
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "\"mediaType\" is '%s', not a media type", quoted);
    }
    descriptor->media_type = g_strdup(text);
    descriptor->type = berth_media_type_from_string(text);
    descriptor->artifact_type = artifact && *artifact ? g_strdup(artifact) : NULL;
    return true;
}

static bool read_digest(const json_t *object, BerthDescriptor *descriptor, GError **error)
{
    g_autoptr(GError) failure = NULL;
    const char *text;

    if (!berth_json_get_string(object, "digest", BERTH_DIGEST_LENGTH_MAX, &text, error))
        return false;
    return berth_digest_parse(text ? text : "", &descriptor->digest, &failure) ||
           berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "%s", failure->message);
}

static bool read_urls(const json_t *object, BerthDescriptor *descriptor, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    const json_t *array;

    if (!berth_json_get_array(object, "urls", BERTH_URLS_MAX, &array, error))
        return false;
    if (json_array_size(array) == 0)
        return true;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *url = json_array_get(array, i);

        if (!json_is_string(url) || json_string_length(url) > BERTH_URL_LENGTH_MAX)
            return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                                   "\"urls\" has an entry that is not a string of at most %d bytes",
                                   BERTH_URL_LENGTH_MAX);
        g_strv_builder_add(builder, json_string_value(url));
    }
    descriptor->urls = g_strv_builder_end(builder);
    return true;
}

/* Decodes RFC 4648 section 4, with padding. Returns NULL when @text is anything else. */
static GBytes *decode_base64(const char *text)
{
    size_t length = strlen(text), padding = 0;
    guchar *data;
    gsize size;

    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    if (length % 4 != 0 ||
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
            length - padding)
        return NULL;
    data = g_base64_decode(text, &size);
    return g_bytes_new_take(data, size);
}

static bool read_data(const json_t *object, BerthDescriptor *descriptor, GError **error)
{
    g_autoptr(GBytes) data = NULL;
    BerthDigest actual;
    const char *text;

    /* the document bounds it */
    if (!berth_json_get_string(object, "data", SIZE_MAX, &text, error))
        return false;
    if (!text)
        return true;
    data = decode_base64(text);
    if (!data)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "\"data\" is not base64");
    if (g_bytes_get_size(data) != (uint64_t)descriptor->size)
        return berth_set_error(error, BERTH_ERROR_DIGEST_MISMATCH,
                               "\"data\" has %zu bytes, but \"size\" is %" PRId64,
                               g_bytes_get_size(data), descriptor->size);
    if (!berth_digest_compute(descriptor->digest.algorithm, g_bytes_get_data(data, NULL),
                              g_bytes_get_size(data), &actual, error) ||
        !berth_digest_verify(&descriptor->digest, &actual, "\"data\"", error))
        return false;
    descriptor->data = g_steal_pointer(&data);
    return true;
}

static bool read_platform(const json_t *object, BerthDescriptor *descriptor, GError **error)
{
    const json_t *platform;

    return berth_json_get_object(object, "platform", &platform, error) &&
           (!platform || berth_platform_from_json(platform, &descriptor->platform, error));
}

BerthDescriptor *berth_descriptor_from_json(const json_t *object, GError **error)
{
    g_autoptr(BerthDescriptor) descriptor = g_new0(BerthDescriptor, 1);

    if (!json_is_object(object)) {
        (void)berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "not an object");
        return NULL;
    }
    if (!read_type(object, descriptor, error) || !read_digest(object, descriptor, error) ||
        !berth_json_get_integer(object, "size", BERTH_BLOB_SIZE_MAX, &descriptor->size, error) ||
        !read_urls(object, descriptor, error) || !read_data(object, descriptor, error) ||
        !read_platform(object, descriptor, error) ||
        !berth_json_get_strings(object, "annotations", &descriptor->annotations, error))
        return NULL;
    return g_steal_pointer(&descriptor);
}

void berth_descriptor_free(BerthDescriptor *descriptor)
{
    if (!descriptor)
        return;
    g_free(descriptor->media_type);
    g_free(descriptor->artifact_type);
    g_strfreev(descriptor->urls);
    g_clear_pointer(&descriptor->data, g_bytes_unref);
    g_clear_pointer(&descriptor->annotations, g_hash_table_unref);
    berth_platform_free(descriptor->platform);
    g_free(descriptor);
}

bool berth_descriptors_from_json(const json_t *object, const char *key, size_t max,
                                 GPtrArray **descriptors, GError **error)
{
    g_autoptr(GPtrArray) list =
        g_ptr_array_new_with_free_func((GDestroyNotify)berth_descriptor_free);
    const json_t *array;

    *descriptors = NULL;
    if (!berth_json_get_array(object, key, max, &array, error))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        BerthDescriptor *one = berth_descriptor_from_json(json_array_get(array, i), error);

        if (!one) {
            g_prefix_error(error, "\"%s\" entry %zu: ", key, i);
            return false;
        }
        g_ptr_array_add(list, one);
    }
    *descriptors = g_steal_pointer(&list);
    return true;
}

bool berth_descriptor_member(const json_t *object, const char *key, BerthDescriptor **descriptor,
                             GError **error)
{
    const json_t *member;

    *descriptor = NULL;
    if (!berth_json_get_object(object, key, &member, error))
        return false;
    if (!member)
        return true;
    *descriptor = berth_descriptor_from_json(member, error);
    if (!*descriptor)
        g_prefix_error(error, "\"%s\": ", key);
    return *descriptor != NULL;
}

bool berth_url_check(const char *url, GError **error)
{
    const char *why = NULL, *authority = strstr(url, "://");
    g_autofree char *scheme = authority ? g_ascii_strdown(url, authority - url) : NULL;
    size_t host;

    for (const char *p = url; *p && !why; p++)
        if (!g_ascii_isgraph(*p) || *p == '\\')
            why = "it holds characters that a URL cannot hold";
    if (!why && (!scheme || (!g_str_equal(scheme, "http") && !g_str_equal(scheme, "https"))))
        why = "only http and https are fetched";
    if (!why) {
        authority += strlen("://");
        host = strcspn(authority, "/?#");
        if (memchr(authority, '@', host))
            why = "it holds a user name or password";
        else if (host == 0 || authority[0] == ':')
            why = "it names no host";
    }
    return !why || berth_set_error(error, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE, "%s", why);
}

char *berth_url_shown(const char *url)
{
    g_autofree char *start = g_strndup(url, strcspn(url, "?#"));
    const char *at = strrchr(start, '@');
    g_autofree char *shown = at ? g_strconcat("***", at, NULL) : g_strdup(start);

    return berth_quote(shown);
}
