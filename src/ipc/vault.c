/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vault: one mount namespace with one small file system, in which every sandbox lies as a bind
 * of its IPC namespace and an attached tmpfs. Nothing of the host is mounted in it and nobody runs
 * in it. It is kept alive by a single pin, a bind of its namespace file at RUNTIME/vault/mnt in the
 * host's mount namespace, so that a sandbox costs neither a descriptor nor an entry in the host's
 * mount table, and a service that was killed finds everything again. The pin lies on a mount of its
 * own with private propagation: peers of the host's mounts must not get copies that would keep the
 * vault alive.
 *
 *   /berth-vault   marker with the version of this layout
 *   /template      mount points for the parts of a sandbox; a mount of its own, cloned for each
 *   /slot/ID/      what a sandbox consists of, see slot.c
 *   /record/ID     what the service stored about it; a slot without one was never promised to
 * anybody
 *   /spill/ID      messages that a snapshot has taken out of a queue, see snapshot-spill.c
 *   /restore/ID    what a restore has made so far, see restore-log.c
 *
 * This file must never mount anything into the host's mount namespace but the pin.
 */

#include "ipc/vault.h"

#include "base/error.h"
#include "base/fd.h"
#include "ipc/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MARKER  "berth-vault"
#define VERSION "1\n"

#define PIN_DIR "vault" /* below the runtime directory */
#define PIN     "mnt"   /* in PIN_DIR */

static bool set_failed(GError **error, const char *what)
{
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot %s", what);
}

