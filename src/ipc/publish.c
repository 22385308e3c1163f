/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Published paths: binds of a sandbox's namespace and mounts in the host's mount namespace, for
 * systemd units and container runtimes, which take paths. They are the only entries of the host's
 * mount table that a sandbox costs. A directory is furnished under a hidden name and renamed into
 * place, so that whoever finds it finds all of it. RUNTIME/sandbox is root's, mode 0700, so paths
 * in it may be used by name.
 */

#include "ipc/publish.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "sandbox" /* below the runtime directory */
#define BY_NAME   "by-name" /* in it */
#define HIDDEN    ".new-"   /* prefix of what is being made or unmade */

static bool set_failed(GError **error, const char *what, const char *path)
{
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot %s %s", what, path);
}

char *berth_published_path(const BerthVault *vault, const char *id)
{
    return g_build_filename(vault->runtime, DIRECTORY, id, NULL);
}

static char *hidden_path(const BerthVault *vault, const char *id)
{
    g_autofree char *name = g_strconcat(HIDDEN, id, NULL);

    return g_build_filename(vault->runtime, DIRECTORY, name, NULL);
}

static char *link_path(const BerthVault *vault, const char *name)
{
    return g_build_filename(vault->runtime, DIRECTORY, BY_NAME, name, NULL);
}

static bool make_directory(const char *path, mode_t mode, GError **error)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return set_failed(error, "make", path);
    return true;
}

static bool make_base(const BerthVault *vault, GError **error)
{
    g_autofree char *dir = g_build_filename(vault->runtime, DIRECTORY, NULL);
    g_autofree char *by_name = g_build_filename(dir, BY_NAME, NULL);

    return make_directory(dir, 0700, error) && make_directory(by_name, 0700, error);
}

/* Mounts @tree, a detached mount, at @dir/@name; -1 is left out. */
static bool place(const char *dir, const char *name, int tree, bool is_file, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    if (tree < 0)
        return true;
    if ((is_file ? mknod(path, S_IFREG | 0600, 0) : mkdir(path, 0700)) < 0)
        return set_failed(error, "make", path);
    if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return set_failed(error, "mount on", path);
    return true;
}

/* In the host's mount namespace: removes a directory with what is mounted in it. */
static bool discard(const char *dir, GError **error)
{
    static const char *const names[] = { "shm", "mqueue", "ipc", NULL };

    for (const char *const *name = names; *name; name++) {
        g_autofree char *path = g_build_filename(dir, *name, NULL);

        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
            return set_failed(error, "unmount", path);
        if (remove(path) < 0 && errno != ENOENT)
            return set_failed(error, "remove", path);
    }
    if (rmdir(dir) < 0 && errno != ENOENT)
        return set_failed(error, "remove", dir);
    return true;
}

/* Points by-name/NAME to @id, in one step also when it pointed elsewhere. */
static bool make_link(const BerthVault *vault, const char *name, const char *id, GError **error)
{
    g_autofree char *path = link_path(vault, name);
    g_autofree char *hidden = g_strconcat(HIDDEN, name, NULL); /* no name begins with a dot */
    g_autofree char *fresh = link_path(vault, hidden);
    g_autofree char *target = g_build_filename("..", id, NULL);

    if ((unlink(fresh) < 0 && errno != ENOENT) || symlink(target, fresh) < 0 ||
        rename(fresh, path) < 0)
        return set_failed(error, "make", path);
    return true;
}

bool berth_publish(const BerthVault *vault, const char *id, const char *name, GError **error)
{
    g_autofree char *path = berth_published_path(vault, id);
    g_autofree char *hidden = hidden_path(vault, id);
    BERTH_AUTO_SLOT_FDS fds = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };
    BERTH_AUTO_FD tree = -1;

    if (!berth_slot_open(vault, id, &fds, error) ||
        !berth_step_mnt(&step, vault->places, vault->places->host_mnt, error) ||
        !make_base(vault, error))
        return false;
    if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
        tree = open_tree(fds.ipc, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
        if (tree < 0)
            return set_failed(error, "bind the namespace for", path);
        if (!discard(hidden, error) || !make_directory(hidden, 0700, error))
            return false;
        if (!place(hidden, "ipc", tree, true, error) ||
            !place(hidden, "shm", fds.shm, false, error) ||
            !place(hidden, "mqueue", fds.mqueue, false, error)) {
            (void)discard(hidden, NULL);
            return false;
        }
        if (rename(hidden, path) < 0) {
            set_failed(error, "make", path);
            (void)discard(hidden, NULL);
            return false;
        }
    }
    return !name || make_link(vault, name, id, error);
}

bool berth_unpublish(const BerthVault *vault, const char *id, const char *name, GError **error)
{
    g_autofree char *path = berth_published_path(vault, id);
    g_autofree char *hidden = hidden_path(vault, id);
    BERTH_AUTO_STEP step = { 0 };

    if (!berth_step_mnt(&step, vault->places, vault->places->host_mnt, error))
        return false;
    if (name) {
        g_autofree char *link = link_path(vault, name);

        if (unlink(link) < 0 && errno != ENOENT)
            return set_failed(error, "remove", link);
    }
    if (rename(path, hidden) < 0 && errno != ENOENT)
        return set_failed(error, "give up", path);
    return discard(hidden, error);
}

/* In the host's mount namespace: removes links below by-name that lead nowhere or are half-made. */
static void remove_dangling(const BerthVault *vault)
{
    g_autofree char *base = g_build_filename(vault->runtime, DIRECTORY, BY_NAME, NULL);
    BERTH_AUTO_DIR *dir = opendir(base);

    if (!dir)
        return;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (entry->d_type == DT_LNK && (g_str_has_prefix(entry->d_name, HIDDEN) ||
                                        faccessat(dirfd(dir), entry->d_name, F_OK, 0) < 0))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
}

bool berth_published_recover(const BerthVault *vault, GHashTable *known, GError **error)
{
    g_autofree char *base = g_build_filename(vault->runtime, DIRECTORY, NULL);
    BERTH_AUTO_DIR *dir = NULL;
    BERTH_AUTO_STEP step = { 0 };

    if (!berth_step_mnt(&step, vault->places, vault->places->host_mnt, error) ||
        !make_base(vault, error))
        return false;
    dir = opendir(base);
    if (!dir)
        return set_failed(error, "read", base);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        g_autofree char *path = g_build_filename(base, entry->d_name, NULL);
        bool stray =
            g_str_has_prefix(entry->d_name, HIDDEN) ||
            (berth_id_is_valid(entry->d_name) && !g_hash_table_contains(known, entry->d_name));

        if (stray && !discard(path, error))
            return false;
    }
    remove_dangling(vault);
    return true;
}
