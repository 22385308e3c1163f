/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sysctls of an IPC namespace: the grammar of names and values, and the real ones in a
 * namespace of the test's own. The latter need root and are skipped without.
 */

#include "ipc/sysctls.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define ULONG_MAX_TEXT (sizeof(long) == 8 ? "18446744073709551615" : "4294967295")

/* @needle: (nullable): what the message must say besides */
static void assert_refused(const GError *error, int code, const char *needle)
{
    g_assert_error(error, BERTH_ERROR, code);
    g_test_message("%s", error->message);
    if (needle)
        g_assert_nonnull(strstr(error->message, needle));
}

static void test_names(void)
{
    const char *const *names = berth_sysctl_names();

    g_assert_cmpuint(g_strv_length((char **)names), ==, 16);
    for (unsigned i = 0; names[i]; i++) {
        g_assert_true(
            g_str_has_prefix(names[i], "kernel.shm") || g_str_has_prefix(names[i], "kernel.msg") ||
            g_str_has_prefix(names[i], "fs.mqueue.") || g_str_equal(names[i], "kernel.sem") ||
            g_str_equal(names[i], "kernel.auto_msgmni"));
        if (i > 0)
            g_assert_cmpstr(names[i - 1], <, names[i]);
    }
}

static void test_foreign_names(void)
{
    static const char *const names[] = {
        "",
        "net.x",
        "kernel.hostname",
        "kernel.shm",
        "kernel.shmmax ",
        "kernel.shmmax.x",
        "kernel/shmmax",
        "kernel.shmmni/../../kernel/hostname",
        "Kernel.shmmax",
        "shmmax",
        "fs.mqueue",
        "fs.mqueue.",
        "fs.file-max",
        "vm.nr_hugepages",
        "kernel.sem_next_id",
        "..",
        "\xff",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) check_error = NULL;
        g_autoptr(GError) write_error = NULL;
        g_autoptr(GError) read_error = NULL;

        g_assert_false(berth_sysctl_check(names[i], "1", &check_error));
        assert_refused(check_error, BERTH_ERROR_INVALID_OPTION,
                       "does not belong to an IPC namespace");
        /* an invalid fd: nothing may be opened for such a name */
        g_assert_false(berth_sysctl_write(-1, names[i], "1", &write_error));
        assert_refused(write_error, BERTH_ERROR_INVALID_OPTION, NULL);
        g_assert_null(berth_sysctl_read(-1, names[i], &read_error));
        assert_refused(read_error, BERTH_ERROR_INVALID_OPTION, NULL);
    }
}

static void test_good_values(void)
{
    const char *const values[][2] = {
        { "kernel.shmmax", "0" },
        { "kernel.shmmax", ULONG_MAX_TEXT },
        { "kernel.shmall", ULONG_MAX_TEXT },
        { "kernel.shmmni", "32768" },
        { "kernel.shm_rmid_forced", "1" },
        { "kernel.shm_next_id", "2147483647" },
        { "kernel.msgmax", "2147483647" },
        { "kernel.msgmnb", "0" },
        { "kernel.msgmni", "32768" },
        { "kernel.msg_next_id", "0" },
        { "kernel.auto_msgmni", "0" },
        { "kernel.sem", "32000 1024000000 500 32000" },
        { "kernel.sem", "1\t2 \t 3\t32768" },
        { "fs.mqueue.queues_max", "2147483647" },
        { "fs.mqueue.msg_max", "1" },
        { "fs.mqueue.msg_max", "65536" },
        { "fs.mqueue.msg_default", "65536" },
        { "fs.mqueue.msgsize_max", "128" },
        { "fs.mqueue.msgsize_default", "16777216" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GError) error = NULL;

        berth_sysctl_check(values[i][0], values[i][1], &error);
        g_assert_no_error(error);
    }
}

