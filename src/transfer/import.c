/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `import`: images from an archive into the store. The archive is read once, as a stream:
 * each file becomes a blob under the digest of its bytes, whatever its name was, and what says what
 * there is, which may come last, is kept in memory. Then the images are looked for and checked, and
 * only when all of them are good are they named; otherwise everything that was brought goes again.
 */

#include "transfer/import.h"
#include "base/error.h"
#include "base/json.h"
#include "base/libarchive.h"
#include "base/reference.h"
#include "oci/archive-reader.h"
#include "oci/document.h"
#include "transfer/config.h"
#include "transfer/confine.h"
#include "transfer/kinds.h"
#include "transfer/parts.h"
#include "transfer/referrers.h"
#include "transfer/store-job.h"

#include <string.h>
#include <sys/stat.h>

#define BUFFER_SIZE (256 * 1024) /* bytes */
#define LINKS_MAX   16           /* that lead from one to the next */
/* Of what decoders ask for, zstd's windows are the largest: libzstd refuses those above 128 MiB,
 * unless whoever calls it has another mind. */
#define MEMORY_MAX (UINT64_C(512) << 20) /* bytes */
#define LOOSE_MAX  8192                  /* files of an archive whose names are no digests */

typedef struct {
    BerthStoreKeys store;
    int archive;
    char *reference;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Archive", "h", offsetof(Arguments, archive), .required = true },
    { "Reference", "s", offsetof(Arguments, reference) },
    { NULL },
};

/* Reading */

const BerthImportFile *berth_import_find(const BerthImport *import, const char *path)
{
    for (int hops = 0; path && hops < LINKS_MAX; hops++) {
        const BerthImportFile *file = g_hash_table_lookup(import->files, path);

        if (file)
            return file;
        path = g_hash_table_lookup(import->links, path);
    }
    return NULL;
}

/* The digest that a path of a layout promises. */
static bool is_blob(const char *path, BerthDigest *digest)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 4);
    g_autofree char *text = NULL;

    if (g_strv_length(parts) != 3 || !g_str_equal(parts[0], "blobs"))
        return false;
    text = g_strconcat(parts[1], ":", parts[2], NULL);
    return berth_digest_parse(text, digest, NULL);
}

static bool is_known(const char *path)
{
    return g_str_equal(path, "oci-layout") || g_str_equal(path, "index.json") ||
           g_str_equal(path, "manifest.json");
}

/* What older readers of Docker's archives want and nobody else. */
static bool is_legacy(const char *path)
{
    return g_str_equal(path, "repositories") || g_str_has_suffix(path, "/VERSION") ||
           g_str_has_suffix(path, "/json");
}

static bool take_file(BerthImport *import, BerthArchiveReader *reader,
                      const BerthArchiveEntry *entry, uint64_t *read, BerthProgress *progress,
                      uint64_t total, GError **error)
{
    g_autofree unsigned char *buffer = g_malloc(BUFFER_SIZE);
    BerthImportFile *file = g_new0(BerthImportFile, 1);
    ssize_t n;

    /* it belongs there until it is in place, and after */
    g_hash_table_insert(import->files, g_strdup(entry->path), file);
    if (!is_blob(entry->path, &file->digest) && ++import->n_loose > LOOSE_MAX)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the archive has more than %d entries that are neither blobs nor "
                               "say what there is; no image has as many",
                               LOOSE_MAX);
    if (!berth_stages_begin(import->stages, file->digest.algorithm, entry->size, error))
        return false;
    while ((n = berth_archive_reader_read(reader, buffer, BUFFER_SIZE, error)) > 0) {
        if (!berth_stages_write(import->stages, buffer, (size_t)n, error))
            return false;
        file->size += n;
        *read += (uint64_t)n;
        berth_progress_set_other(progress, total ? MIN(*read, total) : *read, total);
    }
    return n == 0 && berth_stages_end(import->stages, &file->digest, error);
}

/* Waits until all files are in place; then their digests are known. */
static bool settle(BerthImport *import, GError **error)
{
    const BerthImportFile *file;
    GHashTableIter iter;

    if (!berth_stages_settle(import->stages, error))
        return false;
    g_hash_table_iter_init(&iter, import->files);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&file))
        g_hash_table_add(import->brought, g_strdup(file->digest.text));
    return true;
}

