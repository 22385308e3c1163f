/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that callers hand in. They come as pidfds only; where the kernel wants a PID (paths in
 * /proc), it is read from the pidfd and the pidfd is asked afterwards whether its process still
 * lives: if it does, what was opened in between was that process's.
 */

#include "ipc/pidfd.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <unistd.h>

void berth_target_clear(BerthTarget *target)
{
    target->mnt = berth_close(target->mnt);
}

bool berth_pidfd_check(int pidfd, GError **error)
{
    if (pidfd_send_signal(pidfd, 0, NULL, 0) == 0 || errno == EPERM)
        return true;
    if (errno == ESRCH)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "the process of the pidfd has ended; pass one of a living process");
    return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                           "the file descriptor given as process is not a pidfd; open one with "
                           "pidfd_open(2)");
}

/* The line `Pid:` of a pidfd's fdinfo, see pidfd_open(2); 0: not in our PID namespace, -1: ended.
 */
static bool read_pid(int proc, int pidfd, pid_t *pid)
{
    char path[64], text[1024];
    BERTH_AUTO_FD fd = -1;
    const char *line;
    ssize_t n;

    g_snprintf(path, sizeof(path), "thread-self/fdinfo/%d", pidfd);
    fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (n <= 0)
        return false;
    text[n] = '\0';
    line = strstr(text, "\nPid:");
    return line && sscanf(line, "\nPid: %d", pid) == 1;
}

static bool read_owner(int mnt, uid_t *owner)
{
    BERTH_AUTO_FD user = ioctl(mnt, NS_GET_USERNS);

    return user >= 0 && ioctl(user, NS_GET_OWNER_UID, owner) == 0;
}

bool berth_pidfd_pid(const BerthPlaces *places, int pidfd, pid_t *pid, GError **error)
{
    if (!berth_pidfd_check(pidfd, error))
        return false;
    if (!read_pid(places->proc, pidfd, pid))
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "the file descriptor given as process is not a pidfd; open one with "
                               "pidfd_open(2)");
    if (*pid == 0)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "the process lies outside of the service's PID namespace");
    return true;
}

bool berth_process_start(const BerthPlaces *places, pid_t pid, uint64_t *start)
{
    char path[64], text[2048];
    BERTH_AUTO_FD fd = -1;
    const char *p;
    ssize_t n;

    g_snprintf(path, sizeof(path), "%d/stat", pid);
    fd = openat(places->proc, path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (n <= 0)
        return false;
    text[n] = '\0';
    p = strrchr(text, ')'); /* the name before it can hold anything */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return false;
    *start = g_ascii_strtoull(p + 1, NULL, 10);
    return true;
}

bool berth_target_open(const BerthPlaces *places, int pidfd, BerthTarget *target, GError **error)
{
    BERTH_AUTO_TARGET found = BERTH_TARGET_INIT;
    char path[64];

    found.pidfd = pidfd;
    if (!berth_pidfd_pid(places, pidfd, &found.pid, error))
        return false;
    g_snprintf(path, sizeof(path), "%d/ns/mnt", found.pid);
    found.mnt = found.pid > 0 ? openat(places->proc, path, O_RDONLY | O_CLOEXEC) : -1;

    /* alive now means that it was its own entry that was opened */
    if (!berth_pidfd_check(pidfd, error))
        return false;
    if (found.mnt < 0)
        return berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, errno,
                                     "cannot open the mount namespace of process %d", found.pid);
    if (!read_owner(found.mnt, &found.owner))
        return berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, errno,
                                     "cannot find the owner of process %d's mount namespace",
                                     found.pid);
    *target = found;
    found.mnt = -1;
    return true;
}
