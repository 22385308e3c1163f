/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turns: a bus delivers in the order in which was sent, so that whoever sends most would be served
 * most. The calls of users other than root are therefore only taken in when they arrive, which is
 * cheap; their work is done when nothing is left to be read, one call of each user after the other,
 * so that a flood of one delays another by little more than a call. How many of one user can wait
 * is limited elsewhere.
 */

#include "daemon/turns.h"

#include "base/error.h"

#define TAKEN_IN_MAX                                                                               \
    64 /* calls for each turn at least, or a flood would leave no turn to anybody */

/* The calls of one user that wait, in their order. */
typedef struct {
    uid_t uid;
    GQueue calls;
} Line;

struct BerthTurns {
    sd_event_source *source; /* enabled while somebody waits */
    BerthTurnFunc work;
    unsigned taken_in;  /* calls since the last turn */
    GQueue lines;       /* of Line, none empty: the first has the next turn */
    const Line *served; /* whose turn was the last, while it is in the queue */
    GHashTable *by_uid; /* uid → Line */
};

static void drop_line(BerthTurns *turns, Line *line)
{
    if (turns->served == line)
        turns->served = NULL;
    g_queue_remove(&turns->lines, line);
    g_hash_table_remove(turns->by_uid, GUINT_TO_POINTER(line->uid));
    g_queue_clear(&line->calls);
    g_free(line);
}

static int on_turn(sd_event_source *source, void *userdata)
{
    BerthTurns *turns = userdata;
    Line *line = g_queue_pop_head(&turns->lines);
    BerthCall *call;

    turns->taken_in = 0;
    if (!line)
        return 0;
    call = g_queue_pop_head(&line->calls);
    g_queue_push_tail(&turns->lines, line);
    turns->served = line;
    if (g_queue_is_empty(&line->calls))
        drop_line(turns, line);
    if (!g_queue_is_empty(&turns->lines))
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    call->in_line = false;
    turns->work(call);
    return 0;
}

BerthTurns *berth_turns_new(sd_event *event, BerthTurnFunc work, GError **error)
{
    BerthTurns *turns = g_new0(BerthTurns, 1);
    int r;

    turns->work = work;
    g_queue_init(&turns->lines);
    turns->by_uid = g_hash_table_new(NULL, NULL);
    r = sd_event_add_defer(event, &turns->source, on_turn, turns);
    if (r >= 0)
        r = sd_event_source_set_priority(turns->source, SD_EVENT_PRIORITY_IDLE);
    if (r >= 0)
        r = sd_event_source_set_enabled(turns->source, SD_EVENT_OFF);
    if (r >= 0)
        return turns;
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot let users take turns");
    berth_turns_free(turns);
    return NULL;
}

void berth_turns_free(BerthTurns *turns)
{
    if (!turns)
        return;
    while (!g_queue_is_empty(&turns->lines))
        drop_line(turns, g_queue_peek_head(&turns->lines));
    g_hash_table_unref(turns->by_uid);
    sd_event_source_disable_unref(turns->source);
    g_free(turns);
}

void berth_turns_add(BerthTurns *turns, BerthCall *call)
{
    uid_t uid = call->caller->uid;
    Line *line = g_hash_table_lookup(turns->by_uid, GUINT_TO_POINTER(uid));

    if (!line) {
        line = g_new0(Line, 1);
        line->uid = uid;
        g_queue_init(&line->calls);
        g_hash_table_insert(turns->by_uid, GUINT_TO_POINTER(uid), line);
        /* not behind who has just been served: that would be two of its calls to wait for */
        if (turns->served && g_queue_peek_tail(&turns->lines) == turns->served)
            g_queue_insert_before(&turns->lines, turns->lines.tail, line);
        else
            g_queue_push_tail(&turns->lines, line);
    }
    g_queue_push_tail(&line->calls, call);
    call->in_line = true;
    (void)sd_event_source_set_enabled(turns->source, SD_EVENT_ONESHOT);
}

void berth_turns_remove(BerthTurns *turns, BerthCall *call)
{
    Line *line = g_hash_table_lookup(turns->by_uid, GUINT_TO_POINTER(call->caller->uid));

    call->in_line = false;
    g_queue_remove(&line->calls, call);
    if (g_queue_is_empty(&line->calls))
        drop_line(turns, line);
}

void berth_turns_taken_in(BerthTurns *turns)
{
    if (++turns->taken_in >= TAKEN_IN_MAX)
        (void)on_turn(turns->source, turns);
}
