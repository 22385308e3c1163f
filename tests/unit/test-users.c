/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accounts of users: limits hold to the byte, what is given back can be had again, root has no
 * limits, and arithmetic does not wrap.
 */

#include "base/error.h"
#include "daemon/users.h"

#define USER 1000

static const BerthSettings settings = {
    .max_sandboxes_per_user = 2,
    .max_shm_per_user = 1000,
    .max_inodes_per_user = 50,
};

static void assert_refused(BerthUsers *users, BerthCharge more, const char *pattern)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(berth_users_check(users, &settings, USER, &more, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_QUOTA_EXCEEDED);
    g_assert_true(g_pattern_match_simple(pattern, error->message));
}

static void assert_allowed(BerthUsers *users, uid_t uid, BerthCharge more)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(berth_users_check(users, &settings, uid, &more, &error));
    g_assert_no_error(error);
}

static void test_limits(void)
{
    const BerthCharge half = { 1, 500, 25 };
    BerthUsers *users = berth_users_new();

    assert_allowed(users, USER, half);
    berth_users_charge(users, USER, &half);
    assert_allowed(users, USER, half);
    assert_refused(users, (BerthCharge){ 2, 0, 0 }, "user 1000 has 1 sandboxes of at most 2*");
    assert_refused(users, (BerthCharge){ 1, 501, 0 },
                   "*500 bytes and wants 501 more, of at most 1000*");
    assert_refused(users, (BerthCharge){ 1, 0, 26 },
                   "*25 inodes and wants 26 more, of at most 50*");
    assert_refused(users, (BerthCharge){ 1, UINT64_MAX, 0 }, "*MaxShmPerUser=*");
    berth_users_charge(users, USER, &half);
    assert_refused(users, (BerthCharge){ 0, 1, 0 }, "*MaxShmPerUser=*");
    berth_users_discharge(users, USER, &half);
    assert_allowed(users, USER, half);
    berth_users_free(users);
}

/* Limits that were lowered below what is used take nothing away, and let nothing grow. */
static void test_lowered(void)
{
    const BerthCharge much = { 5, 5000, 500 };
    BerthUsers *users = berth_users_new();

    berth_users_charge(users, USER, &much);
    assert_refused(users, (BerthCharge){ 1, 0, 0 }, "*5 sandboxes of at most 2*");
    assert_allowed(users, USER, (BerthCharge){ 0 });
    berth_users_free(users);
}

static void test_root(void)
{
    const BerthCharge much = { 100, UINT64_MAX / 2, UINT64_MAX / 2 };
    BerthUsers *users = berth_users_new();

    berth_users_charge(users, 0, &much);
    assert_allowed(users, 0, much);
    berth_users_free(users);
}

static void test_pending(void)
{
    BerthUsers *users = berth_users_new();

    g_assert_cmpuint(berth_users_pending(users, USER), ==, 0);
    berth_users_add_pending(users, USER, 1);
    berth_users_add_pending(users, USER, 1);
    g_assert_cmpuint(berth_users_pending(users, USER), ==, 2);
    g_assert_cmpuint(berth_users_pending(users, USER + 1), ==, 0);
    berth_users_add_pending(users, USER, -2);
    g_assert_cmpuint(berth_users_pending(users, USER), ==, 0);
    berth_users_free(users);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/users/limits", test_limits);
    g_test_add_func("/users/lowered", test_lowered);
    g_test_add_func("/users/root", test_root);
    g_test_add_func("/users/pending", test_pending);
    return g_test_run();
}
