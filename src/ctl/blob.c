/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cat-blob`: the bytes of a blob on standard output, and nothing else. The service hands out a
 * descriptor; what is in there is passed on unseen.
 */

#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/report.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define AT_ONCE (1 << 20) /* bytes */

static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);

        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* For where sendfile() does not go: files opened for appending, some kinds of devices. */
static bool copy_by_hand(int from, int to)
{
    g_autofree char *buffer = g_malloc(AT_ONCE);

    for (;;) {
        ssize_t n = read(from, buffer, AT_ONCE);

        if (n == 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || !write_all(to, buffer, (size_t)n))
            return false;
    }
}

static bool copy(int from, int to)
{
    for (;;) {
        ssize_t n = sendfile(to, from, NULL, AT_ONCE);

        if (n == 0)
            return true;
        if (n < 0 && errno == EINVAL)
            return copy_by_hand(from, to);
        if (n < 0 && errno != EINTR)
            return false;
    }
}

int ctl_verb_cat_blob(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    int fd, sealed, r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "OpenBlob", &reply, "sa{sv}",
                      ctl->operands[0], 0))
        return EXIT_FAILURE;
    r = sd_bus_message_read(reply, "hb", &fd, &sealed);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    return copy(fd, STDOUT_FILENO)
               ? EXIT_SUCCESS
               : ctl_fail(ctl, SD_BUS_ERROR_FAILED, "cannot copy blob %s to standard output: %s",
                          ctl->operands[0], g_strerror(errno));
}
