/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev/mqueue of a sandbox. An IPC namespace has one mqueue file system; each mount made of it by a
 * thread inside shows the same queues. It does not keep the namespace alive, so none is stored: a
 * fresh one is made for each join.
 */

#include "ipc/mqueue.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

int berth_mqueue_mount(GError **error)
{
    BERTH_AUTO_FD context = fsopen("mqueue", FSOPEN_CLOEXEC);
    int mount = -1;

    if (context >= 0 && fsconfig(context, FSCONFIG_SET_STRING, "source", "mqueue", 0) == 0 &&
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = fsmount(context, FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (mount < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot mount the message queues");
    return mount;
}

bool berth_mqueue_count(int mount, uint32_t *count, GError **error)
{
    BERTH_AUTO_FD fd = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *dir = NULL;
    uint32_t found = 0;

    if (fd >= 0)
        dir = fdopendir(fd);
    if (!dir)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot read the message queues");
    (void)berth_steal_fd(&fd); /* closedir() closes it */
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (entry->d_name[0] != '.' || entry->d_type != DT_DIR)
            found++;
    *count = found;
    return true;
}
