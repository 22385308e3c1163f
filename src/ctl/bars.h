/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/progress.h"

#include <stdbool.h>

/** CtlBars: progress bars at the bottom of a terminal. */
typedef struct {
    int fd;         /* the terminal */
    unsigned drawn; /* lines that are there now */
} CtlBars;

/** ctl_bars_usable: whether @fd is a terminal that can redraw lines. */
bool ctl_bars_usable(int fd);

/** ctl_bars_draw: draws @progress in place of what was drawn before, as wide as the terminal is. */
void ctl_bars_draw(CtlBars *bars, const CtlProgress *progress);

/** ctl_bars_clear: takes the bars away. What is written next starts where they were. */
void ctl_bars_clear(CtlBars *bars);

/**
 * ctl_bars_forget: leaves what is drawn where it is, and draws next time below. For when somebody
 * else wrote to the terminal, as a shell does while this process is stopped.
 */
void ctl_bars_forget(CtlBars *bars);
