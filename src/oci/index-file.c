/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file index.json: reading it whoever wrote it, finding entries in it quickly, and replacing it
 * by one with other entries. Every pull rewrites the file, and it grows with the number of images,
 * so an entry in our own form is found by its text and the rest is copied as it is. Other tools
 * write all of it on one line or spread over many; then it is parsed, once, since from then on it
 * is in our form. An entry that makes no sense to us is kept: it is somebody's.
 */

#include "oci/index-file.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "oci/store-internal.h"
#include "oci/threads.h"

#include <string.h>
#include <sys/uio.h>

/* A whole file in foreign form: what 16 MiB of entries hold, about 100 MB once parsed. */
static const BerthJsonLimits file_limits = {
    .bytes = 16 * 1024 * 1024,
    .depth = 24,
    .containers = 131072,
    .values = 524288,
};

/* One entry; it may embed its blob. */
static const BerthJsonLimits line_limits = {
    .bytes = 8 * 1024 * 1024,
    .depth = 20,
    .containers = 4096,
    .values = 16384,
};

/* Whether the line from @p to @feed is an entry that would be found by its name. */
static bool is_line(const char *p, const char *feed, bool last)
{
    static const char named[] = "{\"annotations\":{\"" BERTH_ANNOTATION_NAME "\":";
    size_t length = (size_t)(feed - p);

    if (length < (last ? 2 : 3) || p[0] != '{' ||
        (last ? feed[-1] != '}' : memcmp(feed - 2, "},", 2) != 0))
        return false;
    return (length > sizeof(named) && memcmp(p, named, sizeof(named) - 1) == 0) ||
           !memmem(p, length, BERTH_ANNOTATION_NAME, strlen(BERTH_ANNOTATION_NAME));
}

/* Whether it is in our own form, as far as what is done to it relies on that. */
static bool find_lines(BerthIndexFile *file)
{
    const char *p, *end, *feed;

    if (file->length < strlen(BERTH_INDEX_FILE_EMPTY) || file->text[file->length - 1] != '\n' ||
        memcmp(file->text, BERTH_INDEX_FILE_HEAD, strlen(BERTH_INDEX_FILE_HEAD)) != 0)
        return false;
    feed = memrchr(file->text, '\n', file->length - 1);
    end = feed + 1; /* the first line has one, so this finds one */
    if (*end != ']' || file->text[file->length - 2] != '}')
        return false;
    for (p = file->text + strlen(BERTH_INDEX_FILE_HEAD); p < end; p = feed + 1) {
        feed = memchr(p, '\n', (size_t)(end - p));
        if (!is_line(p, feed, feed + 1 == end))
            return false;
    }
    file->begin = strlen(BERTH_INDEX_FILE_HEAD);
    file->end = (size_t)(end - file->text);
    return true;
}

/* A copy of @object with @first as its first member, if it has that. */
static json_t *with_first(const json_t *object, const char *first)
{
    json_t *copy = json_object();
    json_t *member = json_object_get(object, first);

    if (member)
        json_object_set(copy, first, member);
    json_object_update_missing(copy, (json_t *)object);
    return copy;
}

char *berth_index_file_format(const json_t *entry)
{
    g_autoptr(json_t) sorted = with_first(entry, "annotations");
    const json_t *annotations = json_object_get(sorted, "annotations");
    char *dumped, *line;

    if (json_is_object(annotations))
        json_object_set_new(sorted, "annotations", with_first(annotations, BERTH_ANNOTATION_NAME));
    dumped = json_dumps(sorted, JSON_COMPACT);
    line = g_strdup(dumped);
    free(dumped);
    return line;
}

/* The members of @root that the first line does not say, and the brackets around them. */
static char *format_tail(const json_t *root)
{
    g_autoptr(json_t) rest = json_copy((json_t *)root);
    char *dumped, *tail;

    json_object_del(rest, "schemaVersion");
    json_object_del(rest, "mediaType");
    json_object_del(rest, "manifests");
    dumped = json_dumps(rest, JSON_COMPACT);
    tail = g_strconcat("]", json_object_size(rest) > 0 ? "," : "", dumped + 1, "\n", NULL);
    free(dumped);
    return tail;
}

static bool set_corrupt(GError **error, const char *why)
{
    return berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                           BERTH_STORE_INDEX " of the store cannot be read: %s; mend it, or move it"
                                             " away and pull the images again",
                           why);
}

