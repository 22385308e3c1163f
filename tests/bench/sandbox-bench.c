/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The measuring part of tests/bench/sandbox, see there. Prints names and numbers, one pair a line,
 * times in microseconds. Relies on a service that it finds by DBUS_SYSTEM_BUS_ADDRESS, and on root.
 * What is compared is measured in turns, in short blocks, so that whatever else the machine does
 * hits all of it alike.
 */

#include "base/names.h"
#include "floor.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

/* What one sandbox takes, step by step; the last is all of them together. */
enum {
    CREATE,
    JOIN,
    REMOVE,
    TOTAL,
    STEPS,
};

static const char *const steps[STEPS] = { "create", "join", "remove", "total" };

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void check(int r, const sd_bus_error *error, const char *what)
{
    if (r < 0)
        errx(EXIT_FAILURE, "%s: %s", what, error && error->message ? error->message : strerror(-r));
}

static sd_bus *connect_bus(void)
{
    sd_bus *bus = NULL;

    check(sd_bus_open_system(&bus), NULL, "cannot connect to the bus");
    return bus;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts @values. */
static double quantile(GArray *values, double which)
{
    qsort(values->data, values->len, sizeof(double), compare_doubles);
    return g_array_index(values, double, (guint)(which * (values->len - 1)));
}

static uint64_t number(const char *text)
{
    uint64_t value;

    if (!g_ascii_string_to_unsigned(text, 10, 1, UINT32_MAX, &value, NULL))
        errx(2, "'%s' is no number above 0", text);
    return value;
}

/*
 * The peer that answers Ping, which libsystemd does by itself: what the service would take if it
 * did nothing. Returns: its unique name; @pid is to be ended.
 */
static char *start_peer(pid_t *pid)
{
    const char *unique;
    char name[64] = "";
    int ready[2];

    if (pipe(ready) < 0)
        err(EXIT_FAILURE, "pipe");
    *pid = fork();
    if (*pid < 0)
        err(EXIT_FAILURE, "fork");
    if (*pid == 0) {
        sd_bus *bus;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        bus = connect_bus();
        check(sd_bus_get_unique_name(bus, &unique), NULL, "no unique name");
        if (write(ready[1], unique, strlen(unique)) < 0)
            err(EXIT_FAILURE, "write");
        close(ready[0]);
        close(ready[1]);
        for (;;) {
            int r = sd_bus_process(bus, NULL);

            if (r == 0)
                r = sd_bus_wait(bus, UINT64_MAX);
            if (r < 0)
                _exit(EXIT_FAILURE);
        }
    }
    close(ready[1]);
    if (read(ready[0], name, sizeof(name) - 1) <= 0)
        errx(EXIT_FAILURE, "the peer did not start");
    close(ready[0]);
    return g_strdup(name);
}

static void ping(sd_bus *bus, const char *peer)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;

    check(sd_bus_call_method(bus, peer, "/", "org.freedesktop.DBus.Peer", "Ping", &error, NULL, ""),
          &error, "Ping");
}

static char *create(sd_bus *bus, const char *name)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *path;
    char *copy;

    check(sd_bus_call_method(bus, BERTH_BUS_NAME, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "Create",
                             &error, &reply, "sa{sv}", name, 1, "Mode", "s", "shareable"),
          &error, "Create");
    check(sd_bus_message_read(reply, "o", &path), NULL, "Create");
    copy = g_strdup(path);
    sd_bus_message_unref(reply);
    return copy;
}

static void join(sd_bus *bus, const char *path)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *key;
    int fd, count = 0;

    check(sd_bus_call_method(bus, BERTH_BUS_NAME, path, BERTH_IF_SANDBOX, "Join", &error, &reply,
                             "a{sv}", 0),
          &error, "Join");
    check(sd_bus_message_enter_container(reply, 'a', "{sh}"), NULL, "Join");
    while (sd_bus_message_read(reply, "{sh}", &key, &fd) > 0)
        count++;
    if (count != 3)
        errx(EXIT_FAILURE, "Join gave %d descriptors", count);
    sd_bus_message_unref(reply); /* and with it they are closed */
}

static void remove_sandbox(sd_bus *bus, const char *path)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;

    check(sd_bus_call_method(bus, BERTH_BUS_NAME, path, BERTH_IF_SANDBOX, "Remove", &error, NULL,
                             "a{sv}", 0),
          &error, "Remove");
}

typedef enum {
    SERVICE,
    FLOOR,
    FLOOR_WITHOUT_SYSCTL,
    EMPTY_CALLS,
    CONTENDERS,
} Contender;