static bool read_archive(BerthImport *import, int fd, BerthProgress *progress, GError **error)
{
    g_autoptr(BerthArchiveReader) reader = berth_archive_reader_new(fd, error);
    const BerthArchiveEntry *entry;
    g_autoptr(GError) failure = NULL;
    struct stat st;
    uint64_t total = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    uint64_t read = 0;

    if (!reader)
        return false;
    berth_progress_set_complete(progress);
    while ((entry = berth_archive_reader_next(reader, &failure))) {
        if (entry->kind == BERTH_ARCHIVE_LINK) {
            g_hash_table_insert(import->links, g_strdup(entry->path), g_strdup(entry->target));
        } else if (entry->kind == BERTH_ARCHIVE_FILE && is_known(entry->path)) {
            GBytes *bytes = berth_archive_reader_read_all(reader, BERTH_DOCUMENT_BYTES_MAX, error);

            if (!bytes)
                return false;
            g_hash_table_insert(import->known, g_strdup(entry->path), bytes);
        } else if (entry->kind == BERTH_ARCHIVE_FILE && !is_legacy(entry->path) &&
                   !take_file(import, reader, entry, &read, progress, total, error)) {
            return false;
        }
    }
    if (!failure)
        return settle(import, error);
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

/* Images */

/*
 * Whether all that an image needs was brought or is the user's already: knowing a digest must not
 * be enough to get at a blob of somebody else's.
 */
static bool check_parts(const BerthImport *import, const BerthParts *parts, GError **error)
{
    for (guint i = 0; i < parts->parts->len; i++) {
        const BerthPart *part = &g_array_index(parts->parts, BerthPart, i);

        bool brought = g_hash_table_contains(import->brought, part->digest.text);

        if (part->nondistributable && brought)
            berth_store_add_bringer(import->store, &part->digest);
        if (part->present && !part->nondistributable && !brought &&
            !berth_store_may_reuse(import->store, &part->digest, ""))
            return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                                   "the archive lacks %s, which its image needs",
                                   part->digest.text);
    }
    return true;
}

static bool set_name(const BerthImport *import, BerthImage *image, const char *name, GError **error)
{
    g_autoptr(BerthReference) reference = NULL;

    if (!name && (!import->reference || !*import->reference))
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the archive does not name the image %s; give its reference",
                               image->digest.text);
    reference = berth_reference_parse(name ? name : import->reference, error);
    if (!reference)
        return false;
    image->reference = berth_reference_to_string(reference);
    return true;
}

/* Remembers what an image needs, and that its user brought foreign layers: the image alone does not
 * show that he has them, since they can be left out. */
static void take_parts(BerthImport *import, const BerthParts *parts)
{
    for (guint i = 0; i < parts->parts->len; i++) {
        const BerthPart *part = &g_array_index(parts->parts, BerthPart, i);

        if (g_hash_table_add(import->needed, g_strdup(part->digest.text)) &&
            part->nondistributable && g_hash_table_contains(import->brought, part->digest.text))
            berth_store_add_bringer(import->store, &part->digest);
    }
}

/* What is known of an image without its name. */
static BerthImage *describe(const BerthImport *import, const BerthDocument *document)
{
    BerthImage *image = g_new0(BerthImage, 1);
    g_autoptr(BerthPlatform) platform = NULL;
    const uid_t uid = import->uid;

    image->digest = document->digest;
    image->size = (int64_t)g_bytes_get_size(document->raw);
    image->media_type = g_strdup(berth_media_type_to_string(document->type));
    image->pulled_usec = (uint64_t)g_get_real_time();
    image->owners = g_array_new(FALSE, FALSE, sizeof(uid_t));
    g_array_append_val(image->owners, uid);
    if (document->manifest)
        platform = berth_config_platform(import->store, document->manifest);
    image->platform = platform ? berth_platform_to_string(platform) : g_strdup("");
    return image;
}

/* Two entries of one name are one image, or the archive cannot be understood. */
static bool check_name(const BerthImport *import, const BerthImage *image, GError **error)
{
    for (guint i = 0; i < import->images->len; i++) {
        const BerthImage *other = import->images->pdata[i];

        if (g_str_equal(other->reference, image->reference) &&
            !berth_digest_equal(&other->digest, &image->digest))
            return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                                   "the archive has two images for the name %s", image->reference);
    }
    return true;
}

