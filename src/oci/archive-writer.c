/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing archives with libarchive. Blobs are hashed once more on their way out, by a second thread
 * from the buffer that is written, since an archive is carried to where nobody can fetch the blob
 * again. Buffers go through unbuffered and unpadded: libarchive adds headers only.
 */

#include "oci/archive-writer.h"

#include "base/error.h"
#include "base/libarchive.h"
#include "oci/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE (1024 * 1024) /* bytes */
#define N_BUFFERS   3             /* read, hashed and written at the same time */

struct BerthArchiveWriter {
    struct archive *archive;
    int fd;
    int write_errno; /* of the last write that failed */
};

/* libarchive(3): archive_write_open(), the write callback */
static la_ssize_t on_write(struct archive *archive, void *userdata, const void *data, size_t length)
{
    BerthArchiveWriter *writer = userdata;
    struct pollfd waiting = { .fd = writer->fd, .events = POLLOUT };
    ssize_t n;

    while ((n = write(writer->fd, data, length)) < 0)
        if (errno == EAGAIN) /* whoever opened it did not want to wait himself */
            (void)poll(&waiting, 1, -1);
        else if (errno != EINTR)
            break;
    if (n >= 0)
        return n;
    writer->write_errno = errno;
    archive_set_error(archive, errno, "write");
    return -1;
}

static bool fail(BerthArchiveWriter *writer, GError **error)
{
    if (writer->write_errno == EPIPE)
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "cannot write the archive: who read it has gone");
    if (writer->write_errno)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, writer->write_errno,
                                     "cannot write the archive");
    return berth_set_error(error, BERTH_ERROR_FAILED, "cannot write the archive: %s",
                           archive_error_string(writer->archive));
}

BerthArchiveWriter *berth_archive_writer_new(int fd, GError **error)
{
    g_autoptr(BerthArchiveWriter) writer = g_new0(BerthArchiveWriter, 1);

    writer->fd = fd;
    writer->archive = archive_write_new();
    if (!writer->archive) {
        (void)berth_set_error_errno(error, BERTH_ERROR_FAILED, ENOMEM, "cannot begin an archive");
        return NULL;
    }
    if (archive_write_set_format_pax_restricted(writer->archive) != ARCHIVE_OK ||
        archive_write_add_filter_none(writer->archive) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(writer->archive, 0) != ARCHIVE_OK ||
        archive_write_open(writer->archive, writer, NULL, on_write, NULL) != ARCHIVE_OK) {
        (void)fail(writer, error);
        return NULL;
    }
    return g_steal_pointer(&writer);
}

void berth_archive_writer_free(BerthArchiveWriter *writer)
{
    if (!writer)
        return;
    (void)archive_write_fail(writer->archive); /* so that freeing it does not write an end */
    (void)archive_write_free(writer->archive);
    g_free(writer);
}

