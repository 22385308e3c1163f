/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a process moves itself into a sandbox: setns() into the ipc namespace, through the user
 * namespace that owns it where the caller has no privilege of its own; a mount namespace that gets
 * the machine's mounts but gives none back; the sandbox's mounts in place of what is there. Relies
 * on one thread (setns into a user namespace needs that). Must never change a mount outside:
 * everything from unshare() on happens in the new mount namespace, and only after it stopped
 * propagating.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "ctl/join.h"
#include "ctl/text.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SHM_DIRECTORY    "/dev/shm"
#define MQUEUE_DIRECTORY "/dev/mqueue"

/* Whether @fd and @path are the same file: a namespace, or the root of the same file system. */
static bool is_same(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static bool in_namespace(const CtlJoin *join)
{
    return is_same(join->ipc, "/proc/self/ns/ipc");
}

/* The rights that an unprivileged caller has over its sandbox come from the owning user namespace.
 */
static bool enter_by_user_namespace(int ipc, GError **error)
{
    BERTH_AUTO_FD owner = ioctl(ipc, NS_GET_USERNS);

    if (owner >= 0 && setns(owner, CLONE_NEWUSER) == 0 && setns(ipc, CLONE_NEWIPC) == 0)
        return true;
    berth_debug("the user namespace cannot be entered: %s", g_strerror(errno));
    return berth_set_error(
        error, BERTH_ERROR_ACCESS_DENIED,
        _("cannot enter the sandbox: its namespace belongs to another user; only "
          "the owner and root can enter"));
}

static bool enter_namespace(int ipc, GError **error)
{
    if (setns(ipc, CLONE_NEWIPC) == 0)
        return true;
    if (errno == EPERM)
        return enter_by_user_namespace(ipc, error);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                 _("cannot enter the sandbox's namespace"));
}

/*
 * Mounts made or removed on the machine still arrive, so that an unplugged disk is not kept busy;
 * ours go nowhere. /dev itself is cut off too: an unmount of the machine's /dev/shm would else take
 * away the one that we put there.
 */
static bool isolate_mounts(GError **error)
{
    if (unshare(CLONE_NEWNS) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_ACCESS_DENIED, errno,
                                     _("cannot make a mount namespace for the command"));
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     _("cannot stop mounts of the command from spreading"));
    if (mount(NULL, "/dev", NULL, MS_PRIVATE, NULL) < 0)
        berth_debug("/dev is no mount of its own: %s", g_strerror(errno));
    return true;
}

static bool is_mount(const char *path)
{
    struct statx sx;

    return statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_TYPE, &sx) == 0 &&
           (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/*
 * Takes away every mount on @path. In a mount namespace below a user namespace of ours those of the
 * machine are locked, and EINVAL is all that says so. Returns: whether @path is free of mounts now.
 */
static bool clear_mounts(const char *path)
{
    while (umount2(path, MNT_DETACH) == 0)
        ;
    return !is_mount(path);
}

/* Hides what is on /dev/shm, where it cannot be unmounted: an empty directory that nobody may use.
 */
static bool cover_shm(const char *path, GError **error)
{
    BERTH_AUTO_FD context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    BERTH_AUTO_FD cover = -1;

    if (context >= 0 && fsconfig(context, FSCONFIG_SET_STRING, "mode", "0", 0) == 0 &&
        fsconfig(context, FSCONFIG_SET_STRING, "size", "4096", 0) == 0 &&
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        cover =
            fsmount(context, FSMOUNT_CLOEXEC,
                    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (cover < 0 || move_mount(cover, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot hide %s"), path);
    berth_debug("%s is locked; covered it with an empty file system", path);
    return true;
}

/* The place of a mount, links resolved and made if it is missing: NULL with errno. */
static char *find_place(const char *directory)
{
    char *place = realpath(directory, NULL);

    if (!place && errno == ENOENT && mkdir(directory, 0755) == 0)
        place = realpath(directory, NULL);
    return place;
}

static bool put_mount(int fd, const char *directory, GError **error)
{
    g_autofree char *place = find_place(directory);

    if (!place)
        return berth_set_error_errno(
            error, BERTH_ERROR_FAILED, errno,
            _("no place for the sandbox's mount: %s is missing and cannot be "
              "made"),
            directory);
    if (!clear_mounts(place))
        berth_debug("what is on %s is locked; mounting over it", place);
    if (move_mount(fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     _("cannot mount the sandbox's file system on %s"), directory);
    return true;
}

static bool remove_shm(GError **error)
{
    g_autofree char *place = realpath(SHM_DIRECTORY, NULL);

    return !place || clear_mounts(place) || cover_shm(place, error);
}

/* POSIX queues work without a mount, so a read-only /dev without the directory is no obstacle. */
static bool put_mqueue(int fd, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (fd < 0) {
        (void)clear_mounts(MQUEUE_DIRECTORY);
        return true;
    }
    if (access(MQUEUE_DIRECTORY, F_OK) == 0)
        return put_mount(fd, MQUEUE_DIRECTORY, error);
    if (!put_mount(fd, MQUEUE_DIRECTORY, &local))
        berth_debug("%s", local->message);
    return true;
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && (!path[length] || path[length] == '/');
}

/* A working directory in a mount that was taken away would still show the machine's files. */
static bool settle_directory(const char *before, GError **error)
{
    if (!before || (!is_below(before, SHM_DIRECTORY) && !is_below(before, MQUEUE_DIRECTORY)))
        return true;
    if (chdir(before) == 0 || chdir("/") == 0)
        return true;
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                 _("cannot leave the working directory %s"), before);
}

bool ctl_join_enter(const CtlJoin *join, GError **error)
{
    g_autofree char *directory = getcwd(NULL, 0);

    if (in_namespace(join)) {
        /* the machine's own, mode host: nothing to change, and no privilege needed */
        if (join->shm >= 0 && is_same(join->shm, SHM_DIRECTORY))
            return true;
    } else if (!enter_namespace(join->ipc, error)) {
        return false;
    }

    return isolate_mounts(error) &&
           (join->shm >= 0 ? put_mount(join->shm, SHM_DIRECTORY, error) : remove_shm(error)) &&
           put_mqueue(join->mqueue, error) && settle_directory(directory, error);
}
