/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/reference.h"
#include "daemon/endpoints.h"
#include "daemon/method.h"

/** BerthSideDone: what is in force there is known, or why not. */
typedef void (*BerthSideDone)(void *userdata);

/**
 * BerthSide: a registry that a transfer reads from or writes to, as a call finds out about it and a
 * job uses it then. It lies in the call's arguments, and moves into the job.
 */
typedef struct {
    BerthReference *reference; /* owned (nullable): what is there, or shall be */
    int credentials;           /* owned: an auth.json of the caller's, or -1 */
    bool machine;              /* the credentials of the machine may be used */

    BerthEndpointsFind *find; /* under way */
    BerthSideDone done;       /* with find: called then */
    void *userdata;
    BerthEndpoints *endpoints; /* owned: once found */
    GError *failure;           /* owned: or why not */
} BerthSide;

/** berth_side_init: before anything can fail: @side can be cleared then. */
void berth_side_init(BerthSide *side);
void berth_side_clear(BerthSide *side);

/**
 * berth_side_demand: adds @action on the reference; and, optional and as soon as that can be known,
 * the use of the machine's credentials.
 * @action: (static)
 */
void berth_side_demand(const BerthSide *side, const char *action, BerthRequest *request);

/**
 * berth_side_find: finds out what is in force there; act of @call runs again, after its authorize,
 * when that is known: then @side->endpoints are there, or the failure is.
 * @error: the failure; BERTH_ERROR_REGISTRY_BLOCKED among others
 *
 * Returns: BERTH_CALL_WAITING, or BERTH_CALL_FAILED.
 */
BerthVerdict berth_side_find(BerthSide *side, BerthCall *call, BerthEndpointsUse use,
                             GError **error);

/**
 * berth_side_move: what a job needs of @side, which has its endpoints. What polkit answered to
 * @call is decided: whether the machine's credentials may be used, whichever those are then.
 * @job: (out): uninitialized
 */
void berth_side_move(BerthSide *side, const BerthCall *call, BerthSide *job);

/**
 * berth_side_refresh: finds out again what is in force for @reference, for a job that had to wait.
 * @done: called later, when berth_side_check() can be asked
 */
bool berth_side_refresh(BerthSide *side, BerthDaemon *daemon, uid_t user,
                        const BerthReference *reference, BerthEndpointsUse use, BerthSideDone done,
                        void *userdata, GError **error);

/** berth_side_check: whether endpoints were found, else why not. */
bool berth_side_check(BerthSide *side, GError **error);

/** berth_side_append: as berth_endpoints_append(), with the credentials of @side. */
bool berth_side_append(const BerthSide *side, sd_bus_message *job, const char *key, GError **error);
