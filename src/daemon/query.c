/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions about the store, and small changes of it: a worker each, which lives for milliseconds;
 * and names to resolve, which takes as long as a name server likes. A call that needs one waits in
 * line, so that no number of calls starts more than a few processes at once; one user never takes
 * all of their places, and root never waits for users. How many calls wait is bounded by
 * MaxPendingCallsPerUser=.
 */

#include "daemon/query.h"

#include "base/error.h"

/* How many run at the same time: those in the store never wait for those outside of it. */
static const struct {
    unsigned users, user, root; /* of all users but root; of each of them; of root, besides */
    uint64_t limit_usec;        /* far more than any of them takes: a worker that needs it is stuck,
                                   or in somebody else's hands */
} limits[] = {
    [false] = { 4, 2, 4, 10 * 60 * UINT64_C(1000000) }, /* in the store */
    [true] = { 32, 4, 16, 30 * UINT64_C(1000000) },     /* outside: gives up earlier by itself */
};

#define RETRY_USEC (100 * UINT64_C(1000)) /* while there are too many workers */

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
    sd_event_source *next;  /* enabled when perhaps one more can run */
    sd_event_source *later; /* while there are too many workers: looks again */
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

static bool may_run(const BerthQueries *queries, const BerthQuery *query)
{
    bool outside = query->job.outside;
    unsigned same = 0, users = 0;

    for (const GList *link = queries->running.head; link; link = link->next) {
        const BerthQuery *other = link->data;

        if (other->job.outside != outside)
            continue;
        same += other->user == query->user;
        users += other->user != 0;
    }
    return query->user == 0 ? same < limits[outside].root
                            : same < limits[outside].user && users < limits[outside].users;
}

static bool fill(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthQuery *query = userdata;

    return query->job.fill(job, query->userdata, error);
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthQueries *queries = userdata;

    queries->later = sd_event_source_disable_unref(queries->later);
    see_who_is_next(queries);
    return 0;
}

/* There are too many workers, perhaps since ended ones take their time: looks again later. */
static bool look_again(BerthQueries *queries)
{
    return queries->later ||
           sd_event_add_time_relative(queries->daemon->event, &queries->later, CLOCK_MONOTONIC,
                                      RETRY_USEC, 0, on_later, queries) >= 0;
}

static void start(BerthQuery *query)
{
    const BerthWorkerEvents events = { .finished = on_finished,
                                       .limit_usec = limits[query->job.outside].limit_usec };
    const BerthStoreJob job = { query->job.kind, query->job.uid, fill, query->job.outside };
    BerthQueries *queries = query->queries;
    g_autoptr(GError) error = NULL;

    query->worker = berth_store_job_start(queries->daemon, &job, &events, query, &error);
    if (query->worker) {
        g_queue_unlink(&queries->line, &query->link);
        query->in = &queries->running;
        g_queue_push_tail_link(query->in, &query->link);
    } else if (g_error_matches(error, BERTH_ERROR, BERTH_ERROR_LIMITS_EXCEEDED) &&
               look_again(queries)) {
        return;
    } else {
        answer(query, NULL, error);
    }
    see_who_is_next(queries);
}

/* Starts the first in line that may run: one at a time, since an answer can change the line. */
static int on_next(sd_event_source *source, void *userdata)
{
    BerthQueries *queries = userdata;
    GList *link = queries->line.head;

    while (link && !may_run(queries, link->data))
        link = link->next;
    if (link)
        start(link->data);
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
    sd_event_source_disable_unref(queries->later);
    g_free(queries);
}
