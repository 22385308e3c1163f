/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How to know that memory handed out is really gone. Once a mount was given away nobody can ask
 * where its clones are; but inotify reports the end of a file system, and does not keep it alive.
 */

#include "ipc/watch.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int berth_watch_new(GError **error)
{
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (watch < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot watch file systems");
    return watch;
}

bool berth_watch_add(int watch, int mount, int *wd, GError **error)
{
    int err;

    /* inotify takes paths only; "." of the mount needs no /proc */
    if (fchdir(mount) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot enter a mount");
    /* IN_UNMOUNT comes unasked, but the mask must not be empty */
    *wd = inotify_add_watch(watch, ".", IN_DELETE_SELF | IN_ONLYDIR);
    err = errno;
    if (chdir("/") < 0)
        berth_warning("cannot leave a mount: %m"); /* it stays busy until the next step */
    if (*wd < 0)
        return berth_set_error_errno(
            error, BERTH_ERROR_FAILED, err, "cannot watch a file system%s",
            err == ENOSPC ? " (the limit is the sysctl fs.inotify.max_user_watches)" : "");
    return true;
}

bool berth_watch_read(int watch, void (*ended)(int wd, void *userdata), void *userdata)
{
    _Alignas(struct inotify_event) char buffer[4096];
    bool lost = false;
    ssize_t n;

    while ((n = read(watch, buffer, sizeof(buffer))) > 0)
        for (const char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;

            if (event->mask & IN_UNMOUNT)
                ended(event->wd, userdata);
            lost |= event->mask & IN_Q_OVERFLOW;
            p += sizeof(*event) + event->len;
        }
    return lost;
}

GHashTable *berth_watch_list(int proc, int watch)
{
    GHashTable *list = g_hash_table_new(NULL, NULL);
    g_autofree char *path = g_strdup_printf("thread-self/fdinfo/%d", watch);
    BERTH_AUTO_FD fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    BERTH_AUTO_FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    char line[512];
    int wd;

    if (!file)
        return list;
    (void)berth_steal_fd(&fd);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "inotify wd:%x", (unsigned *)&wd) == 1)
            g_hash_table_add(list, GINT_TO_POINTER(wd));
    return list;
}

void berth_watch_remove(int watch, int wd)
{
    (void)inotify_rm_watch(watch, wd);
}
