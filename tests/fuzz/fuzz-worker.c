/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what a worker says after it got its job. Whatever it is, the job ends exactly once,
 * with a result that can be read or refused, or an error that can be sent; layers that are told are
 * within their bounds; and the worker is gone then. The launcher is not there: what starts a worker
 * hands the worker's end of the socket to the target.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/names.h"
#include "daemon/launcher.h"
#include "daemon/method.h"
#include "daemon/worker.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a worker of the library sends first, and the signal that it is ready. */
static const char handshake[] = "\0AUTH ANONYMOUS\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
static const char ready[] =
    "l\004\001\001\000\000\000\000\001\000\000\000^\000\000\000\001\001o\000\031\000\000\000"
    "/org/berthd/Berth1/worke"
    "r\000\000\000\000\000\000\000\002\001s\000\030\000\000\000org.bert"
    "hd.Berth1.Worker\000\000\000\000\000\000\000\000"
    "\003\001s\000\005\000\000\000Ready\000\000\000";

struct BerthLaunch {
    int socket;
    BerthLaunchEnded ended;
    void *userdata;
};

typedef struct {
    char *digest;
    GHashTable *addresses;
    GPtrArray *images;
    uint64_t bytes;
} Result;

static const BerthOption result_keys[] = {
    { "Digest", "s", offsetof(Result, digest) },
    { "Addresses", "a{sas}", offsetof(Result, addresses) },
    { "Images", "aa{sv}", offsetof(Result, images), false, (const BerthOption[]){ { NULL } }, 1 },
    { "Bytes", "t", offsetof(Result, bytes) },
    { NULL },
};

static struct BerthLaunch process;
static unsigned finished;

BerthLaunch *berth_launch_start(BerthLauncher *launcher, const BerthWorkerUser *user,
                                BerthProgram program, int socket, BerthLaunchEnded ended,
                                void *userdata, GError **error)
{
    process = (BerthLaunch){ fcntl(socket, F_DUPFD_CLOEXEC, 3), ended, userdata };
    return &process;
}

void berth_launch_free(BerthLaunch *launch)
{
    if (launch)
        launch->ended = NULL;
}

static void on_progress(uint64_t done, uint64_t total, const BerthWorkerLayer *layers,
                        unsigned n_layers, void *userdata)
{
    g_assert(total == 0 || done <= total);
    for (unsigned i = 0; i < n_layers; i++) {
        BerthDigest digest;

        g_assert(layers[i].index < BERTH_LAYERS_MAX);
        g_assert(berth_digest_parse(layers[i].digest.text, &digest, NULL));
        g_assert(layers[i].total == 0 || layers[i].done <= layers[i].total);
        g_assert(berth_layer_state_to_string(layers[i].state) &&
                 berth_layer_source_to_string(layers[i].source));
    }
}

static bool on_ask(const char *question, GHashTable *details, void *userdata)
{
    BerthWorker **worker = userdata;

    berth_worker_answer(*worker, true);
    return true;
}

static void on_finished(sd_bus_message *result, const GError *error, void *userdata)
{
    g_autoptr(GError) wrong = NULL;
    Result read = { 0 };

    g_assert(!result == !!error);
    g_assert(!error || g_utf8_validate(error->message, -1, NULL));
    if (result && !berth_worker_read_result(result, result_keys, &read, NULL, &wrong))
        g_assert(wrong->code == BERTH_ERROR_FAILED);
    berth_options_clear(result_keys, &read);
    finished++;
}

static void start(BerthDaemon *daemon, BerthWorker **worker)
{
    static const BerthWorkerEvents events = { .progress = on_progress,
                                              .ask = on_ask,
                                              .finished = on_finished };
    BERTH_AUTO_MESSAGE *job = NULL;

    *worker = berth_worker_start(daemon, "pull", NULL);
    g_assert(*worker);
    job = berth_worker_new_job(*worker, NULL);
    g_assert(job && berth_worker_run(*worker, job, &events, worker, NULL));
}

/* Until the service has written @text. */
static void await(sd_event *event, const char *text)
{
    char buffer[4096];
    ssize_t n = 0;

    while (n <= 0 || !memmem(buffer, (size_t)n, text, strlen(text))) {
        g_assert(sd_event_run(event, UINT64_MAX) >= 0);
        n = recv(process.socket, buffer, sizeof(buffer), MSG_PEEK | MSG_DONTWAIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static BerthSettings settings = { .worker_user = (char *)"berth" };
    BerthDaemon daemon = { .settings = &settings, .worker_user = { .named = true } };
    BerthWorker *worker;
    size_t sent = 0;

    berth_log_set_target(BERTH_LOG_NULL);
    finished = 0;
    g_assert(sd_event_new(&daemon.event) >= 0);
    start(&daemon, &worker);
    g_assert(write(process.socket, handshake, sizeof(handshake) - 1) > 0);
    await(daemon.event, "OK");
    g_assert(write(process.socket, ready, sizeof(ready) - 1) > 0);
    await(daemon.event, "pull"); /* what comes before the job is a lie of another kind */
    while (finished == 0 && sent < size) {
        ssize_t n = send(process.socket, data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        g_assert(sd_event_run(daemon.event, 0) >= 0);
    }
    (void)shutdown(process.socket, SHUT_RDWR);
    if (process.ended)
        process.ended("it ended with exit code 0", process.userdata);
    while (finished == 0)
        g_assert(sd_event_run(daemon.event, UINT64_MAX) >= 0);
    g_assert(finished == 1);
    berth_close(process.socket);
    sd_event_unref(daemon.event);
    return 0;
}
