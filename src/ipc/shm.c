/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tmpfs of a sandbox: made, resized and measured with the mount API of Linux 5.2, since only
 * that gives detached mounts. The kernel's size grammar is dangerous (`0`, `0%` and multiples of
 * 2^64 mean unlimited, and nothing takes that back), so plain numbers that were bounded before come
 * in here.
 */

#include "ipc/shm.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

uint64_t berth_shm_round(uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), rounded;

    if (__builtin_add_overflow(size, page - 1, &rounded))
        return UINT64_MAX / page * page;
    return rounded / page * page;
}

/*
 * What the kernel says about the last failure on a file system context: lines of `e subsystem:
 * text` (Documentation/filesystems/mount_api.rst). Falls back to the text of @err.
 */
static char *context_log(int context, int err)
{
    char line[512];
    ssize_t n = read(context, line, sizeof(line) - 1);

    if (n <= 2)
        return g_strdup(g_strerror(err));
    line[n] = '\0';
    return g_strchomp(g_strdup(line + 2));
}

static bool set_string(int context, const char *key, const char *value, GError **error)
{
    if (fsconfig(context, FSCONFIG_SET_STRING, key, value, 0) == 0)
        return true;

    int err = errno;
    g_autofree char *why = context_log(context, err);

    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "the kernel refuses %s=%s for a tmpfs: %s", key, value, why);
}

static bool set_number(int context, const char *key, uint64_t value, GError **error)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" PRIu64, value);
    return set_string(context, key, text, error);
}

int berth_shm_mount(const BerthShmSpec *spec, GError **error)
{
    BERTH_AUTO_FD context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int mount;

    g_assert(spec->size > 0 && spec->inodes > 0);
    if (context < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make a tmpfs");
        return -1;
    }
    /* without source, mountinfo would say "none" */
    if (!set_string(context, "source", "shm", error) ||
        !set_string(context, "mode", "1777", error) ||
        !set_number(context, "size", spec->size, error) ||
        !set_number(context, "nr_inodes", spec->inodes, error) ||
        (spec->huge && !set_string(context, "huge", spec->huge, error)) ||
        (spec->numa && !set_string(context, "mpol", spec->numa, error)))
        return -1;

    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        int err = errno;
        g_autofree char *why = context_log(context, err);

        berth_set_error(error, BERTH_ERROR_FAILED, "cannot make a tmpfs of %" PRIu64 " bytes: %s",
                        spec->size, why);
        return -1;
    }
    mount =
        fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (mount < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot mount a tmpfs");
    return mount;
}

/* The message for a shrink below what is in use: the caller's numbers first, then the kernel's
 * words. */
static bool set_busy(GError **error, int dir, const char *path, uint64_t size, uint64_t inodes,
                     const char *why)
{
    BERTH_AUTO_FD fd = openat(dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    BerthShmUsage usage = { 0 };

    if (fd < 0 || !berth_shm_usage(fd, &usage, NULL))
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot resize to %" PRIu64 " bytes: %s",
                               size, why);
    if (inodes && usage.inodes_used > inodes)
        return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                               "cannot shrink to %" PRIu64 " inodes: %" PRIu64
                               " are in use; remove files first or choose a larger limit (%s)",
                               inodes, usage.inodes_used, why);
    return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                           "cannot shrink to %" PRIu64 " bytes: %" PRIu64
                           " are in use; remove files first or choose a larger size (%s)",
                           size, usage.used, why);
}

bool berth_shm_resize(int dir, const char *path, uint64_t size, uint64_t inodes, GError **error)
{
    BERTH_AUTO_FD context = fspick(dir, path, FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT);

    g_assert(size > 0);
    if (context < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open the tmpfs");
    if (!set_number(context, "size", size, error) ||
        (inodes && !set_number(context, "nr_inodes", inodes, error)))
        return false;
    if (fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0) {
        int err = errno;
        g_autofree char *why = context_log(context, err);

        if (err == EINVAL)
            return set_busy(error, dir, path, size, inodes, why);
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot resize to %" PRIu64 " bytes: %s",
                               size, why);
    }
    return true;
}

bool berth_shm_usage(int fd, BerthShmUsage *usage, GError **error)
{
    struct statfs st;

    if (fstatfs(fd, &st) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot measure the shm");
    usage->size = (uint64_t)st.f_blocks * (uint64_t)st.f_bsize;
    usage->used = (uint64_t)(st.f_blocks - st.f_bfree) * (uint64_t)st.f_bsize;
    usage->inodes = st.f_files;
    usage->inodes_used = st.f_files - st.f_ffree;
    return true;
}
