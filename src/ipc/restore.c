/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fills an empty sandbox from an archive. Two processes do it: a helper with few rights reads the
 * archive and makes what it says; this one sees that the sandbox is empty, lifts limits of the
 * namespace that would be in the way, and when the helper has ended either gives everything its
 * names or removes it. It parses nothing of the archive. Whatever happens to either, a log in the
 * vault tells the next one what to do.
 */

#include "ipc/restore.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/libarchive.h"
#include "ipc/restore-fill.h"
#include "ipc/restore-log.h"
#include "ipc/restore-undo.h"
#include "ipc/slot.h"
#include "ipc/snapshot-archive.h"
#include "ipc/snapshot-helper.h"
#include "ipc/snapshot.h"
#include "ipc/sysctls.h"
#include "ipc/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define LIFT         "lift"

#define MSGQUEUE_MAX 819200 /* bytes: what users may have of POSIX queues unless told otherwise */

/* What the limits of the namespace are while it is filled; kernel.shmall is none of them. */
static const char *const lifted[][2] = {
    { "fs.mqueue.msg_max", "65536" },
    { "fs.mqueue.msgsize_max", "16777216" },
    { "fs.mqueue.queues_max", "2147483647" },
    { "kernel.msgmax", "2147483647" },
    { "kernel.msgmnb", "2147483647" },
    { "kernel.msgmni", "32768" },
    { "kernel.sem", "65536 2147483647 65536 32768" },
    { "kernel.shm_rmid_forced", "0" },
    { "kernel.shmmax", "18446744073692774399" },
    { "kernel.shmmni", "32768" },
};

typedef struct {
    const BerthVault *vault;
    const BerthRestoreSpec *spec;
    BerthSlotFds fds;
    int log; /* owned */
    char prefix[40];
    uint64_t shmall; /* in force */
    bool lifted;
} Job;

static void job_clear(Job *job)
{
    berth_slot_fds_close(&job->fds);
    job->log = berth_close(job->log);
}
#define AUTO_JOB __attribute__((cleanup(job_clear))) Job

/* Nothing at all may be there: what is restored would mix with it. */
static bool check_empty(const Job *job, GError **error)
{
    BERTH_AUTO_FD shm = openat(job->fds.shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *dir = shm >= 0 ? fdopendir(shm) : NULL;
    BerthIpcUsage usage;
    unsigned files = 0;

    if (!dir)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read the shm");
    (void)berth_steal_fd(&shm); /* closedir() closes it */
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        files += !g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, "..");
    if (!berth_ipc_usage(&usage, error))
        return false;
    return (files == 0 && usage.shm_segments == 0 && usage.semaphore_sets == 0 &&
            usage.queues == 0) ||
           berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                           "the sandbox is not empty: it has %u files in shm, %u segments, %u "
                           "semaphore sets and %u message queues; remove them, or restore into a "
                           "new sandbox",
                           files, usage.shm_segments, usage.semaphore_sets, usage.queues);
}

/* Reads and notes what the limits are now. */
static bool note_sysctls(Job *job, GError **error)
{
    int proc = berth_places_sysctls(job->vault->places);
    g_autofree char *shmall = berth_sysctl_read(proc, "kernel.shmall", error);

    if (!shmall)
        return false;
    job->shmall = g_ascii_strtoull(shmall, NULL, 10);
    for (unsigned i = 0; i < G_N_ELEMENTS(lifted); i++) {
        g_autofree char *value = berth_sysctl_read(proc, lifted[i][0], NULL);
        g_autofree char *record = value ? g_strconcat(lifted[i][0], "=", value, NULL) : NULL;

        if (record && !berth_restore_log_add(job->log, BERTH_LOG_SYSCTL, record, error))
            return false;
    }
    return true;
}

/* The only thing that the helper can ask for, once. */
static bool serve(const char *request, void *data, GError **error)
{
    Job *job = data;
    int proc = berth_places_sysctls(job->vault->places);

    if (!g_str_equal(request, LIFT) || job->lifted)
        return berth_set_error(error, BERTH_ERROR_FAILED, "this is not granted");
    job->lifted = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(lifted); i++)
        if (!berth_sysctl_write(proc, lifted[i][0], lifted[i][1], error))
            return false;
    return true;
}

