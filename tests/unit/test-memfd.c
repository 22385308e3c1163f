/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sealed memory: what is made cannot be changed, and what could be is not read.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

static void test_sealed(void)
{
    g_autoptr(GError) error = NULL;
    BERTH_AUTO_FD fd = berth_memfd_sealed("test", "abc", 3, &error);
    g_autoptr(GBytes) bytes = NULL;

    g_assert_no_error(error);
    g_assert_cmpint(pwrite(fd, "x", 1, 0), ==, -1);
    g_assert_cmpint(ftruncate(fd, 1), ==, -1);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, 0), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
    g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(lseek(fd, 2, SEEK_SET), ==, 2);
    bytes = berth_memfd_read(fd, 3, "it", &error);
    g_assert_no_error(error);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "abc", 3);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 2);
}

static void test_empty(void)
{
    BERTH_AUTO_FD fd = berth_memfd_sealed("test", NULL, 0, NULL);
    g_autoptr(GBytes) bytes = berth_memfd_read(fd, 0, "it", NULL);

    g_assert_nonnull(bytes);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 0);
}

static void assert_refused(int fd, const char *why)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(berth_memfd_read(fd, 3, "the thing", &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_OPTION);
    g_assert_nonnull(strstr(error->message, "the thing"));
    g_assert_nonnull(strstr(error->message, why));
    g_assert_false(berth_memfd_check(fd, 3, "the thing", NULL));
}

static void test_refused(void)
{
    BERTH_AUTO_FD large = berth_memfd_sealed("test", "abcd", 4, NULL);
    BERTH_AUTO_FD open = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    BERTH_AUTO_FILE *stream = tmpfile();

    assert_refused(large, "4 bytes");
    assert_refused(fileno(stream), "not a memfd");
    assert_refused(-1, "not a memfd");
    assert_refused(open, "seals");
    g_assert_cmpint(fcntl(open, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), ==, 0);
    assert_refused(open, "seals");
    g_assert_cmpint(fcntl(open, F_ADD_SEALS, F_SEAL_SEAL), ==, 0);
    g_assert_true(berth_memfd_check(open, 3, "the thing", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memfd/sealed", test_sealed);
    g_test_add_func("/memfd/empty", test_empty);
    g_test_add_func("/memfd/refused", test_refused);
    return g_test_run();
}
