/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

/**
 * BerthEndpoints: where a transfer goes for one repository and how: mirrors and the registry, each
 * with what is in force for it. Immutable.
 */
typedef struct BerthEndpoints BerthEndpoints;

/** BerthEndpointsFind: the question for them, until it is answered. */
typedef struct BerthEndpointsFind BerthEndpointsFind;

/**
 * BerthEndpointsDone: called once, unless the question was cancelled before; it is gone then.
 * @endpoints: (transfer full): NULL on error
 * @error: NULL on success; BERTH_ERROR_REGISTRY_BLOCKED, or BERTH_ERROR_SETTINGS_INVALID when a
 *   Location= leaves no name for the repository
 */
typedef void (*BerthEndpointsDone)(BerthEndpoints *endpoints, const GError *error, void *userdata);

/** BerthEndpointsUse: what the transfer does there. */
typedef enum {
    BERTH_ENDPOINTS_READ,  /* mirrors, then the registry */
    BERTH_ENDPOINTS_WRITE, /* the registry alone */
} BerthEndpointsUse;

/**
 * berth_endpoints_find:
 * @user: for whom, see berth_lookup_start()
 * @registry: `host[:port]` as in a reference
 * @repository: path there
 *
 * Finds out what is in force, with a worker that resolves names where that matters. @done comes
 * later in any case.
 *
 * Returns: (transfer full): the question, freed before @done is called; NULL on error.
 */
BerthEndpointsFind *berth_endpoints_find(BerthDaemon *daemon, uid_t user, const char *registry,
                                         const char *repository, BerthEndpointsUse use,
                                         BerthEndpointsDone done, void *userdata, GError **error);

/** berth_endpoints_cancel: ends @find (nullable) without an answer. */
void berth_endpoints_cancel(BerthEndpointsFind *find);

/** berth_endpoints_free: @endpoints: (nullable) */
void berth_endpoints_free(BerthEndpoints *endpoints);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthEndpoints, berth_endpoints_free)

/**
 * berth_endpoints_are_of: Returns: whether they were found in @registries, and not in what was in
 * force before.
 */
bool berth_endpoints_are_of(const BerthEndpoints *endpoints, const BerthRegistries *registries);

/**
 * berth_endpoints_settings: Returns: (transfer none): what is in force for the repository itself:
 * AllowNondistributable, ForeignLayers, ForeignUrlHosts, MaxBandwidth…
 */
const BerthRegistrySettings *berth_endpoints_settings(const BerthEndpoints *endpoints);

/**
 * berth_endpoints_have_credentials:
 * @given: whether the caller gives an auth.json, which stands for every CredentialsFile=
 *
 * Returns: whether any of them has credentials of the machine that would be used: a
 *   CredentialsFile=, or a client certificate. Then polkit decides whether this caller may use them
 *   (use-machine-credentials).
 */
bool berth_endpoints_have_credentials(const BerthEndpoints *endpoints, bool given);

/** BerthEndpointsCredentials: which credentials go into a job. */
typedef struct {
    bool machine; /* those of the machine: the caller may use them */
    int given;    /* an auth.json of the caller's, instead of CredentialsFile=; -1: none */
} BerthEndpointsCredentials;

/**
 * berth_endpoints_append:
 * @job: an open `a{sv}`
 * @key: `Endpoints`
 * @error: BERTH_ERROR_SETTINGS_INVALID naming the file and the setting: it cannot be read or is too
 *   large. Files are read now, so that a changed one counts for the next transfer
 *
 * Appends the rows, `aa{sv}`, with everything secret in sealed memfds.
 */
bool berth_endpoints_append(const BerthEndpoints *endpoints, sd_bus_message *job, const char *key,
                            const BerthEndpointsCredentials *credentials, GError **error);
