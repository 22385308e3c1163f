/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `export`: images of the store into one archive, blobs that they share once. Both formats
 * are image layouts (OCI image layout specification); what Docker's adds is `manifest.json`, which
 * names the same blobs, so that old and new readers find what they know. What says what there is
 * comes first: a reader of a stream can then keep what it needs and nothing else.
 *
 * Nothing of the time, the machine or the user goes into the archive: it depends on the images, the
 * order in which they are named and the format only.
 */

#include "transfer/kinds.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/libarchive.h"
#include "oci/archive-writer.h"
#include "transfer/docker-archive.h"
#include "transfer/parts.h"
#include "transfer/store-job.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ATTACHED_MAX 1024 /* of one archive */
#define LAYOUT_FILE  "{\"imageLayoutVersion\":\"1.0.0\"}"

typedef struct {
    BerthStoreKeys store;
    GStrv images;
    int archive;
    char *format;
    bool include_foreign;
    bool referrers;
    GStrv authorized; /* (nullable) digests of images that are not the user's, but for him */
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Images", "as", offsetof(Arguments, images), .required = true },
    { "Archive", "h", offsetof(Arguments, archive), .required = true },
    { "Format", "s", offsetof(Arguments, format), .required = true },
    { "IncludeForeign", "b", offsetof(Arguments, include_foreign) },
    { "Referrers", "b", offsetof(Arguments, referrers) },
    { "Authorized", "as", offsetof(Arguments, authorized) },
    { NULL },
};

typedef struct {
    const Arguments *arguments;
    BerthProgress *progress;
    BerthStore *store;
    BerthLease *lease;
    GPtrArray *images;   /* (element-type BerthImage) */
    GPtrArray *attached; /* (element-type BerthImage) to them: they have no names */
    BerthParts *parts;
    GHashTable *granted; /* digest of a document → the BerthImage that it belongs to, of those that
                            are not the user's */
    unsigned *rows;      /* by part; UINT_MAX: it has none */
    uint64_t done;       /* of the part that is being written */
    unsigned current;
} Export;

static void export_clear(Export *export)
{
    berth_parts_free(export->parts);
    if (export->granted)
        g_hash_table_unref(export->granted);
    if (export->images)
        g_ptr_array_unref(export->images);
    if (export->attached)
        g_ptr_array_unref(export->attached);
    berth_lease_free(export->lease);
    berth_store_free(export->store);
    g_free(export->rows);
}

#define AUTO_EXPORT __attribute__((cleanup(export_clear))) Export

static bool is_docker(const Export *export)
{
    return g_str_equal(export->arguments->format, "docker");
}

static BerthPart *part_at(const Export *export, guint index)
{
    return &g_array_index(export->parts->parts, BerthPart, index);
}

/* Whether the archive gets @part. */
static bool is_wanted(const Export *export, const BerthPart *part)
{
    return !part->nondistributable || export->arguments->include_foreign;
}

/* What is asked for */

static bool is_own(const Export *export, const BerthImage *image)
{
    return berth_image_owned_by(image, export->arguments->store.uid);
}

/* Whether polkit was asked for just this image: its name may mean another one by now. */
static bool is_authorized(const Export *export, const BerthImage *image)
{
    const char *const *digests = (const char *const *)export->arguments->authorized;

    return digests && g_strv_contains(digests, image->digest.text);
}

/* @grant: (nullable): the image that is not the user's, by whose right he gets @image. His right to
 * one image is none to what others name, of which anybody can make one. */
static bool add_parts(Export *export, const BerthImage *image, const BerthImage *grant,
                      GError **error)
{
    const GPtrArray *documents = export->parts->documents;
    guint before = documents->len;

    export->parts->authorized = grant;
    if (!berth_parts_add(export->parts, export->store, &image->digest, image->media_type, error))
        return false;
    for (guint i = before; grant && i < documents->len; i++) {
        const BerthDocument *document = documents->pdata[i];

        g_hash_table_insert(export->granted, (gpointer)document->digest.text, (gpointer)grant);
    }
    return true;
}

/* The index that an image was chosen from goes with it, as far as it is there: what is attached to
 * that is attached to the image, for those who pulled it so. */
static bool add_origin(Export *export, BerthImage *image, GError **error)
{
    BerthDigest digest;

    if (!image->index_digest)
        return true;
    if (!berth_digest_parse(image->index_digest, &digest, error) ||
        !berth_lease_add(export->lease, &digest, error))
        return false;
    if (!berth_parts_add_origin(export->parts, export->store, &digest))
        g_clear_pointer(&image->index_digest, g_free);
    else if (!is_own(export, image))
        g_hash_table_insert(export->granted, image->index_digest, image);
    return true;
}

