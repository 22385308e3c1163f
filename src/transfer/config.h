/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/manifest.h"
#include "oci/store.h"

/**
 * berth_config_platform:
 * @store: has the config
 * @manifest: of an image
 *
 * Returns: (transfer full) (nullable): what the image is for, as its config says; NULL when that
 *   says nothing, is no image's, or cannot be read.
 */
BerthPlatform *berth_config_platform(BerthStore *store, const BerthManifest *manifest);

/**
 * berth_config_diff_ids:
 * @store: has the config
 * @manifest: of an image
 *
 * Returns: (transfer full) (nullable): the digests of the unpacked layers, as the config's
 *   `rootfs.diff_ids` has them (OCI image configuration); NULL when it has none.
 */
GStrv berth_config_diff_ids(BerthStore *store, const BerthManifest *manifest);
