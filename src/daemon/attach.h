/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/method.h"

/* The parts of Sandbox.Attach, for its row in the method table. */
extern const size_t berth_attach_arguments_size;
bool berth_attach_parse(BerthCall *call, GError **error);
bool berth_attach_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_attach_act(BerthCall *call, GError **error);
void berth_attach_clear(void *arguments);
