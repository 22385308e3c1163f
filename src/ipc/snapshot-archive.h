/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * berth_snapshot_check_archive:
 * @fd: what a caller gave to write an archive to, or to read it from
 * @shm: a descriptor of the sandbox's shm
 * @writes: whether it is written to
 * @error: BERTH_ERROR_INVALID_OPTION
 *
 * Whether @fd is a file, pipe or socket that can take or give an archive. Asking a file system can
 * block: call this in a child.
 */
bool berth_snapshot_check_archive(int fd, int shm, bool writes, GError **error);
