/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/client-internal.h"

/**
 * berth_blob_request_new:
 * @path: (transfer full) (nullable): at the registry
 * @url: (transfer full) (nullable): instead
 * @what: (transfer full): for messages
 *
 * Returns: (transfer none): the request, which runs.
 */
BerthRequest *berth_blob_request_new(BerthClient *client, char *path, BerthUrl *url, char *what,
                                     int64_t size, const BerthBlobSink *sink, void *userdata);