static bool write_marker(void)
{
    BERTH_AUTO_FD fd = open(MARKER, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    return fd >= 0 && write(fd, VERSION, strlen(VERSION)) == (ssize_t)strlen(VERSION);
}

/*
 * A directory with mount points, bound onto itself: cloning a mount costs a look at each mount that
 * lies on it, and on the vault's root lie all sandboxes.
 */
static bool make_template(void)
{
    return mkdir(BERTH_VAULT_TEMPLATE, 0700) == 0 &&
           mkdir(BERTH_VAULT_TEMPLATE "/shm", 0700) == 0 &&
           mknod(BERTH_VAULT_TEMPLATE "/ipc", S_IFREG | 0600, 0) == 0 &&
           mount(BERTH_VAULT_TEMPLATE, BERTH_VAULT_TEMPLATE, NULL, MS_BIND, NULL) == 0;
}

/*
 * Inside a new mount namespace: replaces everything by one empty tmpfs, mounted for the moment on
 * @mountpoint. The old root is detached, so that the vault keeps no file system of the host busy.
 */
static bool furnish(const char *mountpoint, GError **error)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return set_failed(error, "make the vault's mounts private");
    /* nr_inodes=0 is "no limit": the number of sandboxes is limited elsewhere */
    if (mount("berth-vault", mountpoint, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=0700,nr_inodes=0") < 0)
        return set_failed(error, "mount the vault's file system");
    if (chdir(mountpoint) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return set_failed(error, "make the vault's file system its root");
    if (mkdir(BERTH_VAULT_SLOTS, 0700) < 0 || mkdir(BERTH_VAULT_RECORDS, 0700) < 0 ||
        !make_template() || !write_marker())
        return set_failed(error, "furnish the vault");
    return true;
}

/* Makes a mount namespace and furnishes it. Returns its descriptor, or -1. */
static int make_namespace(const BerthPlaces *places, const char *mountpoint, GError **error)
{
    BERTH_AUTO_STEP step = { .places = places };
    int ns;

    if (unshare(CLONE_NEWNS) < 0) {
        set_failed(error, "make a mount namespace for the vault");
        return -1;
    }
    step.mnt = true;
    if (!furnish(mountpoint, error))
        return -1;
    ns = openat(places->proc, "thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        set_failed(error, "open the vault's namespace");
    return ns;
}

/*
 * Pins @ns at RUNTIME/vault/mnt. A mount namespace can be bound only in an older one, so this
 * happens in the host's. @older is set when the kernel takes @ns for the older one.
 */
static bool pin(const BerthPlaces *places, const char *runtime, int ns, bool *older, GError **error)
{
    g_autofree char *dir = g_build_filename(runtime, PIN_DIR, NULL);
    g_autofree char *path = g_build_filename(dir, PIN, NULL);
    BERTH_AUTO_STEP step = { 0 };
    BERTH_AUTO_FD tree = -1;
    BERTH_AUTO_FD file = -1;

    if (!berth_step_mnt(&step, places, places->host_mnt, error))
        return false;
    if (mount(dir, dir, NULL, MS_BIND, NULL) < 0 || mount(NULL, dir, NULL, MS_PRIVATE, NULL) < 0)
        return set_failed(error, "make the directory of the vault's pin a private mount");
    file = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return set_failed(error, "make the file of the vault's pin");
    tree = open_tree(ns, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree >= 0 &&
        move_mount(tree, "", file, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
        return true;
    *older = errno == ELOOP || errno == EINVAL;
    return set_failed(error, "pin the vault");
}

/* Makes a vault where there is none, and pins it. Returns its namespace, or -1. */
static int make_pinned(const BerthPlaces *places, const char *runtime, bool *older, GError **error)
{
    g_autofree char *dir = g_build_filename(runtime, PIN_DIR, NULL);
    BERTH_AUTO_FD ns = -1;

    *older = false;
    if (!berth_vault_purge(places, runtime, error))
        return -1;
    if (mkdir(dir, 0700) < 0) {
        set_failed(error, "make the directory of the vault's pin");
        return -1;
    }
    ns = make_namespace(places, dir, error);
    if (ns < 0 || !pin(places, runtime, ns, older, error))
        return -1;
    return berth_steal_fd(&ns);
}

/*
 * The kernel takes the namespace with the smaller number for the older one (mnt_ns_loop() in
 * fs/namespace.c). Since Linux 6.18 each CPU hands out numbers from a range of its own, so that a
 * new namespace can count as older than the host's, unless that is the first of all. On the CPU
 * that the host's was made on it never does; nobody can say which that was, so they are tried in
 * turn.
 */
static int make_on_some_cpu(const BerthPlaces *places, const char *runtime, GError **error)
{
    g_autoptr(GError) failure = NULL;
    bool older;
    int ns = make_pinned(places, runtime, &older, &failure);
    cpu_set_t allowed, one;

    if (older && sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE && older; cpu++) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            if (!CPU_ISSET(cpu, &allowed) || sched_setaffinity(0, sizeof(one), &one) < 0)
                continue;
            g_clear_error(&failure);
            ns = make_pinned(places, runtime, &older, &failure);
        }
        (void)sched_setaffinity(0, sizeof(allowed), &allowed);
    }
    if (ns < 0)
        g_propagate_error(error, g_steal_pointer(&failure));
    return ns;
}

/*
 * Opens what is pinned at RUNTIME/vault/mnt in the host's mount namespace. Without an error @ns is
 * -1 when there is nothing: no file, or the ordinary one that a crash before the bind left.
 */
static bool open_pin(const BerthPlaces *places, const char *runtime, int *ns, GError **error)
{
    g_autofree char *path = g_build_filename(runtime, PIN_DIR, PIN, NULL);
    BERTH_AUTO_STEP step = { 0 };
    BERTH_AUTO_FD fd = -1;

    *ns = -1;
    if (!berth_step_mnt(&step, places, places->host_mnt, error))
        return false;
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || set_failed(error, "open the vault's pin");
    if (ioctl(fd, NS_GET_NSTYPE) >= 0)
        *ns = berth_steal_fd(&fd);
    return true;
}

static bool set_unusable(GError **error, const char *runtime, const char *why)
{
    return berth_set_error(error, BERTH_ERROR_FAILED,
                           "the vault at %s/" PIN_DIR "/" PIN
                           " cannot be used: %s; berthd --purge removes it and every sandbox in it",
                           runtime, why);
}

/* Whether @ns is a vault of this version. */
static bool check(const BerthPlaces *places, const char *runtime, int ns, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    BERTH_AUTO_FD fd = -1;
    char version[16] = "";

    if (ioctl(ns, NS_GET_NSTYPE) != CLONE_NEWNS)
        return set_unusable(error, runtime, "it is no mount namespace");
    if (berth_same_namespace(ns, places->home_mnt) || berth_same_namespace(ns, places->host_mnt))
        return set_unusable(error, runtime, "it is the host's mount namespace");
    if (!berth_step_mnt(&step, places, ns, error))
        return false;
    fd = open("/" MARKER, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || read(fd, version, sizeof(version) - 1) < 0 || !g_str_equal(version, VERSION))
        return set_unusable(error, runtime, "it has no marker of this version");
    return true;
}

BerthVault *berth_vault_open(BerthPlaces *places, const char *runtime, bool *recovered,
                             GError **error)
{
    g_autoptr(BerthVault) vault = g_new0(BerthVault, 1);

    g_assert(g_path_is_absolute(runtime));
    vault->places = places;
    vault->runtime = g_strdup(runtime);
    if (!open_pin(places, runtime, &vault->ns, error))
        return NULL;
    *recovered = vault->ns >= 0;
    if (*recovered)
        return check(places, runtime, vault->ns, error) ? g_steal_pointer(&vault) : NULL;

    vault->ns = make_on_some_cpu(places, runtime, error);
    return vault->ns >= 0 ? g_steal_pointer(&vault) : NULL;
}

void berth_vault_close(BerthVault *vault)
{
    if (!vault)
        return;
    berth_close(vault->ns);
    berth_places_free(vault->places);
    g_free(vault->runtime);
    g_free(vault);
}

bool berth_vault_purge(const BerthPlaces *places, const char *runtime, GError **error)
{
    static const char *const made[] = { PIN_DIR, "sandbox", NULL };
    BERTH_AUTO_STEP step = { 0 };

    if (!berth_step_mnt(&step, places, places->host_mnt, error))
        return false;
    for (const char *const *name = made; *name; name++) {
        g_autofree char *path = g_build_filename(runtime, *name, NULL);

        if (!berth_mounts_detach_below(places->proc, path, error) ||
            !berth_remove_tree(path, error))
            return false;
    }
    return true;
}
