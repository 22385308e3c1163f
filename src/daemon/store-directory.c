/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory of the store, for workers: they may not be able to reach it by its path, and may
 * open nothing else. It belongs to the user they run as, who may be in somebody else's hands, so
 * the service looks at nothing in it. What leads to it belongs to root: a symbolic link there is
 * the administrator's.
 */

#include "daemon/store-directory.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define MODE 0700

static bool set_remedy(const BerthDaemon *daemon, int err, const char *what, GError **error)
{
    const BerthWorkerUser *user = &daemon->worker_user;
    const char *path = daemon->settings->store_path;

    return berth_set_error(error, BERTH_ERROR_FAILED,
                           "cannot %s the store %s: %s; make it with: install -d -m 0700 -o %u -g "
                           "%u %s",
                           what, path, g_strerror(err), user->uid, user->gid, path);
}

/* Makes what is not there, for the worker's user. */
static int make(const BerthDaemon *daemon, GError **error)
{
    const char *path = daemon->settings->store_path;
    const BerthWorkerUser *user = &daemon->worker_user;
    int fd;

    if (mkdir(path, MODE) < 0 && errno != EEXIST) {
        set_remedy(daemon, errno, "make", error);
        return -1;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, user->uid, user->gid) < 0) {
        set_remedy(daemon, errno, "give away", error);
        (void)rmdir(path); /* else the next try would find it, root's */
        return berth_close(fd);
    }
    return fd;
}

int berth_store_directory_open(BerthDaemon *daemon, GError **error)
{
    const char *path = daemon->settings->store_path;
    BERTH_AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 && errno == ENOENT) {
        fd = make(daemon, error);
        return berth_steal_fd(&fd);
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        set_remedy(daemon, errno, "open", error);
        return -1;
    }
    if (st.st_uid == daemon->worker_user.uid)
        return berth_steal_fd(&fd);
    berth_set_error(error, BERTH_ERROR_FAILED,
                    "the store %s belongs to user %u, but transfers run as user %u; run: chown -R "
                    "%u:%u %s",
                    path, st.st_uid, daemon->worker_user.uid, daemon->worker_user.uid,
                    daemon->worker_user.gid, path);
    return -1;
}
