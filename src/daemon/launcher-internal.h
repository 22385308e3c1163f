/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/launcher.h"

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What the service and its launcher say to each other over a SOCK_SEQPACKET socket, one structure
 * a message. Both come from one fork, so there is no other version to care for.
 */

/** BerthLaunchRequest: start a worker; its end of a socketpair comes along. */
typedef struct {
    uint32_t id;
    uid_t uid;
    gid_t gid;
    BerthProgram program;
} BerthLaunchRequest;

/** BerthLaunchStep: what can fail between the request and the program. */
typedef enum {
    BERTH_LAUNCH_FORK,
    BERTH_LAUNCH_DESCRIPTORS,
    BERTH_LAUNCH_CAPABILITIES,
    BERTH_LAUNCH_USER,
    BERTH_LAUNCH_LIMITS,
    BERTH_LAUNCH_EXECUTE,
    _BERTH_LAUNCH_STEP_MAX,
} BerthLaunchStep;

/** BerthLaunchReport: about the worker @id. */
typedef struct {
    uint32_t id;
    enum {
        BERTH_LAUNCH_STARTED, /* its pidfd comes along */
        BERTH_LAUNCH_FAILED,  /* @how: a BerthLaunchStep, @value: errno; it is going to end */
        BERTH_LAUNCH_ENDED,   /* @how: si_code of waitid(2), @value: si_status. The last report */
    } what;
    int32_t how, value;
} BerthLaunchReport;

/**
 * berth_launcher_run: what the launcher does for the rest of its life: until the service ends.
 * @service: the socket to the service
 * @programs: what to execute
 */
G_GNUC_NORETURN void berth_launcher_run(int service, const int programs[_BERTH_PROGRAM_MAX]);