static const char *const contenders[CONTENDERS] = { "service", "floor", "floor-without-sysctl",
                                                    "calls" };

typedef struct {
    sd_bus *bus;
    char *peer;
    Floor floor;
    GArray *times[CONTENDERS][STEPS];  /* of double */
    GArray *ratios[CONTENDERS][STEPS]; /* of double: to the floor, of each block */
} Comparison;

static void measure_service(const Comparison *comparison, double marks[STEPS])
{
    g_autofree char *path = NULL;

    marks[0] = now();
    path = create(comparison->bus, "");
    marks[1] = now();
    join(comparison->bus, path);
    marks[2] = now();
    remove_sandbox(comparison->bus, path);
    marks[3] = now();
}

static void measure_floor(const Comparison *comparison, Contender who, double marks[STEPS])
{
    bool only_calls = who == EMPTY_CALLS;
    int fds[3];

    marks[0] = now();
    ping(comparison->bus, comparison->peer);
    if (!only_calls)
        floor_create(&comparison->floor, who == FLOOR);
    marks[1] = now();
    ping(comparison->bus, comparison->peer);
    if (!only_calls) {
        floor_join(&comparison->floor, fds);
        for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
            close(fds[i]);
    }
    marks[2] = now();
    ping(comparison->bus, comparison->peer);
    if (!only_calls)
        floor_remove();
    marks[3] = now();
}

/* Measures @who @rounds times and adds what it took to @block. */
static void measure(const Comparison *comparison, Contender who, uint64_t rounds,
                    GArray *block[STEPS])
{
    for (uint64_t i = 0; i < rounds; i++) {
        double marks[STEPS], total;

        if (who == SERVICE)
            measure_service(comparison, marks);
        else
            measure_floor(comparison, who, marks);
        for (int step = 0; step < TOTAL; step++) {
            double took = marks[step + 1] - marks[step];

            g_array_append_val(block[step], took);
        }
        total = marks[TOTAL] - marks[0];
        g_array_append_val(block[TOTAL], total);
    }
}

static void new_arrays(GArray *arrays[STEPS])
{
    for (int step = 0; step < STEPS; step++)
        arrays[step] = g_array_new(FALSE, FALSE, sizeof(double));
}

static void free_arrays(GArray *arrays[STEPS])
{
    for (int step = 0; step < STEPS; step++)
        g_array_unref(arrays[step]);
}

/* One block of each contender, and the ratio of its medians to the floor's. */
static void run_block(Comparison *comparison, uint64_t rounds)
{
    GArray *block[CONTENDERS][STEPS];

    for (Contender who = 0; who < CONTENDERS; who++) {
        new_arrays(block[who]);
        measure(comparison, who, rounds, block[who]);
    }
    for (Contender who = 0; who < CONTENDERS; who++)
        for (int step = 0; step < STEPS; step++) {
            double ratio = quantile(block[who][step], 0.5) / quantile(block[FLOOR][step], 0.5);

            g_array_append_val(comparison->ratios[who][step], ratio);
            g_array_append_vals(comparison->times[who][step], block[who][step]->data,
                                block[who][step]->len);
        }
    for (Contender who = 0; who < CONTENDERS; who++)
        free_arrays(block[who]);
}

static int verb_compare(char **arguments)
{
    uint64_t blocks = number(arguments[0]), rounds = number(arguments[1]);
    pid_t peer;
    Comparison comparison = { .peer = start_peer(&peer), .bus = connect_bus() };
    GArray *warmup[STEPS];

    floor_enter(&comparison.floor, arguments[2]);
    new_arrays(warmup);
    for (Contender who = 0; who < CONTENDERS; who++) {
        new_arrays(comparison.times[who]);
        new_arrays(comparison.ratios[who]);
        measure(&comparison, who, rounds, warmup);
    }
    for (uint64_t i = 0; i < blocks; i++)
        run_block(&comparison, rounds);

    for (Contender who = 0; who < CONTENDERS; who++)
        for (int step = 0; step < STEPS; step++) {
            printf("%s.%s %.1f\n", contenders[who], steps[step],
                   quantile(comparison.times[who][step], 0.5));
            printf("%s.%s.ratio %.3f\n", contenders[who], steps[step],
                   quantile(comparison.ratios[who][step], 0.5));
        }
    free_arrays(warmup);
    for (Contender who = 0; who < CONTENDERS; who++) {
        free_arrays(comparison.times[who]);
        free_arrays(comparison.ratios[who]);
    }
    sd_bus_flush_close_unref(comparison.bus);
    g_free(comparison.peer);
    (void)kill(peer, SIGKILL);
    (void)waitpid(peer, NULL, 0);
    return EXIT_SUCCESS;
}

