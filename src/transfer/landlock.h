/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * berth_landlock_apply:
 * @store: the directory below which everything is allowed, or -1
 * @error: BERTH_ERROR_FAILED. A kernel without Landlock is no error
 *
 * Forbids this process to open or change any other file, but to read what programs and name
 * resolution read.
 */
bool berth_landlock_apply(int store, GError **error);
