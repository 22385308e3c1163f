/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index of a snapshot, its first member: what the archive holds, as JSON. It is read before
 * anything is restored, so that all which can be refused is refused before anything is touched.
 * What is read may have been written by anybody: numbers, names and counts are bounded here, and
 * nothing beyond the known keys is looked at. Whether the sandbox may have it is asked elsewhere.
 */

#include "ipc/snapshot-index.h"

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"
#include "ipc/sysctls.h"

#include <limits.h>
#include <string.h>

#define DEPTH_MAX    16
#define OBJECTS_MAX  (1 << 20) /* more than a text of BERTH_INDEX_MAX can describe */
#define VALUES_MAX   (1 << 25)
#define SEMS_MAX     65536 /* semaphores of a set: SEMMSL as sysctls.c bounds it */
#define SEMVMX       32767
#define ID_NONE      UINT32_MAX
#define SEGMENT_MAX  (UINT64_C(1) << 62)
#define MESSAGES_MAX 65536 /* of a POSIX queue: HARD_MSGMAX */

static void clear_semaphores(gpointer data)
{
    g_array_unref(((BerthSemaphores *)data)->values);
}

static void clear_queue(gpointer data)
{
    g_free(((BerthQueue *)data)->name);
}

BerthIndex *berth_snapshot_index_new(void)
{
    BerthIndex *index = g_new0(BerthIndex, 1);

    index->sandbox = json_object();
    index->sysctls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    index->segments = g_array_new(FALSE, TRUE, sizeof(BerthSegment));
    index->semaphores = g_array_new(FALSE, TRUE, sizeof(BerthSemaphores));
    g_array_set_clear_func(index->semaphores, clear_semaphores);
    index->messages = g_array_new(FALSE, TRUE, sizeof(BerthMessages));
    index->queues = g_array_new(FALSE, TRUE, sizeof(BerthQueue));
    g_array_set_clear_func(index->queues, clear_queue);
    index->undo = json_null();
    index->left_out = json_array();
    return index;
}

void berth_snapshot_index_free(BerthIndex *index)
{
    if (!index)
        return;
    json_decref(index->sandbox);
    json_decref(index->undo);
    json_decref(index->left_out);
    g_hash_table_unref(index->sysctls);
    g_array_unref(index->segments);
    g_array_unref(index->semaphores);
    g_array_unref(index->messages);
    g_array_unref(index->queues);
    g_free(index);
}

bool berth_snapshot_name_is_valid(const char *name)
{
    return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && !g_str_equal(name, ".") &&
           !g_str_equal(name, "..");
}

/* Writing */

static json_t *perm_to_json(const BerthSysvPerm *perm)
{
    return json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "id", perm->id, "key", (int)perm->key,
                     "mode", (int)perm->mode, "uid", (json_int_t)perm->uid, "gid",
                     (json_int_t)perm->gid, "cuid", (json_int_t)perm->cuid, "cgid",
                     (json_int_t)perm->cgid);
}

static json_t *sysv_to_json(const BerthIndex *index)
{
    json_t *segments = json_array(), *sets = json_array(), *queues = json_array();

    for (guint i = 0; i < index->segments->len; i++) {
        const BerthSegment *segment = &g_array_index(index->segments, BerthSegment, i);
        json_t *object = perm_to_json(&segment->perm);

        json_object_set_new(object, "size", json_integer((json_int_t)segment->size));
        json_object_set_new(object, "locked", json_boolean(segment->locked));
        json_array_append_new(segments, object);
    }
    for (guint i = 0; i < index->semaphores->len; i++) {
        const BerthSemaphores *set = &g_array_index(index->semaphores, BerthSemaphores, i);
        json_t *object = perm_to_json(&set->perm), *values = json_array();

        for (guint n = 0; n < set->values->len; n++)
            json_array_append_new(values, json_integer(g_array_index(set->values, uint16_t, n)));
        json_object_set_new(object, "values", values);
        json_array_append_new(sets, object);
    }
    for (guint i = 0; i < index->messages->len; i++) {
        const BerthMessages *queue = &g_array_index(index->messages, BerthMessages, i);
        json_t *object = perm_to_json(&queue->perm);

        json_object_set_new(object, "qbytes", json_integer((json_int_t)queue->qbytes));
        json_array_append_new(queues, object);
    }
    return json_pack("{s:o, s:o, s:o, s:O}", "shm", segments, "sem", sets, "msg", queues,
                     "sem_undo", index->undo);
}

