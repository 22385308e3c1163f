/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the messages of a queue, SysV or POSIX, out of the member that holds them: `NUMBER LENGTH`,
 * a line feed, the text, a line feed, again and again. At most one message is in memory.
 */

#include "base/error.h"
#include "base/names.h"
#include "ipc/restore-sysv.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define HEAD_MAX 44 /* two numbers of 20 digits, a space, a line feed */

typedef struct {
    BerthRestoreReader *reader;
    const char *path;
    GByteArray *pending; /* owned: read, and not used up */
    guint used;          /* of pending */
    uint64_t offset;     /* of what is read next */
    bool ended;
} Stream;

static bool set_invalid(const Stream *stream, GError **error)
{
    g_autofree char *quoted = berth_quote(stream->path);

    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: %s is no list of messages", quoted);
}

/* Has at least @wanted bytes pending, or all there are. */
static bool fill(Stream *stream, size_t wanted, GError **error)
{
    while (!stream->ended && stream->pending->len - stream->used < wanted) {
        const void *data;
        uint64_t offset;
        size_t length;

        if (!berth_restore_reader_block(stream->reader, &data, &length, &offset, error))
            return false;
        stream->ended = length == 0;
        if (stream->ended)
            break;
        if (offset != stream->offset || length > UINT_MAX / 4)
            return set_invalid(stream, error);
        if (stream->used > 0) {
            g_byte_array_remove_range(stream->pending, 0, stream->used);
            stream->used = 0;
        }
        g_byte_array_append(stream->pending, data, (guint)length);
        stream->offset += length;
    }
    return true;
}

/* Reads a decimal number up to the character @end. */
static bool parse(const char *text, size_t length, char end, uint64_t *number, size_t *used)
{
    const char *stop = memchr(text, end, length);
    g_autofree char *digits = stop ? g_strndup(text, (gsize)(stop - text)) : NULL;

    if (!digits || !g_ascii_string_to_unsigned(digits, 10, 0, INT64_MAX, number, NULL))
        return false;
    *used = (size_t)(stop - text) + 1;
    return true;
}

static bool read_head(Stream *stream, uint64_t *number, uint64_t *length, GError **error)
{
    const char *text;
    size_t rest, used, more;

    if (!fill(stream, HEAD_MAX, error))
        return false;
    text = (const char *)stream->pending->data + stream->used;
    rest = MIN(stream->pending->len - stream->used, (size_t)HEAD_MAX);
    if (!parse(text, rest, ' ', number, &used) ||
        !parse(text + used, rest - used, '\n', length, &more))
        return set_invalid(stream, error);
    stream->used += (guint)(used + more);
    return true;
}

bool berth_restore_messages(BerthRestoreReader *reader, const char *path, size_t most,
                            uint64_t *room,
                            bool (*put)(uint64_t number, const void *data, size_t length,
                                        void *userdata, GError **error),
                            void *userdata, GError **error)
{
    g_autoptr(GByteArray) pending = g_byte_array_new();
    Stream stream = { .reader = reader, .path = path, .pending = pending };

    while (true) {
        uint64_t number, length;

        if (!fill(&stream, 1, error))
            return false;
        if (pending->len == stream.used)
            return true;
        if (!read_head(&stream, &number, &length, error))
            return false;
        if (length > most)
            return set_invalid(&stream, error);
        if (length > *room)
            return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                                   "the snapshot has more bytes of messages than the sandbox's "
                                   "shm has room for; resize it (berthctl resize), or let root "
                                   "restore it");
        *room -= length;
        if (!fill(&stream, length + 1, error))
            return false;
        if (pending->len - stream.used < length + 1 || pending->data[stream.used + length] != '\n')
            return set_invalid(&stream, error);
        if (!put(number, pending->data + stream.used, length, userdata, error))
            return false;
        stream.used += (guint)length + 1;
    }
}
