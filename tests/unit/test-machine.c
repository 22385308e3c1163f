/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine's limits, asked of mock machines: /sys is a umockdev testbed, /proc/meminfo lies in
 * its overlay. Must run under umockdev-wrapper; without it the real machine would be asked, so that
 * every test asserts the mock first.
 */

#include "ipc/machine.h"

#include "base/error.h"
#include "base/names.h"
#include "base/size.h"
#include "ipc/nodes.h"

#include <glib/gstdio.h>
#include <string.h>
#include <umockdev.h>

#define THP      "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define NODE     "/sys/devices/system/node"
#define WEIGHTED "/sys/kernel/mm/mempolicy/weighted_interleave"

typedef struct {
    UMockdevTestbed *bed; /* an empty /sys at first */
} Machine;

static void set_up(Machine *machine, const void *data)
{
    machine->bed = umockdev_testbed_new();
}

static void tear_down(Machine *machine, const void *data)
{
    g_object_unref(machine->bed); /* removes its directory */
}

/* Gives the machine a file of /sys or /proc; umockdev's own call for that wants the directory made.
 */
static void put_file(Machine *machine, const char *path, const char *content)
{
    g_autofree char *root = umockdev_testbed_get_root_dir(machine->bed);
    g_autofree char *file = g_build_filename(root, path, NULL);
    g_autofree char *dir = g_path_get_dirname(file);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(file, content, -1, NULL));
}

static void set_nodes(Machine *machine, const char *online, const char *has_memory)
{
    put_file(machine, NODE "/online", online);
    if (has_memory)
        put_file(machine, NODE "/has_memory", has_memory);
}

typedef bool (*Check)(const char *value, GError **error);

static void assert_passes(Check check, const char *value)
{
    g_autoptr(GError) error = NULL;
    bool passed = check(value, &error);

    if (!passed)
        g_test_message("'%s': %s", value, error->message);
    g_assert_no_error(error);
    g_assert_true(passed);
}

/* @needle: (nullable): what the message must say besides the value */
static void assert_fails(Check check, const char *value, int code, const char *needle)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *quoted = berth_quote(value);
    bool passed = check(value, &error);

    g_test_message("'%s': %s", quoted, error ? error->message : "passed");
    g_assert_false(passed);
    g_assert_error(error, BERTH_ERROR, code);
    if (needle)
        g_assert_nonnull(strstr(error->message, needle));
}

static void test_nodes_round_trip(void)
{
    static const char *const lists[][2] = {
        { "", "" },           { "0", "0" },       { "0,2-3", "0,2-3" },   { "3,0,1,2", "0-3" },
        { "5,5-6", "5-6" },   { "1023", "1023" }, { "0-1023", "0-1023" }, { "62-65", "62-65" },
        { "63,64", "63-64" }, { "00,7", "0,7" },  { "0,2,4-4", "0,2,4" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        BerthNodes nodes;

        berth_nodes_parse(lists[i][0], &nodes, &error);
        g_assert_no_error(error);
        text = berth_nodes_format(&nodes);
        g_assert_cmpstr(text, ==, lists[i][1]);
        g_assert_cmpint(berth_nodes_is_empty(&nodes), ==, !*lists[i][1]);
    }
}

static bool parse_nodes(const char *text, GError **error)
{
    BerthNodes nodes;

    return berth_nodes_parse(text, &nodes, error);
}

static void test_nodes_invalid(void)
{
    static const char *const lists[] = { ",",
                                         "0,",
                                         ",0",
                                         "0,,1",
                                         "-",
                                         "-1",
                                         "1-",
                                         "3-1",
                                         "0-1-2",
                                         "1024",
                                         "0-1024",
                                         "4294967296",
                                         "18446744073709551616",
                                         " 0",
                                         "0 ",
                                         "0 1",
                                         "0-3:1/2",
                                         "all",
                                         "N",
                                         "0x1",
                                         "+1",
                                         "0\n",
                                         "\xff" };

    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++)
        assert_fails(parse_nodes, lists[i], BERTH_ERROR_INVALID_OPTION, NULL);
}

