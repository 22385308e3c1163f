/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"

#include <sys/types.h>

/** BerthCaller: who sent a message. Immutable once known; reference counted. */
typedef struct {
    unsigned refs;
    char *name; /* unique name on the bus, never reused while the bus runs */
    uid_t uid;
    GArray *groups; /* (element-type gid_t) */
} BerthCaller;

BerthCaller *berth_caller_ref(BerthCaller *caller);
void berth_caller_unref(BerthCaller *caller);

/**
 * BerthCallerFunc: receives the caller, or NULL and an error when the bus does not know it any
 * more.
 */
typedef void (*BerthCallerFunc)(BerthCaller *caller, const GError *error, void *userdata);

BerthCallers *berth_callers_new(sd_bus *bus, GError **error);
void berth_callers_free(BerthCallers *callers);

/** berth_callers_on_gone: @gone is called with each unique name that leaves the bus. */
void berth_callers_on_gone(BerthCallers *callers, void (*gone)(const char *name, void *userdata),
                           void *userdata);

/**
 * berth_callers_find:
 * @name: sender of a message
 * @func: called with the result: at once when it is known, else from the event loop
 * @userdata: for @func
 */
void berth_callers_find(BerthCallers *callers, const char *name, BerthCallerFunc func,
                        void *userdata);
