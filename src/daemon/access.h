/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/caller.h"

/** BerthWho: whom a method needs no action for. Each includes those above it. */
typedef enum {
    BERTH_WHO_NOBODY_SAID_SO, /* zero: a row that forgot to say is refused at registration */
    BERTH_WHO_ROOT,
    BERTH_WHO_OWNER,     /* of the object */
    BERTH_WHO_MEMBER,    /* its Users and Groups */
    BERTH_WHO_EVERYBODY, /* no action at all */
} BerthWho;

/** BerthAccess: the row of the access table for one method. */
typedef struct {
    BerthWho who;
    const char *action; /* (static): without prefix; NULL with BERTH_WHO_EVERYBODY */
} BerthAccess;

#define BERTH_OPEN_TO_ALL                                                                          \
    (BerthAccess)                                                                                  \
    {                                                                                              \
        BERTH_WHO_EVERYBODY, NULL                                                                  \
    }
#define BERTH_NEEDS(_action, _who)                                                                 \
    (BerthAccess)                                                                                  \
    {                                                                                              \
        (_who), (_action)                                                                          \
    }

#define BERTH_REQUEST_MAX 3 /* actions that one call can need */

/** BerthRequest: what one call needs, and what it is about. Nothing in it is owned. */
typedef struct {
    const char
        *actions[BERTH_REQUEST_MAX + 1]; /* without prefix, NULL-terminated: all are needed */
} BerthRequest;

/** berth_request_add: @action is needed too. */
void berth_request_add(BerthRequest *request, const char *action);

/**
 * berth_access_check:
 * @caller: who asks
 * @request: what it needs; without actions everybody may
 * @error: BERTH_ERROR_ACCESS_DENIED naming the action
 *
 * Decides without an authority on the bus: root may do everything, everybody else what needs
 * nothing.
 */
bool berth_access_check(const BerthCaller *caller, const BerthRequest *request, GError **error);
