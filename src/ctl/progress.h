/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** CtlLayer: one layer of a transfer. */
typedef struct {
    char *digest;
    char *state;          /* `waiting`, `running`, `done`, `skipped`, `failed` */
    char *source;         /* where it came from, "" while unknown */
    uint64_t done, total; /* bytes; total 0: unknown */
} CtlLayer;

/** CtlProgress: what is known about a transfer. */
typedef struct {
    uint32_t id;
    char *kind, *reference, *digest; /* NULL while unknown */
    char *state; /* `queued`, `running`, `done`, `failed`, `cancelled`; NULL while unknown */
    char *error_name, *error_message;
    uint64_t done, total, rate; /* bytes, bytes a second; total 0: unknown */
    GPtrArray *layers;          /* (element-type CtlLayer) */
} CtlProgress;

void ctl_progress_init(CtlProgress *progress);
void ctl_progress_clear(CtlProgress *progress);

/** ctl_progress_update: takes in @values, properties of a Transfer or what its Describe gives. */
void ctl_progress_update(CtlProgress *progress, const json_t *values);

/**
 * ctl_progress_set_layer: takes in a signal LayerProgress.
 *
 * Returns: whether the layer ended with it; false too for an index beyond all reason.
 */
bool ctl_progress_set_layer(CtlProgress *progress, uint32_t index, const char *digest,
                            const char *state, uint64_t done, uint64_t total);

/** ctl_progress_is_over: whether the transfer ended, well or not. */
bool ctl_progress_is_over(const CtlProgress *progress);

/** ctl_layer_is_over: whether nothing more will happen to @layer. */
bool ctl_layer_is_over(const CtlLayer *layer);

/**
 * ctl_layer_short_name: Returns: (transfer full): the first 12 digits of the layer's digest, safe
 * for a terminal.
 */
char *ctl_layer_short_name(const CtlLayer *layer);

/** ctl_progress_layers_over: Returns: how many layers are over. */
unsigned ctl_progress_layers_over(const CtlProgress *progress);

/**
 * ctl_progress_bytes: Returns: (transfer full): `12M/40M`, or `12M` while the total is unknown.
 */
char *ctl_progress_bytes(uint64_t done, uint64_t total);

/**
 * ctl_progress_speed: Returns: (transfer full): `55M/s, 1m16s left`, as much of it as is known;
 * perhaps "".
 */
char *ctl_progress_speed(const CtlProgress *progress);

/** ctl_progress_summary: Returns: (transfer full): `3/40 layers, 120M/1G, 55M/s, 16s left`. */
char *ctl_progress_summary(const CtlProgress *progress);
