/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What berth-transfer-archive can do: all that reads or writes archives. berthd knows the same
 * list (worker.c).
 */

#include "transfer/kinds.h"

const BerthKind *const berth_kinds[] = {
    &berth_kind_export,
    &berth_kind_import,
    NULL,
};