/* Replaces the text by the same in our own form. */
static bool convert(BerthIndexFile *file, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(json_t) root = berth_json_load(file->text, file->length, &file_limits, &failure);
    g_autoptr(GString) text = g_string_new(BERTH_INDEX_FILE_HEAD);
    g_autofree char *tail = NULL;
    const json_t *manifests = NULL;
    int64_t version;

    if (!root || !berth_json_get_integer(root, "schemaVersion", 2, &version, &failure) ||
        !berth_json_get_array(root, "manifests", SIZE_MAX, &manifests, &failure))
        return set_corrupt(error, failure->message);
    if (version != 2)
        return set_corrupt(error, "\"schemaVersion\" is not 2");
    for (size_t i = 0; i < json_array_size(manifests); i++) {
        const json_t *entry = json_array_get(manifests, i);
        g_autofree char *line = NULL;

        if (!json_is_object(entry))
            return set_corrupt(error, "\"manifests\" has an entry that is not an object");
        line = berth_index_file_format(entry);
        g_string_append_printf(text, "%s%s", i > 0 ? ",\n" : "", line);
    }
    if (json_array_size(manifests) > 0)
        g_string_append_c(text, '\n');
    tail = format_tail(root);
    g_string_append(text, tail);
    free(file->text);
    file->length = text->len;
    file->text = g_string_free(g_steal_pointer(&text), FALSE);
    return find_lines(file) || set_corrupt(error, "it has members that cannot be kept");
}

BerthIndexFile *berth_index_file_parse(char *text, size_t length, bool strict, GError **error)
{
    g_autoptr(BerthIndexFile) file = g_new0(BerthIndexFile, 1);

    file->text = text;
    file->length = length;
    if ((strict || !find_lines(file)) && !convert(file, error))
        return NULL;
    return g_steal_pointer(&file);
}

BerthIndexFile *berth_index_file_read(BerthStore *store, bool strict, GError **error)
{
    BERTH_AUTO_FD fd = berth_store_openat(store->root, BERTH_STORE_INDEX, O_RDONLY);
    g_autofree char *text = NULL;
    size_t length = 0;
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return berth_index_file_parse(g_strdup(BERTH_INDEX_FILE_EMPTY),
                                      strlen(BERTH_INDEX_FILE_EMPTY), false, error);
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)berth_store_set_errno(error, errno, "cannot open " BERTH_STORE_INDEX);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > BERTH_INDEX_FILE_MAX) {
        (void)set_corrupt(error, "it is no file, or too large");
        return NULL;
    }
    text = g_malloc((size_t)st.st_size + 1);
    while (length < (size_t)st.st_size) {
        ssize_t n = read(fd, text + length, (size_t)st.st_size - length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            (void)berth_store_set_errno(error, errno, "cannot read " BERTH_STORE_INDEX);
            return NULL;
        }
        if (n == 0)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
    return berth_index_file_parse(g_steal_pointer(&text), length, strict, error);
}

void berth_index_file_free(BerthIndexFile *file)
{
    if (!file)
        return;
    free(file->text);
    g_free(file);
}

/* Lines */

static void set_line(const BerthIndexFile *file, size_t begin, BerthIndexLine *line)
{
    const char *feed = memchr(file->text + begin, '\n', file->end - begin);

    line->begin = begin;
    line->next = feed ? (size_t)(feed + 1 - file->text) : file->end;
}

static size_t after(const BerthIndexFile *file, const BerthIndexLine *line)
{
    return line->next ? line->next : file->begin;
}

bool berth_index_file_next(const BerthIndexFile *file, BerthIndexLine *line)
{
    size_t begin = after(file, line);

    if (begin >= file->end)
        return false;
    set_line(file, begin, line);
    return true;
}

bool berth_index_file_next_named(const BerthIndexFile *file, const char *name, BerthIndexLine *line)
{
    g_autoptr(json_t) value = json_string(name);
    g_autofree char *wanted = NULL;
    size_t begin = after(file, line) - 1; /* with the line feed before it */
    const char *found;
    char *dumped;

    if (!value) /* not UTF-8, so it is nobody's name */
        return false;
    dumped = json_dumps(value, JSON_ENCODE_ANY);
    wanted = g_strconcat("\n{\"annotations\":{\"" BERTH_ANNOTATION_NAME "\":", dumped, NULL);
    free(dumped);
    found = memmem(file->text + begin, file->end - begin, wanted, strlen(wanted));
    if (!found)
        return false;
    set_line(file, (size_t)(found + 1 - file->text), line);
    return true;
}

bool berth_index_file_next_with(const BerthIndexFile *file, const char *text, BerthIndexLine *line)
{
    size_t begin = after(file, line);
    const char *found = memmem(file->text + begin, file->end - begin, text, strlen(text));
    const char *feed;

    if (!found)
        return false;
    feed = memrchr(file->text, '\n', (size_t)(found - file->text));
    set_line(file, (size_t)(feed + 1 - file->text), line);
    return true;
}

