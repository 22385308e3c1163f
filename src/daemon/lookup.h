/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"

#include <glib.h>
#include <stdbool.h>

/** BerthLookup: a question for what is in force for some registries, until it is answered. */
typedef struct BerthLookup BerthLookup;

/**
 * BerthLookupDone: called once, unless the question was cancelled before; the lookup is gone then.
 * @settings: (transfer full) (element-type BerthRegistrySettings): in the order of the names; NULL
 *   on error
 * @error: NULL on success. A name that does not resolve is no error, see berth_registries_lookup()
 */
typedef void (*BerthLookupDone)(GPtrArray *settings, const GError *error, void *userdata);

/**
 * berth_lookup_start:
 * @user: for whom: workers resolve only so many names at the same time for each user
 * @registries: what to look in
 * @names: (array length=n_names): `host[:port][/repository]`
 *
 * Finds out what is in force for each name. Where a network could matter, a worker resolves the
 * hosts, all at once; the service itself never does. @done comes later in any case.
 *
 * Returns: (transfer full): the lookup, freed before @done is called; NULL on error.
 */
BerthLookup *berth_lookup_start(BerthDaemon *daemon, uid_t user, BerthRegistries *registries,
                                BerthRegistryName *const *names, size_t n_names,
                                BerthLookupDone done, void *userdata, GError **error);

/** berth_lookup_cancel: ends @lookup (nullable) without an answer. */
void berth_lookup_cancel(BerthLookup *lookup);
