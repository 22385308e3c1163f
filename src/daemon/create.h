/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/method.h"

/* The parts of Sandboxes.Create, for its row in the method table. */
extern const size_t berth_create_arguments_size;
bool berth_create_parse(BerthCall *call, GError **error);
bool berth_create_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_create_act(BerthCall *call, GError **error);
void berth_create_clear(void *arguments);

/** berth_create_options: Returns: (static): the options that Create knows. */
const BerthOption *berth_create_options(void);
