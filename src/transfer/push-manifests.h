/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/document.h"
#include "registry/push.h"

/** BerthPutManifests: documents on their way to a repository, one after the other. */
typedef struct BerthPutManifests BerthPutManifests;

/** BerthPutManifestsFunc: @error: (nullable): why it ended early. Free them. */
typedef void (*BerthPutManifestsFunc)(const GError *error, void *userdata);

/**
 * berth_put_manifests:
 * @client: of the repository
 * @documents: (element-type BerthDocument): each after those that it names; must outlive this
 * @tag: (nullable): name of the last one; all others go by their digests
 * @func: called once from the event loop
 *
 * Puts documents byte for byte. All that they name must be there. What refers to another manifest
 * is entered in the list of that one's referrers where the registry does not keep it by itself
 * (OCI distribution specification, "Referrers Tag Schema").
 */
BerthPutManifests *berth_put_manifests(BerthClient *client, const GPtrArray *documents,
                                       const char *tag, BerthPutManifestsFunc func, void *userdata);

/** berth_put_manifests_free: @puts: (nullable): ends it without a callback. */
void berth_put_manifests_free(BerthPutManifests *puts);
