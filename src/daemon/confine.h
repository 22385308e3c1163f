/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * berth_confine: takes from this process, and from the helpers it forks, every kind of socket but
 * AF_UNIX, for good (seccomp(2)).
 * @error: BERTH_ERROR_FAILED
 */
bool berth_confine(GError **error);
