/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between an entry of index.json and what it means to us: a descriptor, with annotations of the
 * specification and of our own.
 */

#include "oci/image-entry.h"

#include "base/json.h"
#include "base/reference.h"
#include "oci/descriptor.h"
#include "oci/index-file.h"

#include <inttypes.h>

#define ANNOTATION_PLATFORM "org.berthd.platform"
#define ANNOTATION_PULLED   "org.berthd.pulled"
#define ANNOTATION_TOTAL    "org.berthd.total"
#define ANNOTATION_OWNERS   "org.berthd.owners"
#define ANNOTATION_SUBJECT  "org.berthd.subject"

#define OWNERS_MAX          256

void berth_image_free(BerthImage *image)
{
    if (!image)
        return;
    g_free(image->reference);
    g_free(image->media_type);
    g_free(image->platform);
    g_free(image->index_digest);
    g_free(image->subject);
    g_clear_pointer(&image->owners, g_array_unref);
    g_free(image);
}

bool berth_owners_have(const GArray *owners, uid_t uid)
{
    for (guint i = 0; i < owners->len; i++)
        if (g_array_index(owners, uid_t, i) == uid)
            return true;
    return false;
}

bool berth_image_owned_by(const BerthImage *image, uid_t uid)
{
    return uid == 0 || berth_owners_have(image->owners, uid);
}

bool berth_images_share_owner(const BerthImage *a, const BerthImage *b)
{
    bool of_root = a->owners->len == 0 || berth_owners_have(a->owners, 0);

    if (of_root && (b->owners->len == 0 || berth_owners_have(b->owners, 0)))
        return true;
    for (guint i = 0; i < a->owners->len; i++)
        if (berth_owners_have(b->owners, g_array_index(a->owners, uid_t, i)))
            return true;
    return false;
}

/* An entry's annotation, or NULL. */
static const char *annotation(const json_t *entry, const char *key)
{
    return json_string_value(json_object_get(json_object_get(entry, "annotations"), key));
}

static uint64_t number(const json_t *entry, const char *key)
{
    const char *text = annotation(entry, key);
    guint64 value;

    return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &value, NULL) ? value : 0;
}

static GArray *read_owners(const json_t *entry)
{
    GArray *owners = g_array_new(FALSE, FALSE, sizeof(uid_t));
    const char *text = annotation(entry, ANNOTATION_OWNERS);
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", OWNERS_MAX + 1);

    for (char **word = words; *word && owners->len < OWNERS_MAX; word++) {
        guint64 value;
        uid_t uid;

        if (!g_ascii_string_to_unsigned(*word, 10, 0, (guint64)(uid_t)-2, &value, NULL))
            continue;
        uid = (uid_t)value;
        if (!berth_owners_have(owners, uid))
            g_array_append_val(owners, uid);
    }
    return owners;
}

BerthImage *berth_image_read(const json_t *entry)
{
    g_autoptr(BerthDescriptor) descriptor = berth_descriptor_from_json(entry, NULL);
    const char *platform = annotation(entry, ANNOTATION_PLATFORM);
    g_autoptr(BerthImage) image = NULL;
    BerthDigest index, subject;

    if (!descriptor)
        return NULL;
    image = g_new0(BerthImage, 1);
    image->reference = g_strdup(annotation(entry, BERTH_ANNOTATION_NAME));
    image->digest = descriptor->digest;
    image->size = descriptor->size;
    image->media_type = g_steal_pointer(&descriptor->media_type);
    if (platform)
        image->platform = g_strdup(platform);
    else
        image->platform =
            descriptor->platform ? berth_platform_to_string(descriptor->platform) : g_strdup("");
    if (annotation(entry, BERTH_ANNOTATION_INDEX) &&
        berth_digest_parse(annotation(entry, BERTH_ANNOTATION_INDEX), &index, NULL))
        image->index_digest = g_strdup(index.text);
    if (annotation(entry, ANNOTATION_SUBJECT) &&
        berth_digest_parse(annotation(entry, ANNOTATION_SUBJECT), &subject, NULL))
        image->subject = g_strdup(subject.text);
    image->pulled_usec = number(entry, ANNOTATION_PULLED);
    image->total = number(entry, ANNOTATION_TOTAL);
    image->owners = read_owners(entry);
    return g_steal_pointer(&image);
}

static void set_annotation(json_t *annotations, const char *key, const char *value)
{
    if (value && *value)
        json_object_set_new(annotations, key, json_string(value));
}

static char *format_owners(const GArray *owners)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < owners->len && i < OWNERS_MAX; i++)
        g_string_append_printf(text, "%s%u", i > 0 ? " " : "", g_array_index(owners, uid_t, i));
    return g_string_free(text, FALSE);
}

char *berth_image_format(const BerthImage *image, const GArray *owners)
{
    g_autoptr(json_t) entry = json_object();
    json_t *annotations = json_object();
    g_autofree char *pulled = g_strdup_printf("%" PRIu64, image->pulled_usec);
    g_autofree char *total = g_strdup_printf("%" PRIu64, image->total);
    g_autofree char *uids = format_owners(owners);

    json_object_set_new(entry, "annotations", annotations);
    json_object_set_new(entry, "mediaType", json_string(image->media_type));
    json_object_set_new(entry, "digest", json_string(image->digest.text));
    json_object_set_new(entry, "size", json_integer(image->size));
    set_annotation(annotations, BERTH_ANNOTATION_NAME, image->reference);
    set_annotation(annotations, ANNOTATION_PLATFORM, image->platform);
    set_annotation(annotations, BERTH_ANNOTATION_INDEX, image->index_digest);
    set_annotation(annotations, ANNOTATION_SUBJECT, image->subject);
    set_annotation(annotations, ANNOTATION_PULLED, pulled);
    if (image->total > 0)
        set_annotation(annotations, ANNOTATION_TOTAL, total);
    set_annotation(annotations, ANNOTATION_OWNERS, uids);
    return berth_index_file_format(entry);
}

void berth_image_set_owners(json_t *entry, const GArray *owners)
{
    g_autofree char *uids = format_owners(owners);

    set_annotation(json_object_get(entry, "annotations"), ANNOTATION_OWNERS, uids);
}
