/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "settings/registries.h"

#include <glib.h>
#include <stdbool.h>

/**
 * BerthCredentials: what an auth.json says for one repository. Either user and password, or a
 * token, or several of them; what is not there is NULL. All is wiped when it is freed.
 */
typedef struct {
    char *user;           /* without ':' */
    char *password;       /* with @user, perhaps empty */
    char *identity_token; /* for the token server, as a refresh token; @user is not needed then */
    char *registry_token; /* for the registry itself, as a bearer token: safe in a header */
} BerthCredentials;

/** berth_credentials_free: wipes and frees @credentials (nullable). */
void berth_credentials_free(BerthCredentials *credentials);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthCredentials, berth_credentials_free)

/**
 * berth_credentials_find:
 * @auth_json: a file as containers-auth.json(5) and Docker's config.json have it, untrusted
 * @registry: `host[:port]`, where requests go
 * @repository: what is asked for there, or ""
 * @credentials: (out) (transfer full) (nullable): what holds for it; NULL when the file says
 *   nothing, which means to ask without credentials
 * @error: BERTH_ERROR_AUTHENTICATION_REQUIRED, naming the entry that cannot be used; never a part
 *   of a secret
 *
 * Keys of `auths` are `host[:port][/path]`; of those that match, the one with the longest path
 * counts, and an empty one means no credentials. As Docker wrote them, a key may be a URL and may
 * end in `/v1/` or `/v2/`; one without a scheme goes first. `docker.io`, `index.docker.io` and
 * `registry-1.docker.io` are the same. An entry has `auth` (base64 of `user:password`) or
 * `username` and `password`, and `identitytoken` or `registrytoken`. Programs that `credHelpers`
 * and `credsStore` name are never run.
 */
bool berth_credentials_find(GBytes *auth_json, const char *registry, const char *repository,
                            BerthCredentials **credentials, GError **error);