static json_t *queues_to_json(const BerthIndex *index)
{
    json_t *queues = json_array();

    for (guint i = 0; i < index->queues->len; i++) {
        const BerthQueue *queue = &g_array_index(index->queues, BerthQueue, i);

        json_array_append_new(
            queues, json_pack("{s:s, s:I, s:I, s:i, s:I, s:I, s:I, s:i}", "name", queue->name,
                              "maxmsg", (json_int_t)queue->most, "msgsize", (json_int_t)queue->size,
                              "mode", (int)queue->mode, "uid", (json_int_t)queue->uid, "gid",
                              (json_int_t)queue->gid, "messages", (json_int_t)queue->messages,
                              "notify_pid", (int)queue->notify));
    }
    return queues;
}

static json_t *sysctls_to_json(const BerthIndex *index)
{
    json_t *object = json_object();
    GHashTableIter iter;
    const char *name, *value;

    g_hash_table_iter_init(&iter, index->sysctls);
    while (g_hash_table_iter_next(&iter, (gpointer *)&name, (gpointer *)&value))
        json_object_set_new(object, name, json_string(value));
    return object;
}

char *berth_snapshot_index_to_text(const BerthIndex *index, GError **error)
{
    json_t *object =
        json_pack("{s:s, s:i, s:s, s:I, s:O, s:o, s:{s:I, s:I}, s:o, s:o, s:O}", "format",
                  BERTH_SNAPSHOT_FORMAT, "version", BERTH_SNAPSHOT_VERSION, "berth", BERTH_VERSION,
                  "created_usec", (json_int_t)index->created_usec, "sandbox", index->sandbox,
                  "sysctls", sysctls_to_json(index), "shm", "bytes", (json_int_t)index->shm_bytes,
                  "inodes", (json_int_t)index->shm_inodes, "sysv", sysv_to_json(index), "mqueue",
                  queues_to_json(index), "left_out", index->left_out);
    char *text = object ? json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;

    json_decref(object);
    if (text && strlen(text) < BERTH_INDEX_MAX)
        return text;
    g_free(text);
    berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                    "the sandbox has too many SysV objects and message queues for a snapshot: its "
                    "index has room for %d MiB",
                    BERTH_INDEX_MAX >> 20);
    return NULL;
}

/* Reading: what is being read, for the message of the first fault in it. */
typedef struct {
    const char *what;
    GError **error;
} Reader;

static bool set_invalid(const Reader *reader, const char *key, const char *why)
{
    g_autofree char *quoted = berth_quote(key);

    return berth_set_error(reader->error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot's index is damaged: %s of %s %s", quoted, reader->what,
                           why);
}

static bool get_number(const Reader *reader, const json_t *object, const char *key, int64_t min,
                       int64_t max, int64_t *number)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value))
        return set_invalid(reader, key, "is no number");
    *number = json_integer_value(value);
    return (*number >= min && *number <= max) || set_invalid(reader, key, "is out of range");
}

static bool get_u64(const Reader *reader, const json_t *object, const char *key, uint64_t max,
                    uint64_t *number)
{
    int64_t value = 0;

    if (!get_number(reader, object, key, 0, (int64_t)MIN(max, (uint64_t)INT64_MAX), &value))
        return false;
    *number = (uint64_t)value;
    return true;
}