json_t *berth_index_file_entry(const BerthIndexFile *file, const BerthIndexLine *line,
                               GError **error)
{
    g_autoptr(GError) failure = NULL;
    size_t end = line->next - 1;
    json_t *entry;

    if (end > line->begin && file->text[end - 1] == ',')
        end--;
    entry = berth_json_load(file->text + line->begin, end - line->begin, &line_limits, &failure);
    if (!entry)
        (void)set_corrupt(error, failure->message);
    return entry;
}

/* Replacing */

GArray *berth_index_file_pieces(const BerthIndexFile *file, const GArray *out, const GPtrArray *in)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    size_t from = 0, kept_end = file->begin;
    bool any;

#define ADD(base, length)                                                                          \
    do {                                                                                           \
        struct iovec piece = { (void *)(base), (length) };                                         \
        if (piece.iov_len > 0)                                                                     \
            g_array_append_val(pieces, piece);                                                     \
    } while (0)

    for (guint i = 0; i <= out->len; i++) {
        const BerthIndexLine *line = i < out->len ? &g_array_index(out, BerthIndexLine, i) : NULL;
        size_t to = line ? line->begin : file->end;

        if (to > from) {
            ADD(file->text + from, to - from);
            kept_end = to;
        }
        from = line ? line->next : to;
    }
    any = kept_end > file->begin;
    if (any) { /* the last line that stays: without comma, for now */
        struct iovec *last = &g_array_index(pieces, struct iovec, pieces->len - 1);

        last->iov_len -= file->text[kept_end - 2] == ',' ? 2 : 1;
    }
    for (guint i = 0; i < in->len; i++) {
        const char *line = in->pdata[i];

        if (any)
            ADD(",\n", 2);
        ADD(line, strlen(line));
        any = true;
    }
    if (any)
        ADD("\n", 1);
    ADD(file->text + file->end, file->length - file->end);
#undef ADD
    return pieces;
}

static bool write_pieces(BerthStore *store, int fd, const GArray *pieces, GError **error)
{
    uint64_t total = 0;

    for (guint i = 0; i < pieces->len; i++)
        total += g_array_index(pieces, struct iovec, i).iov_len;
    if (total > BERTH_INDEX_FILE_MAX)
        return berth_set_error(error, BERTH_ERROR_STORE_FULL,
                               BERTH_STORE_INDEX " of the store would have %" G_GUINT64_FORMAT
                                                 " bytes, at most %d are read; remove images",
                               total, BERTH_INDEX_FILE_MAX);
    if (!berth_store_claim(store, total, error))
        return false;
    for (guint i = 0; i < pieces->len; i++) {
        const struct iovec *piece = &g_array_index(pieces, struct iovec, i);

        if (!berth_store_write(fd, piece->iov_base, piece->iov_len, error))
            return false;
    }
    return true;
}

typedef struct {
    BerthStore *store;
    GError *error;
} NameSync;

static gpointer sync_names(gpointer data)
{
    NameSync *sync = data;

    (void)berth_store_sync_blobs(sync->store, &sync->error);
    return NULL;
}

/* Both at once, so that the file system can do them in one go. */
static bool sync_before(BerthStore *store, BerthTemporary *temporary, GError **error)
{
    NameSync sync = { .store = store };
    GThread *thread = store->durable ? berth_thread_start("sync", sync_names, &sync) : NULL;
    bool ok = berth_temporary_sync(store, temporary, BERTH_STORE_INDEX, error);

    if (thread)
        (void)g_thread_join(thread);
    else
        (void)sync_names(&sync);
    if (!sync.error)
        return ok;
    if (ok)
        g_propagate_error(error, sync.error);
    else
        g_error_free(sync.error);
    return false;
}

bool berth_index_file_place(BerthStore *store, BerthTemporary *temporary, GError **error)
{
    if (!sync_before(store, temporary, error) ||
        !berth_temporary_move(store, temporary, store->root, BERTH_STORE_INDEX, error))
        return false;
    if (store->durable && fsync(store->root) < 0)
        return berth_store_set_errno(error, errno, "cannot write the store's directory");
    return true;
}

bool berth_index_file_replace(BerthStore *store, const BerthIndexFile *file, const GArray *out,
                              const GPtrArray *in, GError **error)
{
    g_auto(BerthTemporary) temporary = BERTH_TEMPORARY_INIT;
    g_autoptr(GArray) pieces = berth_index_file_pieces(file, out, in);

    return berth_temporary_make(store, BERTH_STORE_TEMPORARY, &temporary, error) &&
           write_pieces(store, temporary.fd, pieces, error) &&
           berth_index_file_place(store, &temporary, error);
}
