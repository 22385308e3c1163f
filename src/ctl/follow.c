/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Following a transfer: the call that starts it, the signals that tell of it, and the terminal's
 * signals. The order matters: matches and Subscribe before the first look, so that nothing falls in
 * between. Signals count only from the connection that answered; anybody could send such ones. The
 * transfer belongs to the service: whatever happens to berthctl, it goes on.
 */

#include "ctl/follow.h"

#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/follow-report.h"
#include "ctl/json.h"
#include "ctl/report.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#define IF_PROPERTIES "org.freedesktop.DBus.Properties"
#define TICK_USEC     UINT64_C(100000)

typedef struct {
    Ctl *ctl;
    sd_event *event;
    char *path;    /* of the transfer; NULL: the service has not answered yet */
    char *service; /* the unique name of the connection that did */
    CtlProgress progress;
    CtlFollowReport report;
    bool started; /* the first look was taken */
    bool ending;  /* it is over, and the last look under way */
    int status;   /* of berthctl */
} Follow;

static int end(Follow *follow, int status)
{
    follow->status = status;
    return sd_event_exit(follow->event, 0);
}

static int fail(Follow *follow, const sd_bus_error *error, int r)
{
    ctl_bars_clear(&follow->report.bars);
    return end(follow, ctl_fail_bus(follow->ctl, error, r));
}

/* Calls a method of the transfer. */
static int call(Follow *follow, const char *member, sd_bus_message_handler_t on_reply)
{
    return sd_bus_call_method_async(follow->ctl->bus, NULL, follow->service, follow->path,
                                    BERTH_IF_TRANSFER, member, on_reply, follow, "");
}

/* The last look only adds where layers came from, and may fail. */
static int on_description(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;
    const sd_bus_error *failure = sd_bus_message_get_error(reply);
    g_autoptr(json_t) values = NULL;
    int r = failure ? 0 : ctl_json_read(reply, &values);

    if (!follow->ending && (failure || r < 0))
        return fail(follow, failure, r);
    ctl_progress_update(&follow->progress, values);
    if (!follow->started)
        ctl_follow_report_started(&follow->report, follow->path);
    follow->started = true;
    if (ctl_progress_is_over(&follow->progress))
        return end(follow, ctl_follow_report_finished(&follow->report));
    return 0;
}

static int look(Follow *follow)
{
    return call(follow, "Describe", on_description);
}

static int look_at_end(Follow *follow)
{
    if (follow->ending || !ctl_progress_is_over(&follow->progress))
        return 0;
    follow->ending = true;
    return look(follow);
}

static int on_layer(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;
    const char *digest, *state;
    uint64_t done, total;
    uint32_t index;
    bool over;

    if (sd_bus_message_read(message, "usstt", &index, &digest, &state, &done, &total) < 0)
        return 0;
    over = ctl_progress_set_layer(&follow->progress, index, digest, state, done, total);
    if (follow->started)
        ctl_follow_report_layer(&follow->report, index, over);
    return 0;
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;
    g_autoptr(json_t) values = NULL;
    const char *interface;

    if (sd_bus_message_read(message, "s", &interface) < 0 ||
        strcmp(interface, BERTH_IF_TRANSFER) != 0 || ctl_json_read(message, &values) < 0)
        return 0;
    ctl_progress_update(&follow->progress, values);
    if (follow->started)
        ctl_follow_report_changed(&follow->report);
    return look_at_end(follow);
}

static int on_finished(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;
    const char *state, *digest, *name, *text;
    g_autoptr(json_t) values = NULL;

    if (sd_bus_message_read(message, "ssss", &state, &digest, &name, &text) < 0)
        return 0;
    values = json_pack("{s:s, s:s, s:s, s:s}", "State", state, "Digest", digest, "ErrorName", name,
                       "ErrorMessage", text);
    ctl_progress_update(&follow->progress, values);
    return look_at_end(follow);
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;

    ctl_bars_clear(&follow->report.bars);
    return end(follow, ctl_fail(follow->ctl, SD_BUS_ERROR_NO_REPLY,
                                "the service ended while the transfer was under way; start it "
                                "again: what it had fetched is kept"));
}

static int on_subscribed(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;
    int r;

    if (sd_bus_message_get_error(reply))
        return fail(follow, sd_bus_message_get_error(reply), 0);
    r = look(follow);
    return r < 0 ? fail(follow, NULL, r) : 0;
}

static int match(Follow *follow, const char *interface, const char *member,
                 sd_bus_message_handler_t callback)
{
    return sd_bus_match_signal_async(follow->ctl->bus, NULL, follow->service, follow->path,
                                     interface, member, callback, NULL, follow);
}

