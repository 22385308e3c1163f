/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data of one file, with its holes, into an archive: where a hole is, memory must neither be
 * used to read it nor when it is restored. The file can change while it is read; the member has
 * the size it was begun with all the same.
 */

#include "ipc/snapshot-data.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (256 * 1024)

/* Finds the parts with data. Returns: NULL when they cannot be told: all is data then. */
static GArray *find_extents(int fd, uint64_t size)
{
    g_autoptr(GArray) extents = g_array_new(TRUE, FALSE, sizeof(BerthExtent));
    uint64_t offset = 0;

    while (offset < size) {
        off_t data = lseek(fd, (off_t)offset, SEEK_DATA), hole;
        BerthExtent extent;

        if (data < 0 && errno != ENXIO)
            return NULL;
        if (data < 0 || (uint64_t)data >= size) /* only a hole is left */
            break;
        hole = lseek(fd, data, SEEK_HOLE);
        if (hole <= data) /* it was cut meanwhile */
            break;
        extent = (BerthExtent){ (uint64_t)data, MIN((uint64_t)hole, size) - (uint64_t)data };
        g_array_append_val(extents, extent);
        offset = (uint64_t)hole;
    }
    return g_steal_pointer(&extents);
}

static bool write_extent(BerthSnapshotWriter *writer, int fd, const BerthExtent *extent,
                         GError **error)
{
    static char *buffer;
    uint64_t done = 0;

    if (!buffer)
        buffer = g_malloc(CHUNK);
    while (done < extent->length) {
        size_t wanted = (size_t)MIN(extent->length - done, (uint64_t)CHUNK);
        ssize_t n = pread(fd, buffer, wanted, (off_t)(extent->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read a file");
        if (n == 0) { /* it was cut meanwhile */
            memset(buffer, 0, wanted);
            n = (ssize_t)wanted;
        }
        if (!berth_snapshot_writer_data(writer, buffer, (size_t)n, error))
            return false;
        done += (uint64_t)n;
    }
    return true;
}

bool berth_snapshot_data(BerthSnapshotWriter *writer, BerthMember *member, int fd, bool sparse,
                         GError **error)
{
    const BerthExtent all = { 0, member->size };
    g_autoptr(GArray) found = sparse && member->size > 0 ? find_extents(fd, member->size) : NULL;
    const BerthExtent *extents = found ? (const BerthExtent *)(const void *)found->data : &all;
    size_t n = found ? found->len : 1;

    if (n != 1 || extents->length != member->size) {
        member->extents = extents;
        member->n_extents = n;
    }
    if (!berth_snapshot_writer_begin(writer, member, error))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!write_extent(writer, fd, &extents[i], error))
            return false;
    return true;
}
