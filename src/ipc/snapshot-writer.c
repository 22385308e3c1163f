/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a tar archive in pax format, with holes as GNU tar writes them, to whatever somebody gave
 * for it. The other end can be slow, stop, vanish or be full: each is an error, and none is waited
 * for without end. The last member has the checksum of all bytes before it, so that an archive that
 * was cut or damaged is not taken for a whole one. Large data goes from the caller's memory into
 * the descriptor without being copied.
 */

#include "ipc/snapshot-writer.h"

#include "base/error.h"
#include "base/libarchive.h"
#include "ipc/snapshot-crc.h"
#include "ipc/snapshot-index.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUFFER        (256 * 1024)
#define LARGE         (64 * 1024) /* bytes from which data is written from where it lies */
#define STALL_SECONDS 600         /* without any progress */
#define HOLE_CHUNK    (1 << 30)

struct BerthSnapshotWriter {
    int fd;
    struct archive *archive; /* owned */
    uint8_t *buffer;         /* owned: BUFFER bytes, used of them not yet written */
    size_t used;
    size_t summed;  /* of them in crc */
    uint64_t bytes; /* given out by libarchive */
    uint64_t members;
    uint32_t crc; /* of these bytes, but for what is not summed up yet */
    int err;      /* why writing failed */
    void *zeros;  /* (nullable) HOLE_CHUNK bytes that nobody reads */
};

/* Waits for room. Returns: false when there is none for too long. */
static bool wait_for_room(BerthSnapshotWriter *writer)
{
    struct pollfd fd = { .fd = writer->fd, .events = POLLOUT };
    int n;

    do
        n = poll(&fd, 1, STALL_SECONDS * 1000);
    while (n < 0 && errno == EINTR);
    writer->err = n == 0 ? ETIMEDOUT : n < 0 ? errno : 0;
    return n > 0;
}

static bool write_parts(BerthSnapshotWriter *writer, struct iovec *parts, int n)
{
    while (n > 0) {
        ssize_t done;

        if (parts->iov_len == 0) {
            parts++;
            n--;
            continue;
        }
        (void)alarm(STALL_SECONDS);
        done = writev(writer->fd, parts, n);
        writer->err = done < 0 ? errno : 0;
        (void)alarm(0);
        if (writer->err == EAGAIN && wait_for_room(writer))
            continue;
        if (writer->err == EINTR) /* only the alarm comes here */
            writer->err = ETIMEDOUT;
        if (writer->err)
            return false;
        for (; n > 0 && (size_t)done >= parts->iov_len; parts++, n--)
            done -= (ssize_t)parts->iov_len;
        if (n > 0) {
            parts->iov_base = (char *)parts->iov_base + done;
            parts->iov_len -= (size_t)done;
        }
    }
    return true;
}

/* Small pieces are summed up together. */
static void sum_up(BerthSnapshotWriter *writer)
{
    writer->crc =
        berth_crc32c(writer->crc, writer->buffer + writer->summed, writer->used - writer->summed);
    writer->summed = writer->used;
}

/* Writes what is in the buffer, and then @length bytes of @data. */
static bool flush(BerthSnapshotWriter *writer, const void *data, size_t length)
{
    struct iovec parts[] = { { writer->buffer, writer->used }, { (void *)data, length } };

    sum_up(writer);
    if (length > 0)
        writer->crc = berth_crc32c(writer->crc, data, length);
    writer->used = writer->summed = 0;
    return write_parts(writer, parts, G_N_ELEMENTS(parts));
}

static la_ssize_t on_write(struct archive *archive, void *userdata, const void *data, size_t length)
{
    BerthSnapshotWriter *writer = userdata;
    bool ok = true;

    writer->bytes += length;
    if (length >= LARGE) {
        ok = flush(writer, data, length);
    } else {
        if (writer->used + length > BUFFER)
            ok = flush(writer, NULL, 0);
        memcpy(writer->buffer + writer->used, data, length);
        writer->used += length;
    }
    if (ok)
        return (la_ssize_t)length;
    archive_set_error(archive, writer->err, "write");
    return -1;
}

