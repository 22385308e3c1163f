/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/images.h"

#include <jansson.h>

/** berth_owners_have: Returns: whether @uid is among @owners (element-type uid_t). */
bool berth_owners_have(const GArray *owners, uid_t uid);

/**
 * berth_image_read:
 * @entry: of index.json
 *
 * Returns: (transfer full) (nullable): the image; NULL for an entry that makes no sense, which is
 *   another tool's business.
 */
BerthImage *berth_image_read(const json_t *entry);

/**
 * berth_image_format:
 * @owners: (element-type uid_t): instead of the image's own
 *
 * Returns: (transfer full): the line of @image, see berth_index_file_format().
 */
char *berth_image_format(const BerthImage *image, const GArray *owners);

/** berth_image_set_owners: changes the owners in @entry. */
void berth_image_set_owners(json_t *entry, const GArray *owners);
