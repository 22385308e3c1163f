/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What berth-transfer can do: all that needs the network. berthd knows the same list (worker.c).
 */

#include "transfer/kinds.h"

const BerthKind *const berth_kinds[] = {
    &berth_kind_copy, &berth_kind_pull, &berth_kind_push, &berth_kind_resolve, NULL,
};
