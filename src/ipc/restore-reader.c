/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the tar archive of a snapshot, which may have been written by anybody: no other format and
 * no compression is recognised, since each is more code that an archive could take over. A checksum
 * of everything before the last member is kept, so that what was damaged is not restored. The other
 * end can be slow and can stop: it is not waited for without end.
 */

#include "ipc/restore-reader.h"

#include "base/error.h"
#include "base/json.h"
#include "base/libarchive.h"
#include "base/names.h"
#include "ipc/snapshot-crc.h"
#include "ipc/snapshot-index.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define BUFFER        (256 * 1024)
#define STALL_SECONDS 600
#define END_MAX       4096 /* bytes of the last member */

/* What was read last and before that: the last member can lie across both. */
typedef struct {
    uint8_t *data;  /* owned: BUFFER bytes */
    size_t length;  /* of them read */
    uint64_t start; /* in the archive */
    uint32_t crc;   /* of all before */
} Block;

struct BerthRestoreReader {
    int fd;
    struct archive *archive; /* owned */
    Block blocks[2];
    unsigned current;
    uint64_t offset; /* in the archive */
    uint32_t crc;    /* up to there */
    uint64_t members;
    uint64_t size; /* of the member, as its entry says */
    int err;
    bool ended; /* there is no more to read */
};

static ssize_t read_some(BerthRestoreReader *reader, void *data)
{
    struct pollfd fd = { .fd = reader->fd, .events = POLLIN };

    while (true) {
        ssize_t n;

        (void)alarm(STALL_SECONDS);
        n = read(reader->fd, data, BUFFER);
        reader->err = n < 0 ? errno : 0;
        (void)alarm(0);
        if (reader->err == EINTR) /* only the alarm comes here */
            reader->err = ETIMEDOUT;
        if (reader->err != EAGAIN)
            return n;
        n = poll(&fd, 1, STALL_SECONDS * 1000);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            reader->err = n == 0 ? ETIMEDOUT : errno;
            return -1;
        }
    }
}

static la_ssize_t on_read(struct archive *archive, void *userdata, const void **data)
{
    BerthRestoreReader *reader = userdata;
    Block *block = &reader->blocks[reader->current ^= 1];
    ssize_t n = read_some(reader, block->data);

    if (n < 0) {
        archive_set_error(archive, reader->err, "read");
        return -1;
    }
    block->length = (size_t)n;
    block->start = reader->offset;
    block->crc = reader->crc;
    reader->crc = berth_crc32c(reader->crc, block->data, block->length);
    reader->offset += block->length;
    reader->ended |= n == 0;
    *data = block->data;
    return n;
}

static bool set_failed(const BerthRestoreReader *reader, GError **error)
{
    const char *reason = archive_error_string(reader->archive);
    g_autofree char *why = berth_quote(reason ? reason : "it ends too early");

    if (reader->err == ETIMEDOUT)
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "cannot read the archive: nothing of it came for %d minutes",
                               STALL_SECONDS / 60);
    if (reader->err)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, reader->err,
                                     "cannot read the archive");
    if (reader->ended)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is cut off: there is no end of it");
    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID, "the snapshot is damaged: %s", why);
}

BerthRestoreReader *berth_restore_reader_new(int fd, GError **error)
{
    g_autoptr(BerthRestoreReader) reader = g_new0(BerthRestoreReader, 1);

    reader->fd = fd;
    reader->blocks[0].data = g_malloc(BUFFER);
    reader->blocks[1].data = g_malloc(BUFFER);
    reader->archive = archive_read_new();
    if (!reader->archive || archive_read_support_format_tar(reader->archive) != ARCHIVE_OK ||
        archive_read_open(reader->archive, reader, NULL, on_read, NULL) != ARCHIVE_OK) {
        set_failed(reader, error);
        return NULL;
    }
    return g_steal_pointer(&reader);
}

void berth_restore_reader_free(BerthRestoreReader *reader)
{
    if (!reader)
        return;
    if (reader->archive)
        (void)archive_read_free(reader->archive);
    g_free(reader->blocks[0].data);
    g_free(reader->blocks[1].data);
    g_free(reader);
}