bool berth_import_add_image(BerthImport *import, const BerthDigest *digest, const char *media_type,
                            const char *name, GError **error)
{
    g_autoptr(BerthParts) parts = berth_parts_new();
    g_autoptr(BerthImage) image = NULL;
    g_autoptr(GError) failure = NULL;
    const BerthDescriptor *subject;
    const BerthDocument *document;

    parts->authorized = true; /* check_parts() goes by what was brought */
    document = berth_parts_add(parts, import->store, digest, media_type, &failure);
    if (!document)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the archive does not hold all of the image %s: %s", digest->text,
                               failure->message);
    if (!check_parts(import, parts, error))
        return false;
    image = describe(import, document);
    subject = berth_document_subject(document);
    if (!name && subject && g_hash_table_contains(import->brought, subject->digest.text)) {
        image->subject = g_strdup(subject->digest.text);
        take_parts(import, parts);
        g_ptr_array_add(import->attached, g_steal_pointer(&image));
        return true;
    }
    if (import->images->len >= BERTH_IMPORT_IMAGES_MAX)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the archive has more than %d names of images; import fewer at once",
                               BERTH_IMPORT_IMAGES_MAX);
    if (!set_name(import, image, name, error) || !check_name(import, image, error))
        return false;
    take_parts(import, parts);
    g_ptr_array_add(import->images, g_steal_pointer(&image));
    return true;
}

static bool find_images(BerthImport *import, GError **error)
{
    GBytes *index = g_hash_table_lookup(import->known, "index.json");
    GBytes *list = g_hash_table_lookup(import->known, "manifest.json");

    if (index && g_hash_table_contains(import->known, "oci-layout"))
        return berth_import_layout(import, index, error);
    if (list)
        return berth_import_docker(import, list, error);
    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the archive holds no image: it has neither the oci-layout and "
                           "index.json of an OCI archive nor the manifest.json of Docker's");
}

/* Naming */

/* At once. An archive can hold any name: whose image has it keeps it. */
static bool name_images(const BerthImport *import, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    if (import->images->len == 0)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the archive holds no image");
    for (guint i = 0; i < import->attached->len; i++)
        g_ptr_array_add(all, import->attached->pdata[i]);
    for (guint i = 0; i < import->images->len; i++)
        g_ptr_array_add(all, import->images->pdata[i]);
    return berth_store_name_all(import->store, all, import->uid, error);
}

/* Whether the archive brought what no image needs. */
static bool has_waste(const BerthImport *import)
{
    GHashTableIter iter;
    gpointer digest;

    g_hash_table_iter_init(&iter, import->brought);
    while (g_hash_table_iter_next(&iter, &digest, NULL))
        if (!g_hash_table_contains(import->needed, digest))
            return true;
    return false;
}

/* The job */

static void import_clear(BerthImport *import)
{
    g_ptr_array_unref(import->attached);
    g_ptr_array_unref(import->images);
    g_hash_table_unref(import->unpacked);
    g_hash_table_unref(import->known);
    g_hash_table_unref(import->needed);
    g_hash_table_unref(import->brought);
    g_hash_table_unref(import->links);
    g_hash_table_unref(import->files);
}

#define AUTO_IMPORT __attribute__((cleanup(import_clear))) BerthImport

bool berth_import_archive(BerthStore *store, int archive, const char *reference, uint32_t uid,
                          BerthProgress *progress, BerthDigest *digest, GError **error)
{
    g_autoptr(BerthLease) lease = berth_store_lease(store, error);
    g_autoptr(BerthStages) stages = lease ? berth_stages_new(store, lease, error) : NULL;
    AUTO_IMPORT import = {
        .store = store,
        .stages = stages,
        .uid = uid,
        .reference = reference,
        .files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .brought = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .known =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref),
        .unpacked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .images = g_ptr_array_new_with_free_func((GDestroyNotify)berth_image_free),
        .attached = g_ptr_array_new_with_free_func((GDestroyNotify)berth_image_free),
    };
    bool ok;

    if (!stages)
        return false;
    ok = read_archive(&import, archive, progress, error) && find_images(&import, error) &&
         name_images(&import, error);
    if (ok)
        *digest = ((const BerthImage *)import.images->pdata[0])->digest;
    if (!ok || has_waste(&import))
        berth_stages_discard(stages, g_steal_pointer(&lease));
    return ok;
}

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    g_autoptr(BerthStore) store = berth_store_job_open(&arguments->store, error);
    BerthDigest digest;
    int r;

    if (!store || !berth_import_archive(store, arguments->archive, arguments->reference,
                                        arguments->store.uid, job->progress, &digest, error))
        return false;
    r = sd_bus_message_append(job->result, "{sv}", "Digest", "s", digest.text);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot write the result");
}

static bool prepare(GError **error)
{
    return berth_libarchive_load(error) && berth_store_job_prepare(error) &&
           berth_confine_memory(MEMORY_MAX, error);
}

const BerthKind berth_kind_import = {
    .name = "import",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = prepare,
    .work = work,
};
