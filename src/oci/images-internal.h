/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/images.h"
#include "oci/index-file.h"

/**
 * berth_image_find_lines:
 * @lines: (out) (element-type BerthIndexLine): the entries that @image names: all with that digest,
 *   or the one of that name
 * @error: BERTH_ERROR_STORE_CORRUPT: read the file again, strictly
 */
bool berth_image_find_lines(const BerthIndexFile *file, const char *image, GArray *lines,
                            GError **error);

/**
 * berth_image_first_entry:
 * @found: (out) (transfer full): the first of @lines that makes sense
 * @error: BERTH_ERROR_NO_SUCH_IMAGE naming @image; BERTH_ERROR_STORE_CORRUPT as above
 *
 * Returns: (transfer full) (nullable): its entry.
 */
json_t *berth_image_first_entry(const BerthIndexFile *file, const GArray *lines, const char *image,
                                BerthImage **found, GError **error);

/** berth_image_set_missing: sets BERTH_ERROR_NO_SUCH_IMAGE naming @image. Returns: false */
bool berth_image_set_missing(const char *image, GError **error);
