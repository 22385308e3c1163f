/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies of blobs that users hold. Such memory belongs to no process and is charged to the service,
 * whoever holds it, so that somebody who opens a blob again and again would take all there is.
 * Nothing tells when memory like that goes. But a write lease can be had on a file only while it is
 * open nowhere else for reading (fcntl(2), since Linux 5.3 without mistakes): so the service keeps
 * a descriptor of each copy, tries now and then, and lets go of those that only it has.
 */

#include "daemon/copies.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#define BYTES_PER_USER (UINT64_C(1) << 30)
#define COUNT_PER_USER 256

#define LOOK_USEC      (1000 * UINT64_C(1000)) /* until the first look, and after one that found any */
#define LOOK_MAX_USEC  (30 * LOOK_USEC)

typedef struct {
    uid_t uid;
    int fd;
    uint64_t size;
} Copy;

struct BerthCopies {
    sd_event *event;
    sd_event_source *timer; /* set while there are any */
    uint64_t pause;         /* µs until the next look */
    GArray *copies;         /* (element-type Copy) */
};

static void clear(gpointer data)
{
    Copy *copy = data;

    copy->fd = berth_close(copy->fd);
}

BerthCopies *berth_copies_new(sd_event *event)
{
    BerthCopies *copies = g_new0(BerthCopies, 1);

    copies->event = event;
    copies->copies = g_array_new(FALSE, FALSE, sizeof(Copy));
    g_array_set_clear_func(copies->copies, clear);
    return copies;
}

void berth_copies_free(BerthCopies *copies)
{
    if (!copies)
        return;
    sd_event_source_disable_unref(copies->timer);
    g_array_unref(copies->copies);
    g_free(copies);
}

/* The lease goes with the descriptor. */
static bool is_abandoned(const Copy *copy)
{
    return fcntl(copy->fd, F_SETLEASE, F_WRLCK) == 0;
}

/* Returns: whether some went. */
static bool sweep(BerthCopies *copies)
{
    guint before = copies->copies->len;

    for (guint i = before; i > 0; i--)
        if (is_abandoned(&g_array_index(copies->copies, Copy, i - 1)))
            g_array_remove_index_fast(copies->copies, i - 1);
    return copies->copies->len < before;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void look_later(BerthCopies *copies)
{
    copies->timer = sd_event_source_disable_unref(copies->timer);
    if (copies->copies->len > 0)
        (void)sd_event_add_time_relative(copies->event, &copies->timer, CLOCK_MONOTONIC,
                                         copies->pause, 0, on_timer, copies);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    BerthCopies *copies = userdata;

    copies->pause = sweep(copies) ? LOOK_USEC : MIN(2 * copies->pause, LOOK_MAX_USEC);
    look_later(copies);
    return 0;
}

static bool has_room(const BerthCopies *copies, uid_t uid, uint64_t size, GError **error)
{
    uint64_t bytes = 0;
    unsigned n = 0;

    for (guint i = 0; i < copies->copies->len; i++) {
        const Copy *copy = &g_array_index(copies->copies, Copy, i);

        if (copy->uid != uid)
            continue;
        bytes += copy->size;
        n++;
    }
    if (n < COUNT_PER_USER && bytes + size <= BYTES_PER_USER)
        return true;
    return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                           "user %u holds %u copies of blobs with %" PRIu64
                           " bytes, of at most %d with %" PRIu64
                           "; close some of their descriptors first",
                           uid, n, bytes, COUNT_PER_USER, BYTES_PER_USER);
}

static int open_again(int memory, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", memory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open a memfd");
    return fd;
}

int berth_copies_add(BerthCopies *copies, uid_t uid, int memory, uint64_t size, GError **error)
{
    Copy copy = { uid, -1, size };
    BERTH_AUTO_FD fd = open_again(memory, error);

    if (fd < 0 || uid == 0)
        return berth_steal_fd(&fd);
    if (!has_room(copies, uid, size, NULL))
        (void)sweep(copies);
    if (!has_room(copies, uid, size, error))
        return -1;
    copy.fd = open_again(memory, error);
    if (copy.fd < 0)
        return -1;
    g_array_append_val(copies->copies, copy);
    copies->pause = LOOK_USEC;
    look_later(copies);
    return berth_steal_fd(&fd);
}
