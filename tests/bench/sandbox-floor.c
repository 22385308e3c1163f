/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a command in an IPC environment of its own with nobody's help: the floor of `berthctl run`.
 * What it makes ends with the command.
 */

#include "floor.h"

#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static void put(int mount, const char *place)
{
    (void)umount2(place, MNT_DETACH);
    if (move_mount(mount, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        err(EXIT_FAILURE, "move_mount to %s", place);
    close(mount);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        errx(2, "usage: sandbox-floor COMMAND [ARG...]");
    if (unshare(CLONE_NEWIPC | CLONE_NEWNS) < 0)
        err(EXIT_FAILURE, "unshare");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        err(EXIT_FAILURE, "make / a slave");
    put(floor_shm(), "/dev/shm");
    put(floor_mqueue(), "/dev/mqueue");
    execvp(argv[1], argv + 1);
    err(127, "%s", argv[1]);
}
