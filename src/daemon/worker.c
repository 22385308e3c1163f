/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker, as the service sees it: a process that gets one job over a bus of its own and answers
 * once. Everything it says is checked for type and bounds; the first thing that is wrong ends it
 * and fails its job, and nothing else. How it died comes from the launcher, so that the error can
 * tell. The service never waits for a worker: a job is sent when the worker is there to read it.
 */

#include "daemon/worker.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/names.h"
#include "daemon/launcher.h"
#include "daemon/method.h"
#include "daemon/worker-stream.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>

#define PRIORITY     (SD_EVENT_PRIORITY_NORMAL + 10) /* callers come first */
#define SILENCE_USEC (3 * 60 * UINT64_C(1000000))    /* it says now and then that it lives */
#define LATE_USEC    (10 * UINT64_C(1000000))        /* when a timer is far too late */
#define GRACE_USEC   (2 * UINT64_C(1000000))         /* to end after it closed its socket */
#define ROWS_MAX     1024                            /* layers of one message */
#define BYTES_MAX    ((uint64_t)INT64_MAX)           /* of a transfer */
#define MESSAGE_MAX  4096                            /* bytes of an error's message */
#define DETAILS_MAX  16                              /* of a question */

struct BerthWorker {
    BerthDaemon *daemon;
    char *kind;
    BerthLaunch *launch; /* NULL: the process has ended */
    char *how;           /* it ended */
    char *fault;         /* what went wrong before it had a job */
    sd_bus *bus;
    BerthWorkerStream *stream;
    bool ready, lost;    /* it said so; it closed its end */
    sd_bus_message *job; /* until it can be sent */
    sd_bus_message *question;
    sd_bus_slot *run, *limiting; /* calls that it has not answered */
    uint64_t rate;               /* bytes a second that it shall keep to */
    bool rate_due, deaf;         /* and has not been told; cannot be told anything any more */
    sd_event_source *begin, *silence, *limit, *grace;
    BerthWorkerEvents events; /* finished is set when it runs */
    void *userdata;
};

void berth_worker_free(BerthWorker *worker)
{
    if (!worker)
        return;
    sd_event_source_disable_unref(worker->begin);
    sd_event_source_disable_unref(worker->silence);
    sd_event_source_disable_unref(worker->limit);
    sd_event_source_disable_unref(worker->grace);
    sd_bus_slot_unref(worker->run);
    sd_bus_slot_unref(worker->limiting);
    sd_bus_message_unref(worker->job);
    sd_bus_message_unref(worker->question);
    berth_worker_stream_free(worker->stream);
    sd_bus_close_unref(worker->bus);
    berth_launch_free(worker->launch);
    g_free(worker->how);
    g_free(worker->fault);
    g_free(worker->kind);
    g_free(worker);
}

/* The worker's last: it is gone when anybody is told. */
static void finish(BerthWorker *worker, sd_bus_message *result, const GError *error)
{
    BERTH_AUTO_MESSAGE *kept = sd_bus_message_ref(result);
    void (*finished)(sd_bus_message *, const GError *, void *) = worker->events.finished;
    void *userdata = worker->userdata;

    berth_worker_free(worker);
    finished(kept, error, userdata);
}

/* @what: a sentence about what it did or what became of it */
static void fail(BerthWorker *worker, const char *what)
{
    g_autoptr(GError) error = NULL;

    if (!worker->events.finished) { /* nobody can be told yet */
        if (!worker->fault)
            worker->fault = g_strdup(what);
        return;
    }
    berth_set_error(&error, BERTH_ERROR_FAILED, "the worker for '%s' failed: %s", worker->kind,
                    what);
    finish(worker, NULL, error);
}

/* It said what it must not: it is not worth another look. */
static void lied(BerthWorker *worker, const char *what)
{
    berth_warning("ending the worker for '%s': %s", worker->kind, what);
    fail(worker, what);
}

static void on_broken(const GError *lie, void *userdata)
{
    lied(userdata, lie->message);
}

/* When both its process and its words are at their end: a reply can come later than the end. */
static void check_end(BerthWorker *worker)
{
    if (worker->how && worker->lost)
        fail(worker, worker->how);
}

static void on_process_ended(const char *how, void *userdata)
{
    BerthWorker *worker = userdata;

    worker->launch = NULL;
    worker->how = g_strdup(how);
    check_end(worker);
}

static int on_grace(sd_event_source *source, uint64_t usec, void *userdata)
{
    fail(userdata, "it closed its connection");
    return 0;
}

