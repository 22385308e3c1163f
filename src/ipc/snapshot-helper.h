/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define BERTH_HELPER_TEXT_MAX 8192 /* bytes of a request's text */

/** BerthHelperWork: what one does that may be taken over by what it reads, and what for. */
typedef struct {
    /* in the helper; @socket: for berth_helper_ask() */
    bool (*work)(int socket, void *data, GError **error);
    /* (nullable) in the caller: grants a request, or does what it asks; see it as hostile */
    bool (*serve)(const char *request, void *data, GError **error);
    void *data;
} BerthHelperWork;

/**
 * berth_helper_run: forks a helper, serves its requests and waits for its end.
 * @error: what the helper reported; BERTH_ERROR_FAILED when it died, BERTH_ERROR_CANCELLED when the
 * parent of the calling process did
 *
 * To be called in a child of the service, single-threaded, which then outlives the service until
 * this returns: whoever calls it has to leave the sandbox in order. No helper runs any more when it
 * returns.
 */
bool berth_helper_run(const BerthHelperWork *work, GError **error);

/** berth_helper_ask: in the helper: has @request done by whoever runs it. */
bool berth_helper_ask(int socket, const char *request, GError **error);
