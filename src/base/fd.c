/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ownership of file descriptors: close with errno kept, steal, close at the end of a scope. Every
 * fd variable in the project starts at -1 and is one of these or says in its comment who owns it.
 */

#include "base/fd.h"

#include <glib.h>
#include <stdlib.h>

int berth_close(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        int r = close(fd);

        g_assert(r == 0 || errno != EBADF);
        errno = saved;
    }
    return -1;
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

void berth_close_others(int *fds, unsigned n)
{
    unsigned next = 3;

    qsort(fds, n, sizeof(*fds), compare);
    for (unsigned i = 0; i < n; i++) {
        if (fds[i] < (int)next)
            continue;
        if (fds[i] > (int)next)
            (void)close_range(next, (unsigned)fds[i] - 1, 0);
        next = (unsigned)fds[i] + 1;
    }
    (void)close_range(next, ~0u, 0);
}
