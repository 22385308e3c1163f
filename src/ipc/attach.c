/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Into a running process: mounts at /dev/shm and /dev/mqueue inside the mount namespace of a target
 * that may be hostile. The target's root is opened first, then its mount namespace entered; both
 * paths are resolved inside that root without following any link, and mounted over by descriptor,
 * so that what was checked is what is covered. A mount with shared propagation is refused, since
 * the new mount would appear at its peers, up to the host.
 */

#include "ipc/attach.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "ipc/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLVE (RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

#define NOBODY  65534 /* the kernel's overflow group */

#define INSTEAD                                                                                    \
    "publish the sandbox and use its published paths instead (berthctl publish; in a unit, "       \
    "IPCNamespacePath= and BindPaths=)"

/* Refuses targets into which a mount would appear elsewhere or nowhere. */
static bool check_namespace(const BerthVault *vault, const BerthTarget *target, GError **error)
{
    if (berth_same_namespace(target->mnt, vault->places->host_mnt) ||
        berth_same_namespace(target->mnt, vault->places->home_mnt))
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "process %d is in the host's mount namespace; " INSTEAD,
                               target->pid);
    if (berth_same_namespace(target->mnt, vault->ns))
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "process %d is in the service's own mount namespace", target->pid);
    return true;
}

/*
 * Makes a missing /dev/mqueue, as many launchers do not. It is made with the file system identity
 * of whoever owns the target's mount namespace: the target can have bound any directory at /dev,
 * and must not gain the right to write there. The group is that of the directory where the owner
 * has it, since the kernel wants one that its file system knows, and decides by the owner's bits
 * then; elsewhere it is nobody's.
 */
static void make_directory(int root, const char *path, uid_t owner)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    BERTH_AUTO_FD dir = berth_openat2(root, parent, O_PATH | O_DIRECTORY, RESOLVE);
    gid_t group = 0;
    struct stat st;

    if (dir < 0 || fstat(dir, &st) < 0)
        return;
    if (owner != 0)
        group = st.st_uid == owner ? st.st_gid : NOBODY;
    setfsgid(group);
    setfsuid(owner);
    /* they report no failure, but an invalid ID changes nothing and tells the one in force */
    if (setfsuid((uid_t)-1) == (int)owner && setfsgid((gid_t)-1) == (int)group)
        (void)mkdirat(dir, name, 0755); /* the open that follows reports failure */
    setfsuid(0);
    setfsgid(0);
}

/* Opens a mount point in the target. */
static int open_directory(const BerthTarget *target, int root, const char *path, GError **error)
{
    int dir = berth_openat2(root, path, O_PATH | O_DIRECTORY, RESOLVE);

    if (dir < 0 && errno == ENOENT) {
        make_directory(root, path, target->owner);
        dir = berth_openat2(root, path, O_PATH | O_DIRECTORY, RESOLVE);
    }
    if (dir >= 0)
        return dir;
    if (errno == ELOOP)
        berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                        "/%s of process %d is or goes through a symbolic link, which is not "
                        "followed; make it a directory",
                        path, target->pid);
    else
        berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, errno,
                              "/%s of process %d cannot be mounted on; make it a directory", path,
                              target->pid);
    return -1;
}

static bool check_propagation(BerthMountTable *table, const BerthTarget *target, int dir,
                              const char *path, GError **error)
{
    struct libmnt_fs *fs = berth_mounts_find_id(table, berth_mount_id(dir));
    unsigned long flags;

    if (!fs || mnt_fs_get_propagation(fs, &flags) != 0)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "the mount at /%s of process %d changed while it was looked at; "
                               "try again",
                               path, target->pid);
    if (flags & MS_SHARED)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "/%s of process %d lies on a mount with shared propagation, so what "
                               "is mounted there would appear elsewhere too; make it private or "
                               "slave, or " INSTEAD,
                               path, target->pid);
    return true;
}

static bool move(const BerthTarget *target, int mount, int dir, const char *path, GError **error)
{
    if (move_mount(mount, "", dir, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
        return true;
    return berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, errno,
                                 "cannot mount on /%s of process %d", path, target->pid);
}

/* Takes back what was mounted by descriptor; the path may mean something else by now. */
static void undo(int mount)
{
    if (fchdir(mount) == 0)
        (void)umount2(".", MNT_DETACH);
    if (chdir("/") < 0)
        berth_warning("cannot leave a mount: %m"); /* it stays busy until the next step */
}

/* In the target's mount namespace. */
static bool mount_all(const BerthTarget *target, int root, BerthMountTable *table,
                      const BerthSlotFds *fds, GError **error)
{
    static const char shm_path[] = "dev/shm", mqueue_path[] = "dev/mqueue";
    BERTH_AUTO_FD shm = -1;
    BERTH_AUTO_FD mqueue = -1;

    if (fds->shm >= 0) {
        shm = open_directory(target, root, shm_path, error);
        if (shm < 0 || !check_propagation(table, target, shm, shm_path, error))
            return false;
    }
    mqueue = open_directory(target, root, mqueue_path, error);
    if (mqueue < 0 || !check_propagation(table, target, mqueue, mqueue_path, error))
        return false;

    if (fds->shm >= 0 && !move(target, fds->shm, shm, shm_path, error))
        return false;
    if (!move(target, fds->mqueue, mqueue, mqueue_path, error)) {
        if (fds->shm >= 0)
            undo(fds->shm);
        return false;
    }
    return true;
}

bool berth_attach(const BerthVault *vault, const BerthTarget *target, const BerthSlotFds *fds,
                  GError **error)
{
    g_autofree char *path = g_strdup_printf("%d/root", target->pid);
    g_autoptr(BerthMountTable) table = NULL;
    BERTH_AUTO_STEP step = { 0 };
    BERTH_AUTO_FD root = -1;

    if (!check_namespace(vault, target, error))
        return false;
    root = openat(vault->places->proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!berth_pidfd_check(target->pidfd, error)) /* and if it lives, this was its own */
        return false;
    if (root < 0)
        return berth_set_error_errno(error, BERTH_ERROR_NOT_SUPPORTED, errno,
                                     "cannot look into process %d", target->pid);
    if (!berth_step_mnt(&step, vault->places, target->mnt, error))
        return false;
    /* all of its mounts, also those outside of the root it may be confined to */
    table = berth_mounts_read(vault->places->proc, "thread-self", error);
    return table && mount_all(target, root, table, fds, error);
}
