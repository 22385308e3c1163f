/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/method.h"

/* The parts of the rows of Sandbox.Snapshot and Restore, see method.h. */
extern const size_t berth_snapshot_arguments_size;
bool berth_snapshot_parse(BerthCall *call, GError **error);
BerthVerdict berth_snapshot_act(BerthCall *call, GError **error);
BerthVerdict berth_restore_act(BerthCall *call, GError **error);
void berth_snapshot_clear(void *arguments);
