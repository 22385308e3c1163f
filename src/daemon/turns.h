/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/method.h"

/** BerthTurns: authorized calls of users, whose work is done in turns. */
typedef struct BerthTurns BerthTurns;

/** BerthTurnFunc: does the work of @call. */
typedef void (*BerthTurnFunc)(BerthCall *call);

BerthTurns *berth_turns_new(sd_event *event, BerthTurnFunc work, GError **error);
void berth_turns_free(BerthTurns *turns);

/** berth_turns_add: @call gets its turn when the bus is read and other users had theirs. */
void berth_turns_add(BerthTurns *turns, BerthCall *call);

/** berth_turns_remove: @call, which waits, gets no turn. */
void berth_turns_remove(BerthTurns *turns, BerthCall *call);

/** berth_turns_taken_in: tells that another call arrived; perhaps somebody has a turn at once. */
void berth_turns_taken_in(BerthTurns *turns);
