/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/** BerthFullQueue: a POSIX message queue, and who waits to send into it. */
typedef struct {
    dev_t device;
    ino_t inode;
    pid_t sender; /* (out): a process; 0: none was found */
} BerthFullQueue;

/**
 * berth_processes_find_senders: finds threads that are in mq_timedsend(2).
 * @proc: root directory of a procfs that shows all processes
 * @queues: (element-type BerthFullQueue)
 *
 * A thread that is stopped in the call counts: it goes on with it. Takes CAP_SYS_PTRACE; processes
 * that even so may not be looked at, of another user namespace than this, are not found.
 */
bool berth_processes_find_senders(int proc, GPtrArray *queues, GError **error);

/**
 * berth_processes_find_undo: finds processes in the calling thread's IPC namespace that hold a list
 * of SEM_UNDO operations (semop(2)): the kernel applies them when the process ends, and does not
 * show what is in it.
 *
 * Returns: (transfer full): an array of PIDs; null when this kernel does not tell.
 */
json_t *berth_processes_find_undo(int proc);
