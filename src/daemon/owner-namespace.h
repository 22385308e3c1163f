/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/caller.h"
#include "ipc/places.h"

/**
 * BerthOwnerFunc:
 * @ns: (transfer full): the namespace, or -1
 * @error: why there is none; BERTH_ERROR_LIMITS_EXCEEDED when there is no room just now
 */
typedef void (*BerthOwnerFunc)(int ns, const GError *error, void *userdata);

/**
 * berth_owner_namespace_start: makes an IPC namespace that belongs to @caller, see ipc/userns.h.
 * @done is called once from the event loop; not when this fails.
 */
bool berth_owner_namespace_start(sd_event *event, const BerthPlaces *places,
                                 const BerthCaller *caller, BerthOwnerFunc done, void *userdata,
                                 GError **error);
