/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest launcher: joins a sandbox with sd-bus and setns(2) and runs a program there. It is
 * what the documentation tells authors of launchers to write, so it must use nothing of Berth's.
 */

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    sd_bus *bus = NULL;
    const char *key;
    int r, fd;

    if (argc < 3 || sd_bus_open_system(&bus) < 0)
        return fprintf(stderr, "usage: join SANDBOX COMMAND [ARG...]\n"), 2;
    r = sd_bus_call_method(bus, "org.berthd.Berth1", "/org/berthd/Berth1",
                           "org.berthd.Berth1.Sandboxes", "Join", &error, &reply, "sa{sv}", argv[1],
                           0);
    if (r < 0)
        return fprintf(stderr, "join: %s\n", error.message), 1;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return perror("join: mount namespace"), 1;
    sd_bus_message_enter_container(reply, 'a', "{sh}");
    while (sd_bus_message_read(reply, "{sh}", &key, &fd) > 0) {
        if (strcmp(key, "ipc") == 0)
            r = setns(fd, CLONE_NEWIPC);
        else
            r = move_mount(fd, "", AT_FDCWD, strcmp(key, "shm") == 0 ? "/dev/shm" : "/dev/mqueue",
                           MOVE_MOUNT_F_EMPTY_PATH);
        if (r < 0)
            return perror(key), 1;
    }
    execvp(argv[2], argv + 2);
    return perror(argv[2]), 1;
}