/* Names are UTF-8 or, where they are not, bytes. */
static const char *path_of(struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);

    return path ? path : archive_entry_pathname_utf8(entry);
}

bool berth_restore_reader_next(BerthRestoreReader *reader, char **path,
                               struct archive_entry **entry, GError **error)
{
    int r = archive_read_next_header(reader->archive, entry);
    const char *name;
    size_t length;

    if (r == ARCHIVE_EOF)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is cut off: there is no end of it");
    if (r < ARCHIVE_WARN)
        return set_failed(reader, error);
    name = path_of(*entry);
    if (!name)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is damaged: a member has no name");
    length = strlen(name);
    while (length > 0 && name[length - 1] == '/')
        length--;
    *path = g_strndup(name, length);
    reader->members++;
    reader->size = archive_entry_size(*entry) > 0 ? (uint64_t)archive_entry_size(*entry) : 0;
    return true;
}

bool berth_restore_reader_block(BerthRestoreReader *reader, const void **data, size_t *length,
                                uint64_t *offset, GError **error)
{
    la_int64_t at;
    int r;

    do { /* an empty block is no end, but a hole */
        r = archive_read_data_block(reader->archive, data, length, &at);
        if (r == ARCHIVE_EOF) {
            *length = 0;
            return true;
        }
        if (r < ARCHIVE_WARN)
            return set_failed(reader, error);
    } while (*length == 0);
    *offset = (uint64_t)at;
    return (at >= 0 && *offset <= reader->size && *length <= reader->size - *offset) ||
           berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: a member has more data than it says");
}

GByteArray *berth_restore_reader_text(BerthRestoreReader *reader, size_t most, GError **error)
{
    g_autoptr(GByteArray) text = g_byte_array_new();

    if (reader->size > most) {
        berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                        "the snapshot is damaged: a member is too large");
        return NULL;
    }
    while (true) {
        const void *data;
        uint64_t offset = 0; /* gcc does not see that it is set with a length */
        size_t length;

        if (!berth_restore_reader_block(reader, &data, &length, &offset, error))
            return NULL;
        if (length == 0)
            return g_steal_pointer(&text);
        if (offset != text->len) {
            berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                            "the snapshot is damaged: a member has holes that can have none");
            return NULL;
        }
        g_byte_array_append(text, data, (guint)length);
    }
}

/* The checksum of all bytes before @position. Returns: whether it is known. */
static bool crc_before(const BerthRestoreReader *reader, uint64_t position, uint32_t *crc)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(reader->blocks); i++) {
        const Block *block = &reader->blocks[i];

        if (position >= block->start && position - block->start <= block->length) {
            *crc = berth_crc32c(block->crc, block->data, (size_t)(position - block->start));
            return true;
        }
    }
    return false;
}

/* Whether the last member says what was read; what it does not say is not asked. */
static bool check_end(const BerthRestoreReader *reader, const json_t *end, uint64_t position)
{
    const json_t *members = json_object_get(end, "members"), *bytes = json_object_get(end, "bytes");
    const char *text = json_string_value(json_object_get(end, "crc32c"));
    g_autofree char *hex = NULL;
    uint32_t crc;

    if (!json_is_object(end) ||
        (members && json_integer_value(members) != (json_int_t)reader->members - 1) ||
        (bytes && json_integer_value(bytes) != (json_int_t)position))
        return false;
    if (!text)
        return true;
    if (!crc_before(reader, position, &crc))
        return false;
    hex = g_strdup_printf("%08x", crc);
    return g_str_equal(text, hex);
}

bool berth_restore_reader_finish(BerthRestoreReader *reader, GError **error)
{
    uint64_t position = (uint64_t)archive_read_header_position(reader->archive);
    g_autoptr(GByteArray) text = berth_restore_reader_text(reader, END_MAX, error);
    const BerthJsonLimits limits = { END_MAX, 4, 16, END_MAX };
    g_autoptr(json_t) end =
        text ? berth_json_load((const char *)text->data, text->len, &limits, NULL) : NULL;

    if (!text)
        return false;
    return check_end(reader, end, position) ||
           berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: its checksum is not the one that its "
                           "last member says");
}
