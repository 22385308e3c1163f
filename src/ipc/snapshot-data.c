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

/* A part of the file with data. */
typedef struct {
    uint64_t offset, length;
} Extent;

/* Finds the parts with data; one that is all of it when that cannot be told. */
static GArray *find_extents(int fd, uint64_t size, bool sparse)
{
    GArray *extents = g_array_new(FALSE, FALSE, sizeof(Extent));
    const Extent all = { 0, size };
    uint64_t offset = 0;

    while (offset < size) {
        off_t data = sparse ? lseek(fd, (off_t)offset, SEEK_DATA) : -1, hole;
        Extent extent;

        if (data < 0 && (!sparse || errno != ENXIO) && extents->len == 0)
            g_array_append_val(extents, all);
        if (data < 0 || (uint64_t)data >= size) /* ENXIO: only a hole is left */
            break;
        hole = lseek(fd, data, SEEK_HOLE);
        if (hole <= data) /* it was cut meanwhile */
            break;
        extent = (Extent){ (uint64_t)data, MIN((uint64_t)hole, size) - (uint64_t)data };
        g_array_append_val(extents, extent);
        offset = (uint64_t)hole;
    }
    return extents;
}

static bool write_extent(BerthSnapshotWriter *writer, int fd, const Extent *extent, GError **error)
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

bool berth_snapshot_data(BerthSnapshotWriter *writer, struct archive_entry *entry, int fd,
                         uint64_t size, bool sparse, GError **error)
{
    g_autoptr(GArray) extents = find_extents(fd, size, sparse);
    const Extent *first = (const Extent *)(const void *)extents->data;
    bool holes = extents->len != 1 || first->offset != 0 || first->length != size;
    uint64_t offset = 0;

    archive_entry_set_size(entry, (la_int64_t)size);
    for (guint i = 0; holes && size > 0 && i < extents->len; i++)
        archive_entry_sparse_add_entry(entry, (la_int64_t)first[i].offset,
                                       (la_int64_t)first[i].length);
    /* a file that is one hole is said to have data of no length at its end */
    if (size > 0 && extents->len == 0)
        archive_entry_sparse_add_entry(entry, (la_int64_t)size, 0);
    if (!berth_snapshot_writer_begin(writer, entry, error))
        return false;
    for (guint i = 0; i < extents->len; i++) {
        const Extent *extent = &g_array_index(extents, Extent, i);

        if (extent->offset > offset &&
            !berth_snapshot_writer_hole(writer, extent->offset - offset, error))
            return false;
        if (!write_extent(writer, fd, extent, error))
            return false;
        offset = extent->offset + extent->length;
    }
    return offset == size || berth_snapshot_writer_hole(writer, size - offset, error);
}
