/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing archives with libarchive. Blobs are hashed once more on their way out, since an archive
 * is carried to where nobody can fetch the blob again: by a second thread, from the buffers that
 * are written, which may be at the blob before. Buffers go through unbuffered and unpadded:
 * libarchive adds headers only.
 */

#include "oci/archive-writer.h"

#include "base/error.h"
#include "base/libarchive.h"
#include "oci/hash.h"
#include "oci/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Small enough to stay in the processor's cache, together enough for hashing to fall behind */
#define BUFFER_SIZE (256 * 1024) /* bytes */
#define N_BUFFERS   8

/* Bytes of a file after which the kernel is told to begin writing: who wants it on the disk at the
 * end, as berthctl does, does not wait for all of it then */
#define WRITE_AHEAD (INT64_C(8) << 20)

/* Blob: one on its way; belongs to the thread that hashes from its first buffer on. */
typedef struct {
    BerthDigest digest; /* what it must be */
    BerthHash *hash;
} Blob;

typedef struct {
    Blob *blob;
    size_t length;
    bool last; /* of the blob */
    unsigned char data[BUFFER_SIZE];
} Buffer;

struct BerthArchiveWriter {
    struct archive *archive;
    int fd;
    int write_errno;   /* of the last write that failed */
    bool is_file;      /* what @fd is */
    int64_t unwritten; /* bytes since the kernel was told to begin */

    GThread *hasher;     /* (nullable) since the first blob */
    GAsyncQueue *filled; /* (element-type Buffer), and at the end the writer itself */
    GAsyncQueue *hashed; /* (element-type Buffer), to be filled again */
    Buffer *buffers;     /* N_BUFFERS; those that were never used take no memory */
    GMutex lock;
    GError *failure; /* under the lock: the first of the thread */
};

static void begin_writing(BerthArchiveWriter *writer, ssize_t n)
{
    off_t end;

    writer->unwritten += n;
    if (!writer->is_file || writer->unwritten < WRITE_AHEAD)
        return;
    end = lseek(writer->fd, 0, SEEK_CUR);
    if (end >= writer->unwritten)
        (void)sync_file_range(writer->fd, end - writer->unwritten, writer->unwritten,
                              SYNC_FILE_RANGE_WRITE);
    writer->unwritten = 0;
}

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
    if (n >= 0) {
        begin_writing(writer, n);
        return n;
    }
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
    struct stat st;

    writer->fd = fd;
    writer->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    g_mutex_init(&writer->lock);
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

static void end_hashing(BerthArchiveWriter *writer)
{
    if (!writer->hasher)
        return;
    g_async_queue_push(writer->filled, writer);
    g_thread_join(g_steal_pointer(&writer->hasher));
}

void berth_archive_writer_free(BerthArchiveWriter *writer)
{
    if (!writer)
        return;
    end_hashing(writer);
    if (writer->filled) {
        g_async_queue_unref(writer->filled);
        g_async_queue_unref(writer->hashed);
    }
    g_free(writer->buffers);
    g_clear_error(&writer->failure);
    g_mutex_clear(&writer->lock);
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

static void blob_free(Blob *blob)
{
    if (!blob)
        return;
    berth_hash_free(blob->hash);
    g_free(blob);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Blob, blob_free)

static bool check(const Blob *blob, GError **error)
{
    BerthDigest actual;

    if (!berth_hash_finish(blob->hash, &actual, error))
        return false;
    return berth_digest_equal(&blob->digest, &actual) ||
           berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                           "the store's %s has other bytes (%s); remove it and pull again",
                           blob->digest.text, actual.text);
}

static bool hash(const Buffer *buffer, GError **error)
{
    return berth_hash_update(buffer->blob->hash, buffer->data, buffer->length, error) &&
           (!buffer->last || check(buffer->blob, error));
}

static void keep_failure(BerthArchiveWriter *writer, GError *failure)
{
    g_mutex_lock(&writer->lock);
    if (!writer->failure)
        writer->failure = g_steal_pointer(&failure);
    g_mutex_unlock(&writer->lock);
    g_clear_error(&failure);
}

