/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions about the store, and small changes of it: a worker each, which lives for milliseconds.
 * A call that needs one waits in line, so that no number of calls starts more than a few processes
 * at once; one user never takes all of their places, and root never waits for users. How many calls
 * wait is bounded by MaxPendingCallsPerUser=.
 */

#include "daemon/query.h"

#include "base/error.h"

#define RUNNING_MAX      4 /* at the same time, of users other than root */
#define RUNNING_PER_USER 2
#define RUNNING_ROOT     4 /* besides those */

/* Far more than any of them takes; a worker that needs it is stuck or in somebody else's hands. */
#define LIMIT_USEC (10 * 60 * UINT64_C(1000000))

struct BerthQuery {
    BerthQueries *queries;
    GList link; /* in @in */
    GQueue *in; /* the line, or those that run */
    uid_t user;
    BerthStoreJob job;
    BerthQueryDone done;
    void *userdata;
    BerthWorker *worker; /* set while it runs */
};

struct BerthQueries {
    BerthDaemon *daemon;
    GQueue line, running;
    sd_event_source *next; /* enabled when perhaps one more can run */
};

static void see_who_is_next(BerthQueries *queries)
{
    (void)sd_event_source_set_enabled(queries->next, SD_EVENT_ONESHOT);
}

void berth_query_cancel(BerthQuery *query)
{
    BerthQueries *queries;

    if (!query)
        return;
    queries = query->queries;
    g_queue_unlink(query->in, &query->link);
    berth_worker_free(query->worker);
    g_free(query);
    see_who_is_next(queries);
}

static void answer(BerthQuery *query, sd_bus_message *result, const GError *error)
{
    BerthQueryDone done = query->done;
    void *userdata = query->userdata;

    berth_query_cancel(query);
    done(result, error, userdata);
}

static void on_finished(sd_bus_message *result, const GError *error, void *userdata)
{
    BerthQuery *query = userdata;

    query->worker = NULL; /* it is gone when this returns */
    answer(query, result, error);
}

static bool may_run(const BerthQueries *queries, uid_t user)
{
    unsigned same = 0, users = 0;

    for (const GList *link = queries->running.head; link; link = link->next) {
        const BerthQuery *query = link->data;

        same += query->user == user;
        users += query->user != 0;
    }
    return user == 0 ? same < RUNNING_ROOT : same < RUNNING_PER_USER && users < RUNNING_MAX;
}

static bool fill(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthQuery *query = userdata;

    return query->job.fill(job, query->userdata, error);
}

/* Starts the first in line that may run. What it calls may change the line. */
static int on_next(sd_event_source *source, void *userdata)
{
    static const BerthWorkerEvents events = { .finished = on_finished, .limit_usec = LIMIT_USEC };
    BerthQueries *queries = userdata;

    for (GList *link = queries->line.head; link; link = link->next) {
        BerthQuery *query = link->data;
        g_autoptr(GError) error = NULL;

        if (!may_run(queries, query->user))
            continue;
        see_who_is_next(queries);
        query->worker = berth_store_job_start(
            queries->daemon, &(const BerthStoreJob){ query->job.kind, query->job.uid, fill },
            &events, query, &error);
        if (!query->worker) {
            answer(query, NULL, error);
            return 0;
        }
        g_queue_unlink(&queries->line, link);
        query->in = &queries->running;
        g_queue_push_tail_link(query->in, link);
        return 0;
    }
    return 0;
}

BerthQuery *berth_query_start(BerthQueries *queries, uid_t user, const BerthStoreJob *job,
                              BerthQueryDone done, void *userdata)
{
    BerthQuery *query = g_new0(BerthQuery, 1);

    *query = (BerthQuery){ .queries = queries,
                           .link = { .data = query },
                           .in = &queries->line,
                           .user = user,
                           .job = *job,
                           .done = done,
                           .userdata = userdata };
    g_queue_push_tail_link(query->in, &query->link);
    see_who_is_next(queries);
    return query;
}

BerthQueries *berth_queries_new(BerthDaemon *daemon, GError **error)
{
    BerthQueries *queries = g_new0(BerthQueries, 1);
    int r;

    queries->daemon = daemon;
    r = sd_event_add_defer(daemon->event, &queries->next, on_next, queries);
    if (r >= 0)
        r = sd_event_source_set_enabled(queries->next, SD_EVENT_OFF);
    if (r >= 0)
        return queries;
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a line of queries");
    berth_queries_free(queries);
    return NULL;
}

void berth_queries_free(BerthQueries *queries)
{
    if (!queries)
        return;
    while (queries->line.head)
        berth_query_cancel(queries->line.head->data);
    while (queries->running.head)
        berth_query_cancel(queries->running.head->data);
    sd_event_source_disable_unref(queries->next);
    g_free(queries);
}
