/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of every method call: read the arguments, learn who calls, find out what that needs,
 * check it, act, reply. Each stage may be the last, with an error that becomes the reply. Between
 * arrival and reply the call is an object of its own, since credentials and children are awaited
 * without blocking; it holds no pointer to any sandbox, so whatever it is about is looked up again
 * by each stage.
 */

#include "daemon/method.h"

#include "base/error.h"
#include "base/log.h"
#include "base/names.h"
#include "daemon/idle.h"
#include "daemon/objects.h"
#include "daemon/turns.h"
#include "daemon/users.h"

#include <errno.h>

#define MAX_TABLES 8

static const BerthMethod *tables[MAX_TABLES];

static const BerthMethod *find(const char *interface, const char *member)
{
    for (unsigned i = 0; i < MAX_TABLES && tables[i]; i++)
        for (const BerthMethod *method = tables[i]; method->member; method++)
            if (g_str_equal(method->member, member) && g_str_equal(method->interface, interface))
                return method;
    return NULL;
}

int berth_set_bus_error(sd_bus_error *bus_error, const GError *error)
{
    int code = error->domain == BERTH_ERROR ? error->code : BERTH_ERROR_FAILED;

    return sd_bus_error_set(bus_error, berth_error_dbus_name(code), error->message);
}

static void call_free(BerthCall *call)
{
    BerthDaemon *daemon = call->daemon;

    g_queue_unlink(&daemon->calls, &call->link);
    sd_event_source_disable_unref(call->retry);
    berth_polkit_cancel(call->check);
    if (call->in_line)
        berth_turns_remove(daemon->turns, call);
    if (call->counted)
        berth_users_add_pending(daemon->users, call->caller->uid, -1);
    g_ptr_array_unref(call->granted);
    g_ptr_array_unref(call->refused);
    g_free(call->asked);
    if (call->method->clear && call->arguments)
        call->method->clear(call->arguments);
    g_free(call->arguments);
    g_free(call->sandbox);
    berth_caller_unref(call->caller);
    sd_bus_message_unref(call->message);
    g_free(call);
    berth_idle_touch(daemon);
}

void berth_call_finish(BerthCall *call, BerthVerdict verdict, const GError *error)
{
    g_assert(verdict != BERTH_CALL_WAITING);
    if (verdict == BERTH_CALL_FAILED) {
        sd_bus_error bus_error = SD_BUS_ERROR_NULL;
        int r;

        berth_debug("%s failed: %s", call->method->member, error->message);
        (void)berth_set_bus_error(&bus_error, error);
        r = sd_bus_reply_method_error(call->message, &bus_error);
        if (r < 0)
            berth_debug("cannot reply to %s: %s", call->method->member, g_strerror(-r));
        sd_bus_error_free(&bus_error);
    }
    call_free(call);
}

static void act(BerthCall *call)
{
    g_autoptr(GError) error = NULL;
    BerthVerdict verdict = call->method->act(call, &error);

    if (verdict != BERTH_CALL_WAITING)
        berth_call_finish(call, verdict, error);
}

/* The row of the access table: what the caller needs, unless the method says it more precisely. */
static bool authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const BerthAccess *access = &call->method->access;

    if (call->method->authorize)
        return call->method->authorize(call, request, error);
    if (access->who != BERTH_WHO_EVERYBODY)
        berth_request_add(request, access->action);
    return true;
}

static void check_access(BerthCall *call);

static void on_polkit(BerthPolkitAnswer answer, void *userdata)
{
    BerthCall *call = userdata;

    call->check = NULL;
    if (answer == BERTH_POLKIT_GRANTED) {
        g_ptr_array_add(call->granted, g_steal_pointer(&call->asked));
        check_access(call);
        return;
    }
    if (call->asked_optional) {
        g_ptr_array_add(call->refused, g_steal_pointer(&call->asked));
        check_access(call);
        return;
    }

    g_autoptr(GError) error = NULL;
    const BerthDemand demand = { .action = call->asking };

    berth_set_refused(&error, call->caller->uid, &demand,
                      answer == BERTH_POLKIT_CHALLENGE
                          ? BERTH_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
                          : BERTH_ERROR_ACCESS_DENIED);
    berth_call_finish(call, BERTH_CALL_FAILED, error);
}

static bool has_key(const GPtrArray *keys, const char *key)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)keys, key, g_str_equal, NULL);
}