/* Once path and service are known. */
static int begin(Follow *follow)
{
    g_autofree char *leaves =
        g_strdup_printf("type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                        follow->service);
    const char *number = strrchr(follow->path, '/') + 1;
    int r;

    follow->progress.id = (uint32_t)g_ascii_strtoull(number, NULL, 10);
    r = match(follow, BERTH_IF_TRANSFER, "LayerProgress", on_layer);
    if (r >= 0)
        r = match(follow, BERTH_IF_TRANSFER, "Finished", on_finished);
    if (r >= 0)
        r = match(follow, IF_PROPERTIES, "PropertiesChanged", on_changed);
    if (r >= 0)
        r = sd_bus_add_match_async(follow->ctl->bus, NULL, leaves, on_owner_changed, NULL, follow);
    return r < 0 ? r : call(follow, "Subscribe", on_subscribed);
}

/* The answer with a transfer's path. */
static int on_path(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;
    const char *path;
    int r;

    if (sd_bus_message_get_error(reply))
        return fail(follow, sd_bus_message_get_error(reply), 0);
    r = sd_bus_message_read(reply, "o", &path);
    if (r >= 0) {
        follow->path = g_strdup(path);
        follow->service = g_strdup(sd_bus_message_get_sender(reply) ?: BERTH_BUS_NAME);
        r = begin(follow);
    }
    return r < 0 ? fail(follow, NULL, r) : 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    Follow *follow = userdata;

    ctl_bars_clear(&follow->report.bars);
    return end(follow, ctl_fail(follow->ctl, SD_BUS_ERROR_DISCONNECTED,
                                "the connection to the bus was lost; is the bus still running?"));
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *info,
                        void *userdata)
{
    Follow *follow = userdata;

    follow->ctl->detached = true;
    if (follow->path)
        ctl_follow_report_detached(&follow->report);
    else
        ctl_warn(
            "interrupted before the service answered; 'berthctl transfers' shows what goes on");
    return end(follow, EXIT_FAILURE);
}

static int on_resized(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Follow *follow = userdata;

    follow->report.changed = true;
    return 0;
}

static int on_continued(sd_event_source *source, const struct signalfd_siginfo *info,
                        void *userdata)
{
    Follow *follow = userdata;

    ctl_bars_forget(&follow->report.bars);
    follow->report.changed = true;
    return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
    Follow *follow = userdata;
    uint64_t now = 0;
    int r = sd_event_now(follow->event, CLOCK_MONOTONIC, &now);

    if (follow->started)
        ctl_follow_report_tick(&follow->report, now);
    if (r >= 0)
        r = sd_event_source_set_time_relative(source, TICK_USEC);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int watch_signals(Follow *follow)
{
    static const struct {
        int signal;
        sd_event_signal_handler_t callback;
    } signals[] = {
        { SIGINT, on_interrupt },
        { SIGTERM, on_interrupt },
        { SIGWINCH, on_resized },
        { SIGCONT, on_continued },
    };
    sigset_t mask;
    int r = 0;

    sigemptyset(&mask);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaddset(&mask, signals[i].signal);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    for (unsigned i = 0; r >= 0 && i < G_N_ELEMENTS(signals); i++)
        r = sd_event_add_signal(follow->event, NULL, signals[i].signal, signals[i].callback,
                                follow);
    return r;
}

static int prepare(Follow *follow)
{
    int r = sd_event_new(&follow->event);

    ctl_progress_init(&follow->progress);
    ctl_follow_report_init(&follow->report, follow->ctl, &follow->progress);
    if (r >= 0)
        r = watch_signals(follow);
    if (r >= 0)
        r = sd_event_add_time_relative(follow->event, NULL, CLOCK_MONOTONIC, TICK_USEC,
                                       TICK_USEC / 10, on_tick, follow);
    if (r >= 0)
        r = sd_bus_attach_event(follow->ctl->bus, follow->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_match_signal(follow->ctl->bus, NULL, "org.freedesktop.DBus.Local",
                                "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                "Disconnected", on_disconnected, follow);
    return r;
}

static void clear(Follow *follow)
{
    (void)sd_bus_detach_event(follow->ctl->bus);
    sd_event_unref(follow->event);
    ctl_progress_clear(&follow->progress);
    g_free(follow->path);
    g_free(follow->service);
}

int ctl_follow_call(Ctl *ctl, sd_bus_message *message, int r)
{
    __attribute__((cleanup(clear))) Follow follow = { .ctl = ctl, .status = EXIT_FAILURE };

    if (ctl->json == CTL_JSON_PRETTY)
        ctl->json = CTL_JSON_SHORT; /* events are told apart by lines, failures too */
    if (r >= 0)
        r = prepare(&follow);
    if (r >= 0)
        r = sd_bus_call_async(ctl->bus, NULL, message, on_path, &follow, 0);
    if (r >= 0)
        r = sd_event_loop(follow.event);
    return r < 0 ? ctl_fail_bus(ctl, NULL, r) : follow.status;
}