static void test_bad_values(void)
{
    static const struct {
        const char *name, *value, *needle;
    } values[] = {
        { "kernel.shmmax", "", "0-" },
        { "kernel.shmmax", "-1", "'-1'" },
        { "kernel.shmmax", "+1", "'+1'" },
        { "kernel.shmmax", " 1", NULL },
        { "kernel.shmmax", "1 ", NULL },
        { "kernel.shmmax", "1\n", "\\u000a" },
        { "kernel.shmmax", "1 2", "single number" },
        { "kernel.shmmax", "010", "leading zeros" },
        { "kernel.shmmax", "0x10", NULL },
        { "kernel.shmmax", "1k", NULL },
        { "kernel.shmmax", "18446744073709551616", "out of range" },
        { "kernel.shmmni", "16777217", "0-" },
        { "kernel.msgmax", "2147483648", "0-2147483647" },
        { "kernel.shm_rmid_forced", "2", "0-1" },
        { "kernel.shm_next_id", "-1", "0-2147483647" },
        { "kernel.auto_msgmni", "2", "0-1" },
        { "kernel.sem", "1", "four numbers" },
        { "kernel.sem", "1 2 3", "four numbers" },
        { "kernel.sem", "1 2 3 ", NULL },
        { "kernel.sem", "1 2 3 4 5", "nothing else" },
        { "kernel.sem", "1,2,3,4", NULL },
        { "kernel.sem", "1 -2 3 4", NULL },
        { "kernel.sem", "2147483648 1 1 1", "0-2147483647 0-2147483647 0-2147483647 0-" },
        { "kernel.sem", "1 1 1 16777217", NULL },
        { "fs.mqueue.queues_max", "-1", "0-2147483647" },
        { "fs.mqueue.msg_max", "0", "1-65536" },
        { "fs.mqueue.msg_max", "65537", "1-65536" },
        { "fs.mqueue.msgsize_max", "127", "128-16777216" },
        { "fs.mqueue.msgsize_default", "16777217", "128-16777216" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(berth_sysctl_check(values[i].name, values[i].value, &error));
        assert_refused(error, BERTH_ERROR_INVALID_OPTION, values[i].needle);
        g_assert_nonnull(strstr(error->message, values[i].name));
    }
}

static void test_long_value(void)
{
    g_autofree char *spaces = g_strnfill(BERTH_SYSCTL_VALUE_MAX - strlen("1"
                                                                         "2 3 4"),
                                         ' ');
    g_autofree char *longest = g_strconcat("1", spaces, "2 3 4", NULL);
    g_autofree char *longer = g_strconcat("1 ", spaces, "2 3 4", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(strlen(longest), ==, BERTH_SYSCTL_VALUE_MAX);
    g_assert_true(berth_sysctl_check("kernel.sem", longest, &error));
    g_assert_false(berth_sysctl_check("kernel.sem", longer, &error));
    assert_refused(error, BERTH_ERROR_INVALID_OPTION, "too long");
}

/* Brings the thread into a fresh IPC namespace. Returns: the fd of /proc, or -1 when skipped. */
static int enter_namespace(void)
{
    int fd;

    if (unshare(CLONE_NEWIPC) < 0) {
        g_assert_cmpint(errno, ==, EPERM);
        g_test_skip("needs root");
        return -1;
    }
    fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void assert_write(int proc_fd, const char *name, const char *value, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *now = NULL;

    berth_sysctl_write(proc_fd, name, value, &error);
    g_assert_no_error(error);
    now = berth_sysctl_read(proc_fd, name, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(now, ==, expected);
}

static void test_write(void)
{
    static const char *const values[][3] = {
        { "kernel.shmmax", "68719476736", "68719476736" },
        { "kernel.shmall", "16384", "16384" },
        { "kernel.shmmni", "32768", "32768" },
        { "kernel.shm_rmid_forced", "1", "1" },
        { "kernel.msgmax", "65536", "65536" },
        { "kernel.msgmnb", "65537", "65537" },
        { "kernel.msgmni", "0", "0" },
        { "kernel.auto_msgmni", "0", "0" },
        { "kernel.sem", "100\t\t200 300  400", "100 200 300 400" },
        { "fs.mqueue.queues_max", "1000", "1000" },
        { "fs.mqueue.msg_max", "65536", "65536" },
        { "fs.mqueue.msgsize_max", "16777216", "16777216" },
        { "fs.mqueue.msg_default", "20", "20" },
        { "fs.mqueue.msgsize_default", "128", "128" },
    };
    BERTH_AUTO_FD proc_fd = enter_namespace();

    if (proc_fd < 0)
        return;
    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++)
        assert_write(proc_fd, values[i][0], values[i][1], values[i][2]);
    /* where the kernel has it; CONFIG_CHECKPOINT_RESTORE */
    if (faccessat(proc_fd, "sys/kernel/shm_next_id", F_OK, 0) == 0) {
        assert_write(proc_fd, "kernel.shm_next_id", "17", "17");
        assert_write(proc_fd, "kernel.msg_next_id", "2147483647", "2147483647");
    }
}

static void test_write_stays_inside(void)
{
    g_autofree char *before = NULL, *inside = NULL;
    BERTH_AUTO_FD first = enter_namespace();
    BERTH_AUTO_FD host = -1;

    if (first < 0)
        return;
    host = open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(host, >=, 0);
    before = berth_sysctl_read(first, "kernel.shmmni", NULL);
    g_assert_cmpstr(before, !=, "77");

    g_assert_cmpint(unshare(CLONE_NEWIPC), ==, 0);
    assert_write(first, "kernel.shmmni", "77", "77"); /* the same fd, the thread's new namespace */
    g_assert_cmpint(setns(host, CLONE_NEWIPC), ==, 0);
    inside = berth_sysctl_read(first, "kernel.shmmni", NULL);
    g_assert_cmpstr(inside, ==, before);
}

static void test_write_without_effect(void)
{
    g_autoptr(GError) error = NULL;
    BERTH_AUTO_FD proc_fd = enter_namespace();

    if (proc_fd < 0)
        return;
    g_assert_false(berth_sysctl_write(proc_fd, "kernel.auto_msgmni", "1", &error));
    assert_refused(error, BERTH_ERROR_INVALID_OPTION, "is '0' after '1' was written");
}

static void test_write_refused_keeps(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL;
    BERTH_AUTO_FD proc_fd = enter_namespace();

    if (proc_fd < 0)
        return;
    before = berth_sysctl_read(proc_fd, "kernel.sem", NULL);
    g_assert_false(berth_sysctl_write(proc_fd, "kernel.sem", "9 9 9 16777217", &error));
    assert_refused(error, BERTH_ERROR_INVALID_OPTION, "kernel.sem");
    after = berth_sysctl_read(proc_fd, "kernel.sem", NULL);
    g_assert_cmpstr(before, ==, after);
}

/* A directory that stands for procfs: what is missing, and what is a link, is not followed. */
static void test_hostile_proc(void)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) linked = NULL;
    g_autofree char *dir = g_dir_make_tmp("berth-sysctls-XXXXXX", NULL);
    g_autofree char *sys = g_build_filename(dir, "sys", NULL);
    g_autofree char *kernel = g_build_filename(sys, "kernel", NULL);
    g_autofree char *file = g_build_filename(kernel, "shmmax", NULL);
    BERTH_AUTO_FD fd = -1;

    g_assert_cmpint(g_mkdir_with_parents(kernel, 0700), ==, 0);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);

    g_assert_false(berth_sysctl_write(fd, "kernel.shmmax", "1", &missing));
    assert_refused(missing, BERTH_ERROR_NOT_SUPPORTED, "no sysctl kernel.shmmax");
    g_assert_cmpint(symlink("/dev/null", file), ==, 0);
    g_assert_false(berth_sysctl_write(fd, "kernel.shmmax", "1", &linked));
    assert_refused(linked, BERTH_ERROR_FAILED, "cannot set sysctl kernel.shmmax");

    g_assert_cmpint(unlink(file), ==, 0);
    g_assert_cmpint(rmdir(kernel), ==, 0);
    g_assert_cmpint(rmdir(sys), ==, 0);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sysctls/names", test_names);
    g_test_add_func("/sysctls/foreign-names", test_foreign_names);
    g_test_add_func("/sysctls/good-values", test_good_values);
    g_test_add_func("/sysctls/bad-values", test_bad_values);
    g_test_add_func("/sysctls/long-value", test_long_value);
    g_test_add_func("/sysctls/write", test_write);
    g_test_add_func("/sysctls/write-stays-inside", test_write_stays_inside);
    g_test_add_func("/sysctls/write-without-effect", test_write_without_effect);
    g_test_add_func("/sysctls/write-refused-keeps", test_write_refused_keeps);
    g_test_add_func("/sysctls/hostile-proc", test_hostile_proc);
    return g_test_run();
}
