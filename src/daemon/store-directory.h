/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"

#include <glib.h>

/**
 * berth_store_directory_open:
 * @error: BERTH_ERROR_FAILED: it is not there and cannot be made, or is not the worker user's; the
 *   message says what to do
 *
 * Opens the directory of `[Store] Path=`, and makes it if it can.
 *
 * Returns: (transfer full): a descriptor to give to a worker as `Store`, or -1. Below it nothing
 *   may be trusted: it belongs to the worker.
 */
int berth_store_directory_open(BerthDaemon *daemon, GError **error);
