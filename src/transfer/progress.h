/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "base/layer.h"

#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct BerthProgress BerthProgress;

/** BerthLayerProgress: one layer of a transfer. */
typedef struct {
    BerthLayerState state;
    uint64_t done, total; /* bytes; @total 0 while unknown */
    BerthLayerSource source;
} BerthLayerProgress;

/**
 * berth_progress_new: what a transfer tells about itself while it runs: changed layers at most ten
 * times a second, and now and then a sign of life when nothing changes. Made, freed and flushed in
 * the loop's thread; told by any.
 */
BerthProgress *berth_progress_new(sd_bus *bus, sd_event *event);
/** berth_progress_free: @progress: (nullable) */
void berth_progress_free(BerthProgress *progress);

/**
 * berth_progress_add:
 * @total: its bytes, 0 when they are not known yet
 *
 * Adds a layer, waiting.
 *
 * Returns: its index, from 0 on; BERTH_LAYERS_MAX when there are too many, which nobody is told of.
 */
unsigned berth_progress_add(BerthProgress *progress, const BerthDigest *digest, uint64_t total);

/** berth_progress_set: layer @index is now so; out of range: ignored. */
void berth_progress_set(BerthProgress *progress, unsigned index, const BerthLayerProgress *layer);

/**
 * berth_progress_set_other: bytes that belong to no layer, such as manifests and configurations.
 */
void berth_progress_set_other(BerthProgress *progress, uint64_t done, uint64_t total);

/**
 * berth_progress_set_complete: every layer has been added: from here on the transfer's total is
 * known. Skipped layers count in neither done nor total.
 */
void berth_progress_set_complete(BerthProgress *progress);

/** berth_progress_flush: sends what was not sent yet, now. */
void berth_progress_flush(BerthProgress *progress);
