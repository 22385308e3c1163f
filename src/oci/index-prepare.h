/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/store.h"

#include <glib.h>
#include <stdbool.h>

/** BerthPrepared: the next index.json, but for one entry. */
typedef struct BerthPrepared BerthPrepared;

/** berth_prepared_new: Returns: (transfer full) (nullable): a thread begins with it. */
BerthPrepared *berth_prepared_new(BerthStore *store, const char *name);

/** berth_prepared_free: (nullable); waits for the thread. */
void berth_prepared_free(BerthPrepared *prepared);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthPrepared, berth_prepared_free)

/**
 * berth_prepared_fits:
 * @name: what the entry will be called
 *
 * Waits for the thread. The caller holds BERTH_STORE_LOCK_INDEX.
 *
 * Returns: whether this can be the next index: it is for @name, and index.json is what it was.
 */
bool berth_prepared_fits(BerthPrepared *prepared, const char *name);

/** berth_prepared_before: Returns: (element-type json_t): the entries that go. */
const GPtrArray *berth_prepared_before(const BerthPrepared *prepared);

/**
 * berth_prepared_use:
 * @line: the entry that comes, as of berth_index_file_format()
 *
 * As berth_index_file_replace(). It is of no further use then.
 */
bool berth_prepared_use(BerthPrepared *prepared, const char *line, GError **error);
