/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/options.h"
#include "transfer/job.h"

#include <glib.h>
#include <stdbool.h>

/** BerthJobClass: what a job may do besides working in its store; see confine.h. */
typedef enum {
    BERTH_CLASS_QUERY,   /* no sockets at all */
    BERTH_CLASS_NETWORK, /* connections to anywhere, and what resolves names */
    _BERTH_CLASS_MAX,
} BerthJobClass;

/**
 * BerthKind: a kind of job, one row of a program's table. Exactly one of @work and @begin is
 * there.
 */
struct BerthKind {
    const char *name; /* as the service calls it */
    BerthJobClass class;
    const BerthOption *keys; /* of the job */
    size_t size;             /* of the structure that @keys describe */

    /**
     * prepare: (nullable): initializes libraries that need more than the confined worker may do.
     * Runs before confinement; reads nothing that came from outside.
     */
    bool (*prepare)(GError **error);

    /**
     * work: does a job that blocks, in a thread of its own. It may use @job's arguments and append
     * to its result, nothing else of it.
     */
    bool (*work)(BerthJob *job, GError **error);

    /** begin: starts a job that lives on the event loop; it ends with berth_job_end(). */
    void (*begin)(BerthJob *job);

    /**
     * set_bandwidth: (nullable): the job may use @rate bytes a second from now on, 0: any. Comes
     * after begin and before berth_job_end().
     */
    void (*set_bandwidth)(BerthJob *job, uint64_t rate);

    /** free: (nullable): frees the job's data, in berth_job_end(). */
    void (*free)(void *data);
};

/** berth_kinds: those of this program, NULL-terminated. */
extern const BerthKind *const berth_kinds[];

/** berth_kind_find: Returns: (nullable): the kind called @name. */
const BerthKind *berth_kind_find(const char *name);
