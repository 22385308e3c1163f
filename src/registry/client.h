/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "registry/http.h"

#define BERTH_CLIENT_MANIFEST_MAX (4 * 1024 * 1024) /* bytes of a manifest or index */

/**
 * BerthClient: one repository at one server. It finds out the scheme, authenticates, retries what
 * can be retried, follows redirects, and keeps connections.
 */
typedef struct BerthClient BerthClient;

/**
 * berth_client_new:
 * @endpoint: kept by reference until the client is freed
 * @error: BERTH_ERROR_SETTINGS_INVALID for certificates that cannot be used, BERTH_ERROR_FAILED
 */
BerthClient *berth_client_new(BerthHttp *http, const BerthEndpoint *endpoint, GError **error);

/** berth_client_free: @client: (nullable): its requests must have ended or been cancelled. */
void berth_client_free(BerthClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthClient, berth_client_free)

/*
 * Errors of all requests:
 *   BERTH_ERROR_REGISTRY_UNREACHABLE      no connection: name, network, TLS, proxy
 *   BERTH_ERROR_AUTHENTICATION_REQUIRED   401 or 403, or the token server refuses
 *   BERTH_ERROR_REGISTRY_ERROR            any other answer that does not serve
 * Messages name host and status and quote what the server says; never a secret, never the query of
 * a URL.
 */

/** BerthManifestReply: what a server gave for a manifest. */
typedef struct {
    GBytes *body;
    const char *content_type; /* (nullable) */
    const char *digest;       /* (nullable): Docker-Content-Digest, not to be trusted */
} BerthManifestReply;

/** BerthManifestFunc: @reply: NULL with @error. */
typedef void (*BerthManifestFunc)(const BerthManifestReply *reply, const GError *error,
                                  void *userdata);

/**
 * berth_client_get_manifest:
 * @target: a tag or a digest
 *
 * Also BERTH_ERROR_MANIFEST_UNKNOWN for 404, BERTH_ERROR_MANIFEST_INVALID for one that is too
 * large.
 */
BerthRequest *berth_client_get_manifest(BerthClient *client, const char *target,
                                        BerthManifestFunc func, void *userdata);

/**
 * berth_client_get_blob:
 * @size: in bytes; -1: unknown. A server that has more or less is an error
 * @sink: copied; its functions are called from the loop only
 */
BerthRequest *berth_client_get_blob(BerthClient *client, const BerthDigest *digest, int64_t size,
                                    const BerthBlobSink *sink, void *userdata);
