/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ownership of file descriptors: close with errno kept, steal, close at the end of a scope. Every
 * fd variable in the project starts at -1 and is one of these or says in its comment who owns it.
 */

#include "base/fd.h"

#include <glib.h>

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
