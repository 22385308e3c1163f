/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sandboxes that end by themselves: with a connection to the bus, or with a process. A connection
 * is known by its unique name and the ID of the bus, since another bus gives the same names again;
 * a process by its pidfd, and across a restart of the service by PID and start time.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/sandboxes-internal.h"
#include "ipc/pidfd.h"

#include <errno.h>
#include <string.h>
#include <sys/pidfd.h>

/* A sandbox by ID, for callbacks: it may be gone when they come. */
typedef struct {
    BerthSandboxes *sandboxes;
    char id[BERTH_ID_LENGTH + 1];
} Reference;

static Reference *reference_new(BerthSandboxes *sandboxes, const BerthSandbox *sandbox)
{
    Reference *reference = g_new(Reference, 1);

    reference->sandboxes = sandboxes;
    memcpy(reference->id, sandbox->id, sizeof(reference->id));
    return reference;
}

static void end(BerthSandboxes *sandboxes, BerthSandbox *sandbox)
{
    g_autofree char *id = g_strdup(sandbox->id);
    g_autoptr(GError) error = NULL;

    if (!berth_sandboxes_remove(sandboxes, sandbox, &error))
        berth_err("cannot remove sandbox %s at the end of its lifetime: %s", id, error->message);
}

/* Ends those of @ids that are still there: the end of one can be that of another. */
static void end_all(BerthSandboxes *sandboxes, const GPtrArray *ids)
{
    for (guint i = 0; i < ids->len; i++) {
        BerthSandbox *sandbox = berth_sandboxes_by_id(sandboxes, ids->pdata[i]);

        if (sandbox)
            end(sandboxes, sandbox);
    }
}

static int on_process_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Reference *reference = userdata;
    BerthSandbox *sandbox = berth_sandboxes_by_id(reference->sandboxes, reference->id);

    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (sandbox)
        end(reference->sandboxes, sandbox);
    return 0;
}

/* A pidfd of the process that @sandbox lives with; -1: it has ended. */
static int open_process(const BerthSandboxes *sandboxes, const BerthSandbox *sandbox)
{
    BERTH_AUTO_FD pidfd = pidfd_open(sandbox->pid, 0);
    uint64_t start;

    if (pidfd < 0 || !berth_process_start(sandboxes->vault->places, sandbox->pid, &start) ||
        start != sandbox->pid_start)
        return -1;
    return berth_steal_fd(&pidfd);
}

bool berth_lifetime_begin(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    BERTH_AUTO_FD pidfd = -1;
    Reference *reference;
    int r;

    if (sandbox->lifetime != BERTH_LIFETIME_PROCESS)
        return true;
    pidfd = open_process(sandboxes, sandbox);
    if (pidfd < 0)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "process %d, the lifetime of the sandbox, has ended", sandbox->pid);
    reference = reference_new(sandboxes, sandbox);
    r = sd_event_add_io(sandboxes->event, &sandbox->process, pidfd, EPOLLIN, on_process_end,
                        reference);
    if (r >= 0)
        r = sd_event_source_set_destroy_callback(sandbox->process, g_free);
    else
        g_free(reference);
    if (r >= 0)
        r = sd_event_source_set_io_fd_own(sandbox->process, true);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch process %d",
                                     sandbox->pid);
    (void)berth_steal_fd(&pidfd);
    return true;
}

void berth_sandboxes_peer_gone(BerthSandboxes *sandboxes, const char *name)
{
    g_autoptr(GPtrArray) ended = NULL;
    GHashTableIter iter;
    BerthSandbox *sandbox;

    if (sandboxes->connections == 0)
        return;
    ended = g_ptr_array_new_with_free_func(g_free);
    berth_sandboxes_iter(sandboxes, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&sandbox))
        if (sandbox->lifetime == BERTH_LIFETIME_CONNECTION && g_strcmp0(sandbox->peer, name) == 0)
            g_ptr_array_add(ended, g_strdup(sandbox->id));
    end_all(sandboxes, ended);
}

static int on_has_owner(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    Reference *reference = userdata;
    BerthSandbox *sandbox = berth_sandboxes_by_id(reference->sandboxes, reference->id);
    int has_owner;

    if (sandbox && !sd_bus_message_is_method_error(reply, NULL) &&
        sd_bus_message_read(reply, "b", &has_owner) >= 0 && !has_owner)
        end(reference->sandboxes, sandbox);
    return 0;
}

/* Asks the bus whether the peer of @sandbox is still there. */
static void ask(BerthSandboxes *sandboxes, sd_bus *bus, const BerthSandbox *sandbox)
{
    Reference *reference = reference_new(sandboxes, sandbox);
    sd_bus_slot *slot = NULL;
    int r = sd_bus_call_method_async(bus, &slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "NameHasOwner", on_has_owner,
                                     reference, "s", sandbox->peer);

    if (r < 0) {
        berth_warning("cannot ask the bus for %s: %s", sandbox->peer, g_strerror(-r));
        g_free(reference);
        return;
    }
    (void)sd_bus_slot_set_destroy_callback(slot, g_free);
    (void)sd_bus_slot_set_floating(slot, true);
    sd_bus_slot_unref(slot);
}

void berth_sandboxes_check_peers(BerthSandboxes *sandboxes, sd_bus *bus)
{
    g_autoptr(GPtrArray) ended = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    BerthSandbox *sandbox;
    sd_id128_t id;
    char text[SD_ID128_STRING_MAX] = "";

    if (sd_bus_get_bus_id(bus, &id) >= 0)
        sd_id128_to_string(id, text);
    berth_sandboxes_iter(sandboxes, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&sandbox)) {
        if (sandbox->lifetime != BERTH_LIFETIME_CONNECTION)
            continue;
        if (!sandbox->peer || g_strcmp0(sandbox->bus, text) != 0)
            g_ptr_array_add(ended, g_strdup(sandbox->id));
        else
            ask(sandboxes, bus, sandbox);
    }
    end_all(sandboxes, ended);
}
