/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line of some length between a client and a server: every byte arrives so many milliseconds
 * later than it was sent, in both directions, and a connection takes a round trip to be made. It is
 * for measuring where the kernel has no netem, so it must cost little beside what is measured: one
 * thread, large buffers, nothing looked at. It limits no rate, and orders and loses nothing.
 *
 * Usage: delay MILLISECONDS PORT. It listens on a port of the loopback that it prints, goes to PORT
 * there, and ends with its standard input.
 */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <glib.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (256 << 10)
#define IN_FLIGHT                                                                                  \
    (64 << 20) /* of one direction; what takes more has a rate that is not of this world */

typedef struct {
    gint64 due; /* µs */
    size_t length, sent;
    char *data;
} Block;

typedef struct Flow Flow;
typedef struct Line Line;

/* One direction of a connection. */
struct Flow {
    Line *line;
    int in, out;
    GQueue blocks;
    size_t held;
    bool ended, passed; /* the sender has ended; the receiver knows */
};

struct Line {
    Flow forth, back;
    gint64 opened; /* when the far end would know of the connection */
    bool broken;
};

static gint64 delay; /* µs of one direction */
static int poll_fd;
static GPtrArray *lines;
static struct sockaddr_in far_end;

static gint64 now(void)
{
    return g_get_monotonic_time();
}

static void watch(int fd, uint32_t events, Line *line)
{
    struct epoll_event event = { .events = events, .data.ptr = line };

    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        err(EXIT_FAILURE, "epoll_ctl");
}

static void tune(int fd)
{
    static const int one = 1, size = 4 << 20;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void open_line(int listener)
{
    int near = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Line *line;

    if (near < 0)
        err(EXIT_FAILURE, "accept");
    if (far < 0 || connect(far, (const struct sockaddr *)&far_end, sizeof far_end) < 0)
        err(EXIT_FAILURE, "connect to port %d", ntohs(far_end.sin_port));
    line = g_new0(Line, 1);
    line->forth = (Flow){ .line = line, .in = near, .out = far };
    line->back = (Flow){ .line = line, .in = far, .out = near };
    line->opened = now() + 2 * delay;
    tune(near);
    tune(far);
    g_ptr_array_add(lines, line);
    watch(near, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, line);
    watch(far, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, line);
}

static void take(Flow *flow)
{
    while (!flow->ended && flow->held < IN_FLIGHT) {
        char *data = malloc(BLOCK);
        ssize_t length = data ? recv(flow->in, data, BLOCK, MSG_DONTWAIT) : -1;
        Block *block;

        if (length <= 0) {
            free(data);
            if (length < 0 && (errno == EAGAIN || errno == EINTR))
                return;
            flow->line->broken |= length < 0;
            length = 0;
            data = NULL;
        }
        block = g_new(Block, 1);
        *block = (Block){ MAX(now(), flow->line->opened) + delay, (size_t)length, 0, data };
        g_queue_push_tail(&flow->blocks, block);
        flow->held += (size_t)length;
        flow->ended = length == 0;
    }
}

/* Sends what has been under way for long enough. */
static void give(Flow *flow, gint64 time)
{
    for (Block *block; (block = g_queue_peek_head(&flow->blocks)) && block->due <= time;) {
        if (block->length == 0) {
            (void)shutdown(flow->out, SHUT_WR);
            flow->passed = true;
        } else {
            ssize_t n = send(flow->out, block->data + block->sent, block->length - block->sent,
                             MSG_DONTWAIT | MSG_NOSIGNAL);

            if (n < 0) {
                flow->line->broken |= errno != EAGAIN && errno != EINTR;
                return;
            }
            block->sent += (size_t)n;
            if (block->sent < block->length)
                return;
        }
        flow->held -= block->length;
        g_queue_pop_head(&flow->blocks);
        free(block->data);
        g_free(block);
    }
}

static void free_block(gpointer data)
{
    Block *block = data;

    free(block->data);
    g_free(block);
}

static void close_line(Line *line)
{
    g_queue_clear_full(&line->forth.blocks, free_block);
    g_queue_clear_full(&line->back.blocks, free_block);
    close(line->forth.in);
    close(line->back.in);
    g_free(line);
}

/* Moves what can be moved. Returns: when there will be something to do again, in ms; -1: unknown.
 */
static int turn(void)
{
    gint64 time = now(), next = G_MAXINT64;

    for (guint i = 0; i < lines->len;) {
        Line *line = lines->pdata[i];
        Flow *flows[] = { &line->forth, &line->back };

        for (guint j = 0; j < G_N_ELEMENTS(flows); j++) {
            const Block *first;

            take(flows[j]);
            give(flows[j], time);
            first = g_queue_peek_head(&flows[j]->blocks);
            if (first && first->due > time)
                next = MIN(next, first->due);
        }
        if (line->broken || (line->forth.passed && line->back.passed)) {
            g_ptr_array_remove_index_fast(lines, i);
            close_line(line);
        } else
            i++;
    }
    return next == G_MAXINT64 ? -1 : MAX(next - now(), 0);
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, SOMAXCONN) < 0 || getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        err(EXIT_FAILURE, "listen");
    printf("%d\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    gint64 wait = -1;
    int listener;

    if (argc != 3)
        errx(2, "usage: delay MILLISECONDS PORT");
    delay = g_ascii_strtoll(argv[1], NULL, 10) * 1000;
    far_end = (struct sockaddr_in){ .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    lines = g_ptr_array_new();
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener = listen_somewhere();
    watch(listener, EPOLLIN, (Line *)&far_end);
    watch(STDIN_FILENO, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[64];
        struct timespec timeout = { wait / G_USEC_PER_SEC, wait % G_USEC_PER_SEC * 1000 };
        int count =
            epoll_pwait2(poll_fd, events, G_N_ELEMENTS(events), wait < 0 ? NULL : &timeout, NULL);

        for (int i = 0; i < count; i++) {
            if (!events[i].data.ptr)
                return EXIT_SUCCESS;
            if (events[i].data.ptr == &far_end)
                open_line(listener);
        }
        wait = turn();
    }
}
