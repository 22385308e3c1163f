/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/worker-user.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

/** BerthLauncher: the process that starts workers, as the service sees it. */
typedef struct BerthLauncher BerthLauncher;

/**
 * BerthProgram: the programs of workers. They differ in what they can do, so that one which looks
 * into the store is not loaded with all that speaks to registries or reads archives: that takes
 * longer than its job.
 */
typedef enum {
    BERTH_PROGRAM_NETWORK, /* berth-transfer */
    BERTH_PROGRAM_STORE,   /* berth-transfer-store */
    BERTH_PROGRAM_ARCHIVE, /* berth-transfer-archive */
    _BERTH_PROGRAM_MAX,
} BerthProgram;

/** BerthLaunch: the process of one worker. */
typedef struct BerthLaunch BerthLaunch;

/**
 * BerthLaunchEnded: the process has ended, or could not be started.
 * @how: completes a sentence: "it ended with exit code 3", "it was ended by signal SEGV"
 */
typedef void (*BerthLaunchEnded)(const char *how, void *userdata);

/**
 * berth_launcher_fork: forks the launcher, which keeps what the service gives up afterwards. When
 * this fails, the service goes on: berth_launch_start() says why there are no workers.
 *
 * Returns: (transfer full): the launcher.
 */
BerthLauncher *berth_launcher_fork(void);

/** berth_launcher_attach: has its reports read by @event; SIGCHLD is blocked. */
bool berth_launcher_attach(BerthLauncher *launcher, sd_event *event, GError **error);

/** berth_launcher_free: @launcher: (nullable): ended, and its workers with it */
void berth_launcher_free(BerthLauncher *launcher);

/**
 * berth_launch_start:
 * @program: what it executes
 * @socket: (transfer none): the worker's end of a socketpair
 * @ended: called once, unless berth_launch_free() came before
 * @error: BERTH_ERROR_FAILED: there is no launcher; BERTH_ERROR_LIMITS_EXCEEDED
 *
 * Has a worker started; whether that went well is not waited for.
 */
BerthLaunch *berth_launch_start(BerthLauncher *launcher, const BerthWorkerUser *user,
                                BerthProgram program, int socket, BerthLaunchEnded ended,
                                void *userdata, GError **error);

/** berth_launch_kill: SIGKILL, now or as soon as it has started. */
void berth_launch_kill(BerthLaunch *launch);

/** berth_launch_free: @launch: (nullable): killed, and nothing is called any more */
void berth_launch_free(BerthLaunch *launch);
