/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saves the contents of a sandbox. Two processes do it: this one enters the sandbox, looks at what
 * takes the service's rights to see, and waits; its helper, with few rights left, reads the rest
 * and writes the archive. Everything that cannot be kept is found before anything is touched.
 * Messages of POSIX queues are the only thing that is touched at all; if the helper is killed while
 * it has some in its hands, they are put back here.
 */

#include "ipc/snapshot.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/slot.h"
#include "ipc/snapshot-archive.h"
#include "ipc/snapshot-files.h"
#include "ipc/snapshot-helper.h"
#include "ipc/snapshot-processes.h"
#include "ipc/snapshot-queues.h"
#include "ipc/snapshot-settle.h"
#include "ipc/snapshot-survey.h"
#include "ipc/snapshot-sysv.h"
#include "ipc/sysctls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    const BerthVault *vault;
    const BerthSnapshotSpec *spec;
    BerthSlotFds fds;
    BerthSpill spill; /* open when there are messages to take out */
    BerthIndex *index;
    int *queues; /* in the helper: a descriptor for each queue of the index; -1: it is empty */
} Job;

static void job_clear(Job *job)
{
    berth_slot_fds_close(&job->fds);
    berth_spill_clear(&job->spill);
    berth_snapshot_index_free(job->index);
}
#define AUTO_JOB __attribute__((cleanup(job_clear))) Job

static json_t *ids_to_json(const GArray *ids)
{
    json_t *array = json_array();

    for (guint i = 0; ids && i < ids->len; i++)
        json_array_append_new(array, json_integer(g_array_index(ids, uint32_t, i)));
    return array;
}

static json_t *labels_to_json(GHashTable *labels)
{
    json_t *object = json_object();
    GHashTableIter iter;
    const char *name, *value;

    if (!labels)
        return object;
    g_hash_table_iter_init(&iter, labels);
    while (g_hash_table_iter_next(&iter, (gpointer *)&name, (gpointer *)&value))
        json_object_set_new(object, name, json_string(value));
    return object;
}

static json_t *options_to_json(const char *id, const BerthSnapshotOptions *options)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:s, s:b}", "id", id,
                     "name", options->name ? options->name : "", "mode", options->mode, "owner",
                     (json_int_t)options->owner, "shm_size", (json_int_t)options->shm_size,
                     "shm_inodes", (json_int_t)options->shm_inodes, "shm_huge",
                     options->huge ? options->huge : "", "shm_numa",
                     options->numa ? options->numa : "", "labels", labels_to_json(options->labels),
                     "users", ids_to_json(options->users), "groups", ids_to_json(options->groups),
                     "lifetime", options->lifetime, "published", (int)options->published);
}

/* Those of the namespace, but for what the sandbox gives itself. */
static void read_sysctls(const Job *job)
{
    int proc = berth_places_sysctls(job->vault->places);

    for (const char *const *name = berth_sysctl_names(); *name; name++) {
        g_autofree char *member = g_strconcat("sysctl/", *name, NULL);
        g_autofree char *value = NULL;

        if (g_str_has_suffix(*name, "_next_id") || g_str_equal(*name, "kernel.auto_msgmni") ||
            (g_str_equal(*name, "kernel.shmall") && !job->spec->options.shmall_set) ||
            berth_is_left_out(job->spec->leave_out, member))
            continue;
        value = berth_sysctl_read(proc, *name, NULL);
        if (value) /* not every kernel has every one */
            g_hash_table_insert(job->index->sysctls, g_strdup(*name), g_steal_pointer(&value));
    }
}

