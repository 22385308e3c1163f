/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

/** BerthWorkerStream: what stands between a worker's socket and the bus library. */
typedef struct BerthWorkerStream BerthWorkerStream;

/**
 * BerthWorkerStreamBroken: the worker sent what no bus may read; nothing comes any more.
 * @lie: BERTH_ERROR_FAILED saying what
 */
typedef void (*BerthWorkerStreamBroken)(const GError *lie, void *userdata);

/**
 * berth_worker_stream_new:
 * @socket: (transfer none): what the worker writes to
 * @input: (out) (transfer full): where to read what it wrote, as far as it is within bounds: no
 *   descriptors, no message that is too large, not too many. At its end when the worker's is
 * @broken: see there; may free the stream
 */
BerthWorkerStream *berth_worker_stream_new(sd_event *event, int socket, int *input,
                                           BerthWorkerStreamBroken broken, void *userdata,
                                           GError **error);

/** berth_worker_stream_ended: Returns: whether all that the worker wrote was passed on. */
bool berth_worker_stream_ended(const BerthWorkerStream *stream);

/** berth_worker_stream_free: @stream: (nullable) */
void berth_worker_stream_free(BerthWorkerStream *stream);
