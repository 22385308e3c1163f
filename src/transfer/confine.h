/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transfer/kind.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * berth_confine_job:
 * @class: what the job may do
 * @store: the directory of the store, or -1
 * @error: BERTH_ERROR_FAILED: then nothing may be done
 *
 * Takes from this process, for good, what a job of that class has no need for: files but those that
 * programs and name resolution read and all below @store (landlock(7), as far as the kernel has
 * it), and system calls (seccomp(2)). Threads that are started later have the same. There must be
 * none yet.
 */
bool berth_confine_job(BerthJobClass class, int store, GError **error);

/**
 * berth_confine_memory:
 * @more: bytes
 * @error: BERTH_ERROR_FAILED
 *
 * Lets this process have so much more memory than it has now, and no more, for good. Libraries
 * that report it when they get none then fail; GLib ends the process. To be called before
 * berth_confine_job().
 */
bool berth_confine_memory(uint64_t more, GError **error);
