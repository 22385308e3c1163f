/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one job of this process: read from the service's call, done by its kind, answered once. The
 * order matters: the job is read, libraries are initialized, the process is confined, and only then
 * anything from outside is touched. What blocks runs in a thread, so that the loop still notices
 * that the service is gone and tells it that the job lives.
 */

#include "transfer/job.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "transfer/confine.h"
#include "transfer/kind.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#define LINGER_USEC (60 * UINT64_C(1000000)) /* until the service has taken the result */

static BerthJob *current; /* (nullable): of this process, which has one at most */

static void job_free(BerthJob *job)
{
    current = NULL;
    if (job->arguments)
        berth_options_clear(job->kind->keys, job->arguments);
    g_free(job->arguments);
    sd_bus_slot_unref(job->question);
    sd_bus_message_unref(job->result);
    berth_progress_free(job->progress);
    sd_bus_message_unref(job->call);
    g_clear_error(&job->thread_error);
    sd_event_source_disable_unref(job->end);
    g_clear_error(&job->error);
    berth_close(job->done);
    g_free(job);
}

static int send_result(BerthJob *job)
{
    int r = sd_bus_message_close_container(job->result);

    return r >= 0 ? sd_bus_send(NULL, job->result, NULL) : r;
}

static int send_error(BerthJob *job, const GError *error)
{
    int code = error->domain == BERTH_ERROR ? error->code : BERTH_ERROR_FAILED;

    return sd_bus_reply_method_errorf(job->call, berth_error_dbus_name(code), "%s", error->message);
}

/*
 * Leaves the loop. What the service has something to tell waits until it has taken the result: a
 * message that it could not send would cost it the connection, with the result in it.
 */
static void leave(const BerthJob *job, int r)
{
    if (r >= 0 && job->kind->set_bandwidth)
        r = sd_event_add_time_relative(job->event, NULL, CLOCK_MONOTONIC, LINGER_USEC, 0, NULL,
                                       NULL);
    else if (r >= 0)
        r = sd_event_exit(job->event, 0);
    if (r < 0)
        (void)sd_event_exit(job->event, 1);
}

void berth_job_finish(BerthJob *job, const GError *error)
{
    sd_bus *bus = sd_bus_message_get_bus(job->call);
    int r;

    berth_progress_flush(job->progress);
    r = error ? send_error(job, error) : send_result(job);
    if (r >= 0)
        r = sd_bus_flush(bus);
    leave(job, r);
    job_free(job);
}

static int on_end(sd_event_source *source, void *userdata)
{
    BerthJob *job = userdata;

    if (job->kind->free)
        job->kind->free(g_steal_pointer(&job->data));
    berth_job_finish(job, job->error);
    return 0;
}

void berth_job_end(BerthJob *job, const GError *error)
{
    int r;

    if (job->end)
        return;
    job->error = error ? g_error_copy(error) : NULL;
    r = sd_event_add_defer(job->event, &job->end, on_end, job);
    g_assert(r >= 0); /* fails without memory only */
}

void berth_job_set_bandwidth(uint64_t rate)
{
    if (current && !current->end && current->kind && current->kind->set_bandwidth)
        current->kind->set_bandwidth(current, rate);
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
    BerthJob *job = userdata;
    int yes = 0;

    job->question = sd_bus_slot_unref(job->question);
    if (sd_bus_message_is_method_error(message, NULL) ||
        sd_bus_message_read(message, "b", &yes) < 0)
        yes = 0;
    job->answer(yes, job->answer_userdata);
    return 0;
}

bool berth_job_ask(BerthJob *job, const char *question, const BerthDigest *digest,
                   const char *reference, void (*func)(bool yes, void *userdata), void *userdata,
                   GError **error)
{
    sd_bus *bus = sd_bus_message_get_bus(job->call);
    sd_bus_message *message = NULL;
    int r = sd_bus_message_new_method_call(bus, &message, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER,
                                           "Ask");

    job->answer = func;
    job->answer_userdata = userdata;
    if (r >= 0)
        r = sd_bus_message_append(message, "sa{ss}", question, 2, "digest", digest->text,
                                  "reference", reference);
    if (r >= 0) /* people take their time */
        r = sd_bus_call_async(bus, &job->question, message, on_answer, job, UINT64_MAX);
    sd_bus_message_unref(message);
    return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot ask the service");
}

static gpointer run(gpointer data)
{
    BerthJob *job = data;
    const uint64_t one = 1;

    (void)job->kind->work(job, &job->thread_error);
    (void)!write(job->done, &one, sizeof(one));
    return NULL;
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    BerthJob *job = userdata;

    (void)g_thread_join(job->thread);
    berth_job_finish(job, job->thread_error);
    return 0;
}

static bool start_thread(BerthJob *job, GError **error)
{
    int r;

    job->done = eventfd(0, EFD_CLOEXEC);
    if (job->done < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make an eventfd");
    r = sd_event_add_io(job->event, NULL, job->done, EPOLLIN, on_done, job);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot wait for a thread");
    job->thread = g_thread_new(job->kind->name, run, job);
    return true;
}

/* The descriptor of the store among the arguments: every job that has one calls it so. */
static int find_store(const BerthJob *job)
{
    for (const BerthOption *key = job->kind->keys; key->key; key++)
        if (g_str_equal(key->key, "Store"))
            return *(const int *)(const void *)((const char *)job->arguments + key->offset);
    return -1;
}

static bool read_job(BerthJob *job, GError **error)
{
    const char *name;
    int r = sd_bus_message_read(job->call, "s", &name);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the job");
    job->kind = berth_kind_find(name);
    if (!job->kind)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "the worker knows no job '%s'; are berthd and berth-transfer of the "
                               "same version?",
                               name);
    job->arguments = g_malloc0(job->kind->size);
    berth_options_init(job->kind->keys, job->arguments);
    return berth_options_read(job->call, job->kind->keys, job->arguments, NULL, error);
}

static bool open_result(BerthJob *job, GError **error)
{
    int r = sd_bus_message_new_method_return(job->call, &job->result);

    if (r >= 0)
        r = sd_bus_message_open_container(job->result, 'a', "{sv}");
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make the job's result");
}

bool berth_job_start(sd_event *event, sd_bus_message *call, GError **error)
{
    BerthJob *job = g_new0(BerthJob, 1);

    current = job;
    job->done = -1;
    job->event = event;
    job->call = sd_bus_message_ref(call);
    job->progress = berth_progress_new(sd_bus_message_get_bus(call), event);
    if (!read_job(job, error) || !open_result(job, error) ||
        (job->kind->prepare && !job->kind->prepare(error)) ||
        !berth_confine_job(job->kind->class, find_store(job), error) ||
        (job->kind->work && !start_thread(job, error))) {
        job_free(job);
        return false;
    }
    if (job->kind->begin)
        job->kind->begin(job);
    return true;
}
