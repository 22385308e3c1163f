/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * berth-transfer: a worker of berthd, started by its launcher for one job and gone with it. It has
 * no options and nothing to be called by hand for: what it does comes over a bus of two, whose
 * socket is descriptor 3, and so do all secrets. The first thing it does is to close itself to
 * others of the same user.
 */

#include "base/error.h"
#include "base/log.h"
#include "base/names.h"
#include "transfer/job.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>

#define SOCKET 3

static int on_run(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
    static bool started;
    g_autoptr(GError) error = NULL;

    if (started)
        return sd_bus_error_set(ret_error, SD_BUS_ERROR_FAILED, "there is a job already");
    started = true;
    if (berth_job_start(userdata, call, &error))
        return 1;
    return sd_bus_error_set(ret_error, berth_error_dbus_name(error->code), error->message);
}

static int on_set_bandwidth(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
    uint64_t rate;
    int r = sd_bus_message_read(call, "t", &rate);

    if (r < 0)
        return r;
    berth_job_set_bandwidth(rate);
    return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Run", "sa{sv}", "a{sv}", on_run, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("SetBandwidth", "t", "", on_set_bandwidth, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int serve(void)
{
    sd_event *event = NULL;
    sd_bus *bus = NULL;
    int r = sd_event_default(&event);

    if (r >= 0)
        r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_fd(bus, SOCKET, SOCKET);
    if (r >= 0)
        r = sd_bus_set_anonymous(bus, true);
    if (r >= 0)
        r = sd_bus_set_trusted(bus, true);
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus, true);
    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(bus, true);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER, vtable, event);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r >= 0) /* the service sends the job when it hears that */
        r = sd_bus_emit_signal(bus, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Ready", NULL);
    if (r >= 0)
        r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_event_loop(event);
    return r;
}

int main(int argc, char **argv)
{
    int r;

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_NAME, "berth-transfer");
    (void)signal(SIGPIPE, SIG_IGN);
    berth_log_set_target(BERTH_LOG_CONSOLE); /* the journal's socket is out of reach */
    if (argc > 1 || sd_is_socket(SOCKET, AF_UNIX, SOCK_STREAM, 0) <= 0) {
        berth_err("berth-transfer is started by berthd, see berthd(8)");
        return 2;
    }
    /* memory counts more than the last bit of speed: blocks and buffers are not to be scattered */
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    r = serve();
    if (r < 0)
        berth_err("berth-transfer: %s", g_strerror(-r));
    _exit(r == 0 ? EXIT_SUCCESS : EXIT_FAILURE); /* nothing to tidy up: all of it goes */
}
