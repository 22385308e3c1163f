/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Idle exit. A service that holds nothing ends, and the bus starts it again at the next call. No
 * call may be lost on the way: the name is released first; what was sent to it before that is still
 * here and is served; whatever comes later activates a new process. If serving it made a sandbox,
 * the service is started again; a transfer, which would end with the process, is refused.
 */

#include "daemon/idle.h"

#include "base/log.h"
#include "base/names.h"
#include "daemon/sandboxes.h"
#include "daemon/transfers.h"

#include <systemd/sd-daemon.h>

struct BerthIdle {
    BerthDaemon *daemon;
    uint64_t usec;
    sd_event_source *timer;
    sd_bus_slot *slot; /* of the release under way */
    bool released;
};

static bool is_idle(BerthDaemon *daemon)
{
    return daemon->calls.length == 0 && berth_sandboxes_is_empty(daemon->sandboxes) &&
           berth_transfers_is_empty(daemon->transfers);
}

/*
 * The name is not ours any more: ends when the last call is served. If one made a sandbox, the unit
 * starts the service again, since somebody must watch over its lifetime.
 */
static void settle(BerthIdle *idle)
{
    BerthDaemon *daemon = idle->daemon;

    if (idle->slot || daemon->calls.length > 0)
        return;
    if (!berth_sandboxes_is_empty(daemon->sandboxes))
        berth_info("a sandbox was made while the service was ending, to be started again");
    (void)sd_event_exit(daemon->event,
                        berth_sandboxes_is_empty(daemon->sandboxes) ? 0 : BERTH_EXIT_AGAIN);
}

static int on_released(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    BerthIdle *idle = userdata;

    idle->slot = sd_bus_slot_unref(idle->slot);
    settle(idle);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthIdle *idle = userdata;
    int r;

    if (!is_idle(idle->daemon))
        return 0;
    berth_debug("idle, ending");
    (void)sd_notify(0, "STOPPING=1");
    idle->released = true;
    r = sd_bus_release_name_async(idle->daemon->bus, &idle->slot, BERTH_BUS_NAME, on_released,
                                  idle);
    return r < 0 ? sd_event_exit(idle->daemon->event, 1) : 0;
}

BerthIdle *berth_idle_new(BerthDaemon *daemon, uint64_t usec)
{
    BerthIdle *idle = g_new0(BerthIdle, 1);

    idle->daemon = daemon;
    idle->usec = usec;
    return idle;
}

void berth_idle_free(BerthIdle *idle)
{
    if (!idle)
        return;
    sd_event_source_disable_unref(idle->timer);
    sd_bus_slot_unref(idle->slot);
    g_free(idle);
}

bool berth_idle_is_ending(BerthDaemon *daemon)
{
    return daemon->idle && daemon->idle->released;
}

void berth_idle_touch(BerthDaemon *daemon)
{
    BerthIdle *idle = daemon->idle;
    int r;

    if (!idle || idle->usec == 0)
        return;
    if (idle->released) {
        settle(idle);
        return;
    }
    if (!is_idle(daemon)) {
        idle->timer = sd_event_source_disable_unref(idle->timer);
        return;
    }
    if (idle->timer)
        return;
    r = sd_event_add_time_relative(daemon->event, &idle->timer, CLOCK_MONOTONIC, idle->usec, 0,
                                   on_timer, idle);
    if (r < 0)
        berth_warning("cannot wait for the end of all work: %s", g_strerror(-r));
}
