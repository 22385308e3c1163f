/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of index.json: images that get names and lose them. Every change is planned on the index
 * as it is while nobody else can replace it, and made by replacing the whole file, so that readers
 * see it before or after, and several processes lose nothing of each other's. Other tools know
 * nothing of the lock; what they do at the same moment may be lost.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/names.h"
#include "base/reference.h"
#include "oci/image-entry.h"
#include "oci/images-internal.h"
#include "oci/index-prepare.h"

#include <sys/file.h>

/* Fills in which lines of @file go and what comes; STORE_CORRUPT: try again, strictly. */
typedef bool (*PlanFunc)(const BerthIndexFile *file, void *userdata, GArray *out, GPtrArray *in,
                         GError **error);

static bool edit(BerthStore *store, PlanFunc plan, void *userdata, GError **error)
{
    BERTH_AUTO_FD lock = berth_store_lock(store, BERTH_STORE_LOCK_INDEX, LOCK_EX, error);

    for (int strict = 0; lock >= 0; strict++) {
        g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(BerthIndexLine));
        g_autoptr(GPtrArray) in = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(BerthIndexFile) file = berth_index_file_read(store, strict, error);
        g_autoptr(GError) failure = NULL;

        if (!file)
            return false;
        if (plan(file, userdata, out, in, &failure))
            return berth_index_file_replace(store, file, out, in, error);
        if (!g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_STORE_CORRUPT) || strict) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
    }
    return false;
}

static void add_owners(GArray *owners, const GArray *more)
{
    for (guint i = 0; i < more->len; i++)
        if (!berth_owners_have(owners, g_array_index(more, uid_t, i)))
            g_array_append_val(owners, g_array_index(more, uid_t, i));
}

/* The next line that may be what @image replaces: of its name, or of its digest. */
static bool next_of(const BerthIndexFile *file, const BerthImage *image, BerthIndexLine *line)
{
    g_autofree char *quoted = NULL;

    if (image->reference)
        return berth_index_file_next_named(file, image->reference, line);
    quoted = g_strdup_printf("\"%s\"", image->digest.text);
    return berth_index_file_next_with(file, quoted, line);
}

void berth_store_prepare(BerthStore *store, const char *reference)
{
    berth_prepared_free(store->prepared);
    store->prepared = berth_prepared_new(store, reference);
}

/* The line of @image in place of @before, with the owners that stay. */
static char *succeed(const BerthImage *image, const GPtrArray *before)
{
    g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(uid_t));

    for (guint i = 0; i < before->len; i++) {
        g_autoptr(BerthImage) other = berth_image_read(before->pdata[i]);

        if (other && berth_digest_equal(&other->digest, &image->digest))
            add_owners(owners, other->owners);
    }
    add_owners(owners, image->owners);
    return berth_image_format(image, owners);
}

/* Of one without a name only an entry without a name is replaced. */
static bool is_replaced(const BerthImage *image, const json_t *entry)
{
    g_autoptr(BerthImage) before = image->reference ? NULL : berth_image_read(entry);

    return image->reference ||
           (before && !before->reference && berth_digest_equal(&before->digest, &image->digest));
}

/* Images that get names at once. */
typedef struct {
    const BerthImage *const *images;
    guint n;
    bool any;  /* whoever has the names */
    uid_t uid; /* else: for whom */
} Naming;

/* Whether what has the name of @image may go for it. */
static bool may_replace(const Naming *naming, const BerthImage *image, const json_t *entry,
                        GError **error)
{
    g_autoptr(BerthImage) before = NULL;

    if (naming->any || naming->uid == 0)
        return true;
    before = berth_image_read(entry);
    return (before && (berth_image_owned_by(before, naming->uid) ||
                       berth_digest_equal(&before->digest, &image->digest))) ||
           berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                           "'%s' is the name of somebody else's image; remove that first",
                           image->reference);
}

static bool plan_one(const BerthIndexFile *file, const Naming *naming, const BerthImage *image,
                     GArray *out, GPtrArray *in, GError **error)
{
    g_autoptr(GPtrArray) before = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    BerthIndexLine line = { 0 };

    while (next_of(file, image, &line)) {
        g_autoptr(json_t) entry = berth_index_file_entry(file, &line, error);

        if (!entry)
            return false;
        if (!is_replaced(image, entry))
            continue;
        if (!may_replace(naming, image, entry, error))
            return false;
        g_ptr_array_add(before, g_steal_pointer(&entry));
        g_array_append_val(out, line);
    }
    g_ptr_array_add(in, succeed(image, before));
    return true;
}

