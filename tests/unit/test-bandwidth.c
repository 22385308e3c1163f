/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How transfers share what all of them may use: evenly, but for those that may not use so much, and
 * never 0, which would be no limit.
 */

#include "daemon/bandwidth.h"

#include <inttypes.h>

#define N_MAX 5

static void assert_shares(uint64_t total, const uint64_t *limits, const uint64_t *expected,
                          unsigned n)
{
    uint64_t shares[N_MAX] = { 0 };

    g_assert_cmpuint(n, <=, N_MAX);
    berth_bandwidth_share(total, limits, shares, n);
    for (unsigned i = 0; i < n; i++)
        g_assert_cmpuint(shares[i], ==, expected[i]);
}

#define SHARES(total, n, limits, expected)                                                         \
    assert_shares(total, (const uint64_t[N_MAX])limits, (const uint64_t[N_MAX])expected, n)
#define OF(...)                                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void test_even(void)
{
    SHARES(1000, 1, OF(0), OF(1000));
    SHARES(1000, 2, OF(0, 0), OF(500, 500));
    SHARES(1000, 3, OF(0, 0, 0), OF(333, 333, 333));
    SHARES(1000, 0, OF(0), OF(0));
}

static void test_own_limits(void)
{
    SHARES(1000, 2, OF(100, 0), OF(100, 900));
    SHARES(1000, 2, OF(0, 800), OF(500, 500));
    SHARES(1000, 3, OF(400, 100, 0), OF(400, 100, 500));
    SHARES(1200, 4, OF(350, 0, 200, 0), OF(333, 333, 200, 333));
    SHARES(1000, 2, OF(100, 200), OF(100, 200));
    SHARES(1000, 1, OF(UINT64_MAX), OF(1000));
}

static void test_no_limit(void)
{
    SHARES(0, 3, OF(0, 7, UINT64_MAX), OF(0, 7, UINT64_MAX));
}

static void test_less_than_there_are(void)
{
    SHARES(2, 3, OF(0, 0, 0), OF(1, 1, 1));
    SHARES(1, 3, OF(0, 1, 0), OF(1, 1, 1));
}

static void test_more_than_a_machine_has(void)
{
    SHARES(INT64_MAX, 2, OF(0, 0), OF(INT64_MAX / 2, INT64_MAX / 2));
    SHARES(INT64_MAX, 2, OF(UINT64_MAX, 1), OF(INT64_MAX - 1, 1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bandwidth/even", test_even);
    g_test_add_func("/bandwidth/own-limits", test_own_limits);
    g_test_add_func("/bandwidth/no-limit", test_no_limit);
    g_test_add_func("/bandwidth/less-than-there-are", test_less_than_there_are);
    g_test_add_func("/bandwidth/more-than-a-machine-has", test_more_than_a_machine_has);
    return g_test_run();
}