static bool get_u32(const Reader *reader, const json_t *object, const char *key, uint32_t max,
                    uint32_t *number)
{
    uint64_t value = 0;

    if (!get_u64(reader, object, key, max, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool get_perm(const Reader *reader, const json_t *object, BerthSysvPerm *perm)
{
    int64_t key = 0;
    uint32_t id = 0;

    if (!get_number(reader, object, "key", INT32_MIN, INT32_MAX, &key) ||
        !get_u32(reader, object, "id", INT_MAX, &id) ||
        !get_u32(reader, object, "mode", 0777, &perm->mode) ||
        !get_u32(reader, object, "uid", ID_NONE - 1, &perm->uid) ||
        !get_u32(reader, object, "gid", ID_NONE - 1, &perm->gid) ||
        !get_u32(reader, object, "cuid", ID_NONE - 1, &perm->cuid) ||
        !get_u32(reader, object, "cgid", ID_NONE - 1, &perm->cgid))
        return false;
    perm->key = (int32_t)key;
    perm->id = (int)id;
    return true;
}

static bool read_segment(const Reader *reader, const json_t *object, BerthIndex *index)
{
    BerthSegment segment = { .fd = -1 };

    segment.locked = json_is_true(json_object_get(object, "locked"));
    if (!get_perm(reader, object, &segment.perm) ||
        !get_u64(reader, object, "size", SEGMENT_MAX, &segment.size))
        return false;
    g_array_append_val(index->segments, segment);
    return true;
}

static bool read_set(const Reader *reader, const json_t *object, BerthIndex *index)
{
    const json_t *values = json_object_get(object, "values");
    BerthSemaphores set = { 0 };

    if (!get_perm(reader, object, &set.perm))
        return false;
    if (json_array_size(values) == 0 || json_array_size(values) > SEMS_MAX)
        return set_invalid(reader, "values", "has too few or too many semaphores");
    set.values = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    g_array_append_val(index->semaphores, set); /* which owns it from here on */
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        uint16_t number = (uint16_t)json_integer_value(value);

        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > SEMVMX)
            return set_invalid(reader, "values", "has one that no semaphore can have");
        g_array_append_val(set.values, number);
    }
    return true;
}

static bool read_messages(const Reader *reader, const json_t *object, BerthIndex *index)
{
    BerthMessages queue = { 0 };

    if (!get_perm(reader, object, &queue.perm) ||
        !get_u64(reader, object, "qbytes", INT_MAX, &queue.qbytes))
        return false;
    g_array_append_val(index->messages, queue);
    return true;
}

static bool read_queue(const Reader *reader, const json_t *object, BerthIndex *index)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    BerthQueue queue = { 0 };

    if (!name || !berth_snapshot_name_is_valid(name))
        return set_invalid(reader, "name", "is no name of a queue");
    if (!get_u64(reader, object, "maxmsg", MESSAGES_MAX, &queue.most) ||
        !get_u64(reader, object, "msgsize", BERTH_MESSAGE_MAX, &queue.size) ||
        !get_u32(reader, object, "mode", 07777, &queue.mode) ||
        !get_u32(reader, object, "uid", ID_NONE - 1, &queue.uid) ||
        !get_u32(reader, object, "gid", ID_NONE - 1, &queue.gid) ||
        !get_u64(reader, object, "messages", MESSAGES_MAX, &queue.messages))
        return false;
    if (queue.most == 0 || queue.size == 0)
        return set_invalid(reader, "maxmsg or msgsize", "is 0");
    g_array_append_val(index->queues, queue);
    g_array_index(index->queues, BerthQueue, index->queues->len - 1).name = g_strdup(name);
    return true;
}

static bool read_list(const json_t *parent, const char *key, const char *what,
                      bool (*read)(const Reader *, const json_t *, BerthIndex *), BerthIndex *index,
                      GError **error)
{
    const json_t *list = json_object_get(parent, key);
    const Reader reader = { what, error };

    if (!json_is_array(list) || json_array_size(list) > OBJECTS_MAX)
        return set_invalid(&(const Reader){ "the index", error }, key, "is no list");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read(&reader, json_array_get(list, i), index))
            return false;
    return true;
}