static bool set_failed(const BerthSnapshotWriter *writer, GError **error)
{
    switch (writer->err) {
    case 0:
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot make the archive: %s",
                               archive_error_string(writer->archive));
    case EPIPE:
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "cannot write the archive: nobody reads it any more");
    case ETIMEDOUT:
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "cannot write the archive: its reader took nothing for %d minutes",
                               STALL_SECONDS / 60);
    default:
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, writer->err,
                                     "cannot write the archive");
    }
}

BerthSnapshotWriter *berth_snapshot_writer_new(int fd, GError **error)
{
    g_autoptr(BerthSnapshotWriter) writer = g_new0(BerthSnapshotWriter, 1);

    writer->fd = fd;
    writer->buffer = g_malloc(BUFFER);
    writer->archive = archive_write_new();
    if (!writer->archive || archive_write_set_format_pax(writer->archive) != ARCHIVE_OK ||
        archive_write_set_options(writer->archive, "xattrheader=SCHILY") != ARCHIVE_OK ||
        /* no blocks: each write comes here as it is */
        archive_write_set_bytes_per_block(writer->archive, 0) != ARCHIVE_OK ||
        archive_write_open(writer->archive, writer, NULL, on_write, NULL) != ARCHIVE_OK) {
        set_failed(writer, error);
        return NULL;
    }
    return g_steal_pointer(&writer);
}

void berth_snapshot_writer_free(BerthSnapshotWriter *writer)
{
    if (!writer)
        return;
    if (writer->archive) {
        (void)archive_write_fail(writer->archive); /* else it would go on writing */
        (void)archive_write_free(writer->archive);
    }
    if (writer->zeros)
        (void)munmap(writer->zeros, HOLE_CHUNK);
    g_free(writer->buffer);
    g_free(writer);
}

bool berth_snapshot_writer_begin(BerthSnapshotWriter *writer, struct archive_entry *entry,
                                 GError **error)
{
    writer->members++;
    return archive_write_header(writer->archive, entry) >= ARCHIVE_WARN ||
           set_failed(writer, error);
}

bool berth_snapshot_writer_data(BerthSnapshotWriter *writer, const void *data, size_t length,
                                GError **error)
{
    const char *p = data;

    while (length > 0) {
        la_ssize_t n = archive_write_data(writer->archive, p, length);

        if (n <= 0)
            return set_failed(writer, error);
        p += n;
        length -= (size_t)n;
    }
    return true;
}

bool berth_snapshot_writer_hole(BerthSnapshotWriter *writer, uint64_t length, GError **error)
{
    /* libarchive counts the bytes of a hole and does not look at them */
    if (!writer->zeros) {
        void *map =
            mmap(NULL, HOLE_CHUNK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (map == MAP_FAILED)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                         "cannot map memory for holes");
        writer->zeros = map;
    }
    while (length > 0) {
        size_t chunk = (size_t)MIN(length, (uint64_t)HOLE_CHUNK);

        if (!berth_snapshot_writer_data(writer, writer->zeros, chunk, error))
            return false;
        length -= chunk;
    }
    return true;
}

bool berth_snapshot_writer_file(BerthSnapshotWriter *writer, const char *path, const void *data,
                                size_t length, GError **error)
{
    g_autoptr(BerthEntry) entry = archive_entry_new();

    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, (la_int64_t)length);
    return berth_snapshot_writer_begin(writer, entry, error) &&
           berth_snapshot_writer_data(writer, data, length, error);
}

bool berth_snapshot_writer_end(BerthSnapshotWriter *writer, GError **error)
{
    g_autofree char *text = NULL;

    /* the padding of the last member is among the bytes that are counted */
    if (archive_write_finish_entry(writer->archive) != ARCHIVE_OK)
        return set_failed(writer, error);
    sum_up(writer);
    text = g_strdup_printf("{\"bytes\": %" PRIu64 ", \"crc32c\": \"%08x\", \"members\": %" PRIu64
                           "}\n",
                           writer->bytes, writer->crc, writer->members);
    if (!berth_snapshot_writer_file(writer, BERTH_SNAPSHOT_END, text, strlen(text), error))
        return false;
    return (archive_write_close(writer->archive) == ARCHIVE_OK && flush(writer, NULL, 0)) ||
           set_failed(writer, error);
}
