/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/reference.h"

#include <glib.h>
#include <stdbool.h>

/**
 * ctl_auth_file_places:
 * @required: (out): whether the only one must exist, since the user named it
 *
 * Where the calling user's credentials may be, in the order in which they count: the file of
 * $REGISTRY_AUTH_FILE alone; else those of containers-auth.json(5) and Docker's.
 *
 * Returns: (transfer full) (element-type filename): paths.
 */
GPtrArray *ctl_auth_file_places(bool *required);

/**
 * ctl_auth_file_read:
 * @path: an auth.json
 * @required: whether it must exist
 * @document: (out) (transfer full): the object in it; NULL when there is no such file
 * @error: BERTH_ERROR_INVALID_OPTION or _FAILED, naming @path and nothing that is in it
 */
bool ctl_auth_file_read(const char *path, bool required, json_t **document, GError **error);

/**
 * ctl_auth_file_write:
 * @path: an auth.json; a link is followed, missing directories are made for this user alone
 * @document: what it shall hold
 * @error: BERTH_ERROR_FAILED naming @path and nothing that is in it
 *
 * Replaces the file as a whole or not at all; only this user may read it.
 */
bool ctl_auth_file_write(const char *path, const json_t *document, GError **error);

/**
 * ctl_auth_file_key_names:
 * @key: of "auths" or "credHelpers", perhaps a URL as Docker writes them
 * @name: `host[:port][/path]` in its one spelling
 *
 * Returns: whether @key is for exactly what @name names.
 */
bool ctl_auth_file_key_names(const char *key, const char *name);

/** CtlAuthEntry: what a file says for one registry. Refers to the document. */
typedef struct {
    const json_t *entry; /* (nullable): of "auths", not empty */
    const char *helper;  /* (nullable): a credential helper to ask instead */
    const char *server;  /* what to ask it for; as the file calls the registry, else its name */
} CtlAuthEntry;

/**
 * ctl_auth_file_find:
 * @document: an auth.json
 * @reference: an image
 * @found: (out): what holds for it. Of the entries that name its registry the one with the longest
 *   path; a helper of "credHelpers" goes before them, that of "credsStore" behind
 *
 * Returns: false when the file says nothing about it.
 */
bool ctl_auth_file_find(const json_t *document, const BerthReference *reference,
                        CtlAuthEntry *found);
