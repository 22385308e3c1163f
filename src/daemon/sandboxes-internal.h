/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/sandboxes.h"
#include "daemon/users.h"

/* Shared by sandboxes.c, sandboxes-change.c, recover.c, watches.c and lifetime.c only. */
struct BerthSandboxes {
    BerthVault *vault; /* not owned */
    BerthSandboxEvents events;
    GHashTable *by_id;    /* ID → BerthSandbox, owned */
    GHashTable *by_name;  /* "UID/name" → BerthSandbox */
    BerthUsers *users;    /* not owned */
    sd_event *event;      /* not owned */
    unsigned connections; /* sandboxes with lifetime connection */
    GHashTable *tmpfs;    /* watch descriptor → what watches.c knows */
    int watch;            /* owned: inotify, see ipc/watch.h */
    sd_event_source *watch_source;
    GHashTable *inherited; /* during recovery: the watches that an earlier process left */
};

/** berth_sandboxes_insert: takes @sandbox into the indexes, and owns it. */
void berth_sandboxes_insert(BerthSandboxes *sandboxes, BerthSandbox *sandbox);

/** berth_sandboxes_log: logs what happened to @sandbox, with the MESSAGE_ID @id. */
void berth_sandboxes_log(const char *id, const BerthSandbox *sandbox, const char *what);

/** berth_sandboxes_write_record: stores @sandbox in the vault. */
bool berth_sandboxes_write_record(BerthSandboxes *sandboxes, const BerthSandbox *sandbox,
                                  GError **error);

/*
 * watches.c: every tmpfs whose end matters: of a user other than root, because it is charged, and
 * of a sandbox that was handed over, because its record ends with it.
 */
bool berth_watches_begin(BerthSandboxes *sandboxes, GError **error);
void berth_watches_end(BerthSandboxes *sandboxes);
/** berth_watches_add: watches the tmpfs that @sandbox was made with, and charges its owner. */
bool berth_watches_add(BerthSandboxes *sandboxes, BerthSandbox *sandbox, int wd);
/** berth_watches_resized: the charge follows the limits of @contents. */
void berth_watches_resized(BerthSandboxes *sandboxes, const BerthContents *contents);
/**
 * berth_watches_left: what is left of the removed sandbox that @contents was made for goes on
 * counting as one: namespace and tmpfs cost the kernel memory however small their limits are.
 */
void berth_watches_left(BerthSandboxes *sandboxes, const BerthContents *contents);
/** berth_watches_drop: forgets the watch of @contents, if @id is whom it was made for. */
void berth_watches_drop(BerthSandboxes *sandboxes, BerthContents *contents, const char *id);
/** berth_watches_read: learns at once what has ended. */
void berth_watches_read(BerthSandboxes *sandboxes);

/*
 * lifetime.c: sandboxes that end by themselves.
 */
bool berth_lifetime_begin(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error);

/** berth_sandboxes_recover: fills the empty @sandboxes from the vault. */
bool berth_sandboxes_recover(BerthSandboxes *sandboxes, GError **error);