static gpointer hash_thread(gpointer data)
{
    BerthArchiveWriter *writer = data;
    gpointer item;

    while ((item = g_async_queue_pop(writer->filled)) != writer) {
        const Buffer *buffer = item;
        GError *failure = NULL;

        if (!hash(buffer, &failure))
            keep_failure(writer, failure);
        if (buffer->last)
            blob_free(buffer->blob);
        g_async_queue_push_front(writer->hashed, item); /* it is in the cache */
    }
    return NULL;
}

/* Whether all that was hashed so far is what it must be. */
static bool check_hashed(BerthArchiveWriter *writer, GError **error)
{
    bool ok;

    g_mutex_lock(&writer->lock);
    ok = !writer->failure;
    if (!ok && error)
        *error = g_error_copy(writer->failure);
    g_mutex_unlock(&writer->lock);
    return ok;
}

static bool start_hashing(BerthArchiveWriter *writer, GError **error)
{
    if (writer->hasher)
        return true;
    writer->filled = g_async_queue_new();
    writer->hashed = g_async_queue_new();
    writer->buffers = g_new(Buffer, N_BUFFERS);
    for (int i = 0; i < N_BUFFERS; i++)
        g_async_queue_push(writer->hashed, &writer->buffers[i]);
    writer->hasher = berth_thread_start("hash", hash_thread, writer);
    return writer->hasher || berth_set_error(error, BERTH_ERROR_FAILED, "cannot start a thread");
}

static bool fill(Buffer *buffer, int fd, int64_t offset, int64_t left, GError **error)
{
    ssize_t n =
        TEMP_FAILURE_RETRY(pread(fd, buffer->data, (size_t)MIN(left, BUFFER_SIZE), (off_t)offset));

    buffer->length = (size_t)MAX(n, 0);
    return n > 0 || left == 0 ||
           berth_set_error_errno(error, BERTH_ERROR_STORE_CORRUPT, n < 0 ? errno : ENODATA,
                                 "cannot read a blob of the store");
}

/* Has @buffer hashed. With the last one the blob is the other thread's to free. */
static void hand_over(BerthArchiveWriter *writer, Buffer *buffer, Blob *blob, bool last)
{
    buffer->blob = blob;
    buffer->last = last;
    g_async_queue_push(writer->filled, buffer);
}

/* After a failure; what the blob is does not matter any more. */
static void give_up(BerthArchiveWriter *writer, Blob *blob)
{
    Buffer *buffer = g_async_queue_pop(writer->hashed);

    buffer->length = 0;
    hand_over(writer, buffer, blob, true);
}

static bool copy(BerthArchiveWriter *writer, Blob *blob, int fd, int64_t size,
                 BerthArchiveFunc progress, void *userdata, GError **error)
{
    int64_t offset = 0;

    do {
        Buffer *buffer = g_async_queue_pop(writer->hashed);
        bool filled = fill(buffer, fd, offset, size - offset, error);
        size_t length = buffer->length;

        offset += (int64_t)length;
        hand_over(writer, buffer, blob, !filled || offset == size);
        if (!filled)
            return false;
        if (!write_data(writer, buffer->data, length, error)) { /* hashing only reads, too */
            if (offset < size)
                give_up(writer, blob);
            return false;
        }
        if (progress)
            progress(length, userdata);
    } while (offset < size);
    return true;
}

static Blob *blob_new(const BerthDigest *digest, GError **error)
{
    g_autoptr(Blob) blob = g_new0(Blob, 1);

    blob->digest = *digest;
    blob->hash = berth_hash_new(digest->algorithm, error);
    return blob->hash ? g_steal_pointer(&blob) : NULL;
}

bool berth_archive_writer_add_blob(BerthArchiveWriter *writer, const char *path, int fd,
                                   const BerthDigest *digest, int64_t size,
                                   BerthArchiveFunc progress, void *userdata, GError **error)
{
    g_autoptr(Blob) blob = NULL;

    if (!start_hashing(writer, error) || !check_hashed(writer, error) ||
        !begin_entry(writer, path, size, error))
        return false;
    blob = blob_new(digest, error);
    if (!blob)
        return false;
    if (size > BUFFER_SIZE)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return copy(writer, g_steal_pointer(&blob), fd, size, progress, userdata, error) &&
           end_entry(writer, error);
}

bool berth_archive_writer_finish(BerthArchiveWriter *writer, GError **error)
{
    end_hashing(writer);
    return check_hashed(writer, error) &&
           (archive_write_close(writer->archive) == ARCHIVE_OK || fail(writer, error));
}