static int compare_lines(const void *a, const void *b)
{
    const BerthIndexLine *one = a, *other = b;

    return (one->begin > other->begin) - (one->begin < other->begin);
}

static bool plan_names(const BerthIndexFile *file, void *userdata, GArray *out, GPtrArray *in,
                       GError **error)
{
    const Naming *naming = userdata;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < naming->n; i++) {
        const BerthImage *image = naming->images[i];
        const char *key = image->reference ? image->reference : image->digest.text;

        if (g_hash_table_add(seen, (gpointer)key) && !plan_one(file, naming, image, out, in, error))
            return false;
    }
    g_array_sort(out, compare_lines);
    return true;
}

/* 1: it is done; 0: the index must be made anew; -1 with @error. */
static int use_prepared(BerthStore *store, const BerthImage *image, GError **error)
{
    g_autoptr(BerthPrepared) prepared = NULL;
    g_autofree char *line = NULL;
    BERTH_AUTO_FD lock = -1;

    if (!store->prepared || !image->reference)
        return 0;
    prepared = g_steal_pointer(&store->prepared);
    lock = berth_store_lock(store, BERTH_STORE_LOCK_INDEX, LOCK_EX, error);
    if (lock < 0)
        return -1;
    if (!berth_prepared_fits(prepared, image->reference))
        return 0;
    line = succeed(image, berth_prepared_before(prepared));
    return berth_prepared_use(prepared, line, error) ? 1 : -1;
}

bool berth_store_name(BerthStore *store, const BerthImage *image, GError **error)
{
    BerthImage counted = *image;
    int done;

    g_assert(image->reference || image->subject);
    counted.total = berth_store_total(store, image);
    done = use_prepared(store, &counted, error);
    if (done == 0)
        return edit(store, plan_names,
                    &(Naming){ &(const BerthImage *){ &counted }, 1, .any = true }, error);
    return done > 0;
}

bool berth_store_name_all(BerthStore *store, const GPtrArray *images, uid_t uid, GError **error)
{
    for (guint i = 0; i < images->len; i++) {
        BerthImage *image = images->pdata[i];

        g_assert(image->reference || image->subject);
        image->total = berth_store_total(store, image);
    }
    return edit(store, plan_names,
                &(Naming){ (const BerthImage *const *)images->pdata, images->len, .uid = uid },
                error);
}

typedef struct {
    const char *image;
    const BerthDigest *expect; /* (nullable) */
    const char *reference;     /* (nullable) */
    uid_t uid;
} Change;

static bool is_expected(const Change *change, const BerthImage *image, GError **error)
{
    return !change->expect || (image && berth_digest_equal(&image->digest, change->expect)) ||
           berth_set_error(error, BERTH_ERROR_NO_SUCH_IMAGE,
                           "image '%s' has just become another one; try again", change->image);
}

/* Whether what has the name now may be replaced for @uid. */
static bool take_place(const BerthIndexFile *file, const Change *change, GArray *out,
                       GError **error)
{
    BerthIndexLine line = { 0 };

    while (berth_index_file_next_named(file, change->reference, &line)) {
        g_autoptr(json_t) entry = berth_index_file_entry(file, &line, error);
        g_autoptr(BerthImage) before = entry ? berth_image_read(entry) : NULL;

        if (!entry)
            return false;
        if (before ? !berth_image_owned_by(before, change->uid) : change->uid != 0)
            return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                                   "'%s' is the name of somebody else's image; use another name",
                                   change->reference);
        g_array_append_val(out, line);
    }
    return true;
}

static bool plan_tag(const BerthIndexFile *file, void *userdata, GArray *out, GPtrArray *in,
                     GError **error)
{
    const Change *change = userdata;
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(BerthIndexLine));
    g_autoptr(BerthImage) source = NULL;
    g_autoptr(json_t) entry = NULL;
    json_t *annotations;

    if (!berth_image_find_lines(file, change->image, lines, error))
        return false;
    entry = berth_image_first_entry(file, lines, change->image, &source, error);
    if (!entry || !is_expected(change, source, error) || !take_place(file, change, out, error))
        return false;
    annotations = json_object_get(entry, "annotations");
    if (!json_is_object(annotations)) {
        annotations = json_object();
        json_object_set_new(entry, "annotations", annotations);
    }
    json_object_set_new(annotations, BERTH_ANNOTATION_NAME, json_string(change->reference));
    g_ptr_array_add(in, berth_index_file_format(entry));
    return true;
}

