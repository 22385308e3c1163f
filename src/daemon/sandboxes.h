/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/caller.h"
#include "daemon/daemon.h"
#include "daemon/sandbox.h"
#include "daemon/users.h"

/** BerthSandboxEvents: how changes get onto the bus. */
typedef struct {
    void (*added)(const BerthSandbox *sandbox, void *userdata);
    void (*removed)(const BerthSandbox *sandbox, void *userdata);
    /* @property: `State` or `ShmSize` */
    void (*changed)(const BerthSandbox *sandbox, const char *property, void *userdata);
    void *userdata;
} BerthSandboxEvents;

/** BerthSandboxSpec: what Create makes. Nothing in it is owned. */
typedef struct {
    const char *name; /* (nullable) checked */
    uid_t owner;
    BerthIpcMode mode;   /* resolved */
    BerthSandbox *donor; /* with BERTH_IPC_MODE_CONTAINER; joinable */
    BerthShmSpec shm;    /* checked */
    GHashTable *sysctls; /* (nullable) checked */
    GHashTable *labels;  /* (nullable); a reference is kept */
    bool publish;
    int ns;              /* IPC namespace of the owner, or -1 */
    const BerthIds *ids; /* (nullable); copied */
    BerthLifetime lifetime;
    const char *peer, *bus; /* with connection */
    pid_t pid;              /* with process */
    uint64_t pid_start;
    const BerthSettings *settings; /* whose limits hold */
} BerthSandboxSpec;

/**
 * berth_sandboxes_new: recovers what is in the vault, finishes what was interrupted, and
 * republishes.
 * @vault, @users: (transfer none)
 * @watch: (transfer full): from berth_watch_new(), or the one an earlier process left
 * @events: (transfer none): copied
 *
 * Returns: (transfer full): the sandboxes, or NULL.
 */
BerthSandboxes *berth_sandboxes_new(sd_event *event, BerthVault *vault, BerthUsers *users,
                                    int watch, const BerthSandboxEvents *events, GError **error);
void berth_sandboxes_free(BerthSandboxes *sandboxes);

unsigned berth_sandboxes_count(BerthSandboxes *sandboxes);
/** berth_sandboxes_is_empty: Returns: whether there is no sandbox, and no charge left of one. */
bool berth_sandboxes_is_empty(BerthSandboxes *sandboxes);
/** berth_sandboxes_iter: begins a walk over all, in no order: values are BerthSandbox. */
void berth_sandboxes_iter(BerthSandboxes *sandboxes, GHashTableIter *iter);

/** berth_sandboxes_by_id: Returns: (transfer none): the sandbox, or NULL. */
BerthSandbox *berth_sandboxes_by_id(BerthSandboxes *sandboxes, const char *id);

/**
 * berth_sandboxes_find:
 * @text: an ID; a name, @caller's own or else root's; or UID/name
 * @caller: the user who asks
 * @error: BERTH_ERROR_INVALID_NAME, BERTH_ERROR_NO_SUCH_SANDBOX
 */
BerthSandbox *berth_sandboxes_find(BerthSandboxes *sandboxes, const char *text, uid_t caller,
                                   GError **error);

/** berth_sandboxes_check_free: @error: BERTH_ERROR_SANDBOX_EXISTS when @owner has a @name. */
bool berth_sandboxes_check_free(BerthSandboxes *sandboxes, uid_t owner, const char *name,
                                GError **error);

/**
 * berth_sandboxes_check_room: whether what @spec wants is free and within the limits.
 * @error: BERTH_ERROR_SANDBOX_EXISTS, BERTH_ERROR_QUOTA_EXCEEDED
 */
bool berth_sandboxes_check_room(BerthSandboxes *sandboxes, const BerthSandboxSpec *spec,
                                GError **error);

/**
 * berth_sandboxes_create: makes a sandbox and announces it.
 * @error: as berth_slot_create(), and BERTH_ERROR_SANDBOX_EXISTS
 *
 * Returns: (transfer none): the new sandbox, or NULL.
 */
BerthSandbox *berth_sandboxes_create(BerthSandboxes *sandboxes, const BerthSandboxSpec *spec,
                                     GError **error);

/**
 * berth_sandbox_check_held:
 * @given: how the caller named it, for the message
 * @error: BERTH_ERROR_NOT_SHAREABLE when it was handed over, BERTH_ERROR_SANDBOX_BUSY while it is
 */
bool berth_sandbox_check_held(const BerthSandbox *sandbox, const char *given, GError **error);

/**
 * berth_sandboxes_open: opens what is handed out. For private and none, watch and state change are
 * the caller's: see berth_sandboxes_hand_over().
 */
bool berth_sandboxes_open(BerthSandboxes *sandboxes, BerthSandbox *sandbox, BerthSlotFds *fds,
                          GError **error);

/**
 * berth_sandboxes_move: begins to give a private or none sandbox away: from here on a service that
 * is started anew takes it for handed over. It ends with berth_sandboxes_hand_over() or, if nothing
 * was given, berth_sandboxes_keep().
 * @fds: what is about to be given
 */
bool berth_sandboxes_move(BerthSandboxes *sandboxes, BerthSandbox *sandbox, const BerthSlotFds *fds,
                          GError **error);
/** berth_sandboxes_keep: nothing was given away. */
bool berth_sandboxes_keep(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error);

/**
 * berth_sandboxes_hand_over: gives up a private or none sandbox of which @fds are given away, and
 * watches for the end of its tmpfs (with none: of its namespace).
 */
bool berth_sandboxes_hand_over(BerthSandboxes *sandboxes, BerthSandbox *sandbox,
                               const BerthSlotFds *fds, GError **error);

/** berth_sandboxes_resize: @size: bytes; @inodes: 0 keeps them. */
bool berth_sandboxes_resize(BerthSandboxes *sandboxes, const BerthSettings *settings,
                            BerthSandbox *sandbox, uint64_t size, uint64_t inodes, GError **error);
/** berth_sandboxes_set_sysctls: @sysctls: checked names and values. All or nothing. */
bool berth_sandboxes_set_sysctls(BerthSandboxes *sandboxes, BerthSandbox *sandbox,
                                 GHashTable *sysctls, GError **error);
/** berth_sandboxes_set_ids: @ids: who else may join from now on; what was given out stays out. */
bool berth_sandboxes_set_ids(BerthSandboxes *sandboxes, BerthSandbox *sandbox, const BerthIds *ids,
                             GError **error);
/** berth_sandboxes_set_labels: @labels: (nullable) (transfer none): a reference is kept. */
bool berth_sandboxes_set_labels(BerthSandboxes *sandboxes, BerthSandbox *sandbox,
                                GHashTable *labels, GError **error);
bool berth_sandboxes_publish(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error);
bool berth_sandboxes_unpublish(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error);
/** berth_sandboxes_remove: removes @sandbox, which is then freed. */
bool berth_sandboxes_remove(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error);

/** berth_sandbox_admits: Returns: whether @caller is owner or member of @sandbox. */
bool berth_sandbox_admits(const BerthSandbox *sandbox, const BerthCaller *caller);

/** berth_sandboxes_peer_gone: ends the sandboxes whose lifetime is the connection @name. */
void berth_sandboxes_peer_gone(BerthSandboxes *sandboxes, const char *name);

/**
 * berth_sandboxes_check_peers: after a restart: ends the sandboxes of connections that are not on
 * @bus any more, as soon as the bus says so.
 */
void berth_sandboxes_check_peers(BerthSandboxes *sandboxes, sd_bus *bus);
