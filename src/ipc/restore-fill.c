/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads an archive member by member and fills the sandbox. The index comes first; whatever can be
 * refused by it is refused before anything is made. What follows must be in it, once, and the last
 * member must be there and fit to all before it. This runs in a process that has no rights but
 * those it needs here, and expects any archive.
 */

#include "ipc/restore-fill.h"

#include "base/error.h"
#include "base/names.h"
#include "ipc/restore-files.h"
#include "ipc/restore-log.h"
#include "ipc/restore-queues.h"
#include "ipc/snapshot-refusals.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define SEMAPHORE_SPACE 64 /* bytes that the kernel takes for one */

typedef struct {
    const BerthFill *fill;
    BerthRestoreReader *reader; /* owned */
    BerthIndex *index;          /* owned */
    BerthRestoreFiles *files;   /* owned */
    BerthRestoreSysv sysv;
    BerthRestoreQueues queues;
} Work;

static void work_clear(Work *work)
{
    berth_restore_reader_free(work->reader);
    berth_snapshot_index_free(work->index);
    berth_restore_files_free(work->files);
    if (work->sysv.done)
        g_hash_table_unref(work->sysv.done);
    if (work->queues.fds) {
        for (guint i = 0; i < work->queues.fds->len; i++)
            if (g_array_index(work->queues.fds, int, i) >= 0)
                (void)close(g_array_index(work->queues.fds, int, i));
        g_array_unref(work->queues.fds);
        g_array_unref(work->queues.filled);
    }
}
#define AUTO_WORK __attribute__((cleanup(work_clear))) Work

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static bool read_index(Work *work, GError **error)
{
    struct archive_entry *entry;
    g_autoptr(GByteArray) text = NULL;
    g_autofree char *path = NULL;

    if (!berth_restore_reader_next(work->reader, &path, &entry, error))
        return false;
    if (!g_str_equal(path, BERTH_SNAPSHOT_INDEX))
        return berth_set_error(
            error, BERTH_ERROR_ARCHIVE_INVALID,
            "this is no snapshot of a sandbox: its first member is not " BERTH_SNAPSHOT_INDEX);
    text = berth_restore_reader_text(work->reader, BERTH_INDEX_MAX, error);
    if (!text)
        return false;
    work->index = berth_snapshot_index_parse((const char *)text->data, text->len, error);
    return work->index;
}

/* A user's semaphores, which no limit of the namespace holds while it is filled. */
static bool check_semaphores(const Work *work, GError **error)
{
    const BerthRestoreSpec *spec = work->fill->spec;
    const GArray *sets = work->index->semaphores;
    uint64_t n = 0;

    for (guint i = 0; i < sets->len; i++)
        n += g_array_index(sets, BerthSemaphores, i).values->len;
    return spec->actor.uid == 0 || n <= spec->shm_size / SEMAPHORE_SPACE ||
           berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                           "the snapshot has %" PRIu64
                           " semaphores, and a user's sandbox of this size may have %" PRIu64
                           "; resize it (berthctl resize), or let root restore it",
                           n, spec->shm_size / SEMAPHORE_SPACE);
}

/* What is known to be too much is refused before anything is made. */
static bool check_room(const Work *work, GError **error)
{
    const BerthRestoreSpec *spec = work->fill->spec;
    const BerthIndex *index = work->index;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = 0;

    if (!check_semaphores(work, error))
        return false;
    if (spec->leave_out && *spec->leave_out)
        return true; /* nobody knows how much of it that is */
    for (guint i = 0; i < index->segments->len; i++)
        pages += (g_array_index(index->segments, BerthSegment, i).size + page - 1) / page;
    if (index->shm_bytes > spec->shm_size)
        return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                               "the snapshot's files take %" PRIu64
                               " bytes, and the sandbox's shm has %" PRIu64
                               "; resize it (berthctl resize)",
                               index->shm_bytes, spec->shm_size);
    if (index->shm_inodes > spec->shm_inodes)
        return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                               "the snapshot's files take %" PRIu64
                               " inodes, and the sandbox's shm has %" PRIu64
                               "; resize it (berthctl resize --shm-inodes=)",
                               index->shm_inodes, spec->shm_inodes);
    return pages <= work->fill->shmall ||
           berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                           "the snapshot's SysV shared memory takes %" PRIu64
                           " pages, and kernel.shmall of the sandbox allows %" PRIu64
                           "; it follows the size (berthctl resize)",
                           pages, work->fill->shmall);
}

