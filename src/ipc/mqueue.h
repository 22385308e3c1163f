/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * berth_mqueue_mount: mounts the POSIX message queues of the IPC namespace that the calling thread
 * is in, with nosuid, nodev, noexec (mq_overview(7)).
 *
 * Returns: (transfer full): a detached mount, an O_PATH descriptor; -1 on error.
 */
int berth_mqueue_mount(GError **error);

/** berth_mqueue_count: counts the queues of @mount, from berth_mqueue_mount(). */
bool berth_mqueue_count(int mount, uint32_t *count, GError **error);
