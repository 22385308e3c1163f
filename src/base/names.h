/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define BERTH_BUS_NAME      "org.berthd.Berth1"
#define BERTH_OBJECT_ROOT   "/org/berthd/Berth1"
#define BERTH_SANDBOX_PATH  BERTH_OBJECT_ROOT "/sandbox"
#define BERTH_TRANSFER_PATH BERTH_OBJECT_ROOT "/transfer"
#define BERTH_WORKER_PATH   BERTH_OBJECT_ROOT "/worker"
#define BERTH_IF_MANAGER    BERTH_BUS_NAME ".Manager"
#define BERTH_IF_SANDBOXES  BERTH_BUS_NAME ".Sandboxes"
#define BERTH_IF_SANDBOX    BERTH_BUS_NAME ".Sandbox"
#define BERTH_IF_REGISTRIES BERTH_BUS_NAME ".Registries"
#define BERTH_IF_IMAGES     BERTH_BUS_NAME ".Images"
#define BERTH_IF_TRANSFER   BERTH_BUS_NAME ".Transfer"
#define BERTH_IF_WORKER     BERTH_BUS_NAME ".Worker"
#define BERTH_ACTION_PREFIX "org.berthd.berth1."

#define BERTH_ID_LENGTH     32 /* lower-case hex digits of a sandbox ID */
#define BERTH_NAME_LENGTH   63 /* bytes of a sandbox name at most */

/** berth_id_is_valid: Returns: whether @text is a sandbox ID: 32 lower-case hex digits. */
bool berth_id_is_valid(const char *text);

/**
 * berth_name_check:
 * @name: a sandbox name, `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}` and not an ID
 * @error: BERTH_ERROR_INVALID_NAME, quoting @name so that control characters are harmless
 */
bool berth_name_check(const char *name, GError **error);

/** BerthSandboxRef: how a caller named a sandbox. */
typedef struct {
    enum {
        BERTH_REF_ID,
        BERTH_REF_NAME,     /* the caller's own, else root's */
        BERTH_REF_UID_NAME, /* UID/name */
    } kind;
    uid_t uid;        /* with BERTH_REF_UID_NAME */
    const char *text; /* (not owned) the ID or the name inside what was parsed */
} BerthSandboxRef;

/**
 * berth_sandbox_ref_parse:
 * @text: an ID, a name, or `UID/name`
 * @ref: (out): its parts; refers to @text
 * @error: BERTH_ERROR_INVALID_NAME
 */
bool berth_sandbox_ref_parse(const char *text, BerthSandboxRef *ref, GError **error);

/**
 * berth_quote:
 * @text: anything a caller sent
 *
 * Returns: (transfer full): @text for a message or a log line: control characters escaped, at most
 *   200 bytes and then an ellipsis.
 */
char *berth_quote(const char *text);

/**
 * berth_quote_long: as berth_quote(), for a whole message that somebody else wrote.
 * @max: bytes at most, before the ellipsis
 */
char *berth_quote_long(const char *text, size_t max);
