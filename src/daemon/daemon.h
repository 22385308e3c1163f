/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/worker-user.h"
#include "ipc/vault.h"
#include "settings/registries.h"
#include "settings/settings.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct BerthCallers BerthCallers;
typedef struct BerthCopies BerthCopies;
typedef struct BerthIdle BerthIdle;
typedef struct BerthLauncher BerthLauncher;
typedef struct BerthQueries BerthQueries;
typedef struct BerthSandboxes BerthSandboxes;
typedef struct BerthTransfers BerthTransfers;
typedef struct BerthTurns BerthTurns;
typedef struct BerthUsers BerthUsers;

/** BerthDaemon: what the parts of the service share. There is one; each part is owned by it. */
typedef struct {
    sd_event *event;
    sd_bus *bus;
    BerthVault *vault;
    BerthSettings *settings;     /* in force */
    GPtrArray *declared;         /* (element-type BerthDeclared) of sandboxes.d, in force */
    BerthRegistries *registries; /* of registries.d, in force */
    BerthSandboxes *sandboxes;   /* every sandbox, see sandboxes.h */
    BerthTransfers *transfers;   /* every transfer, see transfers.h */
    BerthQueries *queries;       /* questions to the store that wait or run, see query.h */
    BerthCopies *copies;         /* of blobs, that users hold, see copies.h */
    BerthTurns *turns;           /* calls of users that wait for theirs, see turns.h */
    BerthUsers *users;           /* what each user has, see users.h */
    BerthCallers *callers;       /* who is at the other end, see caller.h */
    BerthIdle *idle;             /* see idle.h */
    BerthLauncher *launcher;     /* of workers, see launcher.h */
    BerthWorkerUser worker_user; /* in force */
    GQueue calls;                /* calls that wait for something, see method.h */
    bool serving;                /* the objects are on the bus: changes are announced */
    const char *mode_option;     /* value of --default-ipc-mode, or NULL */
    const char *mode_option_by;  /* which of its two names was used */
} BerthDaemon;

/**
 * berth_daemon_bus_id: Returns: (transfer none): the ID of the bus, on which unique names mean
 *   something; empty when it is not known.
 */
const char *berth_daemon_bus_id(const BerthDaemon *daemon);

/**
 * berth_daemon_load_settings: reads settings, declared sandboxes and registries of @daemon and puts
 * them into force, all or nothing; the environment says where they lie. Warnings are logged.
 * @error: BERTH_ERROR_SETTINGS_INVALID; then what is in force is kept
 */
bool berth_daemon_load_settings(BerthDaemon *daemon, GError **error);

/** berth_daemon_drop_settings: releases what berth_daemon_load_settings() put into force. */
void berth_daemon_drop_settings(BerthDaemon *daemon);
