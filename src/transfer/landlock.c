/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which files a worker can reach, by landlock(7). It has no wrappers in the C library, and kernel
 * headers may be older than the kernel, so the calls and the newer rights stand here. What the
 * kernel does not know is left out; file permissions hold in any case.
 */

#include "transfer/landlock.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* since ABI 3, 5: landlock(7) */
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14)
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15)
/* since ABI 4 and 6 */
#define NET_BIND_TCP          (UINT64_C(1) << 0)
#define SCOPE_ABSTRACT_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL          (UINT64_C(1) << 1)

#define READ_FILE             ((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE)
#define READ                  (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RUN                   (READ | LANDLOCK_ACCESS_FS_EXECUTE) /* libraries are mapped by it */
#define WRITE_FILE            ((uint64_t)LANDLOCK_ACCESS_FS_WRITE_FILE)
#define STORE                                                                                      \
    (READ | WRITE_FILE | ACCESS_TRUNCATE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                         \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_REFER)

/* struct landlock_ruleset_attr as of ABI 6 */
typedef struct {
    uint64_t fs, net, scoped;
} Ruleset;

static const struct {
    const char *path;
    uint64_t rights;
} allowed[] = {
    { "/usr", RUN },
    { "/lib", RUN },
    { "/lib32", RUN },
    { "/lib64", RUN },
    { "/etc", READ },                     /* resolv.conf, nsswitch.conf, certificates */
    { "/var/lib/ca-certificates", READ }, /* where some distributions keep them */
    { "/run/systemd/resolve", READ },     /* what resolv.conf can be a link to */
    { "/run/resolvconf", READ },
    { "/run/NetworkManager", READ },
    { "/dev/null", READ_FILE | WRITE_FILE },
    { "/dev/random", READ_FILE },
    { "/dev/urandom", READ_FILE },
};

/* All rights that this kernel's ABI knows: what is not known cannot be forbidden. */
static Ruleset everything(int abi)
{
    Ruleset ruleset = { .fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };

    if (abi >= 2)
        ruleset.fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        ruleset.fs |= ACCESS_TRUNCATE;
    if (abi >= 4)
        ruleset.net = NET_BIND_TCP;
    if (abi >= 5)
        ruleset.fs |= ACCESS_IOCTL_DEV;
    if (abi >= 6)
        ruleset.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
    return ruleset;
}

static size_t size_of_ruleset(int abi)
{
    return abi >= 6 ? sizeof(Ruleset) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static bool allow(int ruleset, int beneath, uint64_t rights)
{
    const struct landlock_path_beneath_attr rule = { rights, beneath };

    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* What is not there needs no rule. */
static bool allow_path(int ruleset, const char *path, uint64_t rights)
{
    BERTH_AUTO_FD fd = open(path, O_PATH | O_CLOEXEC);

    return fd < 0 || allow(ruleset, fd, rights);
}

static bool apply(int ruleset, uint64_t known, int store)
{
    if (store >= 0 && !allow(ruleset, store, STORE & known))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(allowed); i++)
        if (!allow_path(ruleset, allowed[i].path, allowed[i].rights & known))
            return false;
    return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

bool berth_landlock_apply(int store, GError **error)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    BERTH_AUTO_FD ruleset = -1;
    Ruleset all;

    /* EPERM: a container manager's filter that does not know the call */
    if (abi < 0 && (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM))
        return true;
    if (abi == 1) /* forbids to move a file to another directory, which the store lives by */
        return true;
    all = everything(abi);
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, size_of_ruleset(abi), 0);
    if (ruleset >= 0 && apply(ruleset, all.fs, store))
        return true;
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                 "the worker cannot restrict itself to its store");
}
