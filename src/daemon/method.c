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
static bool authorize(BerthCall *call, GError **error)
{
    const BerthAccess *access = &call->method->access;
    BerthRequest request = { 0 };

    if (call->method->authorize) {
        if (!call->method->authorize(call, &request, error))
            return false;
    } else if (access->who != BERTH_WHO_EVERYBODY) {
        berth_request_add(&request, access->action);
    }
    return berth_access_check(call->caller, &request, error);
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
    if (authorize(call, &error))
        act(call);
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
    call->arguments = g_malloc0(method->arguments_size);
    call->link.data = call;
    g_queue_push_tail_link(&daemon->calls, &call->link);
    berth_idle_touch(daemon);

    if (method->parse && !method->parse(call, &error))
        berth_call_finish(call, BERTH_CALL_FAILED, error);
    else
        berth_callers_find(daemon->callers, sender, on_caller, call);
    return 1;
}

void berth_methods_register(const BerthMethod *methods)
{
    unsigned i = 0;

    while (tables[i] && tables[i] != methods)
        g_assert(++i < MAX_TABLES);
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

BerthVerdict berth_call_reply(BerthCall *call, sd_bus_message *reply, GError **error)
{
    int r = sd_bus_send(NULL, reply, NULL);

    if (r < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot send the reply");
        return BERTH_CALL_FAILED;
    }
    return BERTH_CALL_REPLIED;
}

BerthVerdict berth_call_reply_empty(BerthCall *call, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);

    return reply ? berth_call_reply(call, reply, error) : BERTH_CALL_FAILED;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthCall *call = userdata;

    call->retry = sd_event_source_disable_unref(call->retry);
    act(call);
    return 0;
}

BerthVerdict berth_call_retry(BerthCall *call, uint64_t usec, GError **error)
{
    int r = sd_event_add_time_relative(call->daemon->event, &call->retry, CLOCK_MONOTONIC, usec, 0,
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
        if (call->retry && g_strcmp0(sd_bus_message_get_sender(call->message), sender) == 0)
            call_free(call);
    }
}
