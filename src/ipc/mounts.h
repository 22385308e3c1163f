/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libmount.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct libmnt_table BerthMountTable;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthMountTable, mnt_unref_table)

/**
 * berth_mounts_read:
 * @proc: root directory of a procfs
 * @who: `thread-self` for the mount namespace the thread is in, or a PID
 * @error: BERTH_ERROR_FAILED
 *
 * Returns: (transfer full): the mount table, or NULL.
 */
BerthMountTable *berth_mounts_read(int proc, const char *who, GError **error);

/**
 * berth_mounts_find_id: Returns: (transfer none): the mount with the ID @id in @table, or NULL. IDs
 *   are unique while a mount lives (proc(5), mountinfo).
 */
struct libmnt_fs *berth_mounts_find_id(BerthMountTable *table, uint64_t id);

/** berth_mount_id: Returns: the ID of the mount that @fd lies on (statx(2), Linux 5.8); 0 on error.
 */
uint64_t berth_mount_id(int fd);

/** berth_is_mount_root: Returns: whether @path at @dir is the root of a mount (Linux 5.8). */
bool berth_is_mount_root(int dir, const char *path);

/**
 * berth_mounts_detach_below: detaches every mount at and below @path in the mount namespace the
 * thread is in. Nothing there is success.
 */
bool berth_mounts_detach_below(int proc, const char *path, GError **error);

/**
 * berth_remove_tree: removes @path and what is below it, never following links nor crossing into
 * another mount. Nothing there is success.
 */
bool berth_remove_tree(const char *path, GError **error);

/** berth_openat2: openat2(2) (Linux 5.6) with `O_CLOEXEC` added; -1 and errno on error. */
int berth_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve);
