/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * berth_watch_new: Returns: (transfer full): an inotify descriptor for berth_watch_add(), or -1.
 */
int berth_watch_new(GError **error);

/**
 * berth_watch_add:
 * @watch: from berth_watch_new()
 * @mount: descriptor of a mount
 * @wd: (out): the watch descriptor that events will carry
 * @error: BERTH_ERROR_FAILED, with a hint when fs.inotify.max_user_watches is reached
 *
 * Watches for the end of the file system behind @mount: inotify(7) reports IN_UNMOUNT when its last
 * clone anywhere was closed, and the watch itself pins nothing.
 */
bool berth_watch_add(int watch, int mount, int *wd, GError **error);

/**
 * berth_watch_read: calls @ended with the watch descriptor of each file system that ended, until
 * nothing is left to read.
 *
 * Returns: whether events were lost: then berth_watch_list() says what is left.
 */
bool berth_watch_read(int watch, void (*ended)(int wd, void *userdata), void *userdata);

/**
 * berth_watch_list: Returns: (transfer full): the set of watch descriptors of @watch, from procfs
 * @proc (proc(5), fdinfo of inotify).
 */
GHashTable *berth_watch_list(int proc, int watch);

/** berth_watch_remove: ends the watch @wd. */
void berth_watch_remove(int watch, int wd);