bool berth_store_tag(BerthStore *store, const char *image, const BerthDigest *expect,
                     const char *reference, uid_t uid, GError **error)
{
    g_autoptr(BerthReference) parsed = berth_reference_parse(reference, error);
    g_autofree char *full = NULL;

    if (!parsed)
        return false;
    full = berth_reference_to_string(parsed);
    if (parsed->has_digest)
        return berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                               "'%s' has a digest; a name to tag an image with has a tag only",
                               full);
    return edit(store, plan_tag, &(Change){ image, expect, full, uid }, error);
}

/* The entry as it is without the owner @uid, or NULL when nobody else owns it. */
static char *without_owner(json_t *entry, const BerthImage *image, uid_t uid)
{
    if (uid == 0 || image->owners->len < 2)
        return NULL;
    for (guint i = 0; i < image->owners->len; i++)
        if (g_array_index(image->owners, uid_t, i) == uid)
            g_array_remove_index(image->owners, i--);
    berth_image_set_owners(entry, image->owners);
    return berth_index_file_format(entry);
}

static bool is_out(const GArray *out, const BerthIndexLine *line)
{
    for (guint i = 0; i < out->len; i++)
        if (g_array_index(out, BerthIndexLine, i).begin == line->begin)
            return true;
    return false;
}

/*
 * When the last entry that means @digest goes, what is attached to it goes with it: nobody could
 * name that. @gone gets the digests of those, since something can be attached to them in turn.
 */
static bool drop_attached(const BerthIndexFile *file, const char *digest, GArray *out,
                          GPtrArray *gone, GError **error)
{
    g_autoptr(GArray) attached = g_array_new(FALSE, FALSE, sizeof(BerthIndexLine));
    g_autoptr(GPtrArray) digests = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *quoted = g_strdup_printf("\"%s\"", digest);
    BerthIndexLine line = { 0 };

    while (berth_index_file_next_with(file, quoted, &line)) {
        g_autoptr(json_t) entry =
            is_out(out, &line) ? NULL : berth_index_file_entry(file, &line, error);
        g_autoptr(BerthImage) image = entry ? berth_image_read(entry) : NULL;

        if (is_out(out, &line))
            continue;
        if (!entry)
            return false;
        if (!image || image->reference || g_strcmp0(image->subject, digest) != 0)
            return true; /* another entry means it still */
        g_array_append_val(attached, line);
        g_ptr_array_add(digests, g_strdup(image->digest.text));
    }
    g_array_append_vals(out, attached->data, attached->len);
    for (guint i = 0; i < digests->len; i++)
        g_ptr_array_add(gone, g_strdup(digests->pdata[i]));
    return true;
}

static bool plan_unname(const BerthIndexFile *file, void *userdata, GArray *out, GPtrArray *in,
                        GError **error)
{
    const Change *change = userdata;
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(BerthIndexLine));
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);

    if (!berth_image_find_lines(file, change->image, lines, error))
        return false;
    if (lines->len == 0)
        return berth_image_set_missing(change->image, error);
    for (guint i = 0; i < lines->len; i++) {
        const BerthIndexLine *line = &g_array_index(lines, BerthIndexLine, i);
        g_autoptr(json_t) entry = berth_index_file_entry(file, line, error);
        g_autoptr(BerthImage) image = entry ? berth_image_read(entry) : NULL;
        char *rest;

        if (!entry || !is_expected(change, image, error))
            return false;
        if (image ? !berth_image_owned_by(image, change->uid) : change->uid != 0)
            continue;
        g_array_append_val(out, *line);
        rest = image ? without_owner(entry, image, change->uid) : NULL;
        if (rest)
            g_ptr_array_add(in, rest);
        else if (image)
            g_ptr_array_add(gone, g_strdup(image->digest.text));
        if (!rest && image && image->index_digest)
            g_ptr_array_add(gone, g_strdup(image->index_digest));
    }
    if (out->len == 0) {
        g_autofree char *quoted = berth_quote(change->image);
        return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                               "image '%s' belongs to somebody else", quoted);
    }
    for (guint i = 0; i < gone->len; i++)
        if (!drop_attached(file, gone->pdata[i], out, gone, error))
            return false;
    g_array_sort(out, compare_lines);
    return true;
}

bool berth_store_unname(BerthStore *store, const char *image, const BerthDigest *expect, uid_t uid,
                        GError **error)
{
    return edit(store, plan_unname, &(Change){ image, expect, NULL, uid }, error);
}
