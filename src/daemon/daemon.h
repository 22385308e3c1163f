/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/vault.h"
#include "settings/settings.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct BerthCallers BerthCallers;
typedef struct BerthIdle BerthIdle;
typedef struct BerthSandboxes BerthSandboxes;
typedef struct BerthUsers BerthUsers;

/** BerthDaemon: what the parts of the service share. There is one; each part is owned by it. */
typedef struct {
    sd_event *event;
    sd_bus *bus;
    BerthVault *vault;
    BerthSettings *settings;    /* in force */
    BerthSandboxes *sandboxes;  /* every sandbox, see sandboxes.h */
    BerthUsers *users;          /* what each user has, see users.h */
    BerthCallers *callers;      /* who is at the other end, see caller.h */
    BerthIdle *idle;            /* see idle.h */
    GQueue calls;               /* calls that wait for something, see method.h */
    const char *mode_option;    /* value of --default-ipc-mode, or NULL */
    const char *mode_option_by; /* which of its two names was used */
} BerthDaemon;

/**
 * berth_daemon_bus_id: Returns: (transfer none): the ID of the bus, on which unique names mean
 *   something; empty when it is not known.
 */
const char *berth_daemon_bus_id(const BerthDaemon *daemon);

/**
 * berth_daemon_load_settings: reads the settings for @daemon; the environment says where from.
 * Warnings are logged.
 *
 * Returns: (transfer full): the settings, or NULL; what is in force is not touched.
 */
BerthSettings *berth_daemon_load_settings(const BerthDaemon *daemon, GError **error);
