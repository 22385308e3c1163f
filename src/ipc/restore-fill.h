/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/restore-sysv.h"
#include "ipc/restore.h"

/** BerthFill: what the process that reads an archive works with. Nothing in it is owned. */
typedef struct {
    const BerthRestoreSpec *spec;
    int shm;            /* directory descriptor */
    int log;            /* see restore-log.h */
    const char *prefix; /* see restore-log.h */
    uint64_t shmall;    /* pages that kernel.shmall allows */
    BerthNextIds next;
    /* asks for limits to be lifted, which comes before anything is made */
    bool (*lift)(void *userdata, GError **error);
    void *userdata;
} BerthFill;

/**
 * berth_fill: reads the archive and makes everything, but for the names at the top of the shm and
 * the sysctls, which the log tells.
 */
bool berth_fill(const BerthFill *fill, GError **error);
