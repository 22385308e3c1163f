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

/**
 * berth_network_give_back: gives memory back that only the start of the process needed, once. What
 * is needed again comes back by itself, which takes a millisecond or so in all.
 */
void berth_network_give_back(void);
