/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that the service writes to for berthctl, opened here, as whoever runs it may: an archive
 * becomes visible under its name when it is complete, and nothing is left of one that failed.
 */

#include "ctl/target.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 16 /* at a name that nobody has */

static bool set_failed(GError **error, const char *what, const char *path)
{
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot %s %s", what, path);
}

void ctl_target_clear(CtlTarget *target)
{
    if (target->other) /* not complete */
        (void)unlink(target->other);
    g_free(target->other);
    if (target->fd != STDOUT_FILENO)
        berth_close(target->fd);
}

/* A file that nobody sees yet, in the directory of what it becomes. */
static bool open_new(CtlTarget *target, mode_t mode, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(target->path);

    target->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    target->unnamed = target->fd >= 0;
    if (target->unnamed)
        return true;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return set_failed(error, "write", target->path);
    target->other = g_strconcat(target->path, ".XXXXXX", NULL);
    target->fd = g_mkstemp_full(target->other, O_WRONLY | O_CLOEXEC, mode);
    if (target->fd >= 0)
        return true;
    g_clear_pointer(&target->other, g_free);
    return set_failed(error, "write", target->path);
}

bool ctl_target_open(CtlTarget *target, const char *path, mode_t mode, GError **error)
{
    struct stat st;

    target->path = path;
    if (g_str_equal(target->path, "-")) {
        target->fd = STDOUT_FILENO;
        return true;
    }
    if (stat(target->path, &st) < 0 || S_ISREG(st.st_mode))
        return open_new(target, mode, error);
    target->fd = open(target->path, O_WRONLY | O_CLOEXEC | O_NOCTTY); /* a FIFO, for one */
    return target->fd >= 0 || set_failed(error, "write", target->path);
}

/* Gives a file without a name one beside what it becomes. */
static bool name_target(CtlTarget *target, GError **error)
{
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", target->fd);

    for (unsigned i = 0; i < TRIES; i++) {
        g_autofree char *other = g_strdup_printf("%s.%08x", target->path, g_random_int());

        if (linkat(AT_FDCWD, self, AT_FDCWD, other, AT_SYMLINK_FOLLOW) == 0) {
            target->other = g_steal_pointer(&other);
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    return set_failed(error, "name", target->path);
}

bool ctl_target_finish(CtlTarget *target, GError **error)
{
    if (!target->unnamed && !target->other)
        return true;
    if (fsync(target->fd) < 0)
        return set_failed(error, "write", target->path);
    if (target->unnamed && !name_target(target, error))
        return false;
    if (rename(target->other, target->path) < 0)
        return set_failed(error, "name", target->path);
    g_clear_pointer(&target->other, g_free);
    return true;
}
