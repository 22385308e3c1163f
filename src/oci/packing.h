/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/libarchive.h"

#include <stdbool.h>
#include <stddef.h>

#define BERTH_PACKING_MAGIC 6 /* bytes that tell it */

/** BerthPacking: how bytes are packed. */
typedef enum {
    BERTH_PACKING_NONE,
    BERTH_PACKING_GZIP,
    BERTH_PACKING_BZIP2,
    BERTH_PACKING_ZSTD,
    BERTH_PACKING_XZ, /* which is not unpacked: it takes as much memory as it likes */
} BerthPacking;

/** berth_packing_of: Returns: of what begins with @length bytes of @data. */
BerthPacking berth_packing_of(const void *data, size_t length);

/**
 * berth_packing_unpack:
 * @reader: that is not open yet
 *
 * Makes @reader unpack its input, once: libarchive, left to itself, unpacks what it unpacked again
 * and again, and each time takes as much memory.
 *
 * Returns: whether it can.
 */
bool berth_packing_unpack(struct archive *reader, BerthPacking packing);
