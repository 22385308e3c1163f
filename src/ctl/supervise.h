/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/** CtlSignals: the signals of a run, taken in by one descriptor instead of by handlers. */
typedef struct {
    int fd;                    /* a signalfd; -1: not open */
    sigset_t mask;             /* as berthctl found it */
    struct sigaction on_child; /* of SIGCHLD, likewise */
} CtlSignals;

/**
 * ctl_signals_open:
 * @signals: (out): to be given to ctl_signals_restore()
 * @error: BERTH_ERROR_FAILED
 *
 * Blocks every signal that can be passed on and SIGCHLD, and opens the descriptor.
 */
bool ctl_signals_open(CtlSignals *signals, GError **error);

/**
 * ctl_signals_restore: what berthctl found, for the command that is about to start. Signals that
 * came in the meantime take effect here.
 */
void ctl_signals_restore(CtlSignals *signals);

/**
 * ctl_signals_take_early:
 *
 * Reads what came before there is a command. Stops this process for a SIGTSTP, as it would have.
 *
 * Returns: the signal that would have ended this process, or 0.
 */
int ctl_signals_take_early(CtlSignals *signals);

/**
 * ctl_supervise:
 * @child: the command, a child in this process group that nobody else waits for
 * @signals: open signals
 *
 * Waits for @child. Signals that somebody sent to this process are passed on; those of the terminal
 * are not, since the kernel sends them to the whole group. When the command is stopped by job
 * control, this process stops too, so that the shell notices.
 *
 * Returns: its exit status, or 128 + the number of the signal that ended it.
 */
int ctl_supervise(pid_t child, CtlSignals *signals);
