/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

#include <glib.h>
#include <stdbool.h>

/**
 * ctl_auth_helper_get:
 * @helper: what a file calls it: `pass` is the program docker-credential-pass
 * @server: the registry, as the user gave it to the helper
 * @entry: (out) (transfer full): an entry of "auths" with what it answered; NULL when it knows
 *   nothing about @server
 * @error: BERTH_ERROR_FAILED naming the program, and nothing of what it printed
 *
 * Runs the program as this user, with this environment and terminal: it may ask for a passphrase.
 */
bool ctl_auth_helper_get(const char *helper, const char *server, json_t **entry, GError **error);

/**
 * ctl_auth_helper_run:
 * @verb: `get`, `store`, `erase` or `list`
 * @input: @input_length bytes for its standard input, at most 4096
 * @output: (out) (transfer full): what it printed, at most 64 KiB, to be wiped by the caller
 * @status: (out): its exit status, 128 + N for a signal; 127: no such program
 * @error: BERTH_ERROR_FAILED
 */
bool ctl_auth_helper_run(const char *helper, const char *verb, const char *input,
                         size_t input_length, GString **output, int *status, GError **error);