bool berth_call_is_granted(const BerthCall *call, const BerthRequest *request, const char *action)
{
    for (unsigned i = 0; i < request->n; i++) {
        g_autofree char *key = berth_demand_key(&request->demands[i]);

        if (g_str_equal(request->demands[i].action, action))
            return call->caller->uid == 0 || has_key(call->granted, key);
    }
    return false;
}

static bool ask(BerthCall *call, const BerthDemand *demand, GError **error)
{
    bool interactive = sd_bus_message_get_allow_interactive_authorization(call->message) > 0;

    if (call->gone) /* nobody is there to authenticate, and nothing would withdraw the question */
        return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED, "the caller left");
    if (call->granted->len + call->refused->len >= BERTH_REQUEST_MAX)
        return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                               "what was to be authorized changed meanwhile; try again");
    call->asked = berth_demand_key(demand);
    call->asking = demand->action;
    call->asked_optional = demand->optional;
    call->check = berth_polkit_check(call->daemon->bus, call->caller->name, demand, interactive,
                                     on_polkit, call, error);
    return call->check;
}

/*
 * Finds out anew what the call needs and asks for the first demand that was not granted yet; acts
 * when all were. A grant holds for exactly the demand that was asked: if the object changed
 * meanwhile, so did its demands.
 */
static void check_access(BerthCall *call)
{
    BERTH_AUTO_REQUEST request = { .n = 0 };
    g_autoptr(GError) error = NULL;

    /* there when the call arrived, which everybody could see; gone since */
    if ((call->sandbox && !berth_sandbox_of_call(call, &error)) ||
        (call->transfer && !berth_transfer_of_call(call, &error)) ||
        !authorize(call, &request, &error)) {
        berth_call_finish(call, BERTH_CALL_FAILED, error);
        return;
    }
    for (unsigned i = 0; call->caller->uid != 0 && i < request.n; i++) {
        g_autofree char *key = berth_demand_key(&request.demands[i]);

        if (has_key(call->granted, key) || has_key(call->refused, key) ||
            (request.demands[i].optional && call->gone))
            continue;
        if (!ask(call, &request.demands[i], &error))
            berth_call_finish(call, BERTH_CALL_FAILED, error);
        return;
    }
    act(call);
}

/* Goes on with what a call needs and does: root's at once, those of users in turns. */
static void proceed(BerthCall *call)
{
    if (call->caller->uid == 0)
        check_access(call);
    else
        berth_turns_add(call->daemon->turns, call);
}

bool berth_methods_begin(BerthDaemon *daemon, GError **error)
{
    daemon->turns = berth_turns_new(daemon->event, check_access, error);
    return daemon->turns;
}

/* Every call of a user other than root counts until its reply. */
static bool count(BerthCall *call, GError **error)
{
    unsigned most = call->daemon->settings->max_pending_calls_per_user;
    unsigned pending = berth_users_pending(call->daemon->users, call->caller->uid);

    if (call->caller->uid == 0)
        return true;
    if (pending >= most)
        return berth_set_error(error, BERTH_ERROR_LIMITS_EXCEEDED,
                               "user %u has %u calls waiting, as many as the settings allow "
                               "(MaxPendingCallsPerUser=); wait for their replies",
                               call->caller->uid, pending);
    berth_users_add_pending(call->daemon->users, call->caller->uid, 1);
    call->counted = true;
    return true;
}

static void on_caller(BerthCaller *caller, const GError *caller_error, void *userdata)
{
    BerthCall *call = userdata;
    g_autoptr(GError) error = NULL;

    if (!caller) {
        berth_call_finish(call, BERTH_CALL_FAILED, caller_error);
        return;
    }
    call->caller = berth_caller_ref(caller);
    if (count(call, &error))
        proceed(call);
    else
        berth_call_finish(call, BERTH_CALL_FAILED, error);
}

static char *sandbox_of_path(const char *path)
{
    static const char prefix[] = BERTH_SANDBOX_PATH "/";

    return g_str_has_prefix(path, prefix) ? g_strdup(path + sizeof(prefix) - 1) : NULL;
}