static bool begin_entry(BerthArchiveWriter *writer, const char *path, int64_t size, GError **error)
{
    struct archive_entry *entry = archive_entry_new();
    int r;

    archive_entry_set_pathname(entry, path);
    archive_entry_set_size(entry, size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    r = archive_write_header(writer->archive, entry);
    archive_entry_free(entry);
    return r == ARCHIVE_OK || fail(writer, error);
}

static bool write_data(BerthArchiveWriter *writer, const void *data, size_t length, GError **error)
{
    return archive_write_data(writer->archive, data, length) == (la_ssize_t)length ||
           fail(writer, error);
}

static bool end_entry(BerthArchiveWriter *writer, GError **error)
{
    return archive_write_finish_entry(writer->archive) == ARCHIVE_OK || fail(writer, error);
}

bool berth_archive_writer_add(BerthArchiveWriter *writer, const char *path, const void *data,
                              size_t size, GError **error)
{
    return begin_entry(writer, path, (int64_t)size, error) &&
           write_data(writer, data, size, error) && end_entry(writer, error);
}

/* Blobs: this thread reads and writes, the other hashes what was read. */

typedef struct {
    size_t length;
    unsigned char data[BUFFER_SIZE];
} Buffer;

typedef struct {
    BerthHash *hash;
    GAsyncQueue *filled; /* (element-type Buffer), and at the end the Hashing itself */
    GAsyncQueue *hashed; /* (element-type Buffer), to be filled again */
    GError *error;
} Hashing;

static gpointer hash_thread(gpointer data)
{
    Hashing *hashing = data;

    gpointer item;

    while ((item = g_async_queue_pop(hashing->filled)) != hashing) {
        const Buffer *buffer = item;

        if (!hashing->error)
            (void)berth_hash_update(hashing->hash, buffer->data, buffer->length, &hashing->error);
        g_async_queue_push(hashing->hashed, item);
    }
    return NULL;
}

static ssize_t fill(Buffer *buffer, int fd, int64_t offset, int64_t left)
{
    ssize_t n =
        TEMP_FAILURE_RETRY(pread(fd, buffer->data, (size_t)MIN(left, BUFFER_SIZE), (off_t)offset));

    buffer->length = (size_t)MAX(n, 0);
    return n;
}

static bool copy(BerthArchiveWriter *writer, Hashing *hashing, int fd, int64_t size,
                 BerthArchiveFunc progress, void *userdata, GError **error)
{
    int64_t offset = 0;

    while (offset < size) {
        Buffer *buffer = g_async_queue_pop(hashing->hashed);
        ssize_t n = fill(buffer, fd, offset, size - offset);
        size_t length = buffer->length;

        if (n <= 0) {
            g_async_queue_push(hashing->hashed, buffer);
            return berth_set_error_errno(error, BERTH_ERROR_STORE_CORRUPT, n < 0 ? errno : ENODATA,
                                         "cannot read a blob of the store");
        }
        g_async_queue_push(hashing->filled, buffer);
        if (!write_data(writer, buffer->data, length, error)) /* hashing only reads, too */
            return false;
        offset += n;
        if (progress)
            progress((uint64_t)n, userdata);
    }
    return true;
}

static bool check(const BerthDigest *expected, BerthHash *hash, GError **error)
{
    BerthDigest actual;

    if (!berth_hash_finish(hash, &actual, error))
        return false;
    return berth_digest_equal(expected, &actual) ||
           berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                           "the store's %s has other bytes (%s); remove it and pull again",
                           expected->text, actual.text);
}

static bool copy_large(BerthArchiveWriter *writer, int fd, int64_t size, BerthHash *hash,
                       BerthArchiveFunc progress, void *userdata, GError **error)
{
    g_autoptr(GAsyncQueue) filled = g_async_queue_new();
    g_autoptr(GAsyncQueue) hashed = g_async_queue_new();
    Hashing hashing = { hash, filled, hashed, NULL };
    Buffer *buffers = g_new(Buffer, N_BUFFERS);
    GThread *thread = g_thread_new("hash", hash_thread, &hashing);
    bool ok;

    for (int i = 0; i < N_BUFFERS; i++)
        g_async_queue_push(hashed, &buffers[i]);
    ok = copy(writer, &hashing, fd, size, progress, userdata, error);
    g_async_queue_push(filled, &hashing);
    g_thread_join(thread);
    g_free(buffers);
    if (ok && hashing.error) {
        g_propagate_error(error, hashing.error);
        return false;
    }
    g_clear_error(&hashing.error);
    return ok;
}

static bool copy_small(BerthArchiveWriter *writer, int fd, int64_t size, BerthHash *hash,
                       BerthArchiveFunc progress, void *userdata, GError **error)
{
    g_autofree unsigned char *data = g_malloc((size_t)size);
    ssize_t n = size > 0 ? pread(fd, data, (size_t)size, 0) : 0;

    if (n != size)
        return berth_set_error_errno(error, BERTH_ERROR_STORE_CORRUPT, n < 0 ? errno : ENODATA,
                                     "cannot read a blob of the store");
    if (!berth_hash_update(hash, data, (size_t)size, error) ||
        !write_data(writer, data, (size_t)size, error))
        return false;
    if (progress)
        progress((uint64_t)size, userdata);
    return true;
}

bool berth_archive_writer_add_blob(BerthArchiveWriter *writer, const char *path, int fd,
                                   const BerthDigest *digest, int64_t size,
                                   BerthArchiveFunc progress, void *userdata, GError **error)
{
    g_autoptr(BerthHash) hash = berth_hash_new(digest->algorithm, error);
    bool ok;

    if (!hash || !begin_entry(writer, path, size, error))
        return false;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (size > BUFFER_SIZE / 4)
        ok = copy_large(writer, fd, size, hash, progress, userdata, error);
    else
        ok = copy_small(writer, fd, size, hash, progress, userdata, error);
    return ok && end_entry(writer, error) && check(digest, hash, error);
}

bool berth_archive_writer_finish(BerthArchiveWriter *writer, GError **error)
{
    return archive_write_close(writer->archive) == ARCHIVE_OK || fail(writer, error);
}
