/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How archives and layers are packed, by their first bytes. Nothing is unpacked here.
 */

#include "oci/packing.h"

#include <string.h>

static const struct {
    BerthPacking packing;
    int filter; /* libarchive's; -1: not to be used */
    size_t length;
    char magic[BERTH_PACKING_MAGIC];
} packings[] = {
    { BERTH_PACKING_GZIP, ARCHIVE_FILTER_GZIP, 2, "\x1f\x8b" },
    { BERTH_PACKING_BZIP2, ARCHIVE_FILTER_BZIP2, 3, "BZh" },
    { BERTH_PACKING_ZSTD, ARCHIVE_FILTER_ZSTD, 4, "\x28\xb5\x2f\xfd" },
    { BERTH_PACKING_XZ, -1, 6, { '\xfd', '7', 'z', 'X', 'Z', '\0' } },
};

BerthPacking berth_packing_of(const void *data, size_t length)
{
    for (size_t i = 0; i < sizeof(packings) / sizeof(*packings); i++)
        if (length >= packings[i].length &&
            memcmp(data, packings[i].magic, packings[i].length) == 0)
            return packings[i].packing;
    return BERTH_PACKING_NONE;
}

bool berth_packing_unpack(struct archive *reader, BerthPacking packing)
{
    if (packing == BERTH_PACKING_NONE)
        return true;
    for (size_t i = 0; i < sizeof(packings) / sizeof(*packings); i++)
        if (packings[i].packing == packing && packings[i].filter >= 0)
            return archive_read_append_filter(reader, packings[i].filter) == ARCHIVE_OK;
    return false;
}
