/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What berth-transfer-store can do: all that needs the store alone. Whatever is not in another
 * program's table must be here (worker.c of berthd).
 */

#include "transfer/kinds.h"

const BerthKind *const berth_kinds[] = {
    &berth_kind_blob,  &berth_kind_import_blob, &berth_kind_inspect, &berth_kind_list,
    &berth_kind_prune, &berth_kind_remove,      &berth_kind_tag,     NULL,
};
