/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kinds of jobs a worker can do. Each module declares its row; a kind that is not here does not
 * exist.
 */

#include "transfer/kind.h"

#include "transfer/kinds.h"

static const BerthKind *const kinds[] = {
    &berth_kind_blob,        &berth_kind_copy,    &berth_kind_export, &berth_kind_import,
    &berth_kind_import_blob, &berth_kind_inspect, &berth_kind_list,   &berth_kind_prune,
    &berth_kind_pull,        &berth_kind_push,    &berth_kind_remove, &berth_kind_resolve,
    &berth_kind_tag,
};

const BerthKind *berth_kind_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(kinds[i]->name, name))
            return kinds[i];
    return NULL;
}
