/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/snapshot-index.h"
#include "ipc/snapshot-refusals.h"

/** BerthQueueState: what the kernel says about a POSIX message queue. */
typedef struct {
    uint64_t most, size;      /* its limits: messages, and bytes of one */
    uint64_t messages, bytes; /* that wait */
    pid_t notify;             /* registered for a notification, or 0 */
} BerthQueueState;

/** berth_queue_state: reads the state of @queue, a descriptor open for reading. */
bool berth_queue_state(int queue, BerthQueueState *state, GError **error);

/**
 * berth_queue_open:
 * @mqueue: directory descriptor of a mounted mqueue file system
 * @name: a queue
 *
 * Opens @name for reading and writing, without blocking; as its owner when that is what it takes.
 *
 * Returns: (transfer full): the queue; -1 and errno on error.
 */
int berth_queue_open(int mqueue, const char *name);

/**
 * berth_queues_survey:
 * @mqueue: directory descriptor of a mounted mqueue file system
 * @proc: root directory of a procfs
 * @stopped: the programs are said to be frozen
 * @queues: (element-type BerthQueue): gets the queues that are to be kept
 * @refusals: gets those that cannot be
 *
 * Looks at each queue and touches none. Finding out who waits to send into a full one takes
 * CAP_SYS_PTRACE.
 */
bool berth_queues_survey(int mqueue, int proc, bool stopped, GArray *queues,
                         BerthRefusals *refusals, GError **error);
