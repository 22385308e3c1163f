/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a restore, either way. Until it is complete, files have names that nobody knows, and
 * SysV objects and queues are nobody's but their creator's; then files get their names, one after
 * the other, and if that cannot be done to the last they lose them again. What is to be done is
 * read from the log, which a process can have written that was taken over by an archive: it can
 * name nothing outside of the sandbox, and nothing is followed.
 */

#include "ipc/restore-undo.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/names.h"
#include "ipc/restore-log.h"
#include "ipc/restore-top.h"
#include "ipc/snapshot-index.h"
#include "ipc/sysctls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 256

/* What the first record says, which the service wrote itself; or NULL. */
static const char *prefix_of(const GPtrArray *records)
{
    const char *first = records->len > 0 ? records->pdata[0] : NULL;

    return first && first[0] == BERTH_LOG_PREFIX && berth_snapshot_name_is_valid(first + 1)
               ? first + 1
               : NULL;
}

static bool is_committed(const GPtrArray *records)
{
    for (guint i = records->len; i > 0; i--) {
        char kind = *(const char *)records->pdata[i - 1];

        if (kind == BERTH_LOG_COMMIT || kind == BERTH_LOG_ABORT)
            return kind == BERTH_LOG_COMMIT;
    }
    return false;
}

/* Splits NAME=VALUE. Returns: (transfer full): the name, or NULL. */
static char *split(const char *text, const char **value)
{
    const char *equals = strchr(text, '=');

    if (!equals)
        return NULL;
    *value = equals + 1;
    return g_strndup(text, (gsize)(equals - text));
}

/* The entries of a directory, but for . and .. */
static GPtrArray *list(int fd)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

    if (!dir)
        berth_close(copy);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
            g_ptr_array_add(names, g_strdup(entry->d_name));
    return names;
}

/* As the owner of a directory, who may remove what is in it. */
static int unlink_as_owner(int dir, const char *name, int flags)
{
    struct stat st;
    int r, err;

    if (fstat(dir, &st) < 0)
        return -1;
    setfsuid(st.st_uid);
    r = unlinkat(dir, name, flags);
    err = errno;
    setfsuid(0);
    errno = err;
    return r;
}

static bool remove_tree(int dir, const char *name, unsigned depth)
{
    g_autoptr(GPtrArray) names = NULL;
    BERTH_AUTO_FD fd = -1;
    struct stat st;

    if (unlink_as_owner(dir, name, 0) == 0 || errno == ENOENT)
        return true;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || depth > DEPTH_MAX)
        return false;
    names = list(fd);
    if (names->len > 0) {
        setfsuid(st.st_uid);
        (void)fchmod(fd, 0700);
        setfsuid(0);
    }
    for (guint i = 0; i < names->len; i++)
        if (!remove_tree(fd, names->pdata[i], depth + 1))
            return false;
    return unlink_as_owner(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static bool set_sysctl(BerthPlaces *places, const char *text, GError **error)
{
    const char *value;
    g_autofree char *name = split(text, &value);

    return !name || berth_sysctl_write(berth_places_sysctls(places), name, value, error);
}

/* Removes an object that was about to be made. */
static void remove_object(char kind, const char *text)
{
    guint64 id;

    if (!g_ascii_string_to_unsigned(text, 10, 0, INT32_MAX, &id, NULL))
        return;
    if (kind == BERTH_LOG_SEGMENT)
        (void)shmctl((int)id, IPC_RMID, NULL);
    else if (kind == BERTH_LOG_SEMAPHORE)
        (void)semctl((int)id, 0, IPC_RMID);
    else
        (void)msgctl((int)id, IPC_RMID, NULL);
}

static void remove_queue(int mqueue, const char *name)
{
    BERTH_AUTO_FD dir = openat(mqueue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (dir < 0 || !berth_snapshot_name_is_valid(name) ||
        fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    /* the directory is sticky: its owner may, or the queue's */
    if (unlink_as_owner(dir, name, 0) == 0)
        return;
    setfsuid(st.st_uid);
    (void)unlinkat(dir, name, 0);
    setfsuid(0);
}

static bool undo_record(BerthPlaces *places, const BerthSlotFds *fds, const char *record,
                        GError **error)
{
    switch (*record) {
    case BERTH_LOG_SYSCTL:
        return set_sysctl(places, record + 1, error);
    case BERTH_LOG_SEGMENT:
    case BERTH_LOG_SEMAPHORE:
    case BERTH_LOG_MESSAGES:
        remove_object(*record, record + 1);
        return true;
    case BERTH_LOG_QUEUE:
        remove_queue(fds->mqueue, record + 1);
        return true;
    default:
        return true;
    }
}

/* Removes the files that have no name of their own yet. */
static bool remove_unnamed(int shm, const char *prefix, GError **error)
{
    g_autoptr(GPtrArray) names = list(shm);

    for (guint i = 0; i < names->len; i++)
        if (g_str_has_prefix(names->pdata[i], prefix) && !remove_tree(shm, names->pdata[i], 0))
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                         "cannot remove what was restored half");
    return true;
}

static bool undo(BerthPlaces *places, const BerthSlotFds *fds, const GPtrArray *records, int shm,
                 GError **error)
{
    const char *prefix = prefix_of(records);

    for (guint i = 0; i < records->len; i++)
        if (!undo_record(places, fds, records->pdata[i], error))
            return false;
    return !prefix || remove_unnamed(shm, prefix, error);
}

/* Gives a file its name, or takes it away. */
static bool rename_record(int shm, const char *prefix, const char *record, bool back,
                          GError **error)
{
    g_autofree char *unnamed = NULL, *number = NULL;
    const char *name;
    unsigned flags = RENAME_NOREPLACE;
    int r;

    number = split(record + 1, &name);
    if (!number || !berth_snapshot_name_is_valid(name) ||
        strspn(number, "0123456789") != strlen(number))
        return berth_set_error(error, BERTH_ERROR_FAILED, "the log of a restore is damaged");
    unnamed = g_strconcat(prefix, number, NULL);
    r = back ? renameat2(shm, name, shm, unnamed, flags)
             : renameat2(shm, unnamed, shm, name, flags);
    if (r == 0 || errno == ENOENT) /* it has its name already */
        return true;

    int err = errno;
    g_autofree char *quoted = berth_quote(name);

    if (err == EEXIST)
        return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                               "a program made shm/%s in the sandbox while it was restored; stop "
                               "the programs, empty the sandbox and try again",
                               quoted);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, err, "cannot name shm/%s", quoted);
}

