/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service has no network, whoever started it: a filter of its own allows AF_UNIX sockets only.
 * The unit says the same and more (SystemCallFilter=), but cannot say it for the service alone once
 * it has workers that need the network. io_uring is refused with it, since it makes sockets without
 * the system call.
 */

#include "daemon/confine.h"

#include "base/error.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/socket.h>

static void release(scmp_filter_ctx *context)
{
    if (*context)
        seccomp_release(*context);
}

bool berth_confine(GError **error)
{
    __attribute__((cleanup(release))) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    int r = context ? 0 : -ENOMEM;

    if (r == 0)
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_NE, AF_UNIX));
    if (r == 0)
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socketpair), 1,
                             SCMP_A0(SCMP_CMP_NE, AF_UNIX));
    if (r == 0)
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
    if (r == 0)
        r = seccomp_load(context);
    return r == 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                           "cannot install the service's system call filter");
}