static bool lift(void *userdata, GError **error)
{
    return berth_helper_ask(*(const int *)userdata, LIFT, error);
}

static int open_next_id(const Job *job, const char *kind)
{
    g_autofree char *path = g_strdup_printf("sys/kernel/%s_next_id", kind);

    return openat(berth_places_sysctls(job->vault->places), path, O_WRONLY | O_CLOEXEC);
}

/* Queues are charged to who makes them, against this process's limit. */
static void set_queue_limit(const BerthActor *actor)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MSGQUEUE, &limit) < 0)
        return;
    limit.rlim_cur = actor->uid == 0 ? limit.rlim_max : MIN(limit.rlim_cur, MSGQUEUE_MAX);
    (void)setrlimit(RLIMIT_MSGQUEUE, &limit);
}

/* The helper. */
static bool work(int socket, void *data, GError **error)
{
    Job *job = data;
    BERTH_AUTO_FD shm = openat(job->fds.shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const BerthFill fill = {
        .spec = job->spec,
        .shm = shm,
        .log = job->log,
        .prefix = job->prefix,
        .shmall = job->shmall,
        .next = { open_next_id(job, "shm"), open_next_id(job, "sem"), open_next_id(job, "msg") },
        .lift = lift,
        .userdata = &socket,
    };
    int keep[] = { socket,        shm,           job->spec->archive, job->log,
                   fill.next.shm, fill.next.sem, fill.next.msg,      job->fds.shm };

    if (shm < 0 || fill.next.shm < 0 || fill.next.sem < 0 || fill.next.msg < 0)
        return berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, errno,
                                     "cannot choose IDs of SysV objects (this kernel needs "
                                     "CONFIG_CHECKPOINT_RESTORE)");
    berth_close_others(keep, G_N_ELEMENTS(keep));
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names are UTF-8, or bytes */
    json_object_seed(0);                  /* while it can still read what it takes */
    set_queue_limit(&job->spec->actor);
    return berth_libarchive_load(error) &&
           berth_actor_become(&job->spec->actor, BERTH_ACTOR_FILLS, shm, error) &&
           berth_actor_confine(BERTH_ACTOR_FILLS, error) && berth_fill(&fill, error);
}

/* The log, with a prefix that nobody can know. */
static bool begin_log(Job *job, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    uint64_t random[2];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot get random numbers");
    g_snprintf(job->prefix, sizeof(job->prefix), ".%016" PRIx64 "%.12" PRIx64 "-", random[0],
               random[1] & 0xffffffffffff);
    return berth_vault_step(job->vault, &step, error) &&
           berth_restore_log_open(job->spec->id, true, &job->log, error) &&
           berth_restore_log_add(job->log, BERTH_LOG_PREFIX, job->prefix, error);
}

static void remove_log(const Job *job)
{
    BERTH_AUTO_STEP step = { 0 };

    if (berth_vault_step(job->vault, &step, NULL))
        berth_restore_log_remove(job->spec->id);
}

bool berth_restore(const BerthVault *vault, const BerthRestoreSpec *spec, char **shmall,
                   GError **error)
{
    AUTO_JOB job = { .vault = vault, .spec = spec, .fds = BERTH_SLOT_FDS_INIT, .log = -1 };
    const BerthHelperWork helper = { .work = work, .serve = serve, .data = &job };
    BERTH_AUTO_STEP step = { 0 };
    g_autoptr(GError) failure = NULL;

    *shmall = NULL;
    if (!berth_snapshot_recover(vault, spec->id, error) ||
        !berth_slot_open(vault, spec->id, &job.fds, error) ||
        !berth_snapshot_check_archive(spec->archive, job.fds.shm, false, error) ||
        !berth_step_ipc(&step, vault->places, job.fds.ipc, error) || !check_empty(&job, error) ||
        !begin_log(&job, error))
        return false;
    if (note_sysctls(&job, &failure) && berth_helper_run(&helper, &failure) &&
        berth_restore_commit(vault->places, &job.fds, job.log, spec->shmall, shmall, &failure)) {
        remove_log(&job);
        return true;
    }
    /* what cannot be undone now is when the service starts again, by the log */
    if (berth_restore_undo(vault->places, &job.fds, job.log, NULL))
        remove_log(&job);
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}
