/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

#include <glib.h>
#include <systemd/sd-bus.h>

/**
 * ctl_fail:
 * @ctl: the run
 * @name: the D-Bus error name of the failure
 * @format: printf-style message
 *
 * Reports a failure: one line `berthctl: MESSAGE` on standard error and, with --json, an object
 * {"error": NAME, "message": MESSAGE} on standard output.
 *
 * Returns: EXIT_FAILURE.
 */
int ctl_fail(const Ctl *ctl, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** ctl_fail_error: reports @error as ctl_fail() does. Returns: EXIT_FAILURE. */
int ctl_fail_error(const Ctl *ctl, const GError *error);

/**
 * ctl_fail_bus:
 * @ctl: the run
 * @error: (nullable): what the service or the bus answered
 * @r: a negative errno of sd-bus, used when @error is not set
 *
 * Reports as ctl_fail() does. Returns: EXIT_FAILURE.
 */
int ctl_fail_bus(const Ctl *ctl, const sd_bus_error *error, int r);

/** ctl_usage: reports bad usage as ctl_fail() does. Returns: CTL_EXIT_USAGE. */
int ctl_usage(const Ctl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** ctl_note: one line `berthctl: MESSAGE` on standard error, unless --quiet. */
void ctl_note(const Ctl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** ctl_warn: one line `berthctl: MESSAGE` on standard error, for what must be known in any case. */
void ctl_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
