/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words for the state of a layer and for where it came from. Worker and service both speak
 * them: what one writes the other must read, so they stand here once.
 */

#include "base/layer.h"

#include <glib.h>

static const char *const states[_BERTH_LAYER_STATE_MAX] = {
    [BERTH_LAYER_WAITING] = "waiting", [BERTH_LAYER_RUNNING] = "running",
    [BERTH_LAYER_DONE] = "done",       [BERTH_LAYER_SKIPPED] = "skipped",
    [BERTH_LAYER_FAILED] = "failed",
};

static const char *const sources[_BERTH_SOURCE_MAX] = {
    [BERTH_SOURCE_UNKNOWN] = "",        [BERTH_SOURCE_REGISTRY] = "registry",
    [BERTH_SOURCE_MIRROR] = "mirror",   [BERTH_SOURCE_URL] = "url",
    [BERTH_SOURCE_STORE] = "store",     [BERTH_SOURCE_MOUNT] = "mount",
    [BERTH_SOURCE_SKIPPED] = "skipped",
};

static int find(const char *const *words, int n, const char *word)
{
    for (int i = 0; i < n; i++)
        if (g_str_equal(words[i], word))
            return i;
    return -EINVAL;
}

const char *berth_layer_state_to_string(BerthLayerState state)
{
    return states[state];
}

BerthLayerState berth_layer_state_from_string(const char *word)
{
    return (BerthLayerState)find(states, _BERTH_LAYER_STATE_MAX, word);
}

const char *berth_layer_source_to_string(BerthLayerSource source)
{
    return sources[source];
}

BerthLayerSource berth_layer_source_from_string(const char *word)
{
    return (BerthLayerSource)find(sources, _BERTH_SOURCE_MAX, word);
}
