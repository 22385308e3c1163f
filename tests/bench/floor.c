/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's share of a sandbox and nothing else: the system calls that making, joining and
 * removing one cannot do without, each made once, with every argument known beforehand. What the
 * service takes is measured against this. It must use no shortcut that the service cannot use, and
 * must leave none out that it can.
 */

#include "floor.h"

#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOT   "/slot"
#define SHMALL "16384" /* pages in 64 MiB */

/* Returns @r; ends the process if it is negative. */
static int check(int r, const char *what)
{
    if (r < 0)
        err(EXIT_FAILURE, "%s", what);
    return r;
}

void floor_enter(Floor *floor, const char *mountpoint)
{
    floor->proc = check(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), "open /proc");
    floor->home_ipc =
        check(openat(floor->proc, "thread-self/ns/ipc", O_RDONLY | O_CLOEXEC), "open ns/ipc");
    check(unshare(CLONE_NEWNS), "unshare mnt");
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make / private");
    check(mount("floor", mountpoint, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"),
          "mount a tmpfs");
    check(chdir(mountpoint), "chdir");
    check((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "detach the old root");
    check(chdir("/"), "chdir");
}

static void set(int context, const char *key, const char *value)
{
    check(fsconfig(context, FSCONFIG_SET_STRING, key, value, 0), key);
}

static int finish(int context)
{
    int mount;

    check(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "create a file system");
    mount = check(
        fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
        "fsmount");
    close(context);
    return mount;
}

int floor_shm(void)
{
    int context = check(fsopen("tmpfs", FSOPEN_CLOEXEC), "fsopen tmpfs");

    set(context, "source", "shm");
    set(context, "mode", "1777");
    set(context, "size", "67108864");
    set(context, "nr_inodes", "16384");
    return finish(context);
}

int floor_mqueue(void)
{
    int context = check(fsopen("mqueue", FSOPEN_CLOEXEC), "fsopen mqueue");

    set(context, "source", "mqueue");
    return finish(context);
}

static void write_shmall(const Floor *floor)
{
    int fd = check(openat(floor->proc, "sys/kernel/shmall", O_WRONLY | O_CLOEXEC), "open shmall");

    check((int)write(fd, SHMALL, strlen(SHMALL)), "write shmall");
    close(fd);
}

void floor_create(const Floor *floor, bool shmall)
{
    int shm = floor_shm(), ipc;

    check(unshare(CLONE_NEWIPC), "unshare ipc");
    if (shmall)
        write_shmall(floor);
    ipc = check(open_tree(floor->proc, "thread-self/ns/ipc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
                "bind the namespace");
    check(setns(floor->home_ipc, CLONE_NEWIPC), "setns home");

    check(mkdir(SLOT, 0700), "mkdir");
    check(mknod(SLOT "/ipc", S_IFREG | 0600, 0), "mknod");
    check(mkdir(SLOT "/shm", 0700), "mkdir");
    check(move_mount(ipc, "", AT_FDCWD, SLOT "/ipc", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    check(move_mount(shm, "", AT_FDCWD, SLOT "/shm", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    close(ipc);
    close(shm);
}

void floor_join(const Floor *floor, int fds[3])
{
    fds[0] = check(open(SLOT "/ipc", O_RDONLY | O_CLOEXEC), "open the namespace");
    fds[1] = check(open_tree(AT_FDCWD, SLOT "/shm", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
                   "clone the shm");
    check(setns(fds[0], CLONE_NEWIPC), "setns");
    fds[2] = floor_mqueue();
    check(setns(floor->home_ipc, CLONE_NEWIPC), "setns home");
}

void floor_remove(void)
{
    check(umount2(SLOT "/shm", MNT_DETACH | UMOUNT_NOFOLLOW), "umount");
    check(umount2(SLOT "/ipc", MNT_DETACH | UMOUNT_NOFOLLOW), "umount");
    check(rmdir(SLOT "/shm"), "rmdir");
    check(unlink(SLOT "/ipc"), "unlink");
    check(rmdir(SLOT), "rmdir");
}
