/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/store-job.h"

/** BerthQuery: one of them, until it is answered. */
typedef struct BerthQuery BerthQuery;

/** BerthQueryDone: called once, unless the query was cancelled before; as BerthWorkerEvents'. */
typedef void (*BerthQueryDone)(sd_bus_message *result, const GError *error, void *userdata);

/** berth_queries_new: Returns: (transfer full): an empty line, or NULL. */
BerthQueries *berth_queries_new(BerthDaemon *daemon, GError **error);
/** berth_queries_free: cancels all; @queries: (nullable) */
void berth_queries_free(BerthQueries *queries);

/**
 * berth_query_start:
 * @user: for whom: only so many run for each user, and for all, at the same time
 * @job: copied; its fill is called later
 * @done: called from the event loop
 * @userdata: for both
 *
 * Has @job done as soon as it is its turn.
 *
 * Returns: (transfer full): the query, gone when @done is called.
 */
BerthQuery *berth_query_start(BerthQueries *queries, uid_t user, const BerthStoreJob *job,
                              BerthQueryDone done, void *userdata);

/** berth_query_cancel: ends @query (nullable) without an answer. */
void berth_query_cancel(BerthQuery *query);
