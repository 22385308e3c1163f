/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the process is. The service works in several namespaces: at home, in the vault's mount
 * namespace, in a sandbox's IPC namespace, and in the host's mount namespace when systemd gave the
 * service one of its own. A single-threaded process steps from one to another with setns(2), in
 * microseconds and without a fork. All such steps go through here, so that one rule holds: whoever
 * leaves comes back, and a process that cannot come back ends at once rather than doing the next
 * caller's work in the wrong place.
 */

#include "ipc/places.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSCTLS_NAMESPACES                                                                         \
    64 /* looked at in one procfs: mounting one costs as much as a few opens */

/*
 * A procfs of our own, mounted nowhere: systemd's ProtectKernelTunables= and container managers
 * make /proc/sys read-only, while the sysctls of a sandbox's namespace must be written.
 */
static int mount_proc(void)
{
    BERTH_AUTO_FD context = fsopen("proc", FSOPEN_CLOEXEC);

    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(context, FSMOUNT_CLOEXEC,
                   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static int open_proc(GError **error)
{
    int proc = mount_proc();

    if (proc < 0) {
        berth_debug("cannot mount a procfs of our own, using /proc: %m");
        proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    if (proc < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open /proc");
    return proc;
}

static int open_namespace(int dir, const char *path, GError **error)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open namespace %s", path);
    return fd;
}

/* Whether setns() to our own mount namespace leads to another directory than our root. */
static bool find_chroot(const BerthPlaces *places)
{
    struct stat before, after;
    bool known = fstat(places->root, &before) == 0 && setns(places->home_mnt, CLONE_NEWNS) == 0 &&
                 stat("/", &after) == 0;

    return known && (before.st_dev != after.st_dev || before.st_ino != after.st_ino);
}

/* Back to the home mount namespace and to our root in it. */
static bool go_home(const BerthPlaces *places)
{
    if (setns(places->home_mnt, CLONE_NEWNS) < 0)
        return false;
    return !places->chrooted || (fchdir(places->root) == 0 && chroot(".") == 0 && chdir("/") == 0);
}

BerthPlaces *berth_places_open(const char *host_mnt_path, GError **error)
{
    g_autoptr(BerthPlaces) places = g_new(BerthPlaces, 1);

    *places = (BerthPlaces){
        .home_mnt = -1, .home_ipc = -1, .host_mnt = -1, .proc = -1, .root = -1, .sysctls = -1
    };
    places->proc = open_proc(error);
    if (places->proc < 0)
        return NULL;
    places->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (places->root < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open /");
        return NULL;
    }
    places->home_mnt = open_namespace(places->proc, "thread-self/ns/mnt", error);
    if (places->home_mnt < 0)
        return NULL;
    places->home_ipc = open_namespace(places->proc, "thread-self/ns/ipc", error);
    if (places->home_ipc < 0)
        return NULL;
    places->host_mnt = host_mnt_path ? open_namespace(AT_FDCWD, host_mnt_path, error)
                                     : open_namespace(places->proc, "thread-self/ns/mnt", error);
    if (places->host_mnt < 0)
        return NULL;

    (void)berth_places_sysctls(places);
    places->host_is_home = berth_same_namespace(places->host_mnt, places->home_mnt);
    places->chrooted = find_chroot(places);
    if (!go_home(places)) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                              "cannot enter the own mount namespace (the service needs "
                              "CAP_SYS_ADMIN and CAP_SYS_CHROOT)");
        return NULL;
    }
    return g_steal_pointer(&places);
}

void berth_places_free(BerthPlaces *places)
{
    if (!places)
        return;
    berth_close(places->home_mnt);
    berth_close(places->home_ipc);
    berth_close(places->host_mnt);
    berth_close(places->proc);
    berth_close(places->root);
    berth_close(places->sysctls);
    g_free(places);
}

int berth_places_sysctls(BerthPlaces *places)
{
    if (places->sysctls < 0 || places->namespaces >= SYSCTLS_NAMESPACES) {
        places->sysctls = berth_close(places->sysctls);
        places->sysctls = mount_proc();
        places->namespaces = 0;
    }
    places->namespaces++;
    return places->sysctls >= 0 ? places->sysctls : places->proc;
}

bool berth_step_mnt(BerthStep *step, const BerthPlaces *places, int ns, GError **error)
{
    step->places = places;
    if (ns == places->host_mnt && places->host_is_home)
        return true; /* also keeps the root of a process that is in a chroot */
    if (setns(ns, CLONE_NEWNS) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot enter a mount namespace");
    step->mnt = true;
    return true;
}

bool berth_step_ipc(BerthStep *step, const BerthPlaces *places, int ns, GError **error)
{
    step->places = places;
    if (setns(ns, CLONE_NEWIPC) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot enter an IPC namespace");
    step->ipc = true;
    return true;
}

bool berth_step_new_ipc(BerthStep *step, const BerthPlaces *places, bool *full, GError **error)
{
    step->places = places;
    *full = false;
    if (unshare(CLONE_NEWIPC) < 0) {
        *full = errno == ENOSPC || errno == ENOMEM;
        return berth_set_error_errno(
            error, *full ? BERTH_ERROR_LIMITS_EXCEEDED : BERTH_ERROR_FAILED, errno,
            "cannot make an IPC namespace (the limit is the sysctl user.max_ipc_namespaces)");
    }
    step->ipc = true;
    return true;
}

void berth_step_end(BerthStep *step)
{
    if ((step->ipc && setns(step->places->home_ipc, CLONE_NEWIPC) < 0) ||
        (step->mnt && !go_home(step->places))) {
        berth_log(LOG_CRIT, "cannot step back to the own namespaces, giving up: %m");
        abort();
    }
    step->ipc = step->mnt = false;
}

bool berth_same_namespace(int a, int b)
{
    struct stat sa, sb;

    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}
