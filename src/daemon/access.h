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

#define BERTH_REQUEST_MAX 4 /* actions that one call can need */

/**
 * BerthDetails: what an action is about, as a polkit rule sees it; NULL becomes "". All owned.
 */
typedef struct {
    char *sandbox; /* name */
    char *sandbox_id;
    char *mode;  /* resolved, without argument */
    char *donor; /* ID */
    char *owner; /* uid in decimal */
    char *registry, *repository, *reference;
} BerthDetails;

/** BerthDemand: one action that a call needs. */
typedef struct {
    const char *action; /* (static) without prefix */
    bool optional;      /* refused, the call goes on without what it is for */
    BerthDetails details;
} BerthDemand;

/** BerthRequest: all that one call needs, in the order in which it is asked for. */
typedef struct {
    BerthDemand demands[BERTH_REQUEST_MAX];
    unsigned n;
} BerthRequest;

#define BERTH_AUTO_REQUEST __attribute__((cleanup(berth_request_clear))) BerthRequest

/**
 * berth_request_add: @action is needed too.
 *
 * Returns: (transfer none): its details, to be filled.
 */
BerthDetails *berth_request_add(BerthRequest *request, const char *action);

/**
 * berth_request_add_optional: as berth_request_add(); without @action the call is made too, see
 * berth_call_is_granted().
 */
BerthDetails *berth_request_add_optional(BerthRequest *request, const char *action);
void berth_request_clear(BerthRequest *request);

/**
 * berth_demand_key: Returns: (transfer full): action and details as one text, to see whether two
 * demands are the same.
 */
char *berth_demand_key(const BerthDemand *demand);

/**
 * berth_set_refused:
 * @uid: who asked
 * @demand: what was refused
 * @code: BERTH_ERROR_ACCESS_DENIED, or BERTH_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
 *
 * Sets the error of a refused caller and logs it.
 */
void berth_set_refused(GError **error, uid_t uid, const BerthDemand *demand, int code);
