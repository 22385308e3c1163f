/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker may be in somebody else's hands, and the bus library believes its peer: it takes
 * messages of 128 MiB and any number of descriptors with each. So what a worker writes is looked at
 * before the library gets it, by its framing only (D-Bus specification, "Message Format"): how
 * large is a message, how many come, and that no descriptors do. Nothing is kept but one buffer,
 * and nothing is read from the worker while the library has not taken what was read before.
 */

#include "daemon/worker-stream.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CHUNK         16384 /* bytes read at once */
#define HANDSHAKE_MAX 1024  /* bytes of authentication */

#define MESSAGES_FREE 100 /* and then so many a second, over its whole life */
#define MESSAGES_RATE 20

#define PRIORITY      (SD_EVENT_PRIORITY_NORMAL + 10) /* callers come first */

/* The fixed part of a message's header. */
typedef struct {
    uint8_t endianness, type, flags, version;
    uint32_t body_length, serial, fields_length;
} Header;

G_STATIC_ASSERT(sizeof(Header) == 16);

/* Bytes of a message by type: calls and signals are small, results can list thousands of images. */
static const uint64_t max_length[] = {
    [1] = 256 << 10, /* METHOD_CALL */
    [2] = 32 << 20,  /* METHOD_RETURN */
    [3] = 64 << 10,  /* ERROR */
    [4] = 256 << 10, /* SIGNAL */
};

struct BerthWorkerStream {
    int reading, writing; /* owned: from the worker, to the library */
    sd_event_source *in, *out;
    BerthWorkerStreamBroken broken;
    void *userdata;

    GByteArray *handshake; /* NULL: it is over */
    Header header;
    size_t header_bytes; /* of @header that came */
    uint64_t rest;       /* bytes of the message still to come */
    uint64_t messages;
    gint64 since; /* g_get_monotonic_time() */

    uint8_t buffer[CHUNK];
    size_t begin, end; /* of what is in @buffer and not passed on */
};

void berth_worker_stream_free(BerthWorkerStream *stream)
{
    if (!stream)
        return;
    sd_event_source_disable_unref(stream->in);
    sd_event_source_disable_unref(stream->out);
    g_clear_pointer(&stream->handshake, g_byte_array_unref);
    berth_close(stream->reading);
    berth_close(stream->writing);
    g_free(stream);
}

bool berth_worker_stream_ended(const BerthWorkerStream *stream)
{
    return stream->writing < 0;
}

/* Takes in the bytes of the authentication, lines of text (D-Bus specification, "Authentication
 * Protocol"). @used: how many of @n they are. */
static bool check_handshake(BerthWorkerStream *stream, const uint8_t *data, size_t n, size_t *used,
                            GError **error)
{
    static const char last[] = "BEGIN\r\n";
    GByteArray *text = stream->handshake;
    const char *found;
    guint before = text->len;

    g_byte_array_append(text, data, (guint)n);
    found = memmem(text->data, text->len, last, sizeof(last) - 1);
    if ((found ? (size_t)(found - (const char *)text->data) : text->len) > HANDSHAKE_MAX)
        return berth_set_error(error, BERTH_ERROR_FAILED, "it did not speak D-Bus");
    *used = found ? (size_t)(found - (const char *)text->data) + sizeof(last) - 1 - before : n;
    if (found)
        g_clear_pointer(&stream->handshake, g_byte_array_unref);
    return true;
}

static bool count_message(BerthWorkerStream *stream, GError **error)
{
    uint64_t seconds = (uint64_t)(g_get_monotonic_time() - stream->since) / G_USEC_PER_SEC;

    if (++stream->messages <= MESSAGES_FREE + MESSAGES_RATE * seconds)
        return true;
    return berth_set_error(error, BERTH_ERROR_FAILED,
                           "it sent %" PRIu64 " messages in %" PRIu64 " s, more than it may",
                           stream->messages, seconds);
}

