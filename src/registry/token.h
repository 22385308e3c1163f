/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/client-internal.h"
#include "registry/credentials.h"

/** BerthTokenQuery: what a token is asked for; kept by reference until the request has ended. */
typedef struct {
    const BerthUrl *realm;
    const char *service;                 /* (nullable) */
    const char *const *scopes;           /* NULL-terminated */
    const BerthCredentials *credentials; /* (nullable) */
} BerthTokenQuery;

/**
 * BerthTokenFunc:
 * @token: (nullable): NULL with @error
 * @lifetime: µs from now
 */
typedef void (*BerthTokenFunc)(const char *token, uint64_t lifetime, const GError *error,
                               void *userdata);

/**
 * berth_token_fetch: asks a token server, as Docker's "Token Authentication Specification" and
 * "OAuth2 Token Authentication" have it: with credentials a POST, and a GET if that is not known
 * there.
 *
 * Returns: (transfer none): the request; ends with @func unless it is cancelled.
 */
BerthRequest *berth_token_fetch(BerthClient *client, const BerthTokenQuery *query,
                                BerthTokenFunc func, void *userdata);
