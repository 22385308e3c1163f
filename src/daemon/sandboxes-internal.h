/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/sandboxes.h"

/* Shared by sandboxes.c and recover.c only. */
struct BerthSandboxes {
    BerthVault *vault; /* not owned */
    BerthSandboxEvents events;
    GHashTable *by_id;   /* ID → BerthSandbox, owned */
    GHashTable *by_name; /* "UID/name" → BerthSandbox */
    GHashTable *by_wd;   /* watch descriptor → BerthSandbox */
    int watch;           /* owned: inotify, see ipc/watch.h */
    sd_event_source *watch_source;
};

/** berth_sandboxes_insert: takes @sandbox into the indexes, and owns it. */
void berth_sandboxes_insert(BerthSandboxes *sandboxes, BerthSandbox *sandbox);

/** berth_sandboxes_recover: fills the empty @sandboxes from the vault. */
bool berth_sandboxes_recover(BerthSandboxes *sandboxes, GError **error);
