/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "transfer/progress.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct BerthJob BerthJob;
typedef struct BerthKind BerthKind;

/** BerthJob: what this process was started for. There is one. */
struct BerthJob {
    const BerthKind *kind;
    void *arguments;         /* what kind->keys describe, read from the service's call */
    sd_event *event;         /* the loop of the main thread */
    sd_bus_message *result;  /* open inside of its a{sv}: append `{sv}` entries */
    BerthProgress *progress; /* of the main thread */
    void *data;              /* of the kind, from begin on: what its free takes */

    sd_bus_message *call; /* the rest is of job.c */
    sd_bus_slot *question;
    void (*answer)(bool yes, void *userdata);
    void *answer_userdata;
    GThread *thread;
    GError *thread_error;
    int done; /* eventfd: the thread has ended */
    sd_event_source *end;
    GError *error;
};

/**
 * berth_job_start:
 * @call: the method call `Run`
 * @error: BERTH_ERROR_INVALID_ARGS and others: why there is no job
 *
 * Reads the job, confines the process to what it needs, and starts it. When it is finished, the
 * call is answered and the loop left.
 */
bool berth_job_start(sd_event *event, sd_bus_message *call, GError **error);

/**
 * berth_job_end: ends a job that lives on the event loop.
 * @error: (nullable): as for berth_job_finish()
 *
 * Waits for the loop, since what calls this may still work with what the kind's free then frees.
 * Several parts of a job can fail before the loop gets there; the first counts.
 */
void berth_job_end(BerthJob *job, const GError *error);

/**
 * berth_job_set_bandwidth: what the job of this process may use from now on, if it uses the network
 * and is not at its end.
 * @rate: bytes a second; 0: no limit
 */
void berth_job_set_bandwidth(uint64_t rate);

/**
 * berth_job_finish:
 * @error: (nullable): why the job failed; its message goes to the user as it is
 *
 * Sends what is left of the progress, then the result or @error, and leaves the loop. In the main
 * thread only.
 */
void berth_job_finish(BerthJob *job, const GError *error);

/**
 * berth_job_ask:
 * @question: what is asked; one at a time
 * @digest: what it is about
 * @reference: likewise
 * @func: called from the event loop with the answer; no, when none comes
 * @userdata: for @func
 * @error: BERTH_ERROR_FAILED
 *
 * Asks the service whether something may be done.
 */
bool berth_job_ask(BerthJob *job, const char *question, const BerthDigest *digest,
                   const char *reference, void (*func)(bool yes, void *userdata), void *userdata,
                   GError **error);
