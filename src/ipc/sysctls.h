/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define BERTH_SYSCTL_VALUE_MAX 128 /* bytes of a value */

/** berth_sysctl_names: Returns: (transfer none): the allowed sysctls, sorted, NULL-terminated. */
const char *const *berth_sysctl_names(void);

/**
 * berth_sysctl_check:
 * @name: a sysctl with dots, such as `kernel.shmmax`
 * @value: decimal numbers without sign or leading zero (which the kernel would read as octal); four
 * of them, separated by spaces or tabs, for kernel.sem, one otherwise
 * @error: BERTH_ERROR_INVALID_OPTION naming the sysctl, or the value and its range
 *
 * The ranges are those of Linux 6.1 to 6.18 (ipc/ipc_sysctl.c, ipc/mq_sysctl.c); where the kernel
 * takes negative numbers without a meaning they are refused. It is not asked whether this kernel
 * has @name.
 */
bool berth_sysctl_check(const char *name, const char *value, GError **error);

/**
 * berth_sysctl_write:
 * @proc_fd: a procfs root directory; the calling *thread* must be in the IPC namespace to change
 * @name: as for berth_sysctl_check(), which is made first
 * @value: likewise
 * @error: as of berth_sysctl_check(); BERTH_ERROR_INVALID_OPTION too when the kernel refuses the
 * value or another one is in force afterwards, which it names; BERTH_ERROR_NOT_SUPPORTED when this
 * kernel lacks @name; BERTH_ERROR_FAILED for anything else, such as a missing permission
 */
bool berth_sysctl_write(int proc_fd, const char *name, const char *value, GError **error);

/**
 * berth_sysctl_read:
 * @proc_fd: as for berth_sysctl_write()
 * @name: an allowed sysctl
 * @error: BERTH_ERROR_INVALID_OPTION, BERTH_ERROR_NOT_SUPPORTED or BERTH_ERROR_FAILED as above
 *
 * Returns: (transfer full): the value, its numbers separated by single spaces, without a newline;
 * or NULL. A `*_next_id` that was used up reads `-1`.
 */
char *berth_sysctl_read(int proc_fd, const char *name, GError **error);
