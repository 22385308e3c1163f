/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/options.h"
#include "daemon/access.h"
#include "daemon/caller.h"
#include "daemon/daemon.h"
#include "daemon/polkit.h"

typedef struct BerthMethod BerthMethod;

/** BerthCall: a method call from its arrival to its reply. */
typedef struct {
    BerthDaemon *daemon;
    const BerthMethod *method;
    sd_bus_message *message; /* owned */
    BerthCaller *caller;     /* owned; known when authorize and act run */
    char *sandbox;           /* owned: ID in the object path of a sandbox, else NULL */
    uint32_t transfer;       /* ID in the object path of a transfer, else 0 */
    void *arguments; /* owned: method->arguments_size bytes, zeroed, cleared by method->clear */
    GList link;      /* in daemon->calls */
    sd_event_source *retry; /* set while it waits for another try */
    unsigned tries;
    BerthPolkitCheck *check; /* set while polkit is asked */
    char *asked;             /* owned: key of what it is asked */
    const char *asking;      /* (static): its action */
    bool asked_optional;     /* the call goes on when it is refused */
    GPtrArray *granted;      /* owned (element-type utf8): keys of what it granted */
    GPtrArray *refused;      /* owned (element-type utf8): keys of what is optional and was not */
    bool in_line;            /* waits for its turn, see turns.h */
    bool gone;               /* the caller left the bus; the reply will go nowhere */
    bool counted;            /* among the pending calls of its user */
} BerthCall;

/** BerthVerdict: how act ended. */
typedef enum {
    BERTH_CALL_FAILED,  /* the error is set; it becomes the reply */
    BERTH_CALL_REPLIED, /* the reply was sent */
    BERTH_CALL_WAITING, /* berth_call_finish() will be called later */
} BerthVerdict;

/**
 * BerthMethod: a row of the method table. Who may call it is part of the row, and rows are the only
 * way to register a method: there can be none that is not checked.
 */
struct BerthMethod {
    const char *interface;
    const char *member;
    sd_bus_vtable vtable; /* signature and argument names; the handler is filled in */
    BerthAccess access;
    size_t arguments_size;
    /* reads the arguments; must not look at any object. NULL: there are none */
    bool (*parse)(BerthCall *call, GError **error);
    /*
     * finds out which of the actions of the row apply, and to what; NULL: the row's own. Runs again
     * after each answer of polkit
     */
    bool (*authorize)(BerthCall *call, BerthRequest *request, GError **error);
    BerthVerdict (*act)(BerthCall *call, GError **error);
    void (*clear)(void *arguments);
};

#define BERTH_METHOD(_interface, _member, _in, _in_names, _out, _out_names, _access, ...)          \
    {                                                                                              \
        .interface = (_interface), .member = (_member), .access = (_access),                       \
        .vtable = SD_BUS_METHOD_WITH_NAMES(_member, _in, _in_names, _out, _out_names, NULL,        \
                                           SD_BUS_VTABLE_UNPRIVILEGED),                            \
        __VA_ARGS__                                                                                \
    }

/**
 * berth_methods_vtable:
 * @methods: rows of one interface, up to one whose member is NULL
 * @others: properties and signals, up to SD_BUS_VTABLE_END
 *
 * Returns: (transfer full): a vtable with all of it; it must outlive its registration.
 */
sd_bus_vtable *berth_methods_vtable(const BerthMethod *methods, const sd_bus_vtable *others);

/**
 * berth_methods_register: makes @methods known to the dispatcher, which finds the row of a message
 * here. Call it once for each table, before the vtable is registered.
 */
void berth_methods_register(const BerthMethod *methods);

/** berth_methods_begin: prepares @daemon for calls, before the first arrives. */
bool berth_methods_begin(BerthDaemon *daemon, GError **error);

/**
 * berth_call_reply: sends @reply.
 * @r: what filling it returned: a negative errno becomes the error
 */
BerthVerdict berth_call_reply(BerthCall *call, sd_bus_message *reply, int r, GError **error);
/** berth_call_reply_value: replies with one @value of the basic D-Bus type @type: `s` or `o`. */
BerthVerdict berth_call_reply_value(BerthCall *call, char type, const char *value, GError **error);
/** berth_call_reply_empty: replies without arguments. */
BerthVerdict berth_call_reply_empty(BerthCall *call, GError **error);
/** berth_call_new_reply: Returns: (transfer full): an empty reply to fill, or NULL. */
sd_bus_message *berth_call_new_reply(BerthCall *call, GError **error);

/** berth_call_finish: ends a waiting call: with the error as reply, or already replied. */
void berth_call_finish(BerthCall *call, BerthVerdict verdict, const GError *error);

/**
 * berth_call_retry: lets act run again after @usec microseconds.
 *
 * Returns: BERTH_CALL_WAITING, or BERTH_CALL_FAILED.
 */
BerthVerdict berth_call_retry(BerthCall *call, uint64_t usec, GError **error);

/** berth_set_bus_error: turns @error into a D-Bus error. Returns: a negative errno for sd-bus. */
int berth_set_bus_error(sd_bus_error *bus_error, const GError *error);

/** berth_calls_drop_all: ends every waiting call without a reply, at the end of the service. */
void berth_calls_drop_all(BerthDaemon *daemon);

/**
 * berth_call_is_granted:
 * @request: what authorize of @call says now
 * @action: (static): an optional one, see berth_request_add_optional()
 *
 * Returns: whether @action is among @request and was granted; root needs to ask nobody.
 */
bool berth_call_is_granted(const BerthCall *call, const BerthRequest *request, const char *action);

/** berth_call_resume: lets act of a waiting call run again, now. */
void berth_call_resume(BerthCall *call);

/**
 * berth_calls_drop_sender: ends, without a reply, the calls of @sender that wait for another try:
 * what they would make has nobody to belong to any more. Calls whose work is under way elsewhere go
 * on.
 */
void berth_calls_drop_sender(BerthDaemon *daemon, const char *sender);

/** BERTH_AUTO_MESSAGE: a message that is released when its variable goes out of scope. */
static inline void berth_message_cleanup(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
}
#define BERTH_AUTO_MESSAGE __attribute__((cleanup(berth_message_cleanup))) sd_bus_message