static bool begin_message(BerthWorkerStream *stream, GError **error)
{
    const Header *header = &stream->header;
    bool little = header->endianness == 'l';
    uint64_t fields =
        little ? GUINT32_FROM_LE(header->fields_length) : GUINT32_FROM_BE(header->fields_length);
    uint64_t body =
        little ? GUINT32_FROM_LE(header->body_length) : GUINT32_FROM_BE(header->body_length);
    uint64_t length = ((sizeof(*header) + fields + 7) & ~UINT64_C(7)) + body;

    if ((!little && header->endianness != 'B') || header->version != 1 || header->type < 1 ||
        header->type >= G_N_ELEMENTS(max_length))
        return berth_set_error(error, BERTH_ERROR_FAILED, "it did not speak D-Bus");
    if (length > max_length[header->type])
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "it sent a message of %" PRIu64 " bytes, more than it may", length);
    if (!count_message(stream, error))
        return false;
    stream->rest = length - sizeof(*header);
    stream->header_bytes = 0;
    return true;
}

/* Follows the framing through what was read just now. */
static bool check(BerthWorkerStream *stream, GError **error)
{
    const uint8_t *data = stream->buffer;
    size_t n = stream->end;

    while (n > 0) {
        size_t used = 0;

        if (stream->handshake) {
            if (!check_handshake(stream, data, n, &used, error))
                return false;
        } else if (stream->rest > 0) {
            used = MIN(n, stream->rest);
            stream->rest -= used;
        } else {
            used = MIN(n, sizeof(Header) - stream->header_bytes);
            memcpy((uint8_t *)&stream->header + stream->header_bytes, data, used);
            stream->header_bytes += used;
            if (stream->header_bytes == sizeof(Header) && !begin_message(stream, error))
                return false;
        }
        data += used;
        n -= used;
    }
    return true;
}

/* No more from the worker: what was passed on stays there to be read. */
static void finish(BerthWorkerStream *stream)
{
    stream->in = sd_event_source_disable_unref(stream->in);
    stream->out = sd_event_source_disable_unref(stream->out);
    stream->writing = berth_close(stream->writing);
}

static void flush(BerthWorkerStream *stream)
{
    bool waiting;

    while (stream->begin < stream->end) {
        ssize_t n = send(stream->writing, stream->buffer + stream->begin,
                         stream->end - stream->begin, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            finish(stream); /* the library closed its end */
            return;
        }
        if (n < 0)
            break;
        stream->begin += (size_t)n;
    }
    waiting = stream->begin < stream->end;
    (void)sd_event_source_set_enabled(stream->in, waiting ? SD_EVENT_OFF : SD_EVENT_ON);
    (void)sd_event_source_set_enabled(stream->out, waiting ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_room(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    flush(userdata);
    return 0;
}

static int on_data(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    BerthWorkerStream *stream = userdata;
    g_autoptr(GError) error = NULL;
    struct iovec data = { stream->buffer, sizeof(stream->buffer) };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 }; /* no room for descriptors */
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        finish(stream);
        return 0;
    }
    stream->begin = 0;
    stream->end = (size_t)n;
    if (message.msg_flags & MSG_CTRUNC)
        berth_set_error(&error, BERTH_ERROR_FAILED, "it sent file descriptors");
    if (!error && check(stream, &error)) {
        flush(stream);
        return 0;
    }
    finish(stream);
    stream->broken(error, stream->userdata);
    return 0;
}

static bool watch(BerthWorkerStream *stream, sd_event *event)
{
    return sd_event_add_io(event, &stream->in, stream->reading, EPOLLIN, on_data, stream) >= 0 &&
           sd_event_add_io(event, &stream->out, stream->writing, EPOLLOUT, on_room, stream) >= 0 &&
           sd_event_source_set_enabled(stream->out, SD_EVENT_OFF) >= 0 &&
           sd_event_source_set_priority(stream->in, PRIORITY) >= 0 &&
           sd_event_source_set_priority(stream->out, PRIORITY) >= 0;
}

BerthWorkerStream *berth_worker_stream_new(sd_event *event, int socket, int *input,
                                           BerthWorkerStreamBroken broken, void *userdata,
                                           GError **error)
{
    BerthWorkerStream *stream = g_new0(BerthWorkerStream, 1);
    int pair[2];

    stream->writing = -1;
    stream->broken = broken;
    stream->userdata = userdata;
    stream->since = g_get_monotonic_time();
    stream->handshake = g_byte_array_new();
    stream->reading = fcntl(socket, F_DUPFD_CLOEXEC, 3);
    if (stream->reading >= 0 &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
        stream->writing = pair[0];
        *input = pair[1];
        if (watch(stream, event))
            return stream;
        *input = berth_close(*input);
    }
    berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot listen to a worker");
    berth_worker_stream_free(stream);
    return NULL;
}