static bool read_sysctls(const json_t *root, BerthIndex *index, GError **error)
{
    json_t *object = json_object_get(root, "sysctls"), *value;
    const Reader reader = { "the index", error };
    const char *name;

    if (!json_is_object(object))
        return set_invalid(&reader, "sysctls", "is no object");
    json_object_foreach(object, name, value)
    {
        const char *text = json_string_value(value);

        if (!text)
            return set_invalid(&reader, name, "is no text");
        if (!berth_sysctl_check(name, text, error))
            return false;
        g_hash_table_insert(index->sysctls, g_strdup(name), g_strdup(text));
    }
    return true;
}

/* IDs and keys of one kind: @size bytes each begin with a BerthSysvPerm. */
static bool check_unique(const GArray *array, const char *what, GError **error)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) keys = g_hash_table_new(NULL, NULL);
    guint size = g_array_get_element_size((GArray *)array);

    for (guint i = 0; i < array->len; i++) {
        const BerthSysvPerm *perm =
            (const BerthSysvPerm *)(const void *)(array->data + (size_t)i * size);

        if (!g_hash_table_add(ids, GINT_TO_POINTER(perm->id)) ||
            (perm->key != 0 && !g_hash_table_add(keys, GINT_TO_POINTER(perm->key))))
            return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                                   "the snapshot's index is damaged: the %s %d is there twice, or "
                                   "its key 0x%x is",
                                   what, perm->id, (unsigned)perm->key);
    }
    return true;
}

static bool check_names(const BerthIndex *index, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < index->queues->len; i++)
        if (!g_hash_table_add(names, g_array_index(index->queues, BerthQueue, i).name))
            return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                                   "the snapshot's index is damaged: a message queue is there "
                                   "twice");
    return true;
}

static bool read_all(const json_t *root, BerthIndex *index, GError **error)
{
    const json_t *sysv = json_object_get(root, "sysv"), *shm = json_object_get(root, "shm");
    const Reader reader = { "shm", error };

    return get_u64(&reader, shm, "bytes", SEGMENT_MAX, &index->shm_bytes) &&
           get_u64(&reader, shm, "inodes", SEGMENT_MAX, &index->shm_inodes) &&
           read_sysctls(root, index, error) &&
           read_list(sysv, "shm", "a segment", read_segment, index, error) &&
           read_list(sysv, "sem", "a semaphore set", read_set, index, error) &&
           read_list(sysv, "msg", "a message queue", read_messages, index, error) &&
           read_list(root, "mqueue", "a POSIX message queue", read_queue, index, error) &&
           check_unique(index->segments, "segment", error) &&
           check_unique(index->semaphores, "semaphore set", error) &&
           check_unique(index->messages, "message queue", error) && check_names(index, error);
}

static bool check_version(const json_t *root, GError **error)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    json_int_t version = json_integer_value(json_object_get(root, "version"));

    if (g_strcmp0(format, BERTH_SNAPSHOT_FORMAT) != 0 || version < 1)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "this is no snapshot of a sandbox: its index says no format '%s'",
                               BERTH_SNAPSHOT_FORMAT);
    return version == BERTH_SNAPSHOT_VERSION ||
           berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                           "the snapshot has version %lld of its format, and this is known up to "
                           "%d; restore it with the version of Berth that made it",
                           (long long)version, BERTH_SNAPSHOT_VERSION);
}

BerthIndex *berth_snapshot_index_parse(const char *text, size_t length, GError **error)
{
    g_autoptr(BerthIndex) index = berth_snapshot_index_new();
    const BerthJsonLimits limits = { BERTH_INDEX_MAX, DEPTH_MAX, OBJECTS_MAX, VALUES_MAX };
    g_autoptr(GError) fault = NULL;
    g_autoptr(json_t) root = berth_json_load(text, length, &limits, &fault);

    if (!root) {
        berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the snapshot's index is damaged: %s",
                        fault->message);
        return NULL;
    }
    return check_version(root, error) && read_all(root, index, error) ? g_steal_pointer(&index)
                                                                      : NULL;
}