static bool find_image(Export *export, const char *name, GError **error)
{
    g_autoptr(BerthImage) image = berth_store_find(export->store, name, error);
    BerthImage *found;

    if (!image || !berth_lease_add(export->lease, &image->digest, error))
        return false;
    if (!is_own(export, image) && !is_authorized(export, image))
        return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                               "the image %s has become somebody else's meanwhile", name);
    for (guint i = 0; i < export->images->len; i++) {
        const BerthImage *other = export->images->pdata[i];

        if (g_strcmp0(other->reference, image->reference) == 0 &&
            berth_digest_equal(&other->digest, &image->digest))
            return true; /* named twice */
    }
    found = g_steal_pointer(&image);
    g_ptr_array_add(export->images, found);
    return add_parts(export, found, is_own(export, found) ? NULL : found, error) &&
           add_origin(export, found, error);
}

/* Referrers */

static int compare_digests(const void *a, const void *b)
{
    const BerthImage *const *one = a, *const *other = b;

    return strcmp((*one)->digest.text, (*other)->digest.text);
}

/* Whether the archive gets an artifact: once, and only what the caller may have. */
static bool is_new(const Export *export, const BerthImage *image, const BerthImage *grant)
{
    return (is_own(export, image) || (grant && berth_images_share_owner(image, grant))) &&
           !berth_parts_find_document(export->parts, &image->digest);
}

/* What is attached to the documents so far; what is attached to that comes with the next ones. */
static bool add_attached(Export *export, const BerthDigest *subject, GError **error)
{
    g_autoptr(GPtrArray) found = berth_store_referrers(export->store, subject, error);
    const BerthImage *grant = g_hash_table_lookup(export->granted, subject->text);

    if (!found)
        return false;
    g_ptr_array_sort(found, compare_digests); /* the order in the store means nothing */
    for (guint i = 0; i < found->len; i++) {
        BerthImage *image = found->pdata[i];

        if (!is_new(export, image, grant))
            continue;
        if (export->attached->len >= ATTACHED_MAX)
            return berth_set_error(error, BERTH_ERROR_FAILED,
                                   "more than %d things are attached to the images; export fewer "
                                   "images at once, or leave referrers out",
                                   ATTACHED_MAX);
        if (!berth_lease_add(export->lease, &image->digest, error) ||
            !add_parts(export, image, is_own(export, image) ? NULL : grant, error))
            return false;
        g_ptr_array_add(export->attached, image);
        found->pdata[i] = NULL;
    }
    return true;
}

static bool find_attached(Export *export, GError **error)
{
    const GPtrArray *documents = export->parts->documents; /* grows */

    for (guint i = 0; export->arguments->referrers && i < export->images->len; i++) {
        const BerthImage *image = export->images->pdata[i];
        BerthDigest origin;

        if (image->index_digest && (!berth_digest_parse(image->index_digest, &origin, error) ||
                                    !add_attached(export, &origin, error)))
            return false;
    }
    for (guint i = 0; export->arguments->referrers && i < documents->len; i++) {
        const BerthDocument *document = documents->pdata[i];
        const BerthDigest subject = document->digest;

        if (!add_attached(export, &subject, error))
            return false;
    }
    return true;
}

/* Everything that can be known to be missing is known before the first byte is written. */
static bool check_parts(const Export *export, GError **error)
{
    for (guint i = 0; i < export->parts->parts->len; i++) {
        const BerthPart *part = part_at(export, i);

        if (is_wanted(export, part) && !part->present)
            return berth_set_error(
                error, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE,
                "the foreign layer %s is not in the store, or not for you; pull the image again "
                "with its foreign layers, or export it without them",
                part->digest.text);
        if (is_docker(export) && !is_wanted(export, part))
            return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                                   "an archive in the format 'docker' cannot leave out the foreign "
                                   "layer %s; include foreign layers, or use the format 'oci'",
                                   part->digest.text);
    }
    return true;
}

static void add_rows(Export *export)
{
    static const BerthLayerProgress skipped = { .state = BERTH_LAYER_SKIPPED,
                                                .source = BERTH_SOURCE_SKIPPED };
    guint n = export->parts->parts->len;

    export->rows = g_new(unsigned, n);
    for (guint i = 0; i < n; i++) {
        const BerthPart *part = part_at(export, i);

        export->rows[i] = UINT_MAX;
        if (!part->is_layer)
            continue;
        export->rows[i] = berth_progress_add(export->progress, &part->digest, (uint64_t)part->size);
        if (!is_wanted(export, part))
            berth_progress_set(export->progress, export->rows[i], &skipped);
    }
    berth_progress_set_complete(export->progress);
}

static bool look_up(Export *export, GError **error)
{
    if (!*export->arguments->images)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "no image to export is given");
    for (char **name = export->arguments->images; *name; name++)
        if (!find_image(export, *name, error))
            return false;
    return find_attached(export, error) && check_parts(export, error);
}

/* index.json */

static json_t *index_entry(const BerthImage *image)
{
    json_t *annotations = json_object();
    json_t *entry = json_pack("{s:s, s:s, s:I}", "mediaType", image->media_type, "digest",
                              image->digest.text, "size", (json_int_t)image->size);

    if (image->reference) {
        (void)json_object_set_new(annotations, "org.opencontainers.image.ref.name",
                                  json_string(image->reference));
        (void)json_object_set_new(annotations, "io.containerd.image.name",
                                  json_string(image->reference));
    }
    if (image->index_digest)
        (void)json_object_set_new(annotations, BERTH_ANNOTATION_INDEX,
                                  json_string(image->index_digest));
    if (json_object_size(annotations) > 0)
        (void)json_object_set(entry, "annotations", annotations);
    json_decref(annotations);
    return entry;
}

