/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker in bad hands: it takes the job as berth-transfer does, and then does what the job's kind
 * names, each something that the service must see through.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define SOCKET 3
#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static sd_bus *bus;

static void write_all(const void *data, size_t size)
{
    const char *p = data;

    (void)fcntl(SOCKET, F_SETFL, 0); /* waits where there is no room */
    while (size > 0) {
        ssize_t n = send(SOCKET, p, size, MSG_NOSIGNAL);

        if (n < 0)
            exit(EXIT_FAILURE);
        p += n;
        size -= (size_t)n;
    }
}

/* The fixed part of a signal's header, and then nothing but zeros. */
static void write_message(uint8_t type, uint32_t fields, uint32_t body, size_t more)
{
    const uint32_t lengths[3] = { body, 1, fields };
    const char start[4] = { 'l', (char)type, 0, 1 };
    g_autofree char *zeros = g_malloc0(more + 1);

    write_all(start, sizeof(start));
    write_all(lengths, sizeof(lengths));
    write_all(zeros, more);
}

static void progress(const char *types, ...)
{
    sd_bus_message *message = NULL;
    va_list args;

    g_assert_cmpint(
        sd_bus_message_new_signal(bus, &message, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Progress"),
        >=, 0);
    va_start(args, types);
    g_assert_cmpint(sd_bus_message_appendv(message, types, args), >=, 0);
    va_end(args);
    (void)sd_bus_send(bus, message, NULL);
    sd_bus_message_unref(message);
}

static void die(sd_bus_message *call)
{
    (void)raise(SIGSEGV);
}

static void leave(sd_bus_message *call)
{
    exit(3);
}

static void hang(sd_bus_message *call)
{
    for (;;)
        (void)pause();
}

static void close_socket(sd_bus_message *call)
{
    berth_close(SOCKET);
    hang(call);
}

static void wrong_result(sd_bus_message *call)
{
    (void)sd_bus_reply_method_return(call, "s", "done");
}

static void unknown_error(sd_bus_message *call)
{
    (void)sd_bus_reply_method_errorf(call, "com.example.Surprise", "\033[31mhello\n");
}

static void known_error(sd_bus_message *call)
{
    g_autofree char *text = g_strnfill(60000, 'x');

    text[0] = '\033';
    (void)sd_bus_reply_method_errorf(call, "org.berthd.Berth1.Error.RegistryError", "%s", text);
}

static void no_reply_error(sd_bus_message *call)
{
    (void)sd_bus_reply_method_errorf(call, SD_BUS_ERROR_NO_REPLY, "gone");
}

static void progress_type(sd_bus_message *call)
{
    progress("s", "nearly done");
}

static void progress_digest(sd_bus_message *call)
{
    progress("tta(usstts)", UINT64_C(0), UINT64_C(0), 1, 0, "sha256:../../etc", "waiting",
             UINT64_C(0), UINT64_C(0), "");
}

static void progress_state(sd_bus_message *call)
{
    progress("tta(usstts)", UINT64_C(0), UINT64_C(0), 1, 0, DIGEST, "hacked", UINT64_C(0),
             UINT64_C(0), "");
}

static void progress_index(sd_bus_message *call)
{
    progress("tta(usstts)", UINT64_C(0), UINT64_C(0), 1, UINT32_MAX, DIGEST, "waiting", UINT64_C(0),
             UINT64_C(0), "");
}

static void progress_numbers(sd_bus_message *call)
{
    progress("tta(usstts)", UINT64_C(2), UINT64_C(1), 0);
}

static void progress_rows(sd_bus_message *call)
{
    sd_bus_message *message = NULL;
    int r =
        sd_bus_message_new_signal(bus, &message, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Progress");

    if (r >= 0)
        r = sd_bus_message_append(message, "tt", UINT64_C(0), UINT64_C(0));
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "(usstts)");
    for (uint32_t i = 0; r >= 0 && i < 1100; i++)
        r = sd_bus_message_append(message, "(usstts)", i, DIGEST, "waiting", UINT64_C(0),
                                  UINT64_C(0), "");
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    g_assert_cmpint(r, >=, 0);
    (void)sd_bus_send(bus, message, NULL);
    sd_bus_message_unref(message);
}

static void flood(sd_bus_message *call)
{
    for (;;) {
        progress("tta(usstts)", UINT64_C(0), UINT64_C(0), 0);
        if (sd_bus_flush(bus) < 0)
            exit(EXIT_FAILURE);
    }
}

static void endless(sd_bus_message *call)
{
    write_message(4, 16, 120 << 20, 120 << 20);
}

static void endless_fields(sd_bus_message *call)
{
    write_message(2, UINT32_MAX - 8, UINT32_MAX, 1 << 20);
}

static void garbage(sd_bus_message *call)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    write_all(text, sizeof(text));
}

