/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sealed memory. What comes from somebody else is checked before it is read: without the seals its
 * owner could change it, or cut it off, between two looks.
 */

#include "base/memfd.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static int create(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

static bool fill(int fd, const char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, data + done, size - done, (off_t)done);

        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

int berth_memfd_sealed(const char *name, const void *data, size_t size, GError **error)
{
    BERTH_AUTO_FD fd = create(name);

    if (fd >= 0 && fill(fd, data, size) && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        return berth_steal_fd(&fd);
    berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make a memfd for %s", name);
    return -1;
}

/* Returns: its size; -1 on error. */
static off_t check(int fd, size_t max, const char *what, GError **error)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;

    if (seals < 0 || (seals & SEALS) != SEALS) {
        berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                        "%s is not a memfd with all four seals; make it with memfd_create(2) and "
                        "seal it",
                        what);
        return -1;
    }
    if (fstat(fd, &st) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_INVALID_OPTION, errno, "cannot look at %s", what);
        return -1;
    }
    if (st.st_size < 0 || (size_t)st.st_size > max) {
        berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                        "%s has %lld bytes; at most %zu are taken", what, (long long)st.st_size,
                        max);
        return -1;
    }
    return st.st_size;
}

bool berth_memfd_check(int fd, size_t max, const char *what, GError **error)
{
    return check(fd, max, what, error) >= 0;
}

typedef struct {
    void *data;
    size_t size;
} Secret;

static void wipe(void *data)
{
    Secret *secret = data;

    if (secret->size > 0)
        explicit_bzero(secret->data, secret->size);
    g_free(secret->data);
    g_free(secret);
}

GBytes *berth_secret_bytes(void *data, size_t size)
{
    Secret *secret = g_new(Secret, 1);

    *secret = (Secret){ data, size };
    return g_bytes_new_with_free_func(data, size, wipe, secret);
}

GBytes *berth_memfd_read(int fd, size_t max, const char *what, GError **error)
{
    off_t found = check(fd, max, what, error);
    g_autoptr(GBytes) bytes = NULL;
    size_t size, done = 0;
    char *data;

    if (found < 0)
        return NULL;
    size = (size_t)found;
    data = g_malloc(size + 1); /* never NULL, which would be no bytes to GLib */
    bytes = berth_secret_bytes(data, size);
    while (done < size) {
        ssize_t n = pread(fd, data + done, size - done, (off_t)done);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            berth_set_error_errno(error, BERTH_ERROR_INVALID_OPTION, n == 0 ? EIO : errno,
                                  "cannot read %s", what);
            return NULL;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return g_steal_pointer(&bytes);
}