static bool write_json(BerthArchiveWriter *writer, const char *path, json_t *root, GError **error)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    bool ok =
        text ? berth_archive_writer_add(writer, path, text, strlen(text), error)
             : berth_set_error_errno(error, BERTH_ERROR_FAILED, ENOMEM, "cannot write %s", path);

    free(text); /* jansson's, from malloc() */
    json_decref(root);
    return ok;
}

static bool write_index(const Export *export, BerthArchiveWriter *writer, GError **error)
{
    json_t *manifests = json_array();

    for (guint i = 0; i < export->images->len; i++)
        (void)json_array_append_new(manifests, index_entry(export->images->pdata[i]));
    for (guint i = 0; i < export->attached->len; i++)
        (void)json_array_append_new(manifests, index_entry(export->attached->pdata[i]));
    return write_json(writer, "index.json",
                      json_pack("{s:i, s:s, s:o}", "schemaVersion", 2, "mediaType",
                                berth_media_type_to_string(BERTH_MEDIA_OCI_INDEX), "manifests",
                                manifests),
                      error);
}

static bool write_docker(const Export *export, BerthArchiveWriter *writer, GError **error)
{
    json_t *list =
        berth_docker_archive_describe(export->store, export->images, export->parts, error);

    return list && write_json(writer, "manifest.json", list, error);
}

/* Blobs */

static void on_written(uint64_t bytes, void *userdata)
{
    Export *export = userdata;
    const BerthPart *part = part_at(export, export->current);
    const BerthLayerProgress now = { BERTH_LAYER_RUNNING, export->done += bytes,
                                     (uint64_t)part->size, BERTH_SOURCE_STORE };

    berth_progress_set(export->progress, export->rows[export->current], &now);
}

static bool write_part(Export *export, BerthArchiveWriter *writer, guint index, GError **error)
{
    const BerthPart *part = part_at(export, index);
    const BerthLayerProgress done = { BERTH_LAYER_DONE, (uint64_t)part->size, (uint64_t)part->size,
                                      BERTH_SOURCE_STORE };
    g_autofree char *path = berth_digest_path(&part->digest);
    BERTH_AUTO_FD fd = berth_store_open_blob(export->store, &part->digest, error);

    if (fd < 0)
        return false;
    export->current = index;
    export->done = 0;
    if (!berth_archive_writer_add_blob(writer, path, fd, &part->digest, part->size, on_written,
                                       export, error))
        return false;
    berth_progress_set(export->progress, export->rows[index], &done);
    return true;
}

/* Documents, then configs, then layers: what says what comes next stands before it. */
static bool write_blobs(Export *export, BerthArchiveWriter *writer, GError **error)
{
    for (int pass = 0; pass < 3; pass++)
        for (guint i = 0; i < export->parts->parts->len; i++) {
            const BerthPart *part = part_at(export, i);
            int when = part->is_document ? 0 : part->is_layer ? 2 : 1;

            if (when == pass && is_wanted(export, part) && !write_part(export, writer, i, error))
                return false;
        }
    return true;
}

static bool write_archive(Export *export, GError **error)
{
    g_autoptr(BerthArchiveWriter) writer =
        berth_archive_writer_new(export->arguments->archive, error);

    return writer &&
           berth_archive_writer_add(writer, "oci-layout", LAYOUT_FILE, strlen(LAYOUT_FILE),
                                    error) &&
           write_index(export, writer, error) &&
           (!is_docker(export) || write_docker(export, writer, error)) &&
           write_blobs(export, writer, error) && berth_archive_writer_finish(writer, error);
}

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    AUTO_EXPORT export = { .arguments = arguments, .progress = job->progress };
    const BerthImage *first;
    int r;

    export.images = g_ptr_array_new_with_free_func((GDestroyNotify)berth_image_free);
    export.attached = g_ptr_array_new_with_free_func((GDestroyNotify)berth_image_free);
    export.parts = berth_parts_new();
    export.granted = g_hash_table_new(g_str_hash, g_str_equal);
    export.store = berth_store_job_open(&arguments->store, error);
    if (!export.store)
        return false;
    export.lease = berth_store_lease(export.store, error);
    if (!export.lease || !look_up(&export, error))
        return false;
    add_rows(&export);
    if (!write_archive(&export, error))
        return false;
    first = export.images->pdata[0];
    r = sd_bus_message_append(job->result, "{sv}", "Digest", "s", first->digest.text);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot write the result");
}

static bool prepare(GError **error)
{
    return berth_libarchive_load(error) && berth_store_job_prepare(error);
}

const BerthKind berth_kind_export = {
    .name = "export",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = prepare,
    .work = work,
};
