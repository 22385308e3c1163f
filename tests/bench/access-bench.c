/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The measuring part of tests/bench/access, see there. Prints names and numbers, one pair a line,
 * times in microseconds. Relies on a service that it finds by DBUS_SYSTEM_BUS_ADDRESS, on root, and
 * on a sandbox `bench` of each user that takes part. What is compared is measured in turns, so that
 * whatever else the machine does hits all of it alike.
 */

#include "base/names.h"

#include <err.h>
#include <glib.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define DRIVER "org.freedesktop.DBus"

/* A kind of call, and what of the service it takes. */
enum {
    BUS,      /* the bus driver answers: what the service has no part in */
    PING,     /* libsystemd answers */
    GET,      /* everybody may */
    DESCRIBE, /* the owner may */
    JOIN,
    RESIZE,
    LIST,   /* all sandboxes, with details of one's own */
    CREATE, /* one's second name `bench`: refused after it was authorized */
    KINDS,
};

static const char *const kinds[KINDS] = { "bus",  "ping",   "get",  "describe",
                                          "join", "resize", "list", "create" };

typedef struct {
    sd_bus *bus;
    char *path; /* of the user's sandbox */
} Peer;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void check(int r, const char *what)
{
    if (r < 0)
        errx(EXIT_FAILURE, "%s: %s", what, strerror(-r));
}

static uint64_t number(const char *text)
{
    uint64_t value;

    if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &value, NULL))
        errx(2, "'%s' is no number", text);
    return value;
}

static unsigned kind_of(const char *word)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (strcmp(kinds[kind], word) == 0)
            return kind;
    errx(2, "no kind of call '%s'", word);
}

/* The bus notes who connects: the effective ids count. */
static sd_bus *connect_as(uid_t uid)
{
    const struct passwd *user = getpwuid(uid);
    const char *name;
    sd_bus *bus = NULL;

    if (!user)
        errx(EXIT_FAILURE, "no user %u", uid);
    if (setgroups(0, NULL) < 0 || setegid(user->pw_gid) < 0 || seteuid(uid) < 0)
        err(EXIT_FAILURE, "cannot become user %u", uid);
    check(sd_bus_open_system(&bus), "cannot connect to the bus");
    check(sd_bus_get_unique_name(bus, &name), "cannot connect to the bus");
    if (seteuid(0) < 0 || setegid(0) < 0)
        err(EXIT_FAILURE, "cannot become root again");
    return bus;
}

static Peer peer_new(uid_t uid)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    Peer peer = { connect_as(uid), NULL };
    const char *path;

    check(sd_bus_call_method(peer.bus, BERTH_BUS_NAME, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "Get",
                             &error, &reply, "s", "bench"),
          "Get");
    check(sd_bus_message_read(reply, "o", &path), "Get");
    peer.path = g_strdup(path);
    sd_bus_message_unref(reply);
    return peer;
}

static sd_bus_message *new_call(const Peer *peer, unsigned kind)
{
    const struct {
        const char *destination, *path, *interface, *member;
    } calls[KINDS] = {
        [BUS] = { DRIVER, "/org/freedesktop/DBus", DRIVER, "GetId" },
        [PING] = { BERTH_BUS_NAME, "/", "org.freedesktop.DBus.Peer", "Ping" },
        [GET] = { BERTH_BUS_NAME, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "Get" },
        [DESCRIBE] = { BERTH_BUS_NAME, peer->path, BERTH_IF_SANDBOX, "Describe" },
        [JOIN] = { BERTH_BUS_NAME, peer->path, BERTH_IF_SANDBOX, "Join" },
        [RESIZE] = { BERTH_BUS_NAME, peer->path, BERTH_IF_SANDBOX, "Resize" },
        [LIST] = { BERTH_BUS_NAME, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "List" },
        [CREATE] = { BERTH_BUS_NAME, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "Create" },
    };
    sd_bus_message *message = NULL;
    int r =
        sd_bus_message_new_method_call(peer->bus, &message, calls[kind].destination,
                                       calls[kind].path, calls[kind].interface, calls[kind].member);

    if (r >= 0 && (kind == GET || kind == CREATE))
        r = sd_bus_message_append(message, "s", "bench");
    if (r >= 0 && kind == RESIZE)
        r = sd_bus_message_append(message, "t", UINT64_C(1) << 20);
    if (r >= 0 && (kind == JOIN || kind == LIST || kind == CREATE || kind == RESIZE))
        r = sd_bus_message_append(message, "a{sv}", 0);
    check(r, "cannot make a message");
    return message;
}

/* Returns: microseconds. A refused Create is what is expected of it. */
static double measure(const Peer *peer, unsigned kind)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *message = new_call(peer, kind);
    sd_bus_message *reply = NULL;
    double started = now(), ended;
    int r = sd_bus_call(peer->bus, message, UINT64_C(120000000), &error, &reply);

    ended = now();
    if (r < 0 && kind != CREATE)
        errx(EXIT_FAILURE, "%s: %s", kinds[kind], error.message);
    sd_bus_error_free(&error);
    sd_bus_message_unref(reply);
    sd_bus_message_unref(message);
    return ended - started;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *name, GArray *values)
{
    qsort(values->data, values->len, sizeof(double), compare_doubles);
    printf("%s.median %f\n", name, g_array_index(values, double, values->len / 2));
    printf("%s.p99 %f\n", name, g_array_index(values, double, values->len * 99 / 100));
}

