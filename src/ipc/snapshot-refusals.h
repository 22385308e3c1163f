/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * BerthRefusals: what a snapshot cannot keep, collected so that all of it can be named at once.
 */
typedef struct {
    const char *const *leave_out; /* (nullable): names that shall be left out */
    GString *text;                /* owned; NULL while there is nothing */
    unsigned n;
    int code; /* a BerthError */
} BerthRefusals;

void berth_refusals_clear(BerthRefusals *refusals);
#define BERTH_AUTO_REFUSALS __attribute__((cleanup(berth_refusals_clear))) BerthRefusals

/**
 * berth_is_left_out:
 * @leave_out: (nullable): names, NULL-terminated: of members of a snapshot, which stand for all
 * that is below them, or other names that a refusal gave
 *
 * Returns: whether @name is one of them, or below one.
 */
bool berth_is_left_out(const char *const *leave_out, const char *name);

/**
 * berth_refuse:
 * @code: BERTH_ERROR_SANDBOX_BUSY for what can be otherwise later, BERTH_ERROR_NOT_SUPPORTED or
 * BERTH_ERROR_ACCESS_DENIED for what cannot
 * @name: what to say in LeaveOut
 * @why: why it cannot be kept, and what to do
 *
 * Notes that @name cannot be kept.
 *
 * Returns: false when it was to be left out anyway, and so is not noted.
 */
bool berth_refuse(BerthRefusals *refusals, int code, const char *name, const char *why);

/** berth_refusals_check: @error: all that was refused, if anything was. */
bool berth_refusals_check(const BerthRefusals *refusals, GError **error);
