/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A slot is the place of one sandbox in the vault:
 *
 *   /slot/ID        a clone of /template, so that one unmount takes everything on it
 *   /slot/ID/ipc    bind of the IPC namespace
 *   /slot/ID/shm    the tmpfs; a bare directory with mode none
 *   /record/ID      what the service stored about it
 *
 * The record comes last and goes first: a slot without one is what a crash left, and was never
 * promised to anybody or already given up. All modes look alike here: host binds the host's
 * namespace and a clone of its /dev/shm, container:X a clone of what X has, so that a joiner keeps
 * what it joined when its donor goes.
 *
 * Nothing here asks who the caller is; paths are built from checked IDs only.
 */

#include "ipc/slot.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/mounts.h"
#include "ipc/mqueue.h"
#include "ipc/slot-internal.h"
#include "ipc/sysctls.h"
#include "ipc/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A path in the vault, such as slot/ID/shm. */
const char *berth_slot_path(BerthSlotPath path, const char *where, const char *id, const char *what)
{
    g_assert(berth_id_is_valid(id));
    g_snprintf(path, sizeof(BerthSlotPath), "%s/%s%s%s", where, id, what ? "/" : "",
               what ? what : "");
    return path;
}

bool berth_slot_set_failed(GError **error, const char *id, const char *what)
{
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot %s of sandbox %s", what,
                                 id);
}

void berth_slot_fds_close(BerthSlotFds *fds)
{
    fds->ipc = berth_close(fds->ipc);
    fds->shm = berth_close(fds->shm);
    fds->mqueue = berth_close(fds->mqueue);
}

uint64_t berth_slot_shmall(uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return berth_shm_round(size) / page;
}

/* Writes the sysctls of the namespace the thread is in; @sysctls may be NULL. */
static bool write_sysctls(const BerthVault *vault, GHashTable *sysctls, GError **error)
{
    GHashTableIter iter;
    const char *name, *value;
    int proc;

    if (!sysctls)
        return true;
    proc = berth_places_sysctls(vault->places);
    g_hash_table_iter_init(&iter, sysctls);
    while (g_hash_table_iter_next(&iter, (gpointer *)&name, (gpointer *)&value))
        if (!berth_sysctl_write(proc, name, value, error))
            return false;
    return true;
}

/* Clones a mount as a detached one that has no peers. */
static int clone_private(const char *path, GError **error)
{
    struct mount_attr attr = { .propagation = MS_PRIVATE };
    BERTH_AUTO_FD tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot clone the mount %s", path);
        return -1;
    }
    return berth_steal_fd(&tree);
}

/* private, shareable, none: a namespace of its own, new unless @spec brings one. */
static bool make_own(const BerthVault *vault, const BerthSlotSpec *spec, BerthSlotFds *parts,
                     GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    bool full;

    if (spec->mode != BERTH_IPC_MODE_NONE) {
        parts->shm = berth_shm_mount(&spec->shm, error);
        if (parts->shm < 0)
            return false;
    }
    if (!(spec->ns >= 0 ? berth_step_ipc(&step, vault->places, spec->ns, error)
                        : berth_step_new_ipc(&step, vault->places, &full, error)) ||
        !write_sysctls(vault, spec->sysctls, error))
        return false;
    parts->ipc =
        open_tree(vault->places->proc, "thread-self/ns/ipc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (parts->ipc < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot bind an IPC namespace");
    return true;
}