static void lost(BerthWorker *worker)
{
    if (worker->lost)
        return;
    worker->lost = true;
    if (!worker->deaf && !berth_worker_stream_ended(worker->stream)) {
        lied(worker, "it sent a malformed message");
        return;
    }
    if (!worker->how)
        (void)sd_event_add_time_relative(worker->daemon->event, &worker->grace, CLOCK_MONOTONIC,
                                         GRACE_USEC, 0, on_grace, worker);
    check_end(worker);
}

/* Its next word has time again; as long as it has no answer it needs none: people take theirs. */
static void wait_on(BerthWorker *worker)
{
    (void)sd_event_source_set_time_relative(worker->silence,
                                            worker->events.silence_usec ?: SILENCE_USEC);
    (void)sd_event_source_set_enabled(worker->silence,
                                      worker->question ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static int on_silence(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthWorker *worker = userdata;
    uint64_t now = 0;

    (void)sd_event_now(worker->daemon->event, CLOCK_MONOTONIC, &now);
    if (now > usec + LATE_USEC) /* so was the service: both were stopped, or the machine was */
        wait_on(worker);
    else
        lied(worker, "it has not been heard of for too long");
    return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    lied(userdata, "it did not finish in time");
    return 0;
}

/* An error of its own: the code if it is one of ours, and a text that is harmless to show. */
static void take_error(BerthWorker *worker, const sd_bus_error *bus_error)
{
    int code = berth_error_from_dbus_name(bus_error->name);
    g_autofree char *text = berth_quote_long(bus_error->message ?: "", MESSAGE_MAX);
    g_autoptr(GError) error = NULL;

    if (code < 0) {
        g_autofree char *name = berth_quote(bus_error->name);
        g_autofree char *what = g_strdup_printf("it gave the unknown error %s: %s", name, text);

        lied(worker, what);
        return;
    }
    g_set_error_literal(&error, BERTH_ERROR, code, text);
    finish(worker, NULL, error);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    BerthWorker *worker = userdata;
    const sd_bus_error *error = sd_bus_message_get_error(reply);

    worker->run = sd_bus_slot_unref(worker->run);
    if (!error && sd_bus_message_has_signature(reply, "a{sv}") > 0)
        finish(worker, reply, NULL);
    else if (!error)
        lied(worker, "its result is not a{sv}");
    else if (g_str_equal(error->name, SD_BUS_ERROR_NO_REPLY)) /* the library's: no connection */
        lost(worker);
    else
        take_error(worker, error);
    return 1;
}

static bool read_layer(sd_bus_message *message, BerthWorkerLayer *layer)
{
    const char *digest, *state, *source;
    int r = sd_bus_message_read(message, "(usstts)", &layer->index, &digest, &state, &layer->done,
                                &layer->total, &source);

    if (r <= 0)
        return false;
    layer->state = berth_layer_state_from_string(state);
    layer->source = berth_layer_source_from_string(source);
    return layer->index < BERTH_LAYERS_MAX && berth_digest_parse(digest, &layer->digest, NULL) &&
           layer->state != _BERTH_LAYER_STATE_INVALID && layer->source != _BERTH_SOURCE_INVALID &&
           layer->total <= BYTES_MAX && (layer->total == 0 || layer->done <= layer->total);
}

static bool read_progress(sd_bus_message *message, uint64_t *done, uint64_t *total, GArray *layers)
{
    int r = sd_bus_message_has_signature(message, "tta(usstts)");

    if (r <= 0 || sd_bus_message_read(message, "tt", done, total) < 0 || *done > BYTES_MAX ||
        *total > BYTES_MAX || (*total > 0 && *done > *total))
        return false;
    if (sd_bus_message_enter_container(message, 'a', "(usstts)") < 0)
        return false;
    while ((r = sd_bus_message_at_end(message, false)) == 0) {
        BerthWorkerLayer layer;

        if (layers->len >= ROWS_MAX || !read_layer(message, &layer))
            return false;
        g_array_append_val(layers, layer);
    }
    return r > 0;
}

static void take_progress(BerthWorker *worker, sd_bus_message *message)
{
    g_autoptr(GArray) layers = g_array_new(FALSE, FALSE, sizeof(BerthWorkerLayer));
    uint64_t done, total;

    if (!read_progress(message, &done, &total, layers)) {
        lied(worker, "it reported a progress that cannot be");
        return;
    }
    if (worker->events.progress)
        worker->events.progress(done, total, (const BerthWorkerLayer *)(void *)layers->data,
                                layers->len, worker->userdata);
}

static void take_question(BerthWorker *worker, sd_bus_message *message)
{
    g_autoptr(GHashTable) details = NULL;
    const char *question;

    if (worker->question || !worker->events.ask ||
        sd_bus_message_has_signature(message, "sa{ss}") <= 0 ||
        sd_bus_message_read(message, "s", &question) < 0 ||
        !berth_dictionary_read(message, "Ask", &details, NULL) ||
        g_hash_table_size(details) > DETAILS_MAX) {
        lied(worker, "it asked what it may not ask");
        return;
    }
    worker->question = sd_bus_message_ref(message);
    wait_on(worker);
    if (!worker->events.ask(question, details, worker->userdata))
        lied(worker, "it asked what it may not ask");
}

void berth_worker_answer(BerthWorker *worker, bool yes)
{
    BERTH_AUTO_MESSAGE *question = g_steal_pointer(&worker->question);
    int r = sd_bus_reply_method_return(question, "b", yes);

    wait_on(worker);
    if (r < 0)
        berth_debug("cannot answer a worker: %s", g_strerror(-r));
}

static int on_rate_taken(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    BerthWorker *worker = userdata;

    worker->limiting = sd_bus_slot_unref(worker->limiting);
    if (worker->rate_due)
        berth_worker_set_bandwidth(worker, worker->rate);
    return 1;
}

void berth_worker_set_bandwidth(BerthWorker *worker, uint64_t rate)
{
    BERTH_AUTO_MESSAGE *call = NULL;
    int r;

    worker->rate = rate;
    worker->rate_due = !worker->run || worker->limiting; /* who does not read has one to take */
    if (worker->rate_due)
        return;
    r = sd_bus_message_new_method_call(worker->bus, &call, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER,
                                       "SetBandwidth");
    if (r >= 0)
        r = sd_bus_message_append(call, "t", rate);
    if (r >= 0) /* an answer that comes late would be one that nobody expects */
        r = sd_bus_call_async(worker->bus, &worker->limiting, call, on_rate_taken, worker,
                              UINT64_MAX);
    worker->deaf = r < 0; /* how it ended comes later */
}

static void send_job(BerthWorker *worker)
{
    BERTH_AUTO_MESSAGE *job = g_steal_pointer(&worker->job);
    int r = sd_bus_call_async(worker->bus, &worker->run, job, on_reply, worker, UINT64_MAX);

    if (r < 0) {
        g_autofree char *what = g_strdup_printf("the job cannot be sent: %s", g_strerror(-r));

        fail(worker, what);
    } else if (worker->rate_due)
        berth_worker_set_bandwidth(worker, worker->rate);
}

/*
 * Everything that the bus gets, but for the reply. A worker says first that it is ready: what would
 * reach it during its authentication, the bus library loses.
 */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
    BerthWorker *worker = userdata;

    if (sd_bus_message_is_signal(message, "org.freedesktop.DBus.Local", "Disconnected") > 0) {
        lost(worker);
    } else if (!worker->ready && sd_bus_message_is_signal(message, BERTH_IF_WORKER, "Ready") > 0) {
        worker->ready = true;
        if (worker->job)
            send_job(worker);
    } else if (!worker->run) {
        lied(worker, "it spoke without a job");
    } else {
        wait_on(worker);
        if (sd_bus_message_is_signal(message, BERTH_IF_WORKER, "Progress") > 0)
            take_progress(worker, message);
        else if (sd_bus_message_is_method_call(message, BERTH_IF_WORKER, "Ask") > 0)
            take_question(worker, message);
        else
            lied(worker, "it sent a message that nobody expects");
    }
    return 1;
}

static bool set_up_bus(BerthWorker *worker, int socket, GError **error)
{
    BERTH_AUTO_FD ours = socket;
    BERTH_AUTO_FD input = -1;
    sd_id128_t id;
    int r;

    worker->stream =
        berth_worker_stream_new(worker->daemon->event, ours, &input, on_broken, worker, error);
    if (!worker->stream)
        return false;
    r = sd_bus_new(&worker->bus);
    if (r >= 0)
        r = sd_bus_set_description(worker->bus, "worker");
    if (r >= 0)
        r = sd_bus_set_fd(worker->bus, input, ours);
    if (r >= 0) {
        input = ours = -1; /* the bus has them */
        r = sd_id128_randomize(&id);
    }
    if (r >= 0)
        r = sd_bus_set_server(worker->bus, true, id);
    if (r >= 0)
        r = sd_bus_set_anonymous(worker->bus, true);
    if (r >= 0)
        r = sd_bus_negotiate_fds(worker->bus, true);
    if (r >= 0)
        r = sd_bus_add_filter(worker->bus, NULL, on_message, worker);
    if (r >= 0)
        r = sd_bus_start(worker->bus);
    if (r >= 0) /* else the end of the loop would flush it, and wait for a worker that is mute */
        r = sd_bus_set_close_on_exit(worker->bus, false);
    if (r >= 0)
        r = sd_bus_attach_event(worker->bus, worker->daemon->event, PRIORITY);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a bus for a worker");
}

/* The program that knows jobs of @kind; most are about the store alone. */
static BerthProgram program_of(const char *kind)
{
    static const char *const network[] = { "resolve", "pull", "push", "copy", NULL };
    static const char *const archive[] = { "import", "export", NULL };

    if (g_strv_contains(network, kind))
        return BERTH_PROGRAM_NETWORK;
    return g_strv_contains(archive, kind) ? BERTH_PROGRAM_ARCHIVE : BERTH_PROGRAM_STORE;
}

/* Says once who workers are when that is a stand-in. */
static void tell_user(const BerthDaemon *daemon)
{
    static bool told;

    if (!told && !daemon->worker_user.named)
        berth_notice("there is no user '%s' (WorkerUser=): workers run as user ID %u",
                     daemon->settings->worker_user, daemon->worker_user.uid);
    told = true;
}

BerthWorker *berth_worker_start(BerthDaemon *daemon, const char *kind, GError **error)
{
    g_autoptr(BerthWorker) worker = g_new0(BerthWorker, 1);
    BERTH_AUTO_FD theirs = -1;
    int pair[2];

    tell_user(daemon);
    worker->daemon = daemon;
    worker->kind = g_strdup(kind);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make a socket pair");
        return NULL;
    }
    theirs = pair[1];
    if (!set_up_bus(worker, pair[0], error))
        return NULL;
    worker->launch = berth_launch_start(daemon->launcher, &daemon->worker_user, program_of(kind),
                                        theirs, on_process_ended, worker, error);
    return worker->launch ? g_steal_pointer(&worker) : NULL;
}

