/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"

/**
 * berth_idle_new: lets the service end by itself when for @usec nobody called and it holds no
 * sandbox; 0: never.
 */
BerthIdle *berth_idle_new(BerthDaemon *daemon, uint64_t usec);
void berth_idle_free(BerthIdle *idle);

/** BERTH_EXIT_AGAIN: exit status of a service that wants to be started again (Restart=on-failure).
 */
#define BERTH_EXIT_AGAIN 75

/** berth_idle_touch: something happened: begins to count anew. */
void berth_idle_touch(BerthDaemon *daemon);

/** berth_idle_is_ending: Returns: whether the service ends as soon as what it has got is served. */
bool berth_idle_is_ending(BerthDaemon *daemon);
