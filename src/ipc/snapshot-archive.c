/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What somebody gave for an archive can be anything that can be opened. Files that are no data but
 * the kernel's controls must not be written by a process with other rights than who opened them;
 * and an archive that lies in the sandbox it is made of would never end.
 */

#include "ipc/snapshot-archive.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool is_control(int fd)
{
    static const long magics[] = { PROC_SUPER_MAGIC,    SYSFS_MAGIC,    CGROUP_SUPER_MAGIC,
                                   CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,
                                   SECURITYFS_MAGIC,    BPF_FS_MAGIC,   SELINUX_MAGIC,
                                   NSFS_MAGIC,          EFIVARFS_MAGIC, SMACK_MAGIC };
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(magics); i++)
        if ((long)fs.f_type == magics[i])
            return true;
    return false;
}

bool berth_snapshot_check_archive(int fd, int shm, bool writes, GError **error)
{
    int flags = fcntl(fd, F_GETFL);
    int wrong = writes ? O_RDONLY : O_WRONLY;
    struct stat st, own;

    if (flags < 0 || fstat(fd, &st) < 0 || fstat(shm, &own) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_OPTION, errno,
                                     "cannot look at the archive");
    if (flags & O_PATH || (flags & O_ACCMODE) == wrong)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION, "the archive is not open for %s",
                               writes ? "writing" : "reading");
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "the archive is neither a file nor a pipe nor a socket");
    if (S_ISREG(st.st_mode) && st.st_dev == own.st_dev)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "the archive lies in the sandbox itself; give a file elsewhere");
    return !S_ISREG(st.st_mode) || !is_control(fd) ||
           berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "the archive is a file of the kernel's, which holds no data; give "
                           "another file, or a pipe");
}
