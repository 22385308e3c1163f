/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define BERTH_CHILD_RESULT_MAX 65536      /* bytes that a child can report */
#define BERTH_CHILD_UNLIMITED  UINT64_MAX /* as the time that work may take */

/**
 * BerthChildFunc: the work. Runs in the child, which ends with it.
 * @result: what the service gets on success, at most BERTH_CHILD_RESULT_MAX bytes
 */
typedef bool (*BerthChildFunc)(void *userdata, GByteArray *result, GError **error);

/**
 * BerthChildDone: called once in the service when the work ended or took too long.
 * @result: (transfer none): what the child reported; NULL on error
 * @error: NULL on success; BERTH_ERROR_TIMEOUT when nobody knows how far it came: it took too long,
 * or ended without a report
 */
typedef void (*BerthChildDone)(const GByteArray *result, const GError *error, void *userdata);

/** BerthChildWork: what a child does, and with what. */
typedef struct {
    BerthChildFunc func;
    void *data;     /* for func */
    const int *fds; /* the descriptors it keeps, besides standard ones; -1 among them is skipped */
    unsigned n_fds;
    uint64_t usec; /* time it may take; then it is killed and @done gets BERTH_ERROR_TIMEOUT */
    uid_t uid;     /* for whom it works: children that the kernel cannot end count against it */
} BerthChildWork;

/**
 * berth_child_start:
 * @work: copied but for what it points to, which the child has from the fork
 * @error: BERTH_ERROR_LIMITS_EXCEEDED when too many children of that user, or of all, have not
 * ended
 *
 * Forks a child that does what can block, and reports how it ended. When this fails, @done is not
 * called.
 */
bool berth_child_start(sd_event *event, const BerthChildWork *work, BerthChildDone done,
                       void *done_data, GError **error);

/**
 * berth_child_close:
 * @fd: (transfer full): perhaps the last descriptor of something large
 * @uid: for whom
 *
 * Closes @fd, the last time in a child: giving back gigabytes takes the kernel a while. Where no
 * child can be had, it is closed here.
 */
void berth_child_close(sd_event *event, int fd, uid_t uid);