/* Right in its framing only: the library drops it. */
static void malformed(sd_bus_message *call)
{
    write_message(4, 16, 8, 24);
}

static void descriptors(sd_bus_message *call)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(100 * sizeof(int))];
    } control = { .header = { .cmsg_len = CMSG_LEN(100 * sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS } };
    char byte = 'l';
    struct iovec data = { &byte, 1 };
    const struct msghdr message = { .msg_iov = &data,
                                    .msg_iovlen = 1,
                                    .msg_control = &control,
                                    .msg_controllen = sizeof(control.space) };
    const int fds[100] = { 0 };

    memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
    for (ssize_t n = 1; n > 0;)
        n = sendmsg(SOCKET, &message, MSG_NOSIGNAL);
    exit(EXIT_FAILURE); /* the kernel counts what is under way, for all of one user together */
}

static void ask(sd_bus_message *call)
{
    (void)sd_bus_call_method_async(bus, NULL, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Ask", NULL,
                                   NULL, "u", 7);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    int yes = 0;

    g_assert_cmpint(sd_bus_message_read(reply, "b", &yes), >=, 0);
    return sd_bus_reply_method_return(userdata, "a{sv}", 1, "Answer", "s", yes ? "yes" : "no");
}

/* This is what an honest one may do. */
static void ask_well(sd_bus_message *call)
{
    (void)sd_bus_call_method_async(bus, NULL, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Ask",
                                   on_answer, sd_bus_message_ref(call), "sa{ss}", "yes", 0);
}

static void other_call(sd_bus_message *call)
{
    (void)sd_bus_call_method_async(bus, NULL, NULL, BERTH_OBJECT_ROOT, BERTH_IF_MANAGER, "Reload",
                                   NULL, NULL, NULL);
}

static const struct {
    const char *kind;
    void (*act)(sd_bus_message *call);
} acts[] = {
    { "die", die },
    { "leave", leave },
    { "hang", hang },
    { "close", close_socket },
    { "wrong-result", wrong_result },
    { "unknown-error", unknown_error },
    { "known-error", known_error },
    { "no-reply-error", no_reply_error },
    { "progress-type", progress_type },
    { "progress-digest", progress_digest },
    { "progress-state", progress_state },
    { "progress-index", progress_index },
    { "progress-numbers", progress_numbers },
    { "progress-rows", progress_rows },
    { "flood", flood },
    { "endless", endless },
    { "endless-fields", endless_fields },
    { "garbage", garbage },
    { "malformed", malformed },
    { "descriptors", descriptors },
    { "ask", ask },
    { "ask-well", ask_well },
    { "other-call", other_call },
};

/* No vtable: the library would see to it that the result is what it says. */
static int on_message(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
    const char *kind;

    if (sd_bus_message_is_method_call(call, BERTH_IF_WORKER, "Run") <= 0)
        return 0;
    g_assert_cmpint(sd_bus_message_read(call, "s", &kind), >=, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(acts); i++)
        if (g_str_equal(acts[i].kind, kind)) {
            acts[i].act(call);
            return 1;
        }
    return sd_bus_error_setf(ret_error, SD_BUS_ERROR_FAILED, "no lie %s", kind);
}

int main(int argc, char **argv)
{
    int r = sd_bus_new(&bus);

    (void)signal(SIGSEGV, SIG_DFL); /* no sanitizer's */
    if (r >= 0)
        r = sd_bus_set_fd(bus, SOCKET, SOCKET);
    if (r >= 0)
        r = sd_bus_set_anonymous(bus, true);
    if (r >= 0)
        r = sd_bus_set_trusted(bus, true);
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus, true);
    if (r >= 0)
        r = sd_bus_add_filter(bus, NULL, on_message, NULL);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r >= 0)
        r = sd_bus_emit_signal(bus, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Ready", NULL);
    while (r >= 0) {
        r = sd_bus_process(bus, NULL);
        if (r == 0)
            r = sd_bus_wait(bus, UINT64_MAX);
    }
    _exit(EXIT_FAILURE);
}