/* calls ROUNDS UID...: each kind of call, by each user in turns. */
static void run_calls(char **argv)
{
    uint64_t rounds = number(argv[0]);
    g_autoptr(GArray) peers = g_array_new(FALSE, FALSE, sizeof(Peer));

    for (char **uid = argv + 1; *uid; uid++) {
        Peer peer = peer_new((uid_t)number(*uid));

        g_array_append_val(peers, peer);
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        GArray *times[16];

        g_assert(peers->len <= G_N_ELEMENTS(times));
        for (guint i = 0; i < peers->len; i++)
            times[i] = g_array_new(FALSE, FALSE, sizeof(double));
        for (uint64_t round = 0; round < rounds + 5; round++)
            for (guint i = 0; i < peers->len; i++) {
                double time = measure(&g_array_index(peers, Peer, i), kind);

                if (round >= 5) /* what is done for the first time is done */
                    g_array_append_val(times[i], time);
            }
        for (guint i = 0; i < peers->len; i++) {
            g_autofree char *name = g_strdup_printf("%s.%s", kinds[kind], argv[1 + i]);

            report(name, times[i]);
            g_array_unref(times[i]);
        }
    }
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    (*(unsigned *)userdata)--;
    return 0;
}

static void send_call(const Peer *peer, unsigned kind, unsigned *waiting)
{
    sd_bus_message *message = new_call(peer, kind);

    check(sd_bus_call_async(peer->bus, NULL, message, on_reply, waiting, UINT64_C(120000000)),
          "cannot send");
    check(sd_bus_flush(peer->bus), "cannot send");
    (*waiting)++;
    sd_bus_message_unref(message);
}

static void take_replies(const Peer *peer, const unsigned *waiting, unsigned most)
{
    while (*waiting > most) {
        int r = sd_bus_process(peer->bus, NULL);

        check(r, "cannot process");
        if (r == 0)
            check(sd_bus_wait(peer->bus, UINT64_MAX), "cannot wait");
    }
}

/* callers N UID: as many connections; their first calls, later ones, and all at the same time. */
static void run_callers(char **argv)
{
    uint64_t n = number(argv[0]);
    uid_t uid = (uid_t)number(argv[1]);
    g_autoptr(GArray) first = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) later = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) alone = g_array_new(FALSE, FALSE, sizeof(double));
    g_autofree Peer *peers = g_new0(Peer, n);
    g_autofree unsigned *waiting = g_new0(unsigned, n);
    Peer single = peer_new(uid);
    double started, time;

    for (uint64_t i = 0; i < n; i++) {
        time = measure(&single, DESCRIBE);
        g_array_append_val(alone, time);
    }
    for (uint64_t i = 0; i < n; i++)
        peers[i] = (Peer){ connect_as(uid), g_strdup(single.path) };
    for (uint64_t i = 0; i < n; i++) {
        time = measure(&peers[i], DESCRIBE);
        g_array_append_val(first, time);
    }
    for (uint64_t i = 0; i < n; i++) {
        time = measure(&peers[i], DESCRIBE);
        g_array_append_val(later, time);
    }
    started = now();
    for (uint64_t i = 0; i < n; i++)
        send_call(&peers[i], DESCRIBE, &waiting[i]);
    for (uint64_t i = 0; i < n; i++)
        take_replies(&peers[i], &waiting[i], 0);
    printf("together %f\n", (now() - started) / (double)n);
    report("alone", alone);
    report("first", first);
    report("later", later);
}

/* polite ROUNDS UID KIND: one call after the other, as a person's program would. */
static void run_polite(char **argv)
{
    uint64_t rounds = number(argv[0]);
    Peer peer = peer_new((uid_t)number(argv[1]));
    unsigned kind = kind_of(argv[2]);
    g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(double));

    for (uint64_t round = 0; round < rounds + 5; round++) {
        double time = measure(&peer, kind);

        if (round >= 5)
            g_array_append_val(times, time);
    }
    report("polite", times);
}

/* flood UID KIND CONNECTIONS DEPTH: as many calls as go, without an end. */
static void run_flood(char **argv)
{
    uid_t uid = (uid_t)number(argv[0]);
    unsigned kind = kind_of(argv[1]);
    uint64_t n = number(argv[2]);
    unsigned depth = (unsigned)number(argv[3]);
    g_autofree Peer *peers = g_new0(Peer, n);
    g_autofree unsigned *waiting = g_new0(unsigned, n);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t i = 0; i < n; i++)
        peers[i] = peer_new(uid);
    printf("flooding\n");
    fflush(stdout);
    for (;;)
        for (uint64_t i = 0; i < n; i++) {
            while (waiting[i] < depth)
                send_call(&peers[i], kind, &waiting[i]);
            take_replies(&peers[i], &waiting[i], depth - 1);
        }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int least; /* arguments */
        void (*run)(char **argv);
    } commands[] = {
        { "calls", 2, run_calls },
        { "callers", 2, run_callers },
        { "polite", 3, run_polite },
        { "flood", 4, run_flood },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
        if (argc >= 2 + commands[i].least && strcmp(argv[1], commands[i].name) == 0) {
            commands[i].run(argv + 2);
            return EXIT_SUCCESS;
        }
    fprintf(stderr, "usage: access-bench calls ROUNDS UID... | callers N UID |\n"
                    "       polite ROUNDS UID KIND | flood UID KIND CONNECTIONS DEPTH\n");
    return 2;
}
