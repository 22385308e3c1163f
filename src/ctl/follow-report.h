/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/bars.h"
#include "ctl/ctl.h"
#include "ctl/progress.h"

/**
 * CtlFollowReport: how a transfer is shown: as bars, as lines, as events in JSON, or not at all.
 * Made with its first two members, the rest being zero.
 */
typedef struct {
    const Ctl *ctl;
    const CtlProgress *progress;
    enum { CTL_FOLLOW_QUIET, CTL_FOLLOW_LINES, CTL_FOLLOW_BARS, CTL_FOLLOW_EVENTS } form;
    CtlBars bars;
    bool changed;       /* since the last frame or line */
    uint64_t last_line; /* µs, monotonic */
} CtlFollowReport;

/** ctl_follow_report_init: chooses the form: by --json, --quiet and what standard error is. */
void ctl_follow_report_init(CtlFollowReport *report, const Ctl *ctl, const CtlProgress *progress);

/** ctl_follow_report_started: the transfer's @path and what it is are known. */
void ctl_follow_report_started(CtlFollowReport *report, const char *path);

/** ctl_follow_report_layer: the layer at @index changed; @over: it ended with that. */
void ctl_follow_report_layer(CtlFollowReport *report, uint32_t index, bool over);

/** ctl_follow_report_changed: the transfer as a whole changed. */
void ctl_follow_report_changed(CtlFollowReport *report);

/** ctl_follow_report_tick: draws what changed. To be called ten times a second, @now in µs. */
void ctl_follow_report_tick(CtlFollowReport *report, uint64_t now);

/** ctl_follow_report_detached: says how to cancel what goes on without us. */
void ctl_follow_report_detached(CtlFollowReport *report);

/**
 * ctl_follow_report_finished: says how it ended, and where each layer came from.
 *
 * Returns: the exit status.
 */
int ctl_follow_report_finished(CtlFollowReport *report);
