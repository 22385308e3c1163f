/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs jobs in workers as the service does, with nothing else of the service: launcher, handle and
 * what is checked. Each argument is a job, `KIND[,KEY=VALUE]...`; the value of Hosts is a list
 * separated by colons, that of Store a directory, those of Pid and Uid a number, everything else
 * text. All jobs run at once. What comes of them is printed, a line for each event; arrays in
 * brackets, and in them texts with what is special there as %HEX.
 */

#include "base/error.h"
#include "base/fd.h"
#include "daemon/confine.h"
#include "daemon/launcher.h"
#include "daemon/method.h"
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    BerthWorker *worker;
    unsigned number;
} Job;

static unsigned running;
static sd_event *event;

/* A text as a word: without white space and what else is special here. */
static void print_text(const char *text)
{
    for (const char *p = text; *p; p++)
        printf(g_ascii_isgraph(*p) && !strchr("%[],/=", *p) ? "%c" : "%%%02x", (unsigned char)*p);
}

static void print_basic(sd_bus_message *result, char type)
{
    union {
        const char *s;
        uint64_t t;
        uint32_t u;
        int32_t i;
        int b;
    } value;

    g_assert_cmpint(sd_bus_message_read_basic(result, type, &value), >, 0);
    switch (type) {
    case 's':
        print_text(value.s);
        break;
    case 't':
        printf("%" PRIu64, value.t);
        break;
    case 'u':
        printf("%u", value.u);
        break;
    case 'i':
        printf("%d", value.i);
        break;
    default:
        g_assert_true(type == 'b');
        printf("%s", value.b ? "true" : "false");
    }
}

/* What is next: arrays in brackets, entries as KEY=VALUE, with commas between. */
static void print_next(sd_bus_message *result)
{
    const char *contents;
    char type;
    unsigned n = 0;

    g_assert_cmpint(sd_bus_message_peek_type(result, &type, &contents), >, 0);
    if (!strchr("aev", type)) {
        print_basic(result, type);
        return;
    }
    g_assert_cmpint(sd_bus_message_enter_container(result, type, contents), >, 0);
    printf("%s", type == 'a' ? "[" : "");
    while (sd_bus_message_at_end(result, false) == 0) {
        printf("%s", n++ == 0 ? "" : type == 'e' ? "=" : ",");
        print_next(result);
    }
    printf("%s", type == 'a' ? "]" : "");
    g_assert_cmpint(sd_bus_message_exit_container(result), >=, 0);
}

