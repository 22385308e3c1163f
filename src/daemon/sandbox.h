/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/mode.h"
#include "base/names.h"
#include "daemon/ids.h"
#include "ipc/slot.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * BerthSandboxState: ready → handed-over, by berth_sandboxes_hand_over(), with private and none
 * only. A sandbox begins ready; from either state it ends by removal.
 */
typedef enum {
    BERTH_SANDBOX_READY,
    BERTH_SANDBOX_HANDED_OVER, /* the service holds no mount and no namespace of it */
    /*
     * removed by a user whose shm is still in use somewhere: only the charge is left. A record in
     * the vault can be in this state, a sandbox on the bus cannot
     */
    BERTH_SANDBOX_REMOVED,
    _BERTH_SANDBOX_STATE_MAX,
    _BERTH_SANDBOX_STATE_INVALID = -EINVAL,
} BerthSandboxState;

/** BerthLifetime: when a sandbox ends by itself. */
typedef enum {
    BERTH_LIFETIME_EXPLICIT,   /* never */
    BERTH_LIFETIME_CONNECTION, /* when the connection that made it leaves the bus */
    BERTH_LIFETIME_PROCESS,    /* when a process ends */
    _BERTH_LIFETIME_MAX,
    _BERTH_LIFETIME_INVALID = -EINVAL,
} BerthLifetime;

const char *berth_lifetime_to_string(BerthLifetime lifetime);
BerthLifetime berth_lifetime_from_string(const char *word);

const char *berth_sandbox_state_to_string(BerthSandboxState state);
BerthSandboxState berth_sandbox_state_from_string(const char *word);

/**
 * BerthContents: what a donor and those who joined it share: one namespace, one tmpfs and their
 * limits. Reference counted by its sandboxes.
 */
typedef struct {
    unsigned refs;
    BerthSlotInfo info;             /* namespace, device and limits as the kernel has them */
    char base[BERTH_ID_LENGTH + 1]; /* ID of the sandbox it was made for, which may be gone */
    uid_t owner;                    /* of that one: changes are authorized against it */
    uint64_t sysv_limit; /* bytes that kernel.shmall may allow where there is no shm to follow */
    bool is_host;        /* the host's own */
    int wd;              /* in the watch: when it is charged or was handed over; else -1 */
    bool resizing;       /* the tmpfs is being resized, kernel.shmall follows */
    bool copying;        /* it is being saved or restored */
    bool shmall_set;     /* kernel.shmall was chosen and does not follow the shm size */
} BerthContents;

/** BerthSandbox: a sandbox as the service knows it. Its slot in the vault has the same ID. */
typedef struct {
    char id[BERTH_ID_LENGTH + 1];
    char donor[BERTH_ID_LENGTH + 1]; /* with mode container, else empty */
    BerthIpcMode mode;               /* resolved */
    BerthSandboxState state;
    bool published;
    bool counted; /* its owner is charged for the sandbox itself */
    bool moving;  /* being handed over by a child: nothing else may be done with it */
    uid_t owner;
    uint64_t created_usec;
    char *name;         /* (nullable) */
    char *huge, *numa;  /* (nullable) as given, for the record */
    GHashTable *labels; /* (nullable) */
    BerthIds ids;       /* who else may join */
    BerthLifetime lifetime;
    char *
        peer; /* (nullable) with lifetime connection: unique name, and the ID of the bus it is on */
    char *bus;
    pid_t
        pid; /* with lifetime process: the process and its start time, in clock ticks since boot */
    uint64_t pid_start;
    sd_event_source *process; /* watches its pidfd */
    BerthContents *contents;
} BerthSandbox;

BerthContents *berth_contents_new(void);
BerthContents *berth_contents_ref(BerthContents *contents);
void berth_contents_unref(BerthContents *contents);

/** berth_sandbox_new: Returns: (transfer full): an empty sandbox with new contents. */
BerthSandbox *berth_sandbox_new(void);
void berth_sandbox_free(BerthSandbox *sandbox);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthSandbox, berth_sandbox_free)

/** berth_sandbox_mode: Returns: (transfer full): its mode as resolved: with container, the donor's
 * ID. */
char *berth_sandbox_mode(const BerthSandbox *sandbox);

/** berth_sandbox_title: Returns: (transfer none): name, or ID when it has none, for messages. */
const char *berth_sandbox_title(const BerthSandbox *sandbox);

/** berth_sandbox_by_name: Returns: (transfer none): the name below by-name, or NULL: root's only.
 */
const char *berth_sandbox_by_name(const BerthSandbox *sandbox);

/** berth_sandbox_path: Returns: (transfer full): its object path. */
char *berth_sandbox_path(const char *id);

/** berth_sandbox_new_id: fills @id with a random one. */
bool berth_sandbox_new_id(char id[BERTH_ID_LENGTH + 1], GError **error);

/**
 * berth_sandbox_to_record: Returns: (transfer full): what is stored in the vault beside the
 * sandbox, a key file.
 */
char *berth_sandbox_to_record(const BerthSandbox *sandbox);

/**
 * berth_sandbox_from_record:
 * @id: the ID of the slot
 * @record: its record; one without a mode, of an older version, means shareable
 *
 * Returns: (transfer full): the sandbox, with what the kernel knows still empty; NULL on error.
 */
BerthSandbox *berth_sandbox_from_record(const char *id, const char *record, GError **error);
