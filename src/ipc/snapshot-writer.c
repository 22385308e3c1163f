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
#include "ipc/snapshot-crc.h"
#include "ipc/snapshot-index.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUFFER        (256 * 1024)
#define LARGE         (64 * 1024) /* bytes from which data is written from where it lies */
#define STALL_SECONDS 600         /* without any progress */

struct BerthSnapshotWriter {
    int fd;
    GByteArray *header; /* owned: of the member begun last */
    uint8_t *buffer;    /* owned: BUFFER bytes, used of them not yet written */
    size_t used;
    size_t summed;  /* of them in crc */
    uint64_t bytes; /* of the archive so far */
    uint64_t left;  /* of the member begun last */
    uint64_t members;
    uint32_t crc; /* of these bytes, but for what is not summed up yet */
    int err;      /* why writing failed */
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

/* The next bytes of the archive. */
static bool append(BerthSnapshotWriter *writer, const void *data, size_t length)
{
    if (length == 0) /* @data may be NULL then */
        return true;
    writer->bytes += length;
    if (length >= LARGE)
        return flush(writer, data, length);
    if (writer->used + length > BUFFER && !flush(writer, NULL, 0))
        return false;
    memcpy(writer->buffer + writer->used, data, length);
    writer->used += length;
    return true;
}

/* Ends the member begun last: what follows begins at a whole block. */
static bool pad(BerthSnapshotWriter *writer)
{
    static const uint8_t zeros[BERTH_PAX_BLOCK];

    g_assert(writer->left == 0);
    return append(writer, zeros, (size_t)(-writer->bytes % BERTH_PAX_BLOCK));
}

static bool set_failed(const BerthSnapshotWriter *writer, GError **error)
{
    switch (writer->err) {
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

BerthSnapshotWriter *berth_snapshot_writer_new(int fd)
{
    BerthSnapshotWriter *writer = g_new0(BerthSnapshotWriter, 1);

    writer->fd = fd;
    writer->buffer = g_malloc(BUFFER);
    writer->header = g_byte_array_new();
    return writer;
}

void berth_snapshot_writer_free(BerthSnapshotWriter *writer)
{
    if (!writer)
        return;
    g_byte_array_unref(writer->header);
    g_free(writer->buffer);
    g_free(writer);
}

bool berth_snapshot_writer_begin(BerthSnapshotWriter *writer, const BerthMember *member,
                                 GError **error)
{
    if (!pad(writer))
        return set_failed(writer, error);
    writer->members++;
    g_byte_array_set_size(writer->header, 0);
    writer->left = berth_pax_header(member, writer->header);
    return append(writer, writer->header->data, writer->header->len) || set_failed(writer, error);
}

bool berth_snapshot_writer_data(BerthSnapshotWriter *writer, const void *data, size_t length,
                                GError **error)
{
    g_assert(length <= writer->left);
    writer->left -= length;
    return append(writer, data, length) || set_failed(writer, error);
}

bool berth_snapshot_writer_file(BerthSnapshotWriter *writer, const char *path, const void *data,
                                size_t length, GError **error)
{
    const BerthMember member = { .path = path, .size = length };

    return berth_snapshot_writer_begin(writer, &member, error) &&
           berth_snapshot_writer_data(writer, data, length, error);
}

bool berth_snapshot_writer_end(BerthSnapshotWriter *writer, GError **error)
{
    static const uint8_t end[2 * BERTH_PAX_BLOCK];
    g_autofree char *text = NULL;

    /* the padding of the last member is among the bytes that are counted */
    if (!pad(writer))
        return set_failed(writer, error);
    sum_up(writer);
    text = g_strdup_printf("{\"bytes\": %" PRIu64 ", \"crc32c\": \"%08x\", \"members\": %" PRIu64
                           "}\n",
                           writer->bytes, writer->crc, writer->members);
    return berth_snapshot_writer_file(writer, BERTH_SNAPSHOT_END, text, strlen(text), error) &&
           ((pad(writer) && append(writer, end, sizeof(end)) && flush(writer, NULL, 0)) ||
            set_failed(writer, error));
}