static void print_value(sd_bus_message *result, const char *key, const char *type)
{
    if (g_str_equal(type, "i")) {
        int32_t value;

        g_assert_cmpint(sd_bus_message_read(result, "v", "i", &value), >=, 0);
        printf(" %s=%d", key, value);
    } else if (g_str_equal(type, "s")) {
        const char *value;

        g_assert_cmpint(sd_bus_message_read(result, "v", "s", &value), >=, 0);
        printf(" %s=%s", key, value);
    } else if (!g_str_equal(type, "a{sas}")) {
        printf(" %s=", key);
        print_next(result);
    } else {
        g_assert_cmpint(sd_bus_message_enter_container(result, 'v', "a{sas}"), >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(result, 'a', "{sas}"), >=, 0);
        while (sd_bus_message_enter_container(result, 'e', "sas") > 0) {
            const char *host;
            g_auto(GStrv) addresses = NULL;
            g_autofree char *text = NULL;

            g_assert_cmpint(sd_bus_message_read(result, "s", &host), >=, 0);
            g_assert_cmpint(sd_bus_message_read_strv(result, &addresses), >=, 0);
            text = g_strjoinv("/", addresses);
            printf(" %s=%s", host, text);
            g_assert_cmpint(sd_bus_message_exit_container(result), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_exit_container(result), >=, 0);
        g_assert_cmpint(sd_bus_message_exit_container(result), >=, 0);
    }
}

static void end(Job *job)
{
    printf("\n");
    (void)fflush(stdout);
    g_free(job);
    if (--running == 0)
        (void)sd_event_exit(event, 0);
}

static void on_finished(sd_bus_message *result, const GError *error, void *userdata)
{
    Job *job = userdata;

    if (error) {
        printf("%u error %s %s", job->number, berth_error_dbus_name(error->code), error->message);
        end(job);
        return;
    }
    printf("%u result", job->number);
    g_assert_cmpint(sd_bus_message_enter_container(result, 'a', "{sv}"), >=, 0);
    while (sd_bus_message_enter_container(result, 'e', "sv") > 0) {
        const char *key, *type;

        g_assert_cmpint(sd_bus_message_read(result, "s", &key), >=, 0);
        g_assert_cmpint(sd_bus_message_peek_type(result, NULL, &type), >=, 0);
        print_value(result, key, type);
        g_assert_cmpint(sd_bus_message_exit_container(result), >=, 0);
    }
    end(job);
}

static void on_progress(uint64_t done, uint64_t total, const BerthWorkerLayer *layers,
                        unsigned n_layers, void *userdata)
{
    const Job *job = userdata;

    printf("%u progress %" PRIu64 "/%" PRIu64, job->number, done, total);
    for (unsigned i = 0; i < n_layers; i++)
        printf(" %u:%s:%" PRIu64 "/%" PRIu64 ":%s", layers[i].index,
               berth_layer_state_to_string(layers[i].state), layers[i].done, layers[i].total,
               berth_layer_source_to_string(layers[i].source));
    printf("\n");
    (void)fflush(stdout);
}

static bool on_ask(const char *question, GHashTable *details, void *userdata)
{
    const Job *job = userdata;

    berth_worker_answer(job->worker, g_str_equal(question, "yes"));
    return true;
}

static int append_entry(sd_bus_message *job, const char *key, const char *value)
{
    if (g_str_equal(key, "Hosts")) {
        g_auto(GStrv) hosts = g_strsplit(value, ":", -1);
        int r = sd_bus_message_open_container(job, 'e', "sv");

        if (r >= 0)
            r = sd_bus_message_append(job, "s", key);
        if (r >= 0)
            r = sd_bus_message_open_container(job, 'v', "as");
        if (r >= 0)
            r = sd_bus_message_append_strv(job, hosts);
        if (r >= 0)
            r = sd_bus_message_close_container(job);
        return r >= 0 ? sd_bus_message_close_container(job) : r;
    }
    if (g_str_equal(key, "Store")) {
        BERTH_AUTO_FD store = open(value, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return store < 0 ? -errno : sd_bus_message_append(job, "{sv}", key, "h", store);
    }
    if (g_str_equal(key, "Pid") || g_str_equal(key, "Uid"))
        return sd_bus_message_append(job, "{sv}", key, "u", (uint32_t)strtoul(value, NULL, 10));
    return sd_bus_message_append(job, "{sv}", key, "s", value);
}

static void start(BerthDaemon *daemon, const char *text, unsigned number,
                  const BerthWorkerEvents *events)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    g_autoptr(GError) error = NULL;
    Job *job = g_new0(Job, 1);
    BERTH_AUTO_MESSAGE *message = NULL;

    running++;
    job->number = number;
    job->worker = berth_worker_start(daemon, words[0], &error);
    if (job->worker)
        message = berth_worker_new_job(job->worker, &error);
    for (unsigned i = 1; message && words[i]; i++) {
        char *value = strchr(words[i], '=');

        g_assert_nonnull(value);
        *value++ = '\0';
        g_assert_cmpint(append_entry(message, words[i], value), >=, 0);
    }
    if (!message || !berth_worker_run(job->worker, message, events, job, &error)) {
        berth_worker_free(job->worker);
        on_finished(NULL, error, job);
    }
}

static uint64_t milliseconds(const char *variable)
{
    return g_ascii_strtoull(g_getenv(variable) ?: "0", NULL, 10) * 1000;
}

int main(int argc, char **argv)
{
    const BerthWorkerEvents events = { .progress = on_progress,
                                       .ask = on_ask,
                                       .finished = on_finished,
                                       .silence_usec = milliseconds("SILENCE_MS"),
                                       .limit_usec = milliseconds("LIMIT_MS") };
    const char *uid = g_getenv("WORKER_UID") ?: "61184";
    BerthDaemon daemon = { .worker_user = { .named = true } };
    g_autoptr(GError) error = NULL;
    sigset_t mask;

    daemon.worker_user.uid = daemon.worker_user.gid = (uid_t)strtoul(uid, NULL, 10);
    daemon.launcher = berth_launcher_fork();
    g_assert_true(berth_confine(&error));
    g_assert_cmpint(sd_event_default(&event), >=, 0);
    daemon.event = event;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    g_assert_cmpint(sigprocmask(SIG_BLOCK, &mask, NULL), ==, 0);
    g_assert_true(berth_launcher_attach(daemon.launcher, event, &error));
    for (int i = 1; i < argc; i++)
        start(&daemon, argv[i], (unsigned)i, &events);
    if (running > 0)
        g_assert_cmpint(sd_event_loop(event), >=, 0);
    berth_launcher_free(daemon.launcher);
    sd_event_unref(event);
    return EXIT_SUCCESS;
}