/* Makes sandboxes named from the first number up to, not including, the second. */
static int verb_fill(char **arguments)
{
    uint64_t from = number(arguments[0]), to = number(arguments[1]);
    sd_bus *bus = connect_bus();

    for (uint64_t i = from; i < to; i++) {
        g_autofree char *name = g_strdup_printf("bench-%" PRIu64, i);

        g_free(create(bus, name));
    }
    sd_bus_flush_close_unref(bus);
    return EXIT_SUCCESS;
}

/* Removes what verb_fill() made, likewise. */
static int verb_drain(char **arguments)
{
    uint64_t from = number(arguments[0]), to = number(arguments[1]);
    sd_bus *bus = connect_bus();

    for (uint64_t i = from; i < to; i++) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        g_autofree char *name = g_strdup_printf("bench-%" PRIu64, i);
        const char *path;

        check(sd_bus_call_method(bus, BERTH_BUS_NAME, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES, "Get",
                                 &error, &reply, "s", name),
              &error, "Get");
        check(sd_bus_message_read(reply, "o", &path), NULL, "Get");
        remove_sandbox(bus, path);
        sd_bus_message_unref(reply);
    }
    sd_bus_flush_close_unref(bus);
    return EXIT_SUCCESS;
}

static pid_t start(char **command)
{
    pid_t pid;
    int r = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);

    if (r != 0)
        errx(EXIT_FAILURE, "%s: %s", command[0], strerror(r));
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) < 0)
        err(EXIT_FAILURE, "waitpid");
    return status;
}

static int on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
    const char *name, *before, *after;
    bool *owned = userdata;

    check(sd_bus_message_read(signal, "sss", &name, &before, &after), NULL, "NameOwnerChanged");
    if (strcmp(name, BERTH_BUS_NAME) == 0)
        *owned = *after;
    return 0;
}

/* From the start of the service to its first reply; then ends it. */
static int verb_start(char **arguments)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus *bus = connect_bus();
    char *version = NULL;
    bool owned = false;
    double began;
    pid_t pid;

    check(sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                              "org.freedesktop.DBus", "NameOwnerChanged", on_owner, &owned),
          NULL, "cannot watch the bus's names");
    began = now();
    pid = start(arguments);
    while (!owned) {
        int r = sd_bus_process(bus, NULL);

        if (r == 0)
            r = sd_bus_wait(bus, 30 * UINT64_C(1000000));
        check(r, NULL, "cannot wait for the service");
        if (waitpid(pid, NULL, WNOHANG) == pid)
            errx(EXIT_FAILURE, "the service ended before it took its name");
    }
    check(sd_bus_get_property_string(bus, BERTH_BUS_NAME, BERTH_OBJECT_ROOT, BERTH_IF_MANAGER,
                                     "Version", &error, &version),
          &error, "Version");
    printf("start %.1f\n", now() - began);
    free(version);
    (void)kill(pid, SIGTERM);
    if (wait_for(pid) != 0)
        errx(EXIT_FAILURE, "the service did not end cleanly");
    sd_bus_flush_close_unref(bus);
    return EXIT_SUCCESS;
}

/* A command from fork to exit, some times. */
static int verb_exec(char **arguments)
{
    uint64_t rounds = number(arguments[0]);

    for (uint64_t i = 0; i < rounds; i++) {
        double began = now();

        if (wait_for(start(arguments + 1)) != 0)
            errx(EXIT_FAILURE, "%s failed", arguments[1]);
        printf("exec %.1f\n", now() - began);
    }
    return EXIT_SUCCESS;
}

static const struct {
    const char *name, *arguments;
    int min, max;
    int (*run)(char **arguments);
} verbs[] = {
    { "compare", "BLOCKS ROUNDS EMPTY-DIRECTORY", 3, 3, verb_compare },
    { "fill", "FROM TO", 2, 2, verb_fill },
    { "drain", "FROM TO", 2, 2, verb_drain },
    { "start", "BERTHD [ARG...]", 1, INT_MAX, verb_start },
    { "exec", "ROUNDS COMMAND [ARG...]", 2, INT_MAX, verb_exec },
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (argc >= 2 && strcmp(argv[1], verbs[i].name) == 0 && argc - 2 >= verbs[i].min &&
            argc - 2 <= verbs[i].max)
            return verbs[i].run(argv + 2);
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        fprintf(stderr, "usage: sandbox-bench %s %s\n", verbs[i].name, verbs[i].arguments);
    return 2;
}
