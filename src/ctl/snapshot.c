/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * berthctl snapshot and restore: the archive is a file that this opens, as whoever runs it may, and
 * the service gets. A snapshot becomes visible under its name when it is complete, and nothing is
 * left of one that failed. However long it takes is waited for.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ctl/bus.h"
#include "ctl/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TRIES 16 /* at a name that nobody has */

static bool set_failed(GError **error, const char *what, const char *path)
{
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot %s %s", what, path);
}

/* A call of Snapshot or Restore with what the command line says. */
static bool call(Ctl *ctl, const char *member, int archive)
{
    CTL_AUTO_MESSAGE *message = NULL;
    g_autofree char *path = NULL;
    int r;

    if (!ctl_bus_find_sandbox(ctl, ctl->operands[0], &path))
        return false;
    sd_bus_set_method_call_timeout(ctl->bus, UINT64_MAX);
    if (!ctl_bus_new_call(ctl, path, BERTH_IF_SANDBOX, member, &message))
        return false;
    r = sd_bus_message_append(message, "h", archive);
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "{sv}");
    if (r >= 0 && ctl->stopped)
        r = sd_bus_message_append(message, "{sv}", "Stopped", "b", 1);
    if (r >= 0 && ctl->leave_out) {
        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(message, "s", "LeaveOut");
        if (r >= 0)
            r = sd_bus_message_open_container(message, 'v', "as");
        if (r >= 0)
            r = sd_bus_message_open_container(message, 'a', "s");
        for (guint i = 0; r >= 0 && i < ctl->leave_out->len; i++)
            r = sd_bus_message_append(message, "s", (const char *)ctl->leave_out->pdata[i]);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
            r = sd_bus_message_close_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return ctl_bus_send(ctl, message, r, NULL);
}

/* Where a snapshot is written to. */
typedef struct {
    int fd;           /* owned, but standard output */
    const char *path; /* what it becomes */
    bool unnamed;     /* it has no name yet */
    char *other;      /* (nullable) owned: its name until it is complete */
} Target;

static void target_clear(Target *target)
{
    if (target->other) /* not complete */
        (void)unlink(target->other);
    g_free(target->other);
    if (target->fd != STDOUT_FILENO)
        berth_close(target->fd);
}
#define AUTO_TARGET __attribute__((cleanup(target_clear))) Target

/* A file that nobody sees yet, in the directory of what it becomes. */
static bool open_new(Target *target, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(target->path);

    target->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    target->unnamed = target->fd >= 0;
    if (target->unnamed)
        return true;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return set_failed(error, "write", target->path);
    target->other = g_strconcat(target->path, ".XXXXXX", NULL);
    target->fd = g_mkstemp_full(target->other, O_WRONLY | O_CLOEXEC, 0600);
    if (target->fd >= 0)
        return true;
    g_clear_pointer(&target->other, g_free);
    return set_failed(error, "write", target->path);
}

static bool open_target(Target *target, GError **error)
{
    struct stat st;

    if (g_str_equal(target->path, "-")) {
        target->fd = STDOUT_FILENO;
        return true;
    }
    if (stat(target->path, &st) < 0 || S_ISREG(st.st_mode))
        return open_new(target, error);
    target->fd = open(target->path, O_WRONLY | O_CLOEXEC); /* a FIFO, for one */
    return target->fd >= 0 || set_failed(error, "write", target->path);
}

/* Gives a file without a name one beside what it becomes. */
static bool name_target(Target *target, GError **error)
{
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", target->fd);

    for (unsigned i = 0; i < TRIES; i++) {
        g_autofree char *other = g_strdup_printf("%s.%08x", target->path, g_random_int());

        if (linkat(AT_FDCWD, self, AT_FDCWD, other, AT_SYMLINK_FOLLOW) == 0) {
            target->other = g_steal_pointer(&other);
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    return set_failed(error, "name", target->path);
}

/* It is complete: to the disk with it, and then under its name. */
static bool finish_target(Target *target, GError **error)
{
    if (!target->unnamed && !target->other)
        return true;
    if (fsync(target->fd) < 0)
        return set_failed(error, "write", target->path);
    if (target->unnamed && !name_target(target, error))
        return false;
    if (rename(target->other, target->path) < 0)
        return set_failed(error, "name", target->path);
    g_clear_pointer(&target->other, g_free);
    return true;
}

int ctl_verb_snapshot(Ctl *ctl)
{
    AUTO_TARGET target = { .fd = -1, .path = ctl->operands[1] };
    g_autoptr(GError) error = NULL;

    if (g_str_equal(target.path, "-") && isatty(STDOUT_FILENO))
        return ctl_usage(ctl, "the archive would go to the terminal; name a file, or use a pipe");
    if (!open_target(&target, &error))
        return ctl_fail_error(ctl, error);
    if (!call(ctl, "Snapshot", target.fd))
        return EXIT_FAILURE;
    return finish_target(&target, &error) ? EXIT_SUCCESS : ctl_fail_error(ctl, error);
}

int ctl_verb_restore(Ctl *ctl)
{
    const char *path = ctl->operands[1];
    bool standard = g_str_equal(path, "-");
    BERTH_AUTO_FD fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return ctl_fail(ctl, SD_BUS_ERROR_FAILED, "cannot read %s: %s", path, g_strerror(errno));
    return call(ctl, "Restore", fd) ? EXIT_SUCCESS : EXIT_FAILURE;
}
