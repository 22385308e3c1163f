/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>

/** BerthLayerState: how far a layer of a transfer is. The words are those of the bus. */
typedef enum {
    BERTH_LAYER_WAITING,
    BERTH_LAYER_RUNNING,
    BERTH_LAYER_DONE,
    BERTH_LAYER_SKIPPED,
    BERTH_LAYER_FAILED,
    _BERTH_LAYER_STATE_MAX,
    _BERTH_LAYER_STATE_INVALID = -EINVAL,
} BerthLayerState;

/** BerthLayerSource: where a layer came from. */
typedef enum {
    BERTH_SOURCE_UNKNOWN, /* the empty word */
    BERTH_SOURCE_REGISTRY,
    BERTH_SOURCE_MIRROR,
    BERTH_SOURCE_URL,   /* one of a foreign layer */
    BERTH_SOURCE_STORE, /* it was there */
    BERTH_SOURCE_MOUNT, /* the registry had it in another repository */
    BERTH_SOURCE_SKIPPED,
    _BERTH_SOURCE_MAX,
    _BERTH_SOURCE_INVALID = -EINVAL,
} BerthLayerSource;

#define BERTH_LAYERS_MAX 16384 /* of one transfer, all platforms together */

/** berth_layer_state_to_string: Returns: (static): the word of @state. */
const char *berth_layer_state_to_string(BerthLayerState state);
BerthLayerState berth_layer_state_from_string(const char *word);

/** berth_layer_source_to_string: Returns: (static): the word of @source. */
const char *berth_layer_source_to_string(BerthLayerSource source);
BerthLayerSource berth_layer_source_from_string(const char *word);
