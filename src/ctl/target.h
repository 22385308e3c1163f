/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/** CtlTarget: where the service writes an archive to. Initialize its fd with -1. */
typedef struct {
    int fd;           /* owned, but standard output */
    const char *path; /* what it becomes */
    bool unnamed;     /* it has no name yet */
    char *other;      /* (nullable) owned: its name until it is complete */
} CtlTarget;

/**
 * ctl_target_open:
 * @path: of the file; "-": standard output. It must outlive @target
 * @mode: of a new file, less the umask
 *
 * A file is written beside @path and replaces what is there when it is complete; what is a pipe or
 * a device is written as it is.
 */
bool ctl_target_open(CtlTarget *target, const char *path, mode_t mode, GError **error);

/** ctl_target_finish: it is complete: to the disk with it, and then under its name. */
bool ctl_target_finish(CtlTarget *target, GError **error);

/** ctl_target_clear: without ctl_target_finish() nothing is left of a new file. */
void ctl_target_clear(CtlTarget *target);

#define CTL_AUTO_TARGET __attribute__((cleanup(ctl_target_clear))) CtlTarget