/* Notes the sysctls that are set when all is there. */
static bool note_sysctls(const Work *work, GError **error)
{
    GHashTableIter iter;
    const char *name, *value;

    g_hash_table_iter_init(&iter, work->index->sysctls);
    while (g_hash_table_iter_next(&iter, (gpointer *)&name, (gpointer *)&value)) {
        g_autofree char *member = g_strconcat("sysctl/", name, NULL);
        g_autofree char *record = g_strconcat(name, "=", value, NULL);

        if (g_str_has_suffix(name, "_next_id") ||
            berth_is_left_out(work->fill->spec->leave_out, member))
            continue;
        if (!berth_restore_log_add(work->fill->log, BERTH_LOG_FINAL, record, error))
            return false;
    }
    return true;
}

static bool check_end(Work *work, GError **error)
{
    struct archive_entry *entry;
    g_autoptr(GError) end = NULL;
    g_autofree char *path = NULL;

    if (!berth_restore_reader_finish(work->reader, error))
        return false;
    if (!berth_restore_reader_next(work->reader, &path, &entry, &end))
        return true;
    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: it goes on after its end");
}

/* One member. @last is set when it was the end. */
static bool take_member(Work *work, bool *last, GError **error)
{
    struct archive_entry *entry;
    g_autofree char *path = NULL, *quoted = NULL;

    if (!berth_restore_reader_next(work->reader, &path, &entry, error))
        return false;
    *last = g_str_equal(path, BERTH_SNAPSHOT_END);
    if (*last)
        return check_end(work, error);
    if (berth_is_left_out(work->fill->spec->leave_out, path))
        return true;
    if (is_below(path, BERTH_SNAPSHOT_SHM))
        return berth_restore_files_add(work->files, path, entry, work->reader, error);
    if (is_below(path, BERTH_SNAPSHOT_SEGMENT) || is_below(path, BERTH_SNAPSHOT_MESSAGES))
        return berth_restore_sysv_add(&work->sysv, path, work->reader, error);
    if (is_below(path, BERTH_SNAPSHOT_QUEUE))
        return berth_restore_queues_add(&work->queues, path, work->reader, error);
    quoted = berth_quote(path);
    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: it has no business with a member %s", quoted);
}

static void begin(Work *work)
{
    const BerthFill *fill = work->fill;
    const BerthActor *actor = &fill->spec->actor;

    work->sysv = (BerthRestoreSysv){
        .index = work->index,
        .actor = actor,
        .leave_out = fill->spec->leave_out,
        .next = fill->next,
        .log = fill->log,
        .message_room = actor->uid == 0 ? UINT64_MAX : fill->spec->shm_size,
        .done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    work->queues = (BerthRestoreQueues){
        .index = work->index,
        .actor = actor,
        .leave_out = fill->spec->leave_out,
        .log = fill->log,
        .message_room = &work->sysv.message_room,
        .fds = g_array_new(FALSE, FALSE, sizeof(int)),
        .filled = g_array_new(FALSE, FALSE, sizeof(gboolean)),
    };
    work->files =
        berth_restore_files_new(fill->shm, fill->log, fill->prefix, actor, fill->spec->leave_out);
}

bool berth_fill(const BerthFill *fill, GError **error)
{
    AUTO_WORK work = { .fill = fill };
    bool last = false;

    work.reader = berth_restore_reader_new(fill->spec->archive, error);
    if (!work.reader || !read_index(&work, error) || !check_room(&work, error))
        return false;
    begin(&work);
    if (!note_sysctls(&work, error) || !fill->lift(fill->userdata, error) ||
        !berth_restore_sysv_make(&work.sysv, error) ||
        !berth_restore_queues_make(&work.queues, error))
        return false;
    while (!last)
        if (!take_member(&work, &last, error))
            return false;
    return berth_restore_files_finish(work.files, error) &&
           berth_restore_sysv_finish(&work.sysv, error) &&
           berth_restore_queues_finish(&work.queues, error);
}