static int dispatch(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
    BerthDaemon *daemon = userdata;
    g_autoptr(GError) error = NULL;
    const char *sender = sd_bus_message_get_sender(message);
    const BerthMethod *method =
        find(sd_bus_message_get_interface(message), sd_bus_message_get_member(message));
    BerthCall *call;

    g_assert(method); /* registered by vtable, so it is in a table */
    if (!sender)
        return sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED, "who are you?");

    call = g_new0(BerthCall, 1);
    call->daemon = daemon;
    call->method = method;
    call->message = sd_bus_message_ref(message);
    call->sandbox = sandbox_of_path(sd_bus_message_get_path(message));
    call->transfer = berth_transfer_id_of_path(sd_bus_message_get_path(message));
    call->arguments = g_malloc0(method->arguments_size);
    call->granted = g_ptr_array_new_with_free_func(g_free);
    call->refused = g_ptr_array_new_with_free_func(g_free);
    call->link.data = call;
    g_queue_push_tail_link(&daemon->calls, &call->link);
    berth_idle_touch(daemon);
    berth_turns_taken_in(daemon->turns);

    if (method->parse && !method->parse(call, &error))
        berth_call_finish(call, BERTH_CALL_FAILED, error);
    else
        berth_callers_find(daemon->callers, sender, on_caller, call);
    return 1;
}

void berth_methods_register(const BerthMethod *methods)
{
    unsigned i = 0;

    while (tables[i] && tables[i] != methods) {
        i++;
        g_assert(i < MAX_TABLES);
    }
    tables[i] = methods;
}

sd_bus_vtable *berth_methods_vtable(const BerthMethod *methods, const sd_bus_vtable *others)
{
    GArray *vtable = g_array_new(FALSE, FALSE, sizeof(sd_bus_vtable));
    const sd_bus_vtable end = SD_BUS_VTABLE_END;

    /* the first entry of others is SD_BUS_VTABLE_START */
    g_assert(others->type == _SD_BUS_VTABLE_START);
    g_array_append_vals(vtable, others++, 1);
    for (; methods->member; methods++) {
        sd_bus_vtable entry = methods->vtable;

        g_assert(methods->access.who != BERTH_WHO_NOBODY_SAID_SO);
        g_assert((methods->access.who == BERTH_WHO_EVERYBODY) == !methods->access.action);
        entry.x.method.handler = dispatch;
        g_array_append_val(vtable, entry);
    }
    for (; others->type != _SD_BUS_VTABLE_END; others++)
        g_array_append_vals(vtable, others, 1);
    g_array_append_val(vtable, end);
    return (sd_bus_vtable *)(void *)g_array_free(vtable, FALSE);
}

sd_bus_message *berth_call_new_reply(BerthCall *call, GError **error)
{
    sd_bus_message *reply = NULL;
    int r = sd_bus_message_new_method_return(call->message, &reply);

    if (r < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a reply");
    return reply;
}

BerthVerdict berth_call_reply(BerthCall *call, sd_bus_message *reply, int r, GError **error)
{
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    if (r >= 0)
        return BERTH_CALL_REPLIED;
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot reply");
    return BERTH_CALL_FAILED;
}

BerthVerdict berth_call_reply_empty(BerthCall *call, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);

    return reply ? berth_call_reply(call, reply, 0, error) : BERTH_CALL_FAILED;
}

BerthVerdict berth_call_reply_value(BerthCall *call, char type, const char *value, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);

    if (!reply)
        return BERTH_CALL_FAILED;
    return berth_call_reply(call, reply, sd_bus_message_append_basic(reply, type, value), error);
}

void berth_call_resume(BerthCall *call)
{
    proceed(call); /* beginning with its rights: a name can mean another sandbox by now */
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthCall *call = userdata;

    call->retry = sd_event_source_disable_unref(call->retry);
    proceed(call);
    return 0;
}

BerthVerdict berth_call_retry(BerthCall *call, uint64_t usec, GError **error)
{
    int r = sd_event_add_time_relative(call->daemon->event, &call->retry, CLOCK_MONOTONIC, usec, 1,
                                       on_retry, call);

    if (r < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot wait");
        return BERTH_CALL_FAILED;
    }
    call->tries++;
    return BERTH_CALL_WAITING;
}

void berth_calls_drop_all(BerthDaemon *daemon)
{
    while (daemon->calls.head)
        call_free(daemon->calls.head->data);
}

void berth_calls_drop_sender(BerthDaemon *daemon, const char *sender)
{
    GList *next;

    for (GList *link = daemon->calls.head; link; link = next) {
        BerthCall *call = link->data;

        next = link->next;
        if (g_strcmp0(sd_bus_message_get_sender(call->message), sender) != 0)
            continue;
        call->gone = true;
        /* what waits in line was sent, maybe by who wants no reply; act looks where that matters */
        if (call->retry || call->check)
            call_free(call);
    }
}