/* What the service itself has to look at. */
static bool survey(Job *job, GError **error)
{
    BERTH_AUTO_REFUSALS refusals = { .leave_out = job->spec->leave_out };
    BERTH_AUTO_FD shm = openat(job->fds.shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int proc = job->vault->places->proc;
    BerthIndex *index = job->index;
    struct timespec now;

    if (shm < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open the shm");
    json_decref(index->sandbox);
    index->sandbox = options_to_json(job->spec->id, &job->spec->options);
    json_decref(index->undo);
    index->undo = berth_processes_find_undo(proc);
    for (const char *const *name = job->spec->leave_out; name && *name; name++)
        json_array_append_new(index->left_out, json_string(*name));
    clock_gettime(CLOCK_REALTIME, &now);
    index->created_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    read_sysctls(job);
    return berth_queues_survey(job->fds.mqueue, proc, job->spec->stopped, index->queues, &refusals,
                               error) &&
           berth_files_survey(shm, index, &refusals, error) &&
           berth_refusals_check(&refusals, error);
}

/* Opens the queues whose messages are to be read: whoever may not write cannot put them back. */
static bool open_queues(Job *job, BerthRefusals *refusals, GError **error)
{
    const GArray *queues = job->index->queues;

    job->queues = g_new(int, queues->len + 1);
    for (guint i = 0; i < queues->len; i++) {
        const BerthQueue *queue = &g_array_index(queues, BerthQueue, i);
        g_autofree char *member = g_strconcat(BERTH_SNAPSHOT_QUEUE "/", queue->name, NULL);

        job->queues[i] = -1;
        if (queue->messages == 0)
            continue;
        job->queues[i] = berth_queue_open(job->fds.mqueue, queue->name);
        if (job->queues[i] < 0 && errno == EACCES)
            berth_refuse(refusals, BERTH_ERROR_ACCESS_DENIED, member,
                         "its messages may not be read and put back by the user it is saved for, "
                         "or by its own owner; change its permissions");
        else if (job->queues[i] < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                         "cannot open the message queue %s", queue->name);
    }
    return true;
}

/* Everything that the helper has to look at; nothing was written yet. */
static bool survey_in_helper(Job *job, int maps, int shm, GError **error)
{
    BERTH_AUTO_REFUSALS refusals = { .leave_out = job->spec->leave_out };

    return berth_sysv_survey(maps, job->index, &refusals, error) &&
           (job->spec->actor.uid == 0 || berth_files_check_access(shm, &refusals, error)) &&
           open_queues(job, &refusals, error) && berth_refusals_check(&refusals, error);
}

/* A line feed ends each head and each message, so that the file can be looked at. */
static char *message_head(uint32_t priority, uint32_t length)
{
    return g_strdup_printf("%u %u\n", priority, length);
}

static bool write_messages(BerthSnapshotWriter *writer, const BerthSpill *spill, GError **error)
{
    uint64_t offset = 0;

    for (uint32_t i = 0; i < berth_spill_count(spill); i++) {
        uint32_t length, priority;
        const void *data = berth_spill_next(spill, i, &offset, &length, &priority);
        g_autofree char *head = message_head(priority, length);

        if (!berth_snapshot_writer_data(writer, head, strlen(head), error) ||
            !berth_snapshot_writer_data(writer, data, length, error) ||
            !berth_snapshot_writer_data(writer, "\n", 1, error))
            return false;
    }
    return true;
}

static bool write_queue(Job *job, BerthSnapshotWriter *writer, const BerthQueue *queue, int fd,
                        GError **error)
{
    g_autofree char *path = g_strconcat(BERTH_SNAPSHOT_QUEUE "/", queue->name, NULL);
    BerthMember member = {
        .path = path, .mode = S_IFREG | (mode_t)queue->mode, .uid = queue->uid, .gid = queue->gid
    };
    uint64_t offset = 0;

    /* the messages are back in the queue before anything is written, which can take long */
    if (!berth_spill_take(&job->spill, fd, queue->name, error))
        return false;
    for (uint32_t i = 0; i < berth_spill_count(&job->spill); i++) {
        uint32_t length, priority;
        g_autofree char *head = NULL;

        (void)berth_spill_next(&job->spill, i, &offset, &length, &priority);
        head = message_head(priority, length);
        member.size += strlen(head) + length + 1;
    }
    return berth_snapshot_writer_begin(writer, &member, error) &&
           write_messages(writer, &job->spill, error);
}

static bool write_all(Job *job, int shm, GError **error)
{
    g_autofree char *text = berth_snapshot_index_to_text(job->index, error);
    g_autoptr(BerthSnapshotWriter) writer = berth_snapshot_writer_new(job->spec->archive);

    if (!text ||
        !berth_snapshot_writer_file(writer, BERTH_SNAPSHOT_INDEX, text, strlen(text), error) ||
        !berth_files_write(writer, shm, job->spec->leave_out, error) ||
        !berth_sysv_write(writer, job->index, error))
        return false;
    for (guint i = 0; i < job->index->queues->len; i++)
        if (job->queues[i] >= 0 &&
            !write_queue(job, writer, &g_array_index(job->index->queues, BerthQueue, i),
                         job->queues[i], error))
            return false;
    return berth_snapshot_writer_end(writer, error);
}

/* The helper. */
static bool work(int socket, void *data, GError **error)
{
    Job *job = data;
    BERTH_AUTO_FD maps =
        openat(job->vault->places->proc, "self/map_files", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_FD shm = openat(job->fds.shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int keep[] = { socket,       maps,           shm, job->spec->archive, job->spill.fd,
                   job->fds.shm, job->fds.mqueue };

    if (maps < 0 || shm < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot open the memory of the sandbox");
    berth_close_others(keep, G_N_ELEMENTS(keep));
    if (!berth_actor_become(&job->spec->actor, BERTH_ACTOR_READS, shm, error) ||
        !survey_in_helper(job, maps, shm, error))
        return false;
    maps = berth_close(maps);
    return berth_actor_confine(BERTH_ACTOR_READS, error) && write_all(job, shm, error);
}

static bool has_messages(const BerthIndex *index)
{
    for (guint i = 0; i < index->queues->len; i++)
        if (g_array_index(index->queues, BerthQueue, i).messages > 0)
            return true;
    return false;
}

static bool open_spill(Job *job, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };

    return !has_messages(job->index) || (berth_vault_step(job->vault, &step, error) &&
                                         berth_spill_open(job->spec->id, true, &job->spill, error));
}

/* Opens the sandbox, its shm so that looking at it leaves no trace. */
static bool open_sandbox(Job *job, GError **error)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME,
                               .attr_clr = MOUNT_ATTR__ATIME };

    if (!berth_slot_open(job->vault, job->spec->id, &job->fds, error))
        return false;
    g_assert(job->fds.shm >= 0);
    if (!berth_snapshot_check_archive(job->spec->archive, job->fds.shm, true, error))
        return false;
    return mount_setattr(job->fds.shm, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                 "cannot make a read-only view of the shm");
}

bool berth_snapshot(const BerthVault *vault, const BerthSnapshotSpec *spec, GError **error)
{
    AUTO_JOB job = { .vault = vault,
                     .spec = spec,
                     .fds = BERTH_SLOT_FDS_INIT,
                     .spill = BERTH_SPILL_INIT,
                     .index = berth_snapshot_index_new() };
    const BerthHelperWork helper = { .work = work, .data = &job };
    BERTH_AUTO_STEP step = { 0 };
    bool ok;

    if (!berth_snapshot_recover(vault, spec->id, error) || !open_sandbox(&job, error) ||
        !berth_step_ipc(&step, vault->places, job.fds.ipc, error) || !survey(&job, error) ||
        !open_spill(&job, error))
        return false;
    ok = berth_helper_run(&helper, error);
    if (job.spill.fd >= 0 &&
        !berth_snapshot_settle(vault, spec->id, &job.spill, job.fds.mqueue, ok ? error : NULL))
        return false;
    return ok;
}
