/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker tells of its progress. Layers change with every block that arrives; the service
 * hears of the changed ones at most ten times a second, in messages of bounded size, and of nothing
 * else. Numbers are kept such that they always make sense: the service ends a worker whose numbers
 * do not.
 *
 * Jobs that block tell from a thread of their own. So everything is behind a lock, and only the
 * loop's thread sends: it is woken through an eventfd.
 */

#include "transfer/progress.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/names.h"

#include <sys/eventfd.h>

#define INTERVAL_USEC UINT64_C(100000)         /* between two messages */
#define LIFE_USEC     (15 * UINT64_C(1000000)) /* and at most, when nothing changes */
#define ROWS_MAX      1000                     /* layers in one message */

typedef struct {
    BerthDigest digest;
    BerthLayerProgress now;
    bool changed;
} Layer;

struct BerthProgress {
    sd_bus *bus;
    sd_event *event;
    sd_event_source *timer, *woken;
    int wake;       /* eventfd: the timer is to be armed */
    GMutex lock;    /* for what follows */
    GArray *layers; /* (element-type Layer) */
    unsigned changed;
    bool other_changed, complete, armed; /* armed: the timer is for the next message */
    uint64_t done, total;                /* of all layers but skipped ones */
    uint64_t other_done, other_total;
    uint64_t last; /* CLOCK_MONOTONIC of the last message */
};

static Layer *layer_at(const BerthProgress *progress, unsigned index)
{
    return &g_array_index(progress->layers, Layer, index);
}

static bool counts(const BerthLayerProgress *layer)
{
    return layer->state != BERTH_LAYER_SKIPPED;
}

static uint64_t total_of(const BerthProgress *progress)
{
    return progress->complete ? progress->total + progress->other_total : 0;
}

static int append_rows(BerthProgress *progress, sd_bus_message *message)
{
    int r = sd_bus_message_open_container(message, 'a', "(usstts)");
    unsigned rows = 0;

    for (guint i = 0; r >= 0 && progress->changed > 0 && rows < ROWS_MAX; i++) {
        Layer *layer = layer_at(progress, i);

        if (!layer->changed)
            continue;
        layer->changed = false;
        progress->changed--;
        rows++;
        r = sd_bus_message_append(message, "(usstts)", i, layer->digest.text,
                                  berth_layer_state_to_string(layer->now.state), layer->now.done,
                                  layer->now.total,
                                  berth_layer_source_to_string(layer->now.source));
    }
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static void send_now(BerthProgress *progress)
{
    sd_bus_message *message = NULL;
    uint64_t done = progress->done + progress->other_done, total = total_of(progress);
    int r = sd_bus_message_new_signal(progress->bus, &message, BERTH_WORKER_PATH, BERTH_IF_WORKER,
                                      "Progress");

    progress->other_changed = false;
    if (r >= 0)
        r = sd_bus_message_append(message, "tt", total > 0 ? MIN(done, total) : done, total);
    if (r >= 0)
        r = append_rows(progress, message);
    if (r >= 0)
        r = sd_bus_send(progress->bus, message, NULL);
    if (r < 0)
        berth_debug("cannot tell the progress: %s", g_strerror(-r));
    sd_bus_message_unref(message);
    (void)sd_event_now(progress->event, CLOCK_MONOTONIC, &progress->last);
}

static bool is_waiting(const BerthProgress *progress)
{
    return progress->changed > 0 || progress->other_changed;
}

/* In the loop's thread: for the next message, or the next sign of life. */
static void arm(BerthProgress *progress)
{
    progress->armed = is_waiting(progress);
    (void)sd_event_source_set_time(progress->timer,
                                   progress->last + (progress->armed ? INTERVAL_USEC : LIFE_USEC));
    (void)sd_event_source_set_enabled(progress->timer, SD_EVENT_ONESHOT);
}

/* In any thread: there is something to send. */
static void wake(BerthProgress *progress)
{
    const uint64_t one = 1;

    if (progress->armed)
        return;
    progress->armed = true;
    (void)!write(progress->wake, &one, sizeof(one));
}

static int on_woken(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    BerthProgress *progress = userdata;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&progress->lock);
    uint64_t wakes;

    (void)!read(fd, &wakes, sizeof(wakes));
    arm(progress);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthProgress *progress = userdata;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&progress->lock);

    send_now(progress);
    arm(progress);
    return 0;
}