static bool rename_all(int shm, const GPtrArray *records, GError **error)
{
    const char *prefix = prefix_of(records);
    struct stat st;
    bool ok = prefix;

    if (!prefix || fstat(shm, &st) < 0)
        return berth_set_error(error, BERTH_ERROR_FAILED, "the log of a restore is damaged");
    setfsuid(st.st_uid); /* who may rename anything in a sticky directory */
    for (guint i = 0; ok && i < records->len; i++) {
        const char *record = records->pdata[i];

        if (*record != BERTH_LOG_FILE || rename_record(shm, prefix, record, false, error))
            continue;
        ok = false;
        while (i-- > 0) {
            record = records->pdata[i];
            if (*record == BERTH_LOG_FILE)
                (void)rename_record(shm, prefix, record, true, NULL);
        }
        break;
    }
    setfsuid(0);
    return ok;
}

/* What comes after the names: sysctls as they were saved, else as they were before. */
static bool finish(BerthPlaces *places, const GPtrArray *records, int shm, uint64_t pages,
                   char **shmall, GError **error)
{
    static const char name_shmall[] = "kernel.shmall=";

    for (guint i = 0; i < records->len; i++)
        if (*(const char *)records->pdata[i] == BERTH_LOG_SYSCTL &&
            !set_sysctl(places, (const char *)records->pdata[i] + 1, error))
            return false;
    for (guint i = 0; i < records->len; i++) {
        const char *record = records->pdata[i], *text = record + 1;
        guint64 value;

        if (*record != BERTH_LOG_FINAL)
            continue;
        if (!g_str_has_prefix(text, name_shmall)) {
            if (!set_sysctl(places, text, error))
                return false;
        } else if (shmall && g_ascii_string_to_unsigned(text + strlen(name_shmall), 10, 0, pages,
                                                        &value, NULL)) {
            g_free(*shmall);
            *shmall = g_strdup(text + strlen(name_shmall));
        }
    }
    return berth_restore_top_set(shm, records, error);
}

/* What follows the commit. When it fails for a name that is taken, no file has a name. */
static bool carry_on(BerthPlaces *places, const GPtrArray *records, int shm, int log,
                     uint64_t pages, char **shmall, GError **error)
{
    if (!rename_all(shm, records, error)) {
        (void)berth_restore_log_add(log, BERTH_LOG_ABORT, "", NULL);
        return false;
    }
    return finish(places, records, shm, pages, shmall, error);
}

bool berth_restore_commit(BerthPlaces *places, const BerthSlotFds *fds, int log, uint64_t pages,
                          char **shmall, GError **error)
{
    BERTH_AUTO_FD shm = openat(fds->shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GPtrArray) records = berth_restore_log_read(log, error);

    if (!records)
        return false;
    if (is_committed(records)) { /* by the helper, whose business it is not */
        (void)berth_restore_log_add(log, BERTH_LOG_ABORT, "", NULL);
        return berth_set_error(error, BERTH_ERROR_FAILED, "the log of a restore is damaged");
    }
    return berth_restore_log_add(log, BERTH_LOG_COMMIT, "", error) &&
           carry_on(places, records, shm, log, pages, shmall, error);
}

bool berth_restore_undo(BerthPlaces *places, const BerthSlotFds *fds, int log, GError **error)
{
    BERTH_AUTO_FD shm = openat(fds->shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GPtrArray) records = berth_restore_log_read(log, error);

    if (!records)
        return false;
    if (is_committed(records) && carry_on(places, records, shm, log, 0, NULL, NULL))
        return true;
    return undo(places, fds, records, shm, error);
}
