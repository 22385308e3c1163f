/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Callers and their credentials. They come from the bus driver, which took them from the socket
 * when the peer connected; asking /proc about a PID would be a race, and libsystemd 252 does not
 * read groups from the driver. The answer is awaited without blocking and kept per unique name,
 * which a bus never gives out twice, until the name leaves the bus.
 */

#include "daemon/caller.h"

#include "base/error.h"

#include <errno.h>
#include <stdint.h>

#define DRIVER "org.freedesktop.DBus"

typedef struct {
    BerthCallerFunc func;
    void *userdata;
} Waiter;

/* A name being looked up (caller NULL) or known. */
typedef struct {
    BerthCallers *callers; /* not owned */
    char *name;
    BerthCaller *caller;
    GArray *waiters; /* of Waiter */
    sd_bus_slot *slot;
} Entry;

struct BerthCallers {
    sd_bus *bus;
    sd_bus_slot *match;
    GHashTable *entries; /* unique name → Entry */
    void (*gone)(const char *name, void *userdata);
    void *gone_userdata;
};

BerthCaller *berth_caller_ref(BerthCaller *caller)
{
    caller->refs++;
    return caller;
}

void berth_caller_unref(BerthCaller *caller)
{
    if (!caller || --caller->refs > 0)
        return;
    g_array_unref(caller->groups);
    g_free(caller->name);
    g_free(caller);
}

static void entry_free(void *data)
{
    Entry *entry = data;

    sd_bus_slot_unref(entry->slot);
    berth_caller_unref(entry->caller);
    g_array_unref(entry->waiters);
    g_free(entry->name);
    g_free(entry);
}

/* Tells everybody who waits. Their functions may ask for further callers, but not for this one. */
static void answer(Entry *entry, const GError *error)
{
    g_autoptr(GArray) waiters = g_steal_pointer(&entry->waiters);

    entry->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    for (guint i = 0; i < waiters->len; i++) {
        Waiter *waiter = &g_array_index(waiters, Waiter, i);

        waiter->func(entry->caller, error, waiter->userdata);
    }
}

/* Reads the `a{sv}` of GetConnectionCredentials (D-Bus specification, message bus messages). */
static int read_credentials(sd_bus_message *reply, BerthCaller *caller, bool *has_uid)
{
    int r = sd_bus_message_enter_container(reply, 'a', "{sv}");

    *has_uid = false;
    while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        const char *key, *type;
        const void *data;
        uint32_t uid;
        size_t size;

        r = sd_bus_message_read_basic(reply, 's', &key);
        if (r >= 0)
            r = sd_bus_message_peek_type(reply, NULL, &type);
        if (r < 0)
            return r;
        if (g_str_equal(key, "UnixUserID") && g_str_equal(type, "u")) {
            r = sd_bus_message_read(reply, "v", "u", &uid);
            caller->uid = uid;
            *has_uid = true;
        } else if (g_str_equal(key, "UnixGroupIDs") && g_str_equal(type, "au")) {
            r = sd_bus_message_enter_container(reply, 'v', "au");
            if (r >= 0)
                r = sd_bus_message_read_array(reply, 'u', &data, &size);
            if (r >= 0) {
                g_array_append_vals(caller->groups, data, (guint)(size / sizeof(gid_t)));
                r = sd_bus_message_exit_container(reply);
            }
        } else {
            r = sd_bus_message_skip(reply, "v");
        }
        if (r >= 0)
            r = sd_bus_message_exit_container(reply);
    }
    return r >= 0 ? sd_bus_message_exit_container(reply) : r;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    Entry *entry = userdata;
    g_autoptr(GError) error = NULL;
    BerthCaller *caller = g_new0(BerthCaller, 1);
    bool has_uid = false;
    int r = 0;

    *caller = (BerthCaller){ 1, g_strdup(entry->name), (uid_t)-1,
                             g_array_new(FALSE, FALSE, sizeof(gid_t)) };
    entry->slot = sd_bus_slot_unref(entry->slot);
    if (!sd_bus_message_is_method_error(reply, NULL))
        r = read_credentials(reply, caller, &has_uid);
    if (r >= 0 && has_uid) {
        entry->caller = caller;
        answer(entry, NULL);
        return 0;
    }
    berth_caller_unref(caller);
    berth_set_error(&error, BERTH_ERROR_ACCESS_DENIED,
                    "the message bus does not say who you are; are you still connected?");
    answer(entry, error);
    g_hash_table_remove(entry->callers->entries, entry->name);
    return 0;
}

static int on_name_gone(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
    BerthCallers *callers = userdata;
    const char *name, *old_owner, *new_owner;
    Entry *entry;

    if (sd_bus_message_read(signal, "sss", &name, &old_owner, &new_owner) < 0 || name[0] != ':' ||
        *new_owner)
        return 0;
    entry = g_hash_table_lookup(callers->entries, name);
    /* while it is being looked up, the driver's answer ends it */
    if (entry && !entry->slot)
        g_hash_table_remove(callers->entries, name);
    if (callers->gone)
        callers->gone(name, callers->gone_userdata);
    return 0;
}

BerthCallers *berth_callers_new(sd_bus *bus, GError **error)
{
    BerthCallers *callers = g_new0(BerthCallers, 1);
    int r;

    callers->bus = bus;
    callers->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
    r = sd_bus_add_match_async(bus, &callers->match,
                               "type='signal',sender='" DRIVER "',path='/org/freedesktop/DBus',"
                               "interface='" DRIVER "',member='NameOwnerChanged',arg2=''",
                               on_name_gone, NULL, callers);
    if (r < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch the bus's names");
        berth_callers_free(callers);
        return NULL;
    }
    return callers;
}

void berth_callers_free(BerthCallers *callers)
{
    if (!callers)
        return;
    sd_bus_slot_unref(callers->match);
    g_hash_table_unref(callers->entries);
    g_free(callers);
}

void berth_callers_on_gone(BerthCallers *callers, void (*gone)(const char *name, void *userdata),
                           void *userdata)
{
    callers->gone = gone;
    callers->gone_userdata = userdata;
}

void berth_callers_find(BerthCallers *callers, const char *name, BerthCallerFunc func,
                        void *userdata)
{
    Entry *entry = g_hash_table_lookup(callers->entries, name);
    Waiter waiter = { func, userdata };

    if (entry && entry->caller) {
        func(entry->caller, NULL, userdata);
        return;
    }
    if (!entry) {
        int r;

        entry = g_new0(Entry, 1);
        entry->callers = callers;
        entry->name = g_strdup(name);
        entry->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
        r = sd_bus_call_method_async(callers->bus, &entry->slot, DRIVER, "/org/freedesktop/DBus",
                                     DRIVER, "GetConnectionCredentials", on_credentials, entry, "s",
                                     name);
        if (r < 0) {
            g_autoptr(GError) error = NULL;

            berth_set_error_errno(&error, BERTH_ERROR_FAILED, -r, "cannot ask the message bus");
            entry_free(entry);
            func(NULL, error, userdata);
            return;
        }
        g_hash_table_insert(callers->entries, entry->name, entry);
    }
    g_array_append_val(entry->waiters, waiter);
}
