/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words for layers: each has one, which means it again, and no other word means anything.
 */

#include "base/layer.h"

#include <glib.h>

static void test_states(void)
{
    for (BerthLayerState state = 0; state < _BERTH_LAYER_STATE_MAX; state++)
        g_assert_cmpint(berth_layer_state_from_string(berth_layer_state_to_string(state)), ==,
                        state);
    g_assert_cmpint(berth_layer_state_from_string("Waiting"), ==, _BERTH_LAYER_STATE_INVALID);
    g_assert_cmpint(berth_layer_state_from_string(""), ==, _BERTH_LAYER_STATE_INVALID);
}

static void test_sources(void)
{
    for (BerthLayerSource source = 0; source < _BERTH_SOURCE_MAX; source++)
        g_assert_cmpint(berth_layer_source_from_string(berth_layer_source_to_string(source)), ==,
                        source);
    g_assert_cmpint(berth_layer_source_from_string(""), ==, BERTH_SOURCE_UNKNOWN);
    g_assert_cmpint(berth_layer_source_from_string("registry "), ==, _BERTH_SOURCE_INVALID);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/layer/states", test_states);
    g_test_add_func("/layer/sources", test_sources);
    return g_test_run();
}