sd_bus_message *berth_worker_new_job(BerthWorker *worker, GError **error)
{
    BERTH_AUTO_MESSAGE *job = NULL;
    int r = sd_bus_message_new_method_call(worker->bus, &job, NULL, BERTH_WORKER_PATH,
                                           BERTH_IF_WORKER, "Run");

    if (r >= 0)
        r = sd_bus_message_append(job, "s", worker->kind);
    if (r >= 0)
        r = sd_bus_message_open_container(job, 'a', "{sv}");
    if (r >= 0)
        return g_steal_pointer(&job);
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job");
    return NULL;
}

/* Deferred to the loop: what it says is not to be said inside of berth_worker_run(). */
static int on_begin(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthWorker *worker = userdata;

    worker->begin = sd_event_source_disable_unref(worker->begin);
    if (worker->fault)
        fail(worker, worker->fault);
    else if (worker->ready && worker->job)
        send_job(worker);
    return 0;
}

bool berth_worker_run(BerthWorker *worker, sd_bus_message *job, const BerthWorkerEvents *events,
                      void *userdata, GError **error)
{
    sd_event *event = worker->daemon->event;
    int r = sd_bus_message_close_container(job);

    if (r >= 0)
        r = sd_event_add_time_relative(event, &worker->silence, CLOCK_MONOTONIC,
                                       events->silence_usec ?: SILENCE_USEC, 0, on_silence, worker);
    if (r >= 0) /* after what it has said, and was not read yet */
        r = sd_event_source_set_priority(worker->silence, PRIORITY + 1);
    if (r >= 0 && events->limit_usec > 0)
        r = sd_event_add_time_relative(event, &worker->limit, CLOCK_MONOTONIC, events->limit_usec,
                                       0, on_limit, worker);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &worker->begin, CLOCK_MONOTONIC, 0, 0, on_begin,
                                       worker);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot give a worker its job");
    worker->job = sd_bus_message_ref(job);
    worker->events = *events;
    worker->userdata = userdata;
    return true;
}

bool berth_worker_read_result(sd_bus_message *result, const BerthOption *options, void *target,
                              uint32_t *seen, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (berth_options_read(result, options, target, seen, &why))
        return true;
    return berth_set_error(error, BERTH_ERROR_FAILED, "the worker failed: its result is wrong: %s",
                           why->message);
}