static void test_nodes_missing(void)
{
    BerthNodes nodes, present;

    berth_nodes_parse("0,70", &nodes, NULL);
    berth_nodes_parse("0-69,71", &present, NULL);
    g_assert_cmpint(berth_nodes_first_missing(&nodes, &present), ==, 70);
    g_assert_cmpint(berth_nodes_first_missing(&nodes, &nodes), ==, -1);
}

static void test_memory(Machine *machine, const void *data)
{
    static const struct {
        const char *meminfo;
        uint64_t bytes, half, tenth;
    } machines[] = {
        { "MemTotal:        1048576 kB\nMemFree:  5 kB\n", UINT64_C(1) << 30, 536870912,
          107374182 },
        { "MemTotal:        3145728 kB\n", UINT64_C(3) << 30, 1610612736, 322122547 },
        { "Other: 1 kB\nMemTotal: 4294967296 kB\n", UINT64_C(1) << 42, UINT64_C(1) << 41,
          439804651110 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(machines); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t total = 0, part = 0;

        put_file(machine, "/proc/meminfo", machines[i].meminfo);
        berth_machine_memory(&total, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(total, ==, machines[i].bytes);

        g_assert_true(berth_size_or_percent_parse("100%", total, &part, &error));
        g_assert_cmpuint(part, ==, machines[i].bytes);
        g_assert_true(berth_size_or_percent_parse("50%", total, &part, &error));
        g_assert_cmpuint(part, ==, machines[i].half);
        g_assert_true(berth_size_or_percent_parse("10%", total, &part, &error));
        g_assert_cmpuint(part, ==, machines[i].tenth);
        g_assert_true(berth_size_or_percent_parse("64m", total, &part, &error));
        g_assert_cmpuint(part, ==, 64 << 20);
    }
}

static void test_memory_unusable(Machine *machine, const void *data)
{
    static const char *const contents[] = {
        "",
        "MemFree: 5 kB\n",
        "MemTotal: kB\n",
        "MemTotal: 0 kB\n",
        "MemTotal: 5 MB\n",
        "MemTotal: 18446744073709551615 kB\n",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(contents); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t total;

        put_file(machine, "/proc/meminfo", contents[i]);
        g_assert_false(berth_machine_memory(&total, &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_FAILED);
    }
}

static void test_huge(Machine *machine, const void *data)
{
    static const char *const states[] = {
        "always within_size advise [never] deny force\n",
        "[always] within_size advise never deny force\n",
        "always within_size advise never deny [force]\n",
    };
    static const char *const words[] = { "never", "always", "within_size", "advise" };

    for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
        put_file(machine, THP, states[i]);
        for (unsigned j = 0; j < G_N_ELEMENTS(words); j++)
            assert_passes(berth_machine_check_huge, words[j]);
    }
}

static void test_huge_unknown(Machine *machine, const void *data)
{
    g_autofree char *oversized = g_strnfill(BERTH_MACHINE_VALUE_MAX + 1, 'n');
    const char *words[] = { "", "Never", "deny", "force", "never ", "always\n", "1", oversized };

    put_file(machine, THP, "[always] within_size advise never deny force\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        assert_fails(berth_machine_check_huge, words[i], BERTH_ERROR_INVALID_OPTION,
                     words[i] == oversized ? "255" : "within_size");
}

static void test_huge_no_thp(Machine *machine, const void *data)
{
    assert_passes(berth_machine_check_huge, "never");
    assert_fails(berth_machine_check_huge, "always", BERTH_ERROR_NOT_SUPPORTED, "shmem_enabled");
    assert_fails(berth_machine_check_huge, "advise", BERTH_ERROR_NOT_SUPPORTED, "use never");
    assert_fails(berth_machine_check_huge, "word", BERTH_ERROR_INVALID_OPTION, "word");
}

static void test_huge_deny(Machine *machine, const void *data)
{
    put_file(machine, THP, "always within_size advise never [deny] force\n");
    assert_passes(berth_machine_check_huge, "never");
    assert_fails(berth_machine_check_huge, "always", BERTH_ERROR_NOT_SUPPORTED, "'deny'");
    assert_fails(berth_machine_check_huge, "within_size", BERTH_ERROR_NOT_SUPPORTED, THP);
}

static void test_one_node(Machine *machine, const void *data)
{
    /* each was tried on a one-node machine's kernel, which took it */
    static const char *const good[] = {
        "default",
        "local",
        "prefer",
        "prefer:0",
        "prefer=static:0",
        "prefer=relative:0",
        "prefer:00",
        "prefer (many):0",
        "bind:0",
        "prefer (many)=static:0",
        "bind:0,0",
        "bind:0-0",
        "bind=static:0",
        "bind=relative:0",
        "interleave",
        "interleave:0",
        "interleave=static",
        "interleave=static:0",
    };
    static const char *const absent[] = { "prefer:1", "bind:0-1", "bind:0,5", "interleave:1023",
                                          "prefer (many):1" };

    set_nodes(machine, "0\n", "0\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
        assert_passes(berth_machine_check_mempolicy, good[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++)
        assert_fails(berth_machine_check_mempolicy, absent[i], BERTH_ERROR_INVALID_OPTION,
                     "nodes of this machine: 0");
    assert_fails(berth_machine_check_mempolicy, "bind:0,5", BERTH_ERROR_INVALID_OPTION,
                 "no node 5");
}

static void test_policy_invalid(Machine *machine, const void *data)
{
    static const char *const bad[] = {
        "",
        "Bind:0",
        "bind",
        "bind:",
        "bind: 0",
        "bind:,0",
        "bind:0,",
        "bind:1-0",
        "bind:all",
        "bind:0-0:1/2",
        "bind:99999999999999999999",
        "bind=:0",
        "bind=foo:0",
        "bind=static,relative:0",
        "bind:0=static",
        "default:0",
        "default=static",
        "local:",
        "local:0",
        "local=static",
        "prefer:",
        "prefer=static",
        "prefer:0-0",
        "prefer:0,0",
        "preferred:0",
        "prefer(many):0",
        "prefer (many)",
        "interleave:",
        " bind:0",
        "bind:0 ",
        "bind:0\n",
        "bind:0,size=1g",
        "\xff\xfe",
    };
    g_autofree char *zeros = g_strnfill(BERTH_MACHINE_VALUE_MAX - strlen("bind:"), '0');
    g_autofree char *longest = g_strconcat("bind:", zeros, NULL);
    g_autofree char *longer = g_strconcat("bind:0", zeros, NULL);

    set_nodes(machine, "0-1\n", "0-1\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_fails(berth_machine_check_mempolicy, bad[i], BERTH_ERROR_INVALID_OPTION,
                     "nodes of this machine: 0-1");
    assert_passes(berth_machine_check_mempolicy, longest);
    assert_fails(berth_machine_check_mempolicy, longer, BERTH_ERROR_INVALID_OPTION, "longer than");
    assert_fails(berth_machine_check_mempolicy, "bind:\t0", BERTH_ERROR_INVALID_OPTION,
                 "bind:\\u0009");
}

static void test_two_nodes(Machine *machine, const void *data)
{
    set_nodes(machine, "0-1\n", "0-1\n");
    assert_passes(berth_machine_check_mempolicy, "bind:0-1");
    assert_passes(berth_machine_check_mempolicy, "bind:1,0");
    assert_passes(berth_machine_check_mempolicy, "prefer:1");
    assert_passes(berth_machine_check_mempolicy, "interleave=relative:0-1");
    assert_fails(berth_machine_check_mempolicy, "bind:1-2", BERTH_ERROR_INVALID_OPTION,
                 "no node 2");
}

static void test_hole(Machine *machine, const void *data)
{
    set_nodes(machine, "0,2-3\n", "0,2-3\n");
    assert_passes(berth_machine_check_mempolicy, "bind:0,2-3");
    assert_passes(berth_machine_check_mempolicy, "prefer:2");
    assert_fails(berth_machine_check_mempolicy, "interleave:0-3", BERTH_ERROR_INVALID_OPTION,
                 "no node 1 with memory; nodes of this machine: 0,2-3");
    assert_fails(berth_machine_check_mempolicy, "prefer:1", BERTH_ERROR_INVALID_OPTION,
                 "no node 1");
}

static void test_node_without_memory(Machine *machine, const void *data)
{
    set_nodes(machine, "0-2\n", "0,2\n");
    assert_passes(berth_machine_check_mempolicy, "bind:0,2");
    assert_fails(berth_machine_check_mempolicy, "bind:1", BERTH_ERROR_INVALID_OPTION,
                 "no node 1 with memory; nodes of this machine: 0,2");
}

static void test_online_only(Machine *machine, const void *data)
{
    set_nodes(machine, "0-1\n", NULL);
    assert_passes(berth_machine_check_mempolicy, "bind:1");
    assert_fails(berth_machine_check_mempolicy, "bind:2", BERTH_ERROR_INVALID_OPTION, "no node 2");
}

static void test_no_numa(Machine *machine, const void *data)
{
    assert_fails(berth_machine_check_mempolicy, "bind:0", BERTH_ERROR_NOT_SUPPORTED,
                 "/sys/devices/system/node");
    assert_fails(berth_machine_check_mempolicy, "default", BERTH_ERROR_NOT_SUPPORTED, "NUMA");
}

static void test_broken_node_list(Machine *machine, const void *data)
{
    set_nodes(machine, "0\n", "nonsense\n");
    assert_fails(berth_machine_check_mempolicy, "bind:0", BERTH_ERROR_FAILED,
                 "/sys/devices/system/node");
}

static void test_weighted(Machine *machine, const void *data)
{
    set_nodes(machine, "0-1\n", "0-1\n");
    assert_fails(berth_machine_check_mempolicy, "weighted interleave", BERTH_ERROR_NOT_SUPPORTED,
                 "use interleave");
    put_file(machine, WEIGHTED "/node0", "1\n");
    assert_passes(berth_machine_check_mempolicy, "weighted interleave");
    assert_passes(berth_machine_check_mempolicy, "weighted interleave=static:0-1");
    assert_fails(berth_machine_check_mempolicy, "weighted interleave:2", BERTH_ERROR_INVALID_OPTION,
                 "no node 2");
}

/* Only with a testbed in place can be told: the library looks once whether /sys is a mock. */
static bool have_wrapper(void)
{
    UMockdevTestbed *bed = umockdev_testbed_new();
    bool mocked = umockdev_in_mock_environment();

    g_object_unref(bed);
    return mocked;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Machine *machine, const void *data);
    } tests[] = {
        { "/machine/memory", test_memory },
        { "/machine/memory-unusable", test_memory_unusable },
        { "/machine/huge", test_huge },
        { "/machine/huge-unknown", test_huge_unknown },
        { "/machine/huge-no-thp", test_huge_no_thp },
        { "/machine/huge-deny", test_huge_deny },
        { "/machine/one-node", test_one_node },
        { "/machine/policy-invalid", test_policy_invalid },
        { "/machine/two-nodes", test_two_nodes },
        { "/machine/hole", test_hole },
        { "/machine/node-without-memory", test_node_without_memory },
        { "/machine/online-only", test_online_only },
        { "/machine/no-numa", test_no_numa },
        { "/machine/broken-node-list", test_broken_node_list },
        { "/machine/weighted-interleave", test_weighted },
    };

    g_test_init(&argc, &argv, NULL);
    if (!have_wrapper())
        g_error("run this under umockdev-wrapper");
    g_test_add_func("/nodes/round-trip", test_nodes_round_trip);
    g_test_add_func("/nodes/invalid", test_nodes_invalid);
    g_test_add_func("/nodes/missing", test_nodes_missing);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Machine, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
