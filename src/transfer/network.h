/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * berth_network_prepare: initializes what libraries read and make on their first use, for jobs that
 * talk to registries: a kind's prepare.
 * @error: BERTH_ERROR_FAILED
 */
bool berth_network_prepare(GError **error);
