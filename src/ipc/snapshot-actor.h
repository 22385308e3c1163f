/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/**
 * BerthActor: as whom a sandbox is read and filled: root, who may see and make everything there, or
 * the user who owns it, who may what the kernel lets it.
 */
typedef struct {
    uid_t uid;
    gid_t gid;            /* of a user */
    const GArray *groups; /* (nullable) (element-type gid_t) (not owned) of a user */
} BerthActor;

/** BerthActorTask: what the actor is about to do; decides which capabilities are kept for it. */
typedef enum {
    BERTH_ACTOR_READS,
    BERTH_ACTOR_FILLS,
} BerthActorTask;

/**
 * berth_actor_become: makes this process @actor, for good, with the few capabilities that @task
 * takes: for a user none but CAP_CHECKPOINT_RESTORE.
 * @root: the directory that becomes the process's root; what it holds is all that can be reached by
 * path from then on
 */
bool berth_actor_become(const BerthActor *actor, BerthActorTask task, int root, GError **error);

/**
 * berth_actor_confine: leaves this process the system calls that @task takes. Nothing beyond what
 * is open can be reached then: no socket, no program, no namespace, no mount.
 */
bool berth_actor_confine(BerthActorTask task, GError **error);
