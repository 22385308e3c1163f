/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/client-internal.h"
#include "registry/credentials.h"
#include "registry/response.h"

/* BerthAuth: how one repository wants requests to be authenticated, and with what. */

/** berth_basic_header: Returns: (transfer full): an Authorization header, to be wiped. */
char *berth_basic_header(const BerthCredentials *credentials);

/** berth_auth_new: @client: kept by reference; it owns the result. */
BerthAuth *berth_auth_new(BerthClient *client);
/** berth_auth_free: @auth: (nullable); wipes what is secret. */
void berth_auth_free(BerthAuth *auth);

typedef enum {
    BERTH_AUTH_GO,
    BERTH_AUTH_WAIT,
    BERTH_AUTH_FAILED,
} BerthAuthAnswer;

/**
 * berth_auth_prepare:
 * @request: with its scope
 * @header: (out) (nullable): the Authorization header it needs as far as is known; to be wiped
 * @error: with BERTH_AUTH_FAILED
 *
 * Returns: whether to send it; BERTH_AUTH_WAIT: a token is being fetched, and the client wakes
 *   parked requests when it is there.
 */
BerthAuthAnswer berth_auth_prepare(BerthAuth *auth, BerthRequest *request, char **header,
                                   GError **error);

/**
 * berth_auth_challenged:
 * @response: a 401
 * @error: BERTH_ERROR_AUTHENTICATION_REQUIRED, or not set: the answer itself says what is missing
 *
 * Returns: whether another try makes sense.
 */
bool berth_auth_challenged(BerthAuth *auth, BerthRequest *request, const BerthResponse *response,
                           GError **error);
