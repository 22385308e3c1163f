/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transfer/parts.h"

#include <glib.h>
#include <jansson.h>

/**
 * berth_docker_archive_describe:
 * @store: has the configs
 * @images: (element-type BerthImage): what the archive holds
 * @parts: of them
 * @error: BERTH_ERROR_NOT_SUPPORTED: an image that Docker's format has no words for
 *
 * `manifest.json` as `docker load` reads it (moby, image/tarexport): for each image its config, its
 * tags and the files of its layers, which are the blobs of the layout. Layers that are not
 * distributable keep type and URLs in LayerSources.
 *
 * Returns: (transfer full) (nullable): the array.
 */
json_t *berth_docker_archive_describe(BerthStore *store, const GPtrArray *images,
                                      const BerthParts *parts, GError **error);