/* host: the host's namespace and its /dev/shm, which must be mounted. */
static bool take_host(const BerthVault *vault, BerthSlotFds *parts, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };

    if (!berth_step_mnt(&step, vault->places, vault->places->host_mnt, error))
        return false;
    if (!berth_is_mount_root(AT_FDCWD, "/dev/shm"))
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "mode host needs the host's /dev/shm, and /dev/shm is not mounted; "
                               "mount a tmpfs there first");
    parts->shm = clone_private("/dev/shm", error);
    if (parts->shm < 0)
        return false;
    parts->ipc =
        open_tree(vault->places->home_ipc, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (parts->ipc < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot bind the host's IPC namespace");
    return true;
}

/* container:X: clones of what X has in the vault. */
static bool take_donor(const BerthVault *vault, const char *donor, BerthSlotFds *parts,
                       GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    BerthSlotPath ipc, shm;

    berth_slot_path(shm, BERTH_VAULT_SLOTS, donor, "shm");
    berth_slot_path(ipc, BERTH_VAULT_SLOTS, donor, "ipc");
    if (!berth_vault_step(vault, &step, error))
        return false;
    parts->ipc = clone_private(ipc, error);
    if (parts->ipc < 0)
        return false;
    parts->shm = clone_private(shm, error);
    return parts->shm >= 0;
}

/* Attaches a detached mount in the vault. */
static bool attach(int mount, const char *path)
{
    return move_mount(mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

/* In the vault: furnishes /slot/ID. */
static bool furnish(const char *id, const BerthSlotFds *parts, GError **error)
{
    BERTH_AUTO_FD slot =
        open_tree(AT_FDCWD, BERTH_VAULT_TEMPLATE, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    BerthSlotPath path;

    if (slot < 0 || mkdir(berth_slot_path(path, BERTH_VAULT_SLOTS, id, NULL), 0700) < 0 ||
        !attach(slot, path))
        return berth_slot_set_failed(error, id, "make the slot");
    if (!attach(parts->ipc, berth_slot_path(path, BERTH_VAULT_SLOTS, id, "ipc")))
        return berth_slot_set_failed(error, id, "store the namespace");
    if (parts->shm >= 0 && !attach(parts->shm, berth_slot_path(path, BERTH_VAULT_SLOTS, id, "shm")))
        return berth_slot_set_failed(error, id, "store the shm");
    return true;
}

/* In the vault: takes /slot/ID apart, its record stays. None there is success. */
static bool discard(const char *id, GError **error)
{
    BerthSlotPath path;

    berth_slot_path(path, BERTH_VAULT_SLOTS, id, NULL);
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return berth_slot_set_failed(error, id, "unmount the slot");
    if (rmdir(path) < 0 && errno != ENOENT)
        return berth_slot_set_failed(error, id, "remove the slot");
    return true;
}

static void fill_info(const BerthSlotFds *parts, BerthSlotInfo *info)
{
    struct stat st;
    BerthShmUsage usage;

    *info = (BerthSlotInfo){ 0 };
    if (fstat(parts->ipc, &st) == 0)
        info->namespace_id = st.st_ino;
    if (parts->shm >= 0 && fstat(parts->shm, &st) == 0 &&
        berth_shm_usage(parts->shm, &usage, NULL)) {
        info->shm_device = st.st_dev;
        info->shm_size = usage.size;
        info->shm_inodes = usage.inodes;
    }
}

bool berth_slot_create(const BerthVault *vault, const char *id, const BerthSlotSpec *spec,
                       const char *record, BerthSlotInfo *info, GError **error)
{
    BERTH_AUTO_SLOT_FDS parts = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };
    bool ok;

    switch (spec->mode) {
    case BERTH_IPC_MODE_HOST:
        ok = take_host(vault, &parts, error);
        break;
    case BERTH_IPC_MODE_CONTAINER:
        ok = take_donor(vault, spec->donor, &parts, error);
        break;
    default:
        ok = make_own(vault, spec, &parts, error);
    }
    if (!ok || !berth_vault_step(vault, &step, error))
        return false;

    fill_info(&parts, info);
    if (!furnish(id, &parts, error) || !berth_slot_store(id, record, error)) {
        (void)discard(id, NULL);
        return false;
    }
    return true;
}

/* In the vault: whether the slot has an shm, and not just the place for one. */
static bool has_shm(const char *id)
{
    BerthSlotPath path;

    return berth_is_mount_root(AT_FDCWD, berth_slot_path(path, BERTH_VAULT_SLOTS, id, "shm"));
}

/* In the vault: opens the namespace and, when there is one, the shm itself (not a clone). */
static bool open_parts(const char *id, BerthSlotFds *fds, GError **error)
{
    BerthSlotPath path;

    fds->ipc = open(berth_slot_path(path, BERTH_VAULT_SLOTS, id, "ipc"), O_RDONLY | O_CLOEXEC);
    if (fds->ipc < 0)
        return berth_slot_set_failed(error, id, "open the namespace");
    if (!has_shm(id))
        return true;
    fds->shm =
        open(berth_slot_path(path, BERTH_VAULT_SLOTS, id, "shm"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fds->shm >= 0 || berth_slot_set_failed(error, id, "open the shm");
}

bool berth_slot_inspect(const BerthVault *vault, const char *id, BerthSlotInfo *info,
                        GError **error)
{
    BERTH_AUTO_SLOT_FDS parts = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };

    if (!berth_vault_step(vault, &step, error) || !open_parts(id, &parts, error))
        return false;
    fill_info(&parts, info);
    return true;
}

bool berth_slot_open(const BerthVault *vault, const char *id, BerthSlotFds *fds, GError **error)
{
    BERTH_AUTO_SLOT_FDS opened = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };
    BerthSlotPath path;

    if (!berth_vault_step(vault, &step, error))
        return false;
    opened.ipc = open(berth_slot_path(path, BERTH_VAULT_SLOTS, id, "ipc"), O_RDONLY | O_CLOEXEC);
    if (opened.ipc < 0)
        return berth_slot_set_failed(error, id, "open the namespace");
    if (has_shm(id)) {
        opened.shm = open_tree(AT_FDCWD, berth_slot_path(path, BERTH_VAULT_SLOTS, id, "shm"),
                               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (opened.shm < 0)
            return berth_slot_set_failed(error, id, "clone the shm");
    }
    if (!berth_step_ipc(&step, vault->places, opened.ipc, error))
        return false;
    opened.mqueue = berth_mqueue_mount(error);
    if (opened.mqueue < 0)
        return false;
    *fds = opened;
    opened = (BerthSlotFds)BERTH_SLOT_FDS_INIT;
    return true;
}

bool berth_slot_empty(const BerthVault *vault, const char *id, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };

    return berth_vault_step(vault, &step, error) && discard(id, error);
}

bool berth_slot_watch(const BerthVault *vault, const char *id, int watch, int *wd, GError **error)
{
    BERTH_AUTO_SLOT_FDS parts = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };
    BerthSlotPath path;

    *wd = -1;
    if (!berth_vault_step(vault, &step, error))
        return false;
    if (!berth_is_mount_root(AT_FDCWD, berth_slot_path(path, BERTH_VAULT_SLOTS, id, "ipc")))
        return true;
    if (!open_parts(id, &parts, error))
        return false;
    if (parts.shm < 0) {
        if (!berth_step_ipc(&step, vault->places, parts.ipc, error))
            return false;
        parts.mqueue = berth_mqueue_mount(error);
        if (parts.mqueue < 0)
            return false;
    }
    return berth_watch_add(watch, parts.shm >= 0 ? parts.shm : parts.mqueue, wd, error);
}

int berth_slot_hold(const BerthVault *vault, const char *id, uint64_t bytes)
{
    BERTH_AUTO_STEP step = { 0 };
    BERTH_AUTO_FD shm = -1;
    BerthShmUsage usage;
    BerthSlotPath path;

    if (!berth_vault_step(vault, &step, NULL) || !has_shm(id))
        return -1;
    shm =
        open(berth_slot_path(path, BERTH_VAULT_SLOTS, id, "shm"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (shm < 0 || !berth_shm_usage(shm, &usage, NULL) || usage.used <= bytes)
        return -1;
    return berth_steal_fd(&shm);
}

bool berth_slot_remove(const BerthVault *vault, const char *id, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    BerthSlotPath path;

    if (!berth_vault_step(vault, &step, error))
        return false;
    if (unlink(berth_slot_path(path, BERTH_VAULT_RECORDS, id, NULL)) < 0 && errno != ENOENT)
        return berth_slot_set_failed(error, id, "give up the slot");
    return discard(id, error);
}

bool berth_slot_resize(const BerthVault *vault, const char *id, uint64_t size, uint64_t inodes,
                       const char *shmall, GError **error)
{
    BERTH_AUTO_SLOT_FDS parts = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };
    BerthSlotPath path;

    if (!berth_vault_step(vault, &step, error) || !open_parts(id, &parts, error))
        return false;
    if (!berth_shm_resize(AT_FDCWD, berth_slot_path(path, BERTH_VAULT_SLOTS, id, "shm"), size,
                          inodes, error))
        return false;
    return !shmall || (berth_step_ipc(&step, vault->places, parts.ipc, error) &&
                       berth_sysctl_write(berth_places_sysctls(vault->places), "kernel.shmall",
                                          shmall, error));
}

bool berth_slot_set_sysctls(const BerthVault *vault, const char *id, GHashTable *sysctls,
                            GError **error)
{
    BERTH_AUTO_SLOT_FDS parts = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };

    return berth_vault_step(vault, &step, error) && open_parts(id, &parts, error) &&
           berth_step_ipc(&step, vault->places, parts.ipc, error) &&
           write_sysctls(vault, sysctls, error);
}

GHashTable *berth_slot_get_sysctls(const BerthVault *vault, const char *id, GError **error)
{
    BERTH_AUTO_SLOT_FDS parts = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };
    g_autoptr(GHashTable) values = NULL;
    int proc;

    if (!berth_vault_step(vault, &step, error) || !open_parts(id, &parts, error) ||
        !berth_step_ipc(&step, vault->places, parts.ipc, error))
        return NULL;
    values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    proc = berth_places_sysctls(vault->places);
    for (const char *const *name = berth_sysctl_names(); *name; name++) {
        g_autofree char *value = berth_sysctl_read(proc, *name, NULL);

        if (value) /* not every kernel has every one */
            g_hash_table_insert(values, (char *)*name, g_steal_pointer(&value));
    }
    return g_steal_pointer(&values);
}

bool berth_slot_usage(const BerthVault *vault, const char *id, BerthShmUsage *shm,
                      BerthIpcUsage *ipc, GError **error)
{
    BERTH_AUTO_SLOT_FDS parts = BERTH_SLOT_FDS_INIT;
    BERTH_AUTO_STEP step = { 0 };

    *shm = (BerthShmUsage){ 0 };
    return berth_vault_step(vault, &step, error) && open_parts(id, &parts, error) &&
           (parts.shm < 0 || berth_shm_usage(parts.shm, shm, error)) &&
           berth_step_ipc(&step, vault->places, parts.ipc, error) && berth_ipc_usage(ipc, error);
}

/* In the vault: the IDs that are names in @where. What else is there is removed. */
static GPtrArray *list(const char *where, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    BERTH_AUTO_DIR *dir = opendir(where);

    if (!dir) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read /%s of the vault",
                              where);
        return NULL;
    }
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (berth_id_is_valid(entry->d_name))
            g_ptr_array_add(ids, g_strdup(entry->d_name));
        else if (entry->d_type == DT_REG) /* a record whose writing was interrupted */
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    return g_steal_pointer(&ids);
}

GPtrArray *berth_slots_recover(const BerthVault *vault, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    g_autoptr(GPtrArray) slots = NULL;
    BerthSlotPath path;

    if (!berth_vault_step(vault, &step, error))
        return NULL;
    slots = list(BERTH_VAULT_SLOTS, error);
    for (guint i = 0; slots && i < slots->len; i++) {
        berth_slot_path(path, BERTH_VAULT_RECORDS, slots->pdata[i], NULL);
        if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
            !discard(slots->pdata[i], error))
            return NULL;
    }
    return slots ? list(BERTH_VAULT_RECORDS, error) : NULL;
}