BerthProgress *berth_progress_new(sd_bus *bus, sd_event *event)
{
    BerthProgress *progress = g_new0(BerthProgress, 1);

    progress->bus = sd_bus_ref(bus);
    progress->event = sd_event_ref(event);
    progress->layers = g_array_new(FALSE, FALSE, sizeof(Layer));
    (void)sd_event_now(event, CLOCK_MONOTONIC, &progress->last);
    if (sd_event_add_time(event, &progress->timer, CLOCK_MONOTONIC, progress->last + LIFE_USEC, 1,
                          on_timer, progress) < 0)
        berth_debug("cannot tell the progress: no timer");
    progress->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (progress->wake < 0 ||
        sd_event_add_io(event, &progress->woken, progress->wake, EPOLLIN, on_woken, progress) < 0)
        berth_debug("cannot tell the progress: no eventfd");
    g_mutex_init(&progress->lock);
    return progress;
}

void berth_progress_free(BerthProgress *progress)
{
    if (!progress)
        return;
    sd_event_source_disable_unref(progress->timer);
    sd_event_source_disable_unref(progress->woken);
    berth_close(progress->wake);
    g_mutex_clear(&progress->lock);
    g_array_unref(progress->layers);
    sd_event_unref(progress->event);
    sd_bus_unref(progress->bus);
    g_free(progress);
}

static void mark(BerthProgress *progress, Layer *layer)
{
    if (!layer->changed)
        progress->changed++;
    layer->changed = true;
    wake(progress);
}

static void count(BerthProgress *progress, const BerthLayerProgress *layer, bool in)
{
    if (!counts(layer))
        return;
    progress->done = in ? progress->done + layer->done : progress->done - layer->done;
    progress->total = in ? progress->total + layer->total : progress->total - layer->total;
}

unsigned berth_progress_add(BerthProgress *progress, const BerthDigest *digest, uint64_t total)
{
    Layer layer = { .digest = *digest,
                    .now = { BERTH_LAYER_WAITING, 0, total, BERTH_SOURCE_UNKNOWN } };
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&progress->lock);
    unsigned index = progress->layers->len;

    if (index >= BERTH_LAYERS_MAX)
        return BERTH_LAYERS_MAX;
    g_array_append_val(progress->layers, layer);
    count(progress, &layer.now, true);
    mark(progress, layer_at(progress, index));
    return index;
}

void berth_progress_set(BerthProgress *progress, unsigned index, const BerthLayerProgress *now)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&progress->lock);
    Layer *layer;

    if (index >= progress->layers->len)
        return;
    layer = layer_at(progress, index);
    count(progress, &layer->now, false);
    layer->now = *now;
    if (now->total > 0) /* a server can send more than it said, until that is noticed */
        layer->now.done = MIN(now->done, now->total);
    count(progress, &layer->now, true);
    mark(progress, layer);
}

void berth_progress_set_other(BerthProgress *progress, uint64_t done, uint64_t total)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&progress->lock);

    progress->other_done = done;
    progress->other_total = total;
    progress->other_changed = true;
    wake(progress);
}

void berth_progress_set_complete(BerthProgress *progress)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&progress->lock);

    progress->complete = true;
    progress->other_changed = true;
    wake(progress);
}

void berth_progress_flush(BerthProgress *progress)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&progress->lock);

    while (is_waiting(progress))
        send_now(progress);
}
