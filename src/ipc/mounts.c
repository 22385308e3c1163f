/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mount tables and what is done by path on them: read with libmount, cleared below a directory.
 * Only paths below the runtime directory, which is root's, are unmounted and removed here by name;
 * whatever lies under somebody else's control is handled by descriptor (attach.c).
 */

#include "ipc/mounts.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DETACH_ROUNDS 16 /* looks at the mount table before giving up */

BerthMountTable *berth_mounts_read(int proc, const char *who, GError **error)
{
    g_autofree char *path = g_strconcat(who, "/mountinfo", NULL);
    g_autoptr(BerthMountTable) table = mnt_new_table();
    BERTH_AUTO_FILE *file = NULL;
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);

    file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open /proc/%s", path);
        berth_close(fd);
        return NULL;
    }
    if (!table || mnt_table_parse_stream(table, file, "mountinfo") != 0) {
        berth_set_error(error, BERTH_ERROR_FAILED, "cannot read /proc/%s", path);
        return NULL;
    }
    return g_steal_pointer(&table);
}

struct libmnt_fs *berth_mounts_find_id(BerthMountTable *table, uint64_t id)
{
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    struct libmnt_fs *fs, *found = NULL;

    while (!found && mnt_table_next_fs(table, iter, &fs) == 0)
        if ((uint64_t)mnt_fs_get_id(fs) == id)
            found = fs;
    mnt_free_iter(iter);
    return found;
}

uint64_t berth_mount_id(int fd)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) < 0 ||
        !(st.stx_mask & STATX_MNT_ID))
        return 0;
    return st.stx_mnt_id;
}

bool berth_is_mount_root(int dir, const char *path)
{
    struct statx st;

    return statx(dir, path, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, 0, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static bool is_below(const char *target, const char *path)
{
    size_t length = strlen(path);

    return target && strncmp(target, path, length) == 0 &&
           (target[length] == '\0' || target[length] == '/');
}

/*
 * Detaches what @table shows at and below @path, the last one mounted first. A detached mount takes
 * with it what is mounted below it, so some of the rows are gone when their turn comes.
 */
static bool detach_all(BerthMountTable *table, const char *path, unsigned *found, GError **error)
{
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_BACKWARD);
    struct libmnt_fs *fs;
    bool ok = true;

    *found = 0;
    while (ok && mnt_table_next_fs(table, iter, &fs) == 0) {
        const char *target = mnt_fs_get_target(fs);

        if (!is_below(target, path))
            continue;
        ++*found;
        if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
            ok = berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot unmount %s",
                                       target);
    }
    mnt_free_iter(iter);
    return ok;
}

bool berth_mounts_detach_below(int proc, const char *path, GError **error)
{
    for (unsigned round = 0; round < DETACH_ROUNDS; round++) {
        g_autoptr(BerthMountTable) table = berth_mounts_read(proc, "thread-self", error);
        unsigned found;

        if (!table || !detach_all(table, path, &found, error))
            return false;
        if (found == 0)
            return true;
    }
    return berth_set_error(error, BERTH_ERROR_FAILED,
                           "cannot unmount what is below %s: mounts appear there as fast as they "
                           "are removed",
                           path);
}

static void close_fts(FTS **fts)
{
    if (*fts)
        (void)fts_close(*fts);
}

bool berth_remove_tree(const char *path, GError **error)
{
    char *const paths[] = { (char *)path, NULL };
    __attribute__((cleanup(close_fts))) FTS *fts = NULL;

    if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return true;
    fts = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
    if (!fts)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read %s", path);
    for (FTSENT *entry = fts_read(fts); entry; entry = fts_read(fts)) {
        int r = 0;

        if (entry->fts_info == FTS_DP)
            r = rmdir(entry->fts_path);
        else if (entry->fts_info != FTS_D)
            r = unlink(entry->fts_path);
        if (r < 0 && errno != ENOENT)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot remove %s",
                                         entry->fts_path);
    }
    return true;
}

int berth_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}
